"""
What the fields of a session were, kept so that a later look can tell which of them changed.

The dict itself cannot tell: a nested list is changed behind its back.  So it is compared with a
twin that nobody else holds, and field by field only where the two are not alike.  The twin is made
before the first list or dict is handed out: until then a look at the fields themselves will do.

To be alike is to be equal and to have the same plain JSON.  Neither alone would do: True equals 1, and
a UUID has the JSON of its text.  Both are compared in C, in less time than a decode takes.  What is not
alike may still be the same to a store, as a tuple and a list are: then the canonical texts say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from .fields import decode_fields, split
from .values import Value, decode, encode

__all__ = ["FIXED", "Frozen", "Snapshot", "freeze", "thaw"]

Frozen: TypeAlias = dict[str, bytes | None]
"""Fields by name, each as canonical text, or None where it was missing."""

FIXED = frozenset((str, int, float, bool, type(None), bytes, datetime, Decimal, UUID))
"""Types of values in which nothing can change; there are more."""

_NO_TEXT = b""
_NO_JSON = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_NO_CONTAINERS = (bytes, datetime, Decimal, UUID)
_plain_text = msgspec.json.Encoder().encode


class Snapshot:
    """
    Fields as they were.

    *data* must be clean: as `check_value` returns it.  Where its canonical text is at hand it may be
    given: it is often the plain JSON, too, which is then not made again.

    Attributes:
        shared: the containers in it are those of *data* still, and whoever could change them calls `separate` before.
    """

    __slots__ = ("_fields", "_plain", "_text", "shared")

    def __init__(self, data: dict[str, Value], text: bytes | None = None) -> None:
        self._fields = data
        self._text = text
        self._plain: bytes | None = None  # the plain JSON of the fields
        self.shared = True

    def separate(self) -> None:
        """Let others change the containers that are shared so far."""
        if self.shared:
            self._fields = _copy(self._fields)
            self.shared = False
            if self._text is not None and b"~" not in self._text:
                self._plain = self._text  # where no value is tagged the two texts are one

    def is_alike(self, data: dict[str, Any]) -> bool:
        """Say whether *data* is as the fields are; where that is hard to tell, it is not."""
        if self.shared:
            return dict.__eq__(data, self._fields) is True
        try:
            if self._plain is None:
                self._plain = _plain_text(self._fields)
            return _plain_text(data) == self._plain and dict.__eq__(data, self._fields) is True
        except _NO_JSON:
            return False

    def changed(self, data: dict[str, Any]) -> list[str]:
        """Return the names whose field is another in *data*, which may hold anything by now, or in one of both only."""
        if self.is_alike(data):
            return []
        fields = self._own()
        return self.changed_of(
            (
                name
                for name in self.names_with(data)
                if name not in fields or name not in data or not _are_alike(data[name], fields[name])
            ),
            data,
        )

    def changed_of(self, names: Iterable[str], data: Mapping[str, Any]) -> list[str]:
        """Return those of *names* whose field is another in *data*, or in one of both only."""
        fields = self._own()
        return [name for name in names if _text_of(fields, name) != _text_of(data, name)]

    def differing(self, frozen: Frozen) -> Frozen:
        """Return those of the *frozen* fields that are others than here."""
        fields = self._own()
        return {name: text for name, text in frozen.items() if _text_of(fields, name) != text}

    def names_with(self, data: Iterable[str]) -> list[str]:
        """Return every name that is here or in *data*."""
        fields = self._own()
        return [*fields, *(name for name in data if name not in fields)]

    def peek(self, names: Iterable[str]) -> dict[str, Value]:
        """Return those of the fields that are present: to be read only."""
        fields = self._own()
        return {name: fields[name] for name in names if name in fields}

    def thaw(self, names: Iterable[str]) -> dict[str, Value]:
        """Return those of the fields that are present, in new containers."""
        return {name: decode(encode(value)) for name, value in self.peek(names).items()}

    def overlay(self, frozen: Frozen) -> None:
        """Take over fields as they were *frozen* elsewhere."""
        if not frozen:
            return
        fields = self._own()
        self._plain = None
        for name, text in frozen.items():
            if text is None:
                fields.pop(name, None)
            else:
                fields[name] = decode(text)

    def _own(self) -> dict[str, Value]:
        self.separate()
        return self._fields


def freeze(names: Iterable[str], data: Mapping[str, Value], text: bytes | None = None) -> Frozen:
    """Freeze the named fields as they are in *data*, whose values must be clean, and whose *text* may be at hand."""
    if text is None:
        return {name: _text_of(data, name) for name in names}
    fields = split(text)
    return {name: fields.get(name) for name in names}


def thaw(frozen: Frozen) -> dict[str, Value]:
    """Return those of the *frozen* fields that were present, in new containers."""
    return {name: decode(text) for name, text in frozen.items() if text is not None}


def _copy(data: dict[str, Value]) -> dict[str, Value]:
    """Return *data* in new containers, all the way down, around the same values."""
    try:
        twin: dict[str, Value] = msgspec.to_builtins(data, builtin_types=_NO_CONTAINERS)
    except TypeError:  # a value of a type that it does not know
        twin = decode_fields(encode(data))
    return twin


def _are_alike(value: Any, known: Value) -> bool:
    try:
        return _plain_text(value) == _plain_text(known) and (value == known) is True
    except _NO_JSON:
        return False


def _text_of(fields: Mapping[str, Any], name: str) -> bytes | None:
    """Return the text of a field, None where there is none; it is no field's where a session cannot hold the value."""
    if name not in fields:
        return None
    try:
        return encode(fields[name])
    except (TypeError, ValueError, OverflowError):
        return _NO_TEXT
