"""
Between records and the fields of a hash: pure.

What stands in the fields of ours is said in `lua/guard.lua`.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from ...errors import CorruptRecord
from ...lifecycle import Stored
from ...record import Record
from ...values import Value, encode, encode_name

__all__ = [
    "HOT",
    "OWNER",
    "STATIC",
    "Kept",
    "Texts",
    "hot_of",
    "join",
    "kept_of",
    "ours_of",
    "pairs",
    "record_of",
    "size_of",
    "texts_in",
    "texts_in_raw",
    "texts_of",
]

HOT, STATIC, OWNER = b"\0h", b"\0s", b"\0o"

_OURS = b"\0"
_SPLITTER = msgspec.json.Decoder(dict[str, msgspec.Raw])

Texts: TypeAlias = dict[bytes, bytes]
"""The text of each field by its name."""


class Kept(Struct, frozen=True):
    """A record as its hash has it, and as it is."""

    fields: Texts
    stored: Stored


def pairs(flat: Iterable[bytes | None]) -> Texts:
    """Return names and values that came in turn; what is None is not there."""
    turns = iter(flat)
    return {name: value for name, value in zip(turns, turns, strict=True) if name is not None and value is not None}


def record_of(session_id: str, fields: Mapping[bytes, bytes]) -> Record:
    """
    Return the record that the fields of ours say.

    Raises:
        CorruptRecord: they are not ours.
    """
    owner = fields.get(OWNER)
    try:
        rev, used, renew, idle, absolute, max_age, _size, dead = _split(fields.get(HOT))
        digest, created, authenticated, previous, until, grace = _split(fields.get(STATIC))
        return Record(
            session_id,
            binascii.a2b_base64(digest),
            int(rev),
            int(created),
            int(used),
            int(renew),
            int(idle),
            int(absolute) if absolute else None,
            int(max_age) if max_age else None,
            None if owner is None else owner.decode(),
            int(authenticated) if authenticated else None,
            binascii.a2b_base64(previous) if previous else None,
            int(until),
            int(grace),
            dead == b"1",
        )
    except ValueError as error:
        raise CorruptRecord(session_id, "its own fields are not ours") from error


def kept_of(session_id: str, flat: Sequence[bytes | None]) -> Kept | None:
    """
    Return the whole of a hash, None where it is empty.

    Raises:
        CorruptRecord: it is not ours.
    """
    fields = pairs(flat)
    return Kept(fields, Stored(record_of(session_id, fields), join(fields))) if fields else None


def join(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the text of all data that is among *fields*."""
    return b"{" + b",".join([b'"%b":%b' % pair for pair in fields.items() if pair[0][:1] != _OURS]) + b"}"


def texts_of(data: Mapping[str, Value]) -> Texts:
    """Return the text of each field of *data*, under its name as text."""
    return {encode_name(name).encode(): encode(value) for name, value in data.items()}


def texts_in(fields: Mapping[bytes, bytes]) -> Texts:
    """Return those of *fields* that are data."""
    return {name: text for name, text in fields.items() if name[:1] != _OURS}


def texts_in_raw(raw: bytes) -> Texts:
    """Return the text of each field of *raw*, under its name as text."""
    return {name.encode(): bytes(text) for name, text in _SPLITTER.decode(raw).items()}


def size_of(texts: Mapping[bytes, bytes]) -> int:
    """Return what the scripts count: a comma or brace, quotes and a colon go with each field."""
    return sum(len(name) + len(text) + 4 for name, text in texts.items())


def ours_of(record: Record, size: int) -> Texts:
    """Return the fields of ours for *record*, whose data has this *size*."""
    ours = {HOT: hot_of(record, size), STATIC: _static_of(record)}
    return ours if record.owner is None else {**ours, OWNER: record.owner.encode()}


def hot_of(record: Record, size: int) -> bytes:
    """Return the field of what changes often."""
    parts = (
        record.rev,
        record.last_used,
        record.renew_at,
        record.idle_deadline,
        record.absolute_deadline,
        record.max_age,
        size,
        int(record.destroyed),
    )
    return _joined(parts)


def _static_of(record: Record) -> bytes:
    """Return the field of what changes at a rotation."""
    parts = (
        binascii.b2a_base64(record.digest, newline=False).decode(),
        record.created,
        record.authenticated_at,
        binascii.b2a_base64(record.previous_digest or b"", newline=False).decode(),
        record.previous_until,
        record.grace_until,
    )
    return _joined(parts)


def _joined(parts: Iterable[str | int | None]) -> bytes:
    return ",".join(["" if part is None else str(part) for part in parts]).encode()


def _split(text: bytes | None) -> list[bytes]:
    if text is None:
        raise ValueError("it is missing")
    return text.split(b",")
