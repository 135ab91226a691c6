"""
What the fields of a session were, kept so that a later look can tell which of them changed.

The dict itself cannot tell: a nested list is changed behind its back.  So its canonical text is
compared with the text that came from the store: of all fields at first, and of each field only
where that differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from .fields import split
from .values import Value, decode, encode

__all__ = ["Frozen", "Snapshot", "freeze", "thaw"]

Frozen: TypeAlias = dict[str, bytes | None]
"""Fields by name, each as canonical text, or None where it was missing."""


_NO_TEXT = b""


class Snapshot:
    """
    Fields as canonical text.

    *data* must be clean: as `check_value` returns it.  Where its text is at hand it may be given,
    and is then not made again.
    """

    __slots__ = ("_fields", "_whole")

    def __init__(self, data: dict[str, Value], text: bytes | None = None) -> None:
        self._whole: bytes | None = encode(data) if text is None else text
        self._fields: dict[str, bytes] | None = None

    def changed(self, data: Mapping[str, Any]) -> list[str]:
        """Return the names whose field is another in *data*, which may hold anything by now, or in one of both only."""
        if self._whole is not None and _text(dict(data)) == self._whole:
            return []
        return self.changed_of(self.names_with(data), data)

    def changed_of(self, names: Iterable[str], data: Mapping[str, Any]) -> list[str]:
        """Return those of *names* whose field is another in *data*, or in one of both only."""
        fields = self._split()
        return [name for name in names if fields.get(name) != (_text(data[name]) if name in data else None)]

    def differing(self, frozen: Frozen) -> Frozen:
        """Return those of the *frozen* fields that are others than here."""
        fields = self._split()
        return {name: text for name, text in frozen.items() if fields.get(name) != text}

    def names_with(self, data: Iterable[str]) -> list[str]:
        """Return every name that is here or in *data*."""
        fields = self._split()
        return [*fields, *(name for name in data if name not in fields)]

    def thaw(self, names: Iterable[str]) -> dict[str, Value]:
        """Return those of the fields that are present, in new containers."""
        fields = self._split()
        return {name: decode(fields[name]) for name in names if name in fields}

    def overlay(self, frozen: Frozen) -> None:
        """Take over fields as they were *frozen* elsewhere."""
        if not frozen:
            return
        fields = self._split()
        self._whole = None
        for name, text in frozen.items():
            if text is None:
                fields.pop(name, None)
            else:
                fields[name] = text

    def _split(self) -> dict[str, bytes]:
        if self._fields is None:
            self._fields = {} if self._whole is None else split(self._whole)
        return self._fields


def freeze(names: Iterable[str], data: Mapping[str, Value], text: bytes | None = None) -> Frozen:
    """Freeze the named fields as they are in *data*, whose values must be clean, and whose *text* may be at hand."""
    if text is None:
        return {name: encode(data[name]) if name in data else None for name in names}
    fields = split(text)
    return {name: fields.get(name) for name in names}


def thaw(frozen: Frozen) -> dict[str, Value]:
    """Return those of the *frozen* fields that were present, in new containers."""
    return {name: decode(text) for name, text in frozen.items() if text is not None}


def _text(value: Any) -> bytes:
    """Return the text of *value*; it is no field's where a session cannot hold the value as it is."""
    try:
        return encode(value)
    except (TypeError, ValueError, OverflowError):
        return _NO_TEXT
