"""
How a path is walked through a session's data, and how data is changed without touching the original.

Rule 1: in a dict every name is a name; in a list only a plain number is a position, and nothing else is there.
Rule 2: what is written past the end of a list is padded with None; a parent that is missing becomes a dict.
Rule 3: a value that is neither dict nor list, None among them, has nothing inside and takes nothing in.
"""

from __future__ import annotations

from typing import TypeAlias

from ..limits import Limits
from ..paths import Path, list_index, show_path
from ..values import MISSING, Missing, Value

__all__ = ["Draft", "Refusal", "copy_value", "read", "type_name"]


Container: TypeAlias = "dict[str, Value] | list[Value]"


class Refusal(Exception):
    """Say why what is stored cannot take a change; whoever knows the operator makes an error of it."""


def read(data: dict[str, Value], path: Path) -> Value | Missing:
    """Return what *data* holds at *path*; MISSING where there is nothing, or no way there."""
    value: Value = data
    for name in path:
        child = _child(value, name)
        if child is MISSING:
            return MISSING
        value = child
    return value


def copy_value(value: Value) -> Value:
    """Return *value* with every list and dict in it made new."""
    if type(value) is dict:
        return {name: copy_value(item) for name, item in value.items()}
    if type(value) is list:
        return [copy_value(item) for item in value]
    return value


def type_name(value: Value | Missing) -> str:
    """Return what *value* is, for a message that must not show the value."""
    return "None" if value is None else type(value).__name__


class Draft:
    """
    A changed copy of some data in the making.

    What is changed is copied first, once; all else is shared with the original.
    """

    __slots__ = ("_own", "_padding", "data")

    def __init__(self, data: dict[str, Value], limits: Limits) -> None:
        self.data = dict(data)
        self._own = {id(self.data)}
        self._padding = limits.padding

    def find(self, path: Path) -> Value | Missing:
        """
        Return what is at *path*, MISSING where it could be put.

        Raises:
            Refusal: nothing can be there.
        """
        if len(path) == 1:  # as most are
            return self.data.get(path[0], MISSING)
        value: Value = self.data
        for depth, name in enumerate(path):
            if type(value) is list:
                _position(path, depth)
            elif type(value) is not dict:
                raise _impassable(value, path[:depth])
            child = _child(value, name)
            if child is MISSING:
                return MISSING
            value = child
        return value

    def put(self, path: Path, value: Value) -> None:
        """
        Write *value* at *path*, with the parents and the padding that it needs.

        Raises:
            Refusal: nothing can be there, or it is too far past the end of a list.
        """
        if len(path) == 1:
            self.data[path[0]] = value
        else:
            self._place(self._parent(path), path, len(path) - 1, value)

    def remove(self, path: Path) -> Value | Missing:
        """Remove and return what is at *path*, MISSING if nothing is.  It leaves None where it was in a list."""
        removed = read(self.data, path)
        if removed is not MISSING:
            parent = self._parent(path)
            if type(parent) is dict:
                del parent[path[-1]]
            else:
                self._place(parent, path, len(path) - 1, None)
        return removed

    def passes_list(self, path: Path) -> bool:
        """Say whether *path* leads into a list that is there."""
        return any(type(read(self.data, path[:depth])) is list for depth in range(1, len(path)))

    def _parent(self, path: Path) -> Container:
        parent: Container = self.data
        for depth in range(len(path) - 1):
            parent = self._enter(parent, path, depth)
        return parent

    def _enter(self, parent: Container, path: Path, depth: int) -> Container:
        """Return the container that *parent* has under the name at *depth*: our own copy, or a new dict."""
        child = _child(parent, path[depth])
        if child is MISSING:
            child = {}
        elif type(child) is not dict and type(child) is not list:
            raise _impassable(child, path[: depth + 1])
        elif id(child) in self._own:
            return child
        else:
            child = child.copy()
        self._own.add(id(child))
        self._place(parent, path, depth, child)
        return child

    def _place(self, parent: Container, path: Path, depth: int, value: Value) -> None:
        if isinstance(parent, dict):
            parent[path[depth]] = value
            return
        index = _position(path, depth)
        padding = index - len(parent)
        if padding > self._padding:
            raise Refusal(f"it is more than {self._padding} past the end of the list")
        if padding < 0:
            parent[index] = value
        else:
            parent += [None] * padding
            parent.append(value)


def _child(value: Value, name: str) -> Value | Missing:
    if type(value) is dict:
        return value.get(name, MISSING)
    if type(value) is list:
        index = list_index(name)
        if index is not None and index < len(value):
            return value[index]
    return MISSING


def _position(path: Path, depth: int) -> int:
    index = list_index(path[depth])
    if index is None:
        raise Refusal(f"{show_path(path[:depth])!r} is a list, and {path[depth]!r} no position in it")
    return index


def _impassable(value: Value, path: Path) -> Refusal:
    return Refusal(f"{show_path(path)!r} is {type_name(value)}, which has nothing inside")
