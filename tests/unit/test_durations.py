"""What a duration means, and what is no duration."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_session.durations import LONGEST, Duration, parse_duration, parse_optional

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (1, SECOND),
        (1_209_600, 14 * DAY),
        (0.5, 500),
        (0.1, 100),
        (0.001, 1),
        (0.0005001, 1),
        (1e3, 1_000 * SECOND),
        (timedelta(days=14), 14 * DAY),
        (timedelta(milliseconds=1), 1),
        (timedelta(microseconds=1_499), 1),
        (timedelta(microseconds=1_501), 2),
        (timedelta(days=36_500), LONGEST),
        (36_500 * 86_400, LONGEST),
        ("100 years", LONGEST),
    ],
)
def test_a_number_counts_seconds_and_a_timedelta_is_itself(value: Duration, milliseconds: int) -> None:
    assert parse_duration(value) == milliseconds
    assert type(parse_duration(value)) is int


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("30 minutes", 30 * MINUTE),
        ("14 days", 14 * DAY),
        ("1 month", 30 * DAY),
        ("1 year", 365 * DAY),
        ("2 weeks", 14 * DAY),
        ("1 hour 30 minutes", 90 * MINUTE),
        ("1 day 2 hours 3 minutes 4 seconds 5 milliseconds", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND + 5),
        ("30 minutes 1 hour", 90 * MINUTE),
        ("1 minute 1 month", MINUTE + 30 * DAY),
        ("30m", 30 * MINUTE),
        ("2h", 2 * HOUR),
        ("1d", DAY),
        ("90s", 90 * SECOND),
        ("500ms", 500),
        ("2w", 14 * DAY),
        ("1mo", 30 * DAY),
        ("1y", 365 * DAY),
        ("1h30m", 90 * MINUTE),
        ("1.5 hours", 90 * MINUTE),
        ("0.1 seconds", 100),
        ("1 MONTH", 30 * DAY),
        ("1 Hour 30 Minutes", 90 * MINUTE),
        ("  1   hour   30minutes ", 90 * MINUTE),
        ("0 hours 5 minutes", 5 * MINUTE),
        ("007 seconds", 7 * SECOND),
    ],
)
def test_words_say_exact_lengths(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("ms msec msecs millisecond milliseconds", 1),
        ("s sec secs second seconds", SECOND),
        ("m min mins minute minutes", MINUTE),
        ("h hr hrs hour hours", HOUR),
        ("d day days", DAY),
        ("w wk wks week weeks", 7 * DAY),
        ("mo mos mon month months", 30 * DAY),
        ("y yr yrs year years", 365 * DAY),
    ],
)
def test_a_unit_has_its_usual_spellings(words: str, length: int) -> None:
    for word in words.split():
        assert parse_duration(f"3 {word}") == parse_duration(f"3{word.upper()}") == 3 * length


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "fortnight",
        "month",
        "a month",
        "3600",
        "1.5",
        "10 parsecs",
        "-5 minutes",
        "+5 minutes",
        "5 minutes ago",
        "1 hour and 30 minutes",
        "1 hour, 30 minutes",
        "1 hour 30",
        "1 hour 1 hour",
        "1 hour 2h",
        "1e3 seconds",
        "1_000 seconds",
        ".5 hours",
        "1. hours",
        "1..5 hours",
        "1.5.5 hours",
        "1,5 hours",
        "nan seconds",
        "inf days",
        "infinity",
        "0x10 seconds",
        "1\thour",
        "1 hour\n",
        "1\x00 hour",
        "1\u00a0hour",
        "\u0661 hour",
        "1 wee\u212a",
        "1 hour" + " " * 100,
        "1" * 5_000 + " ms",
        "1 hour " * 10_000,
    ],
)
def test_text_that_is_no_duration_is_refused_with_the_settings_name_and_a_short_message(text: str) -> None:
    with pytest.raises(ValueError, match="max_age must be a duration like '30 minutes'") as caught:
        parse_duration(text, "max_age")

    assert repr(text)[1:10] in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (0, "touch_after must be more than zero, not 0"),
        (0.0, "touch_after must be more than zero, not 0.0"),
        (-1, "touch_after must be more than zero, not -1"),
        (-0.5, "touch_after must be more than zero, not -0.5"),
        (timedelta(0), r"touch_after must be more than zero, not datetime.timedelta\(0\)"),
        (timedelta(seconds=-1), r"touch_after must be more than zero, not datetime.timedelta\(days=-1, sec"),
        ("0 minutes", "touch_after must be more than zero, not '0 minutes'"),
        ("0.0ms", "touch_after must be more than zero, not '0.0ms'"),
        (math.nan, "touch_after must be finite, not nan"),
        (math.inf, "touch_after must be finite, not inf"),
        (-math.inf, "touch_after must be finite, not -inf"),
        (0.0001, "touch_after must be at least a millisecond, not 0.0001"),
        (5e-324, "touch_after must be at least a millisecond, not 5e-324"),
        (timedelta(microseconds=1), "touch_after must be at least a millisecond"),
        ("0.1 ms", "touch_after must be at least a millisecond, not '0.1 ms'"),
        ("101 years", "touch_after must be at most 100 years, not '101 years'"),
        (36_500 * 86_400 + 1, "touch_after must be at most 100 years, not 3153600001"),
        (1e300, r"touch_after must be at most 100 years, not 1e\+300"),
        (timedelta.max, r"touch_after must be at most 100 years, not datetime.timedelta\(days=999999999"),
        pytest.param(2**20_000, "touch_after must be at most 100 years, not an int of 20001 bits", id="huge"),
        pytest.param(-(2**20_000), "touch_after must be more than zero, not an int of 20001 bits", id="minus-huge"),
        ("9" * 90 + " years", "touch_after must be at most 100 years, not '9"),
    ],
)
def test_a_length_that_no_session_can_have_is_refused(value: Duration, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_duration(value, "touch_after")


@pytest.mark.parametrize("value", [None, True, False, b"1 hour", [1], {}, object(), Decimal(1), 1j])
def test_what_cannot_be_a_duration_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="max_lifetime must be a timedelta, seconds or words like '14 days', not "):
        parse_duration(value, "max_lifetime")


def test_an_optional_duration_may_be_none_but_not_nonsense() -> None:
    assert parse_optional(None, "max_age") is None
    assert parse_optional("1 month", "max_age") == 30 * DAY
    with pytest.raises(ValueError, match="max_age"):
        parse_optional("", "max_age")


@given(st.integers(min_value=1, max_value=LONGEST))
def test_every_way_to_write_whole_milliseconds_gives_them_back(milliseconds: int) -> None:
    seconds, rest = divmod(milliseconds, SECOND)

    assert parse_duration(timedelta(milliseconds=milliseconds)) == milliseconds
    assert parse_duration(f"{milliseconds} ms") == milliseconds
    assert parse_duration(f"{seconds}.{rest:03} seconds") == milliseconds
    assert parse_duration(f"{seconds} s {rest} ms") == milliseconds
    assert parse_duration(milliseconds / SECOND) == milliseconds


@given(st.text() | st.from_regex(r"[0-9. hmsdwy]*", fullmatch=True))
def test_any_text_is_a_possible_duration_or_a_value_error(text: str) -> None:
    try:
        milliseconds = parse_duration(text)
    except ValueError:
        return
    assert 1 <= milliseconds <= LONGEST


@given(st.integers() | st.floats() | st.timedeltas())
def test_any_number_is_a_possible_duration_or_a_value_error(value: Duration) -> None:
    try:
        milliseconds = parse_duration(value)
    except ValueError:
        return
    assert 1 <= milliseconds <= LONGEST
