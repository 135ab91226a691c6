"""
A session's data as one canonical JSON object, opened field by field.

An update names the top-level fields that it touches; only those are decoded and encoded, the
others stay the bytes that they were.  So its cost does not grow with the session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from .errors import LimitExceeded
from .limits import Limits
from .values import Value, decode, decode_name, encode, encode_name

__all__ = ["EMPTY", "Texts", "decode_fields", "encode_fields", "pick", "replace", "split", "texts_of"]

Texts: TypeAlias = dict[str, msgspec.Raw]
"""The text of each field, under its name as text."""

EMPTY = b"{}"

_SPLITTER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JOINER = msgspec.json.Encoder()


def encode_fields(data: dict[str, Value], limits: Limits) -> bytes:
    """
    Return *data* as text.

    Raises:
        LimitExceeded: a field, or all of them together, are too large.
    """
    return replace({}, data, data, limits)


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


def texts_of(raw: bytes) -> Texts:
    """
    Open *raw*, and leave its fields the texts that they are.

    Raises:
        ValueError: it is no text of ours.
    """
    try:
        return _SPLITTER.decode(raw)
    except RecursionError:
        raise ValueError("the text is too deep") from None


def split(raw: bytes) -> dict[str, bytes]:
    """Return the text of each field of *raw* by name."""
    return {decode_name(name): bytes(text) for name, text in texts_of(raw).items()}


def pick(texts: Texts, names: Iterable[str]) -> dict[str, Value]:
    """
    Return those fields that are named and present.

    Raises:
        ValueError: one of them is no text of ours.
    """
    picked: dict[str, Value] = {}
    for name in names:
        text = texts.get(encode_name(name))
        if text is not None:
            picked[name] = decode(bytes(text))
    return picked


def replace(texts: Texts, names: Iterable[str], data: dict[str, Value], limits: Limits) -> bytes:
    """
    Return the text of all fields, the ones that are named as *data* has them; those it lacks go.

    Raises:
        LimitExceeded: a changed field, or all of them together, are too large.
    """
    changed = dict(texts)
    for name in names:
        if name in data:
            changed[encode_name(name)] = msgspec.Raw(_bounded("field", encode(data[name]), limits.field))
        else:
            changed.pop(encode_name(name), None)
    return _bounded("record", _JOINER.encode(changed), limits.record)


def _bounded(limit: str, text: bytes, maximum: int) -> bytes:
    if len(text) > maximum:
        raise LimitExceeded(limit, maximum, len(text))
    return text
