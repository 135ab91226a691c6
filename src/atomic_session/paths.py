"""
Paths: where in a session's data a value lives.

A path is a tuple of names.  `"cart.items"` is short for `("cart", "items")`; the tuple takes every
name literally, so `("a.b",)` is one name with a dot in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from .errors import InvalidPath
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["Path", "list_index", "overlaps", "parse_path", "show_path"]

Path: TypeAlias = tuple[str, ...]

_INDEX = re.compile(r"0|[1-9][0-9]*")


def parse_path(path: str | tuple[str, ...], limits: Limits = DEFAULT_LIMITS) -> Path:
    """
    Return *path* as a tuple of names.

    Raises:
        InvalidPath: it is neither text nor a tuple of texts; it, or a name in it, is empty; a name
            holds NUL or half a character, or is over-long; there are too many names.
    """
    if type(path) is str:
        return _parse_text(path, limits.name, limits.depth)
    if isinstance(path, str):
        return _parse_text(str.__str__(path), limits.name, limits.depth)
    if isinstance(path, tuple):
        return _checked(tuple(_name(path, name) for name in path), path, limits.name, limits.depth)
    raise InvalidPath(path, "it must be text, or a tuple of names")


def list_index(segment: str) -> int | None:
    """Return the position that *segment* names in a list; None for any name that is no plain number."""
    if _INDEX.fullmatch(segment) is None:
        return None
    return int(segment[:19])  # nineteen digits are past the end of any list; int() refuses thousands of them


def overlaps(a: Path, b: Path) -> bool:
    """Say whether *a* and *b* are the same, or one lies inside the other."""
    return a == b if len(a) == len(b) else a[: len(b)] == b[: len(a)]


def show_path(path: Path) -> str:
    """Return *path* as a message shows it: dotted where that is unambiguous, else as the tuple that it is."""
    if not path or path[0].startswith("(") or any(not name or "." in name for name in path):
        return repr(path)
    return ".".join(path)


@lru_cache(maxsize=1024)
def _parse_text(path: str, longest: int, deepest: int) -> Path:
    return _checked(tuple(path.split(".")), path, longest, deepest)


def _name(path: tuple[object, ...], name: object) -> str:
    if not isinstance(name, str):
        raise InvalidPath(path, "a name in it is not text")
    return str.__str__(name)


def _checked(names: Path, path: object, longest: int, deepest: int) -> Path:
    if not names or not path:
        raise InvalidPath(path, "it is empty")
    if len(names) > deepest:
        raise InvalidPath(path, f"it has more than {deepest} names")
    for name in names:
        reason = _flaw(name, longest)
        if reason is not None:
            raise InvalidPath(path, reason)
    return names


def _flaw(name: str, longest: int) -> str | None:
    if not name:
        return "a name in it is empty"
    if "\0" in name:
        return "a name in it holds NUL"
    try:
        size = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError:
        return "a name in it holds half a character (a lone surrogate)"
    return f"a name in it is longer than {longest} bytes" if size > longest else None
