"""
Values: what a session may hold, when two are equal, and the one text of each.

Rule 1: what is checked comes out as a copy of exact types, so a value never aliases the caller's data.
Rule 2: one value has one text, and two values that differ in type or content never share one.
Rule 3: inside the text a quote always begins or ends a string, and no string holds a bracket, a brace
or a backslash.  So an engine may look for the end of a string, or of a container, without parsing.

The text is JSON.  What JSON has no type for is a string with a tag:
    "~d2031-02-03T04:05:06.789Z" datetime    "~b" base64 bytes    "~u" UUID    "~n" Decimal    "~o" ObjectId
    "~s" text that begins with "~" or holds one of `" \\ [ ] { }` or a control character; these, and "~", are
    written as "~" and two hexadecimal digits in it.
Names in dicts are written as text is.
"""

from __future__ import annotations

import binascii
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any, Final, Protocol, TypeAlias, cast
from uuid import UUID

import msgspec

from .errors import InvalidValue, LimitExceeded
from .limits import DEFAULT_LIMITS, Limits
from .paths import Path, show_path

__all__ = [
    "INT64",
    "MISSING",
    "Missing",
    "ObjectId",
    "Value",
    "check_value",
    "decode",
    "decode_name",
    "encode",
    "encode_name",
    "equal",
    "same",
]


class Missing(Enum):
    """The type of MISSING: no value at all, which is not the value None."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING


class ObjectId(Protocol):
    """A `bson.ObjectId`, where the application has bson."""

    @property
    def binary(self) -> bytes: ...


Value: TypeAlias = (
    "bool | int | float | str | bytes | datetime | UUID | Decimal | ObjectId | list[Value] | dict[str, Value] | None"
)

INT64: Final = range(-(2**63), 2**63)
_NUMBERS = frozenset({int, float, Decimal})
_JSON_SCALARS = frozenset({type(None), bool, int, str})
_OBJECT_ID_MODULE = "bson.objectid"


def check_value(value: object, path: Path, limits: Limits = DEFAULT_LIMITS) -> Value:
    """
    Return a copy of *value*, which is to live at *path*, in exact types.

    Subclasses of text, numbers, lists, tuples, dicts, datetimes and UUIDs become what they extend, tuples become
    lists; a datetime becomes UTC and loses what is finer than a millisecond; a negative zero loses its sign.

    Raises:
        InvalidValue: a session cannot hold it, or something in it; the error names the path.
        LimitExceeded: a name in it is too long, or it is too deep (as what contains itself is).
    """
    try:
        return _CHECKS.get(type(value), _check_other)(value, path, limits)
    except RecursionError:  # the limit is beyond what the interpreter can do
        raise LimitExceeded("depth", limits.depth, limits.depth + 1) from None


def _check_other(value: object, path: Path, limits: Limits) -> Value:
    for base in _BASES:
        if isinstance(value, base):
            return _CHECKS[base](value, path, limits)
    if _is_object_id(value):
        return cast("Value", value)
    raise InvalidValue(show_path(path), f"a session cannot hold {type(value).__name__}")


def _as_it_is(value: Value, _path: Path, _limits: Limits) -> Value:
    return value


def _check_int(value: int, path: Path, _limits: Limits) -> int:
    number = int(value)  # a range searches itself from end to end for a subclass of int
    if number not in INT64:
        raise InvalidValue(show_path(path), "the integer does not fit into 64 bits")
    return number


def _check_float(value: float, path: Path, _limits: Limits) -> float:
    if not isfinite(value):
        raise InvalidValue(show_path(path), "the number is not finite")
    return float(value) + 0.0  # a sum with zero has no negative zero


def _check_text(value: str, path: Path, _limits: Limits) -> str:
    text = str.__str__(value)
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(show_path(path), "the text holds half a character (a lone surrogate)") from None
    return text


def _check_decimal(value: Decimal, path: Path, _limits: Limits) -> Decimal:
    if not value.is_finite():
        raise InvalidValue(show_path(path), "the number is not finite")
    return value or value.copy_abs()


def _check_datetime(value: datetime, path: Path, _limits: Limits) -> datetime:
    try:
        if value.utcoffset() is None:
            raise InvalidValue(show_path(path), "the datetime has no time zone")
        utc = value.astimezone(UTC)
        micro = utc.microsecond // 1000 * 1000
        return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, micro, UTC)
    except (OverflowError, TypeError, ValueError):  # another library's subclass may be no date at all
        raise InvalidValue(show_path(path), "the datetime is out of range") from None


def _check_list(value: Iterable[object], path: Path, limits: Limits) -> Value:
    _check_depth(path, limits)
    return [
        _CHECKS.get(type(item), _check_other)(item, (*path, str(index)), limits) for index, item in enumerate(value)
    ]


def _check_dict(value: dict[object, object], path: Path, limits: Limits) -> Value:
    _check_depth(path, limits)
    result: dict[str, Value] = {}
    for key, item in value.items():
        name = _check_name(key, path, limits)
        result[name] = _CHECKS.get(type(item), _check_other)(item, (*path, name), limits)
    return result


def _check_depth(path: Path, limits: Limits) -> None:
    if len(path) >= limits.depth:  # so many containers are around it, the session itself among them
        raise LimitExceeded("depth", limits.depth, len(path) + 1)


def _check_name(key: object, path: Path, limits: Limits) -> str:
    if not isinstance(key, str):
        raise InvalidValue(show_path(path), f"a name in it is {type(key).__name__}, not text")
    if "\0" in key:
        raise InvalidValue(show_path(path), "a name in it holds NUL")
    name = _check_text(key, path, limits)
    size = len(name) if name.isascii() else len(name.encode())
    if size > limits.name:
        raise LimitExceeded("name", limits.name, size)
    return name


def _is_object_id(value: object) -> bool:
    module = sys.modules.get(_OBJECT_ID_MODULE)  # who holds one has imported bson
    return module is not None and type(value) is module.ObjectId


_CHECKS: dict[type, Callable[[Any, Path, Limits], Value]] = {
    type(None): _as_it_is,
    bool: _as_it_is,
    bytes: _as_it_is,
    int: _check_int,
    float: _check_float,
    str: _check_text,
    Decimal: _check_decimal,
    UUID: lambda value, _path, _limits: UUID(int=value.int),
    datetime: _check_datetime,
    list: _check_list,
    tuple: _check_list,
    dict: _check_dict,
}
_BASES = (str, int, float, dict, list, tuple, datetime, UUID)


def equal(a: Value | Missing, b: Value | Missing) -> bool:
    """
    Say whether *a* and *b* are equal to an operator.

    Numbers are compared by exact value, dicts in any order.  True is not 1, and MISSING equals only MISSING.
    """
    if type(a) is not type(b):
        return type(a) in _NUMBERS and type(b) in _NUMBERS and a == b
    return _alike(a, b, equal)


def same(a: Value | Missing, b: Value | Missing) -> bool:
    """Say whether *a* and *b* are alike in type and content, but for the order of names and the sign of zero."""
    if type(a) is not type(b):
        return False
    if type(a) is Decimal and type(b) is Decimal:  # 1.10 is not 1.1
        return _show_decimal(a) == _show_decimal(b)
    return _alike(a, b, same)


def _alike(a: Value | Missing, b: Value | Missing, compare: Callable[[Value, Value], bool]) -> bool:
    if type(a) is dict and type(b) is dict:
        return len(a) == len(b) and all(name in b and compare(item, b[name]) for name, item in a.items())
    if type(a) is list and type(b) is list:
        return len(a) == len(b) and all(map(compare, a, b))
    return a == b


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_AWKWARD = re.compile(r'["\\\[\]{}\x00-\x1f]').search
_ESCAPED = re.compile(r'["\\\[\]{}\x00-\x1f~]')
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_ESCAPE = re.compile(r"~([0-9a-f]{2})")


def encode(value: Value) -> bytes:
    """
    Return the text of *value*, which `check_value` has returned.

    Raises:
        TypeError, ValueError: it holds what `check_value` never returns, or holds itself.
    """
    try:
        containers = _containers(value)
        if containers >= 0:
            raw = _ENCODER.encode(value)
            # any more of these than the containers' own are in a string, which then may need a tag
            if len(raw) - len(raw.translate(None, b"[]{}\\~")) == 2 * containers:
                return raw
        return _ENCODER.encode(_tagged(value))
    except RecursionError:
        raise ValueError("the value contains itself, or is too deep") from None


def decode(raw: bytes) -> Value:
    """
    Return the value whose text is *raw*.

    Raises:
        ValueError: `encode` wrote no such text.
    """
    if b"\\" in raw:
        raise ValueError("there is a backslash in the text")
    try:
        value: Value = _DECODER.decode(raw)
        return _untagged(value) if b"~" in raw else value
    except (RecursionError, UnicodeDecodeError):  # the latter would carry the text
        raise ValueError("the text is too deep, or not UTF-8") from None


@lru_cache(maxsize=4_096)
def encode_name(name: str) -> str:
    """Return the text of *name*, without the quotes."""
    if name[:1] != "~" and _AWKWARD(name) is None:
        return name
    return "~s" + _ESCAPED.sub(lambda match: f"~{ord(match[0]):02x}", name)


def decode_name(text: str) -> str:
    """Return the name whose text is *text*; a text that `encode_name` never wrote is a ValueError."""
    name = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text[2:]) if text[:2] == "~s" else text
    if encode_name(name) != text:
        raise ValueError("a text in it is not canonical")
    return name


def _containers(value: Any) -> int:
    """Return how many containers *value* consists of; -1 where something in it needs more than plain JSON."""
    if type(value) is dict:
        for name in value:
            if type(name) is not str:
                return -1
        items: Iterable[Any] = value.values()
    elif type(value) is list:
        items = value
    else:
        return 0 if type(value) in _JSON_SCALARS else -1
    total = 1
    for item in items:
        kind = type(item)
        if kind in _JSON_SCALARS:
            continue
        if kind is dict or kind is list:
            inside = _containers(item)
            if inside < 0:
                return -1
            total += inside
        elif kind is not float or not item or not isfinite(item):  # zero may be negative
            return -1
    return total


def _tagged(value: Any) -> Any:
    kind = type(value)
    if kind in _TEXTS:
        return _TEXTS[kind](value)
    if kind is dict:
        return {encode_name(name): _tagged(item) for name, item in value.items()}
    if kind is list:
        return [_tagged(item) for item in value]
    if kind in _JSON_SCALARS:
        return value
    if _is_object_id(value):
        return f"~o{value}"
    raise TypeError(f"a session cannot hold {kind.__name__}")


def _untagged(value: Any) -> Any:
    if type(value) is str:
        return _from_text(value) if value[:1] == "~" else value
    if type(value) is dict:
        return {decode_name(name): _untagged(item) for name, item in value.items()}
    if type(value) is list:
        return [_untagged(item) for item in value]
    return value


def _from_text(text: str) -> Value:
    try:
        value = _VALUES[text[1:2]](text[2:])
        if _tagged(value) == text:
            return value
    except (InvalidOperation, KeyError, ValueError):
        pass  # their messages would carry the text
    except ImportError:
        raise ValueError("there is an ObjectId in it, and no bson package to make it with") from None
    raise ValueError("a tagged text in it is not canonical")


def _show_float(value: float) -> float:
    if not isfinite(value):
        raise ValueError("a number in it is not finite")
    return value + 0.0


def _show_datetime(value: datetime) -> str:
    if value.tzinfo is not UTC or value.microsecond % 1000:
        raise ValueError("a datetime in it is not in UTC, or finer than a millisecond")
    return f"~d{value.isoformat(timespec='milliseconds')[:23]}Z"


def _show_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("a number in it is not finite")
    return "~n" + str(value or value.copy_abs()).upper()  # a decimal context may ask for a small "e"


def _to_object_id(text: str) -> ObjectId:
    if _OBJECT_ID.fullmatch(text) is None:
        raise ValueError("no ObjectId")
    return cast("ObjectId", importlib.import_module(_OBJECT_ID_MODULE).ObjectId(text))


_TEXTS: dict[type, Callable[[Any], str | float]] = {
    str: encode_name,
    float: _show_float,
    datetime: _show_datetime,
    bytes: lambda value: "~b" + binascii.b2a_base64(value, newline=False).decode(),
    UUID: lambda value: f"~u{value}",
    Decimal: _show_decimal,
}
_VALUES: dict[str, Callable[[str], Value]] = {
    "s": lambda text: decode_name("~s" + text),
    "d": datetime.fromisoformat,
    "b": binascii.a2b_base64,
    "u": UUID,
    "n": Decimal,
    "o": _to_object_id,
}
