"""
From operators to MongoDB's own: pure, and readable as a table in its tests.

What comes out is an update document, and the conditions under which it means exactly what `apply`
means.  Where they do not hold nothing happens; the store then reads, applies, and replaces.  So a
condition may be too strict, and never too lax.

Where that is stricter than MongoDB, or otherwise, is listed in `docs/mongodb.md`, each case with its test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from msgspec import Struct

from ...limits import Limits
from ...operators import (
    AddToSet,
    Inc,
    Max,
    Min,
    Mul,
    Operator,
    PopFirst,
    PopLast,
    Pull,
    PullAll,
    PullWhere,
    Push,
    Rename,
    Replace,
    Set,
    SetDefault,
    Take,
    Unset,
    Update,
    When,
)
from ...paths import Path, list_index
from ...values import MISSING, Value, encode
from ...values import encode_name as text_of_name
from .documents import Document, encode_name, encode_path, is_wide, to_bson

__all__ = ["Compiled", "compile_update"]


class Compiled(Struct, frozen=True):
    """
    An update in MongoDB's words.

    Attributes:
        update: operator, to path, to operand.
        conditions: what the filter must ask besides, each a filter of its own.
        growth: how many bytes the text of the data may gain; 0 where it can only lose some.
    """

    update: dict[str, Document]
    conditions: list[Document]
    growth: int = 0


Words: TypeAlias = tuple[str, str, Any]
"""MongoDB's operator, the path in the document, the operand."""

_NUMBERS_ONLY = {
    "$not": {"$type": ["array", "binData", "bool", "date", "decimal", "null", "object", "objectId", "string"]}
}
_DATES_ONLY = {
    "$not": {
        "$type": [
            "array",
            "binData",
            "bool",
            "decimal",
            "double",
            "int",
            "long",
            "null",
            "object",
            "objectId",
            "string",
        ]
    }
}
_DICTS_ONLY = {
    "$not": {
        "$type": ["array", "binData", "bool", "date", "decimal", "double", "int", "long", "null", "objectId", "string"]
    }
}
_NO_LIST = {"$not": {"$type": "array"}}
_NO_DECIMAL = {"$not": {"$type": "decimal"}}
_NOT_THERE = {"$exists": False}
_NOT_WIDE = {"wide": None}

_LARGEST_TERM = 1e290
"""Whatever it is added to stays finite: it is far below half the last digit of the largest number."""

_LARGEST_FACTOR = 1e150
"""Two factors that are no larger have a finite product."""

_SHORT = frozenset({int, float, bool, type(None), datetime})
_DIGITS = 40
"""No text of a short value is longer."""
_AROUND_A_NAME = len('{"":},')
_PADDING = len("null,")


def compile_update(update: Update, limits: Limits) -> Compiled | None:
    """Return *update* in MongoDB's words; None where it has no exact ones."""
    words: dict[str, Document] = {}
    conditions: list[Document] = []
    growth = 0
    for guard in update.guards:
        if not _guard(guard, conditions):
            return None
    for operator in update.operators:
        found = _COMPILERS[type(operator)](operator, conditions, limits)
        if found is None:
            return None
        verb, path, operand = found
        words.setdefault(verb, {})[path] = operand
        growth += _growth(operator)
    return Compiled(words, conditions, growth)


def _growth(operator: Operator) -> int:
    """Return how many bytes the text of the data may gain by *operator*."""
    if isinstance(operator, Set | SetDefault | Min | Max):
        return _size_of_way(operator.path) + _size_of(operator.value)
    if isinstance(operator, Inc | Mul):
        return _size_of_way(operator.path) + _DIGITS
    if isinstance(operator, Push | AddToSet):
        return _size_of_way(operator.path) + _size_of(list(operator.values))
    if isinstance(operator, Replace):
        return _size_of(operator.value)
    if isinstance(operator, Rename):
        return _size_of_names(operator.to)
    if isinstance(operator, Unset | Take) and list_index(operator.path[-1]) is not None:
        return _PADDING  # a list is left None
    return 0


@lru_cache(maxsize=4096)
def _size_of_way(path: Path) -> int:
    """Return how many bytes are on the way to *path* at most, where nothing was: names, and the padding of lists."""
    return _size_of_names(path) + sum(_PADDING * (list_index(name) or 0) for name in path)


def _size_of_names(path: Path) -> int:
    return sum(len(text_of_name(name).encode()) + _AROUND_A_NAME for name in path)


def _size_of(value: Value) -> int:
    return _DIGITS if type(value) in _SHORT else len(encode(value))


def _guard(guard: When, conditions: list[Document]) -> bool:
    value = guard.value
    path = encode_path(guard.path)
    conditions += [{parent: _NO_LIST} for parent in _parents(guard.path)]  # else its elements are looked into
    if value is MISSING:
        conditions.append({path: {"$exists": False}})
    elif value == []:
        conditions.append({path: {"$size": 0}})
    elif isinstance(value, list) or not _comparable(value):
        return False
    else:
        conditions.append({path: {"$eq": to_bson(value), "$exists": True, **_NO_LIST}})
        conditions.append(_NOT_WIDE)
    return True


def _set(operator: Set, _conditions: list[Document], limits: Limits) -> Words | None:
    return None if is_wide(operator.value) else _words("$set", operator.path, to_bson(operator.value), limits)


def _set_default(operator: SetDefault, conditions: list[Document], limits: Limits) -> Words | None:
    conditions.append({encode_path(operator.path): _NOT_THERE})
    return None if is_wide(operator.value) else _words("$set", operator.path, to_bson(operator.value), limits)


def _unset(operator: Unset | Take, _conditions: list[Document], limits: Limits) -> Words | None:
    return _words("$unset", operator.path, "", limits)


def _rename(operator: Rename, conditions: list[Document], limits: Limits) -> Words | None:
    if len(operator.to) > len(operator.path):  # it might go too deep
        return None
    _through_dicts(operator.path, conditions)
    _through_dicts(operator.to, conditions)
    return _words("$rename", operator.path, encode_path(operator.to), limits)


def _inc(operator: Inc, conditions: list[Document], limits: Limits) -> Words | None:
    if type(operator.by) is float and abs(operator.by) > _LARGEST_TERM:
        return None
    conditions.append({encode_path(operator.path): _NO_DECIMAL})
    return _words("$inc", operator.path, operator.by, limits)


def _mul(operator: Mul, conditions: list[Document], limits: Limits) -> Words | None:
    if abs(operator.by) > _LARGEST_FACTOR:
        return None
    path = encode_path(operator.path)
    conditions.append({path: _NO_DECIMAL})
    conditions.append({path: {"$not": {"$gt": _LARGEST_FACTOR}}})
    conditions.append({path: {"$not": {"$lt": -_LARGEST_FACTOR}}})
    return _words("$mul", operator.path, operator.by, limits)


def _rank(operator: Min | Max, conditions: list[Document], limits: Limits) -> Words | None:
    kind = _DATES_ONLY if isinstance(operator.value, datetime) else _NUMBERS_ONLY
    conditions.append({encode_path(operator.path): kind})
    return _words("$min" if isinstance(operator, Min) else "$max", operator.path, operator.value, limits)


def _push(operator: Push, _conditions: list[Document], limits: Limits) -> Words | None:
    if any(map(is_wide, operator.values)):
        return None
    operand: Document = {"$each": [to_bson(value) for value in operator.values]}
    if operator.at is not None:
        operand["$position"] = operator.at
    if operator.keep is not None:
        operand["$slice"] = -operator.keep
    return _words("$push", operator.path, operand, limits)


def _add_to_set(operator: AddToSet, conditions: list[Document], limits: Limits) -> Words | None:
    if not all(map(_comparable, operator.values)):
        return None
    conditions.append(_NOT_WIDE)
    return _words("$addToSet", operator.path, {"$each": [to_bson(value) for value in operator.values]}, limits)


def _pull(operator: Pull | PullAll, conditions: list[Document], limits: Limits) -> Words | None:
    values = (operator.value,) if isinstance(operator, Pull) else operator.values
    if not all(map(_comparable, values)):
        return None
    conditions.append(_NOT_WIDE)
    _through_dicts(operator.path, conditions)
    return _words("$pullAll", operator.path, [to_bson(value) for value in values], limits)


def _pull_where(operator: PullWhere, conditions: list[Document], limits: Limits) -> Words | None:
    if any(isinstance(value, list | dict) or is_wide(value) for value in operator.where.values()):
        return None
    conditions.append(_NOT_WIDE)
    _through_dicts(operator.path, conditions)
    wanted = {
        encode_name(name): {"$eq": to_bson(value), "$exists": True, **_NO_LIST}
        for name, value in operator.where.items()
    }
    return _words("$pull", operator.path, wanted, limits)


def _pop(operator: PopFirst | PopLast, conditions: list[Document], limits: Limits) -> Words | None:
    _through_dicts(operator.path, conditions)
    return _words("$pop", operator.path, -1 if isinstance(operator, PopFirst) else 1, limits)


def _replace(operator: Replace, _conditions: list[Document], _limits: Limits) -> Words | None:
    return None if is_wide(operator.value) else ("$set", "data", to_bson(operator.value))


def _words(verb: str, path: Path, operand: Any, limits: Limits) -> Words | None:
    for name in path:
        index = list_index(name)
        if index is not None and index > limits.padding:
            return None
    return verb, encode_path(path), operand


def _through_dicts(path: Path, conditions: list[Document]) -> None:
    """Ask that whatever is on the way to *path* is a dict: elsewhere MongoDB may see no error."""
    conditions += [{parent: _DICTS_ONLY} for parent in _parents(path)]


def _parents(path: Path) -> Iterator[str]:
    return (encode_path(path[:depth]) for depth in range(1, len(path)))


def _comparable(value: Value) -> bool:
    """Say whether MongoDB finds equal to *value* just what we do: it looks at the order of names, too."""
    if isinstance(value, dict):
        return len(value) < 2 and all(map(_comparable, value.values()))
    if isinstance(value, list):
        return all(map(_comparable, value))
    return not is_wide(value)


_COMPILERS: dict[type, Callable[[Any, list[Document], Limits], Words | None]] = {
    Set: _set,
    SetDefault: _set_default,
    Unset: _unset,
    Take: _unset,
    Rename: _rename,
    Inc: _inc,
    Mul: _mul,
    Min: _rank,
    Max: _rank,
    Push: _push,
    AddToSet: _add_to_set,
    Pull: _pull,
    PullAll: _pull,
    PullWhere: _pull_where,
    PopFirst: _pop,
    PopLast: _pop,
    Replace: _replace,
}
