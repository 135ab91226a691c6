"""
The smallest update that says how a dict was changed.

Rule 1: a dict is said name by name, so that what others put beside stays.
Rule 2: what was appended to a list is pushed, so that what others append stays; any other change of a
list sets it whole.
Rule 3: a name that no path can have (an empty one) is said by setting the nearest dict that one can.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from ..errors import InvalidPath, InvalidValue
from ..limits import DEFAULT_LIMITS, Limits
from ..paths import parse_path
from ..values import MISSING, Value, check_value, same
from .kinds import Operator, Push, Set, SetDefault, Unset

__all__ = ["diff"]

Names = tuple[Any, ...]
"""A path that was not checked: dicts of an application may have any names."""


def diff(before: dict[str, Value], after: dict[str, Any], limits: Limits = DEFAULT_LIMITS) -> tuple[Operator, ...]:
    """
    Return the operators that make *after* of *before*.

    *before* has been checked.  *after* is the application's own; what changed in it is checked here.

    Raises:
        InvalidPath: a changed name at the top can be no field.
        InvalidValue: a session cannot hold something that changed.
        LimitExceeded: something that changed is too deep, or a name in it is too long.  How many operators there may
            be is for the caller to say.
    """
    return tuple(_between_dicts(before, after, (), limits))


def _between_dicts(before: dict[str, Value], after: dict[Any, Any], path: Names, limits: Limits) -> list[Operator]:
    operators: list[Operator] = [Unset.of((*path, name), limits) for name in before if name not in after]
    for name, new in after.items():
        old = before.get(name, MISSING)
        inside = (*path, name)
        operators += _added(new, inside, limits) if old is MISSING else _between(old, new, inside, limits)
    return operators


def _between(old: Value, new: object, path: Names, limits: Limits) -> list[Operator]:
    if isinstance(old, dict) and isinstance(new, dict):
        try:
            return _between_dicts(old, new, path, limits)
        except InvalidPath:
            return [Set.of(path, new, limits)]
    if isinstance(old, list) and isinstance(new, (list, tuple)) and len(old) <= len(new):
        if all(_unchanged(item, new[index], limits) for index, item in enumerate(old)):
            return [Push.of(path, new[len(old) :], limits=limits)] if len(old) < len(new) else []
        return [Set.of(path, new, limits)]
    return [] if _unchanged(old, new, limits) else [Set.of(path, new, limits)]


def _added(new: object, path: Names, limits: Limits) -> list[Operator]:
    if isinstance(new, (list, tuple)) and new:
        return [Push.of(path, new, limits=limits)]
    if isinstance(new, (dict, list, tuple)) and not new:
        return [SetDefault.of(path, new, limits)]
    if isinstance(new, dict):
        parse_path(path, limits)  # also what ends the walk through a dict that contains itself
        try:
            return [operator for name, item in new.items() for operator in _added(item, (*path, name), limits)]
        except InvalidPath:
            pass
    return [Set.of(path, new, limits)]


def _unchanged(old: Value, new: Any, limits: Limits) -> bool:
    if isinstance(old, dict):
        return (
            isinstance(new, dict)
            and len(old) == len(new)
            and all(name in new and _unchanged(item, new[name], limits) for name, item in old.items())
        )
    if isinstance(old, list):
        return (
            isinstance(new, (list, tuple))
            and len(old) == len(new)
            and all(_unchanged(item, new[index], limits) for index, item in enumerate(old))
        )
    if isinstance(new, (dict, list, tuple)):
        return False
    if type(old) is type(new) and not isinstance(old, (datetime, Decimal)):
        return bool(old == new)
    try:
        return same(old, check_value(new, (), limits))
    except InvalidValue:
        return False  # whoever sets it says what is wrong, and where
