"""
One document a record: how names, values and records are written in BSON, and read back.

Rule 1: names are written so that none of them means anything to the server, and no two become one:
`%` and `.` anywhere, `$` at the beginning, and `0` before anything else, are `%` and two hexadecimal
digits; the empty name is `%`.  So what the server takes for a position in a list is one to us too.
Rule 2: the data lives under one name of ours, `data`; the record's own fields stand beside it.
Rule 3: a field that is None is not written.

Four fields are not the record's.  `version` goes up at every change, so that a document can be replaced just
where it was read.  `fresh_until` is an instant before which the session is live for sure, and needs no
renewal: the one question that the filter of a statement must ask about time.  `weight` is never less
than the size of the text of the data.  `wide` says that there is a number in it which the server
cannot compare.

What the record calls `idle_deadline` is kept as `last_used` plus `max_age`, or plus `idle` where the
record has none of its own: an update can then move it without knowing which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from bson import Binary, CodecOptions, Decimal128, Int64, ObjectId
from bson.binary import UuidRepresentation

from ...clock import Instant
from ...lifecycle import Stored
from ...paths import Path
from ...record import Record, capped
from ...values import Value, encode

__all__ = [
    "OPTIONS",
    "Document",
    "data_of",
    "encode_name",
    "encode_path",
    "fields_of",
    "from_bson",
    "is_wide",
    "record_of",
    "stored_of",
    "sweep_at",
    "to_bson",
]

Document = dict[str, Any]

OPTIONS: CodecOptions[Document] = CodecOptions(
    tz_aware=True, tzinfo=UTC, uuid_representation=UuidRepresentation.STANDARD
)

_WIDE_DECIMAL = 0x80
"""The first binary subtype that is free for users: decimals that Decimal128 cannot hold."""

_HOUR = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_INSTANT = 253_402_214_400_000
"""Near the end of the year 9999, after which Python has no dates."""

_AWKWARD = re.compile(r"[%.]|^\$|^0(?=.)", re.DOTALL)
_ESCAPED = re.compile(r"%([0-9A-F]{2})")

_OPTIONAL = ("absolute_deadline", "max_age", "owner", "authenticated_at", "previous_digest")


def encode_name(name: str) -> str:
    """Return *name* as the server sees it."""
    if name.isidentifier():  # as most are
        return name
    if not name:
        return "%"
    return _AWKWARD.sub(lambda match: f"%{ord(match[0]):02X}", name)


def decode_name(text: str) -> str:
    """
    Return the name that `encode_name` wrote as *text*.

    Raises:
        ValueError: it never wrote such a thing.
    """
    if text == "%":
        return ""
    name = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "%" in text else text
    if encode_name(name) != text:
        raise ValueError("a name in it is not ours")
    return name


@lru_cache(maxsize=4096)
def encode_path(path: Path) -> str:
    """Return where in the document *path* leads."""
    return "data." + ".".join(map(encode_name, path))


def to_bson(value: Value) -> Any:
    """Return *value* as PyMongo writes it."""
    kind = type(value)
    if kind is dict:
        return {encode_name(name): to_bson(item) for name, item in value.items()}  # type: ignore[union-attr]
    if kind is list:
        return [to_bson(item) for item in value]  # type: ignore[union-attr]
    return _to_decimal(value) if isinstance(value, Decimal) else value


def is_wide(value: Value) -> bool:
    """Say whether there is a number in *value* that the server cannot compare with others."""
    if isinstance(value, dict):
        return any(map(is_wide, value.values()))
    if isinstance(value, list):
        return any(map(is_wide, value))
    return isinstance(value, Decimal) and isinstance(_to_decimal(value), Binary)


def from_bson(value: Any) -> Value:
    """
    Return the value that was written as *value*.

    Raises:
        ValueError: it is nothing that `to_bson` writes.
    """
    read = _READERS.get(type(value))
    if read is None:
        raise ValueError(f"there is a {type(value).__name__} in it")
    return read(value)


def data_of(document: Document, names: Iterable[str] | None = None) -> dict[str, Value]:
    """
    Return all data of *document*, or those of the fields *names* that are present.

    Raises:
        ValueError: it is not ours.
    """
    data = document.get("data")
    if type(data) is not dict:
        raise ValueError("there is no data in it")
    if names is None:
        return _from_dict(data)
    found = ((name, encode_name(name)) for name in names)
    return {name: from_bson(data[text]) for name, text in found if text in data}


def record_of(document: Document) -> Record:
    """
    Return the record that *document* keeps.

    Raises:
        ValueError: it is not ours.
    """
    try:
        return _record(document, document.get)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"a field is missing, or of no use: {error}") from None


def stored_of(document: Document) -> Stored:
    """
    Return what *document* keeps as the core has it.

    Raises:
        ValueError: it is not ours.
    """
    return Stored(record_of(document), encode(data_of(document)))


def fields_of(record: Record) -> Document:
    """Return the fields that say *record*, without its id; one that is None says that there must be none."""
    optional = {name: getattr(record, name) for name in _OPTIONAL}
    if record.destroyed:  # its deadline is the one of the tombstone
        optional["max_age"] = None
    idle = record.idle_deadline - record.last_used
    return {
        "digest": record.digest,
        "rev": record.rev,
        "created": record.created,
        "last_used": record.last_used,
        "idle": idle,
        "renew_at": record.renew_at,
        "previous_until": record.previous_until,
        "grace_until": record.grace_until,
        "destroyed": record.destroyed or None,
        "fresh_until": 0 if record.destroyed else min(record.renew_at, record.idle_deadline),
        "sweep_at": sweep_at(record.idle_deadline if record.destroyed else record.renew_at + idle),
        **optional,
    }


def sweep_at(deadline: Instant) -> datetime:
    """Return when the server may remove what ends at *deadline*: with slack, and seldom another instant."""
    return _hour(deadline // _HOUR + 2)


@lru_cache(maxsize=64)
def _hour(number: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(number * _HOUR, _LAST_INSTANT))


def _record(document: Document, get: Callable[..., Any]) -> Record:
    _check_types(document, get)
    last_used = int(document["last_used"])
    max_age, absolute = _optional(get("max_age")), _optional(get("absolute_deadline"))
    idle = int(document["idle"]) if max_age is None else max_age
    return Record(
        document["_id"],
        document["digest"],
        int(document["rev"]),
        int(document["created"]),
        last_used,
        int(document["renew_at"]),
        capped(last_used + idle, absolute),
        absolute,
        max_age,
        get("owner"),
        _optional(get("authenticated_at")),
        get("previous_digest"),
        int(document["previous_until"]),
        int(document["grace_until"]),
        get("destroyed") is True,
    )


def _check_types(document: Document, get: Callable[..., Any]) -> None:
    """Look at what is compared or counted up, and could not be where it is of another type."""
    for name, value, kind in (
        ("version", document["version"], int),
        ("digest", document["digest"], bytes),
        ("previous_digest", get("previous_digest", b""), bytes),
        ("owner", get("owner", ""), str),
    ):
        if not isinstance(value, kind):
            raise TypeError(name)


def _optional(value: Any) -> int | None:
    return None if value is None else int(value)


def _to_decimal(value: Decimal) -> Decimal128 | Binary:
    try:
        narrow = Decimal128(value)
        if narrow.to_decimal().as_tuple() == value.as_tuple():
            return narrow
    except ArithmeticError:
        pass  # it is too long, or too large
    return Binary(str(value).encode(), _WIDE_DECIMAL)


def _from_binary(value: Binary) -> Decimal:
    if value.subtype != _WIDE_DECIMAL:
        raise ValueError(f"there are bytes of subtype {value.subtype} in it")
    try:
        return Decimal(value.decode())
    except (ArithmeticError, UnicodeDecodeError):
        raise ValueError("there is a number in it that is none") from None


def _from_dict(value: Document) -> dict[str, Value]:
    return {
        name if name.isidentifier() else decode_name(name): item if type(item) in _PLAIN else from_bson(item)
        for name, item in value.items()
    }


def _from_list(value: list[Any]) -> list[Value]:
    return [item if type(item) in _PLAIN else from_bson(item) for item in value]


def _as_it_is(value: Any) -> Any:
    return value


_PLAIN: frozenset[type] = frozenset({str, int, bool, type(None), bytes, datetime, UUID, ObjectId})
"""What is read as it is: containers are full of it, so that they do not ask for each."""


_READERS: dict[type, Callable[[Any], Value]] = {
    **dict.fromkeys(_PLAIN, _as_it_is),
    Int64: int,
    dict: _from_dict,
    list: _from_list,
    float: lambda value: value + 0.0,  # zero has no sign
    Decimal128: lambda value: value.to_decimal(),
    Binary: _from_binary,
}
