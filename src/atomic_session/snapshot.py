"""
What the fields of a session were, kept so that a later look can tell which of them changed.

The dict itself cannot tell: a nested list is changed behind its back.  So each field is compared
with a frozen copy.  `marshal` makes one at C speed, tells every type that it takes from every
other (True from 1 from 1.0, a tuple from a list) and refuses the rest; a field that holds extended
types is frozen as canonical text instead.  Neither ever leaves the process.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from .values import Value, decode, encode, same

__all__ = ["Frozen", "Snapshot", "freeze"]

Frozen: TypeAlias = dict[str, bytes | None]
"""Fields by name, each frozen, or None where it was missing."""

_WITHOUT_REFERENCES = 2
"""The version of the format whose output depends on the values alone, not on shared references."""

_TEXT = b"\0"
"""What canonical text begins with here, and no output of marshal does."""


class Snapshot:
    """Frozen copies of fields that are clean: as `check_value` returns them."""

    __slots__ = ("_fields",)

    def __init__(self, data: Mapping[str, Value]) -> None:
        self._fields = {name: _freeze(value) for name, value in data.items()}

    def changed(self, data: Mapping[str, Any]) -> list[str]:
        """Return the names whose field is another in *data*, which may hold anything by now, or in one of both only."""
        fields = self._fields
        names = [name for name, frozen in fields.items() if name not in data or not _is_of(frozen, data[name])]
        if len(data) + len(names) > len(fields):
            names += [name for name in data if name not in fields]
        return names

    def changed_of(self, names: Iterable[str], data: Mapping[str, Any]) -> list[str]:
        """Return those of *names* whose field is another in *data*, or in one of both only."""
        return [name for name in names if not self._holds(name, data)]

    def differing(self, frozen: Frozen) -> Frozen:
        """Return those of the *frozen* fields that are others than here."""
        return {name: text for name, text in frozen.items() if self._fields.get(name) != text}

    def names_with(self, data: Iterable[str]) -> list[str]:
        """Return every name that is here or in *data*."""
        return [*self._fields, *(name for name in data if name not in self._fields)]

    def thaw(self, names: Iterable[str]) -> dict[str, Value]:
        """Return those of the fields that are present, in new containers."""
        return {name: _thaw(self._fields[name]) for name in names if name in self._fields}

    def _holds(self, name: str, data: Mapping[str, Any]) -> bool:
        frozen = self._fields.get(name)
        if frozen is None:
            return name not in data
        return name in data and _is_of(frozen, data[name])

    def overlay(self, frozen: Frozen) -> None:
        """Take over fields as they were *frozen* elsewhere."""
        for name, text in frozen.items():
            if text is None:
                self._fields.pop(name, None)
            else:
                self._fields[name] = text


def freeze(names: Iterable[str], data: Mapping[str, Value]) -> Frozen:
    """Freeze the named fields as they are in *data*, whose values must be clean."""
    return {name: _freeze(data[name]) if name in data else None for name in names}


def _freeze(value: Value) -> bytes:
    try:
        return marshal.dumps(value, _WITHOUT_REFERENCES)
    except ValueError:
        return _TEXT + encode(value)


def _is_of(frozen: bytes, value: Any) -> bool:
    try:
        return marshal.dumps(value, _WITHOUT_REFERENCES) == frozen
    except ValueError:
        return frozen[:1] == _TEXT and same(decode(frozen[1:]), value)


def _thaw(frozen: bytes) -> Value:
    if frozen[:1] == _TEXT:
        return decode(frozen[1:])
    value: Value = marshal.loads(frozen)  # noqa: S302  # made by this process, a moment ago
    return value
