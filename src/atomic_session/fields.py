"""
A session's data as one canonical JSON object, opened field by field.

An update names the top-level fields that it touches; only those are decoded and encoded, the
others stay the bytes that they were.  So its cost does not grow with the session.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .errors import LimitExceeded
from .limits import Limits
from .values import Value, decode, decode_name, encode, encode_name

__all__ = ["EMPTY", "decode_fields", "encode_fields", "pick", "replace", "split"]

EMPTY = b"{}"

_SPLITTER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JOINER = msgspec.json.Encoder()


def encode_fields(data: dict[str, Value], limits: Limits) -> bytes:
    """
    Return *data* as text.

    Raises:
        LimitExceeded: a field, or all of them together, are too large.
    """
    return replace(EMPTY, None, data, limits)


def decode_fields(raw: bytes) -> dict[str, Value]:
    """
    Return all fields of *raw*.

    Raises:
        ValueError: it is no text of ours.
    """
    data = decode(raw)
    if type(data) is not dict:
        raise ValueError("not an object")
    return data


def split(raw: bytes) -> dict[str, bytes]:
    """Return the text of each field of *raw*, which must be a text of ours."""
    return {decode_name(name): bytes(text) for name, text in _SPLITTER.decode(raw).items()}


def pick(raw: bytes, names: Iterable[str]) -> dict[str, Value]:
    """
    Return those fields of *raw* that are named and present.

    Raises:
        ValueError: it is no text of ours.
    """
    texts = _SPLITTER.decode(raw)
    found = {name: texts.get(encode_name(name)) for name in names}
    return {name: decode(bytes(text)) for name, text in found.items() if text is not None}


def replace(raw: bytes, names: Iterable[str] | None, data: dict[str, Value], limits: Limits) -> bytes:
    """
    Return *raw* with the fields *names* (None: all) as *data* has them; the ones it lacks go.

    Raises:
        LimitExceeded: a changed field, or all of them together, are too large.
        ValueError: *raw* is no text of ours.
    """
    texts: dict[str, msgspec.Raw] = {} if names is None else _SPLITTER.decode(raw)
    for name in data if names is None else names:
        if name in data:
            texts[encode_name(name)] = msgspec.Raw(_bounded("field", encode(data[name]), limits.field))
        else:
            texts.pop(encode_name(name), None)
    return _bounded("record", _JOINER.encode(texts), limits.record)


def _bounded(limit: str, text: bytes, maximum: int) -> bytes:
    if len(text) > maximum:
        raise LimitExceeded(limit, maximum, len(text))
    return text
