"""
Durations as people write them, and as everything below reads them: whole milliseconds.

The words are exact lengths, never calendar arithmetic: a month is 30 days, a year is 365.
"""

from __future__ import annotations

import math
import re
import reprlib
from datetime import timedelta
from fractions import Fraction
from typing import TypeAlias

__all__ = ["LONGEST", "Duration", "parse_duration", "parse_max_age", "parse_optional"]

Duration: TypeAlias = timedelta | int | float | str

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

LONGEST = 100 * 365 * _DAY
"""The longest duration: 100 years, in milliseconds."""

_LONGEST_MAX_AGE = 10 * 365 * _DAY

_LONGEST_TEXT = 100

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80

_UNITS: dict[int, str] = {
    1: "ms msec msecs millisecond milliseconds",
    _SECOND: "s sec secs second seconds",
    _MINUTE: "m min mins minute minutes",
    _HOUR: "h hr hrs hour hours",
    _DAY: "d day days",
    7 * _DAY: "w wk wks week weeks",
    30 * _DAY: "mo mos mon month months",
    365 * _DAY: "y yr yrs year years",
}
_LENGTH_OF = {word: length for length, words in _UNITS.items() for word in words.split()}

# Digits, spaces and letters never overlap, so a text can be read in one way only, in linear time.
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]+) *")


def parse_duration(value: Duration, name: str = "duration") -> int:
    """
    Return *value* in whole milliseconds, rounded to the nearest.

    A number counts seconds.  A text is one or more numbers with units: "14 days", "1.5 hours",
    "1 hour 30 minutes", "90s", in upper or lower case; no unit appears twice.

    Raises:
        TypeError: it is not a timedelta, an int, a float or a text.
        ValueError: it is not understood, shorter than a millisecond, or longer than 100 years.
            Both name *name* and the value.
    """
    if isinstance(value, timedelta):
        exact = Fraction(value // timedelta(microseconds=1), 1_000)
    elif isinstance(value, str):
        exact = _parse_text(value, name)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a timedelta, seconds or words like '14 days', not {_shown(value)}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {_shown(value)}")
    else:
        exact = Fraction(value) * _SECOND
    return _check(exact, value, name)


def parse_optional(value: Duration | None, name: str) -> int | None:
    """
    Return *value* in whole milliseconds, and None for None.

    Raises:
        TypeError, ValueError: as `parse_duration`.
    """
    return None if value is None else parse_duration(value, name)


def parse_max_age(value: Duration, name: str = "max_age") -> int:
    """
    Return an idle time in whole milliseconds.

    It is at most 10 years: a browser keeps a cookie for 400 days (RFC 6265bis, 5.5), and what is renewed when a
    tenth of its time is over has to be renewed before.

    Raises:
        TypeError, ValueError: as `parse_duration`.
    """
    milliseconds = parse_duration(value, name)
    if milliseconds > _LONGEST_MAX_AGE:
        raise ValueError(f"{name} must be at most 10 years, or browsers forget the cookie, not {_shown(value)}")
    return milliseconds


def _parse_text(text: str, name: str) -> Fraction:
    """Add up the parts of *text*; nothing may be left between them."""
    total = Fraction(0)
    seen: set[int] = set()
    lowered = text.strip(" ").lower()
    position = 0
    if text.isascii() and len(text) <= _LONGEST_TEXT:
        while part := _PART.match(lowered, position):
            length = _LENGTH_OF.get(part[2], 0)
            if length == 0 or length in seen:
                break
            seen.add(length)
            total += Fraction(part[1]) * length
            position = part.end()
    if not seen or position != len(lowered):
        raise ValueError(
            f"{name} must be a duration like '30 minutes', '14 days' or '1 hour 30 minutes', not {_shown(text)}"
        )
    return total


def _check(exact: Fraction, value: Duration, name: str) -> int:
    if exact <= 0:
        raise ValueError(f"{name} must be more than zero, not {_shown(value)}")
    if exact > LONGEST:
        raise ValueError(f"{name} must be at most 100 years, not {_shown(value)}")
    milliseconds = round(exact)
    if milliseconds == 0:
        raise ValueError(f"{name} must be at least a millisecond, not {_shown(value)}")
    return milliseconds


def _shown(value: object) -> str:
    """Return a short repr: a mistaken value can be of any size, and huge ints refuse to be printed."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"
    return _BRIEF.repr(value)
