"""
Between records and the fields of a hash: pure.

What stands in the fields of ours is said in `lua/guard.lua`.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from ...clock import Instant
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
    "digest_text",
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
_NAMES = frozenset((HOT, STATIC, OWNER))
_SPLITTER = msgspec.json.Decoder(dict[str, msgspec.Raw])

Texts: TypeAlias = dict[bytes, bytes]
"""The text of each field by its name."""


class _Hot(Struct, array_like=True):
    """What changes often."""

    rev: int
    last_used: Instant
    renew_at: Instant
    idle_deadline: Instant
    absolute_deadline: Instant | None
    max_age: int | None
    size: int
    destroyed: int


class _Static(Struct, array_like=True):
    """What changes at a rotation."""

    digest: bytes
    created: Instant
    authenticated_at: Instant | None
    previous_digest: bytes | None
    previous_until: Instant
    grace_until: Instant


_OPENER = msgspec.json.Decoder(tuple[_Hot, _Static])
_WRITER = msgspec.json.Encoder()


class Kept(Struct, frozen=True):
    """A record as its hash has it, and as it is."""

    fields: Texts
    stored: Stored


def pairs(flat: Sequence[bytes]) -> Texts:
    """Return names and values that came in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def record_of(session_id: str, hot: bytes | None, static: bytes | None, owner: bytes | None) -> Record:
    """
    Return the record that the fields of ours say.

    Raises:
        CorruptRecord: they are not ours.
    """
    try:
        often, seldom = _OPENER.decode(b"[%b,%b]" % (hot or b"", static or b""))
        return Record(
            session_id,
            seldom.digest,
            often.rev,
            seldom.created,
            often.last_used,
            often.renew_at,
            often.idle_deadline,
            often.absolute_deadline,
            often.max_age,
            None if owner is None else owner.decode(),
            seldom.authenticated_at,
            seldom.previous_digest,
            seldom.previous_until,
            seldom.grace_until,
            often.destroyed == 1,
        )
    except ValueError as error:
        raise CorruptRecord(session_id, "its own fields are not ours") from error


def kept_of(session_id: str, flat: Sequence[bytes]) -> Kept | None:
    """
    Return the whole of a hash, None where it is empty.

    Raises:
        CorruptRecord: it is not ours.
    """
    fields = pairs(flat)
    if not fields:
        return None
    record = record_of(session_id, fields.get(HOT), fields.get(STATIC), fields.get(OWNER))
    return Kept(fields, Stored(record, join(fields)))


def join(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the text of all data that is among *fields*."""
    return b"{" + b",".join([b'"%b":%b' % pair for pair in fields.items() if pair[0] not in _NAMES]) + b"}"


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


def digest_text(digest: bytes) -> bytes:
    """Return *digest* as the fields of ours have it."""
    return binascii.b2a_base64(digest, newline=False)


def hot_of(record: Record, size: int) -> bytes:
    """Return the field of what changes often."""
    return _WRITER.encode(
        _Hot(
            record.rev,
            record.last_used,
            record.renew_at,
            record.idle_deadline,
            record.absolute_deadline,
            record.max_age,
            size,
            int(record.destroyed),
        )
    )


def _static_of(record: Record) -> bytes:
    """Return the field of what changes at a rotation."""
    return _WRITER.encode(
        _Static(
            record.digest,
            record.created,
            record.authenticated_at,
            record.previous_digest,
            record.previous_until,
            record.grace_until,
        )
    )
