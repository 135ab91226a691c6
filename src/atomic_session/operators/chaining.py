"""
How an update grows, operator by operator, so that no two of them touch the same place.

Rule 1: an operator inside what the chain has just set, or replaced, is computed at once and folded in.
Rule 2: values that are pushed, or added to a set, at one place go together.
Rule 3: every other two that touch the same place, or one a place inside the other's, conflict.
"""

from __future__ import annotations

from ..errors import ConflictingUpdate, LimitExceeded
from ..limits import DEFAULT_LIMITS, Limits
from ..paths import Path, overlaps, show_path
from ..values import MISSING, Value
from .draft import read
from .kinds import AddToSet, Operator, Push, Replace, Set, Take, paths_of
from .meaning import Update, When, change

__all__ = ["chain"]


def chain(update: Update, item: Operator | When, limits: Limits = DEFAULT_LIMITS) -> Update:
    """
    Return *update* with one more operator, or one more guard, at its end.

    Guards look at what is stored before any operator, wherever they stand in the chain.

    Raises:
        ConflictingUpdate: an operator touches the same place, and the two cannot be folded; or it is the second `Take`.
        LimitExceeded: operators and guards together become too many, or a `Rename` goes too deep.
        OperatorError: the operator does not fit the value that the chain has set.
    """
    if isinstance(item, When):
        longer = Update(update.operators, (*update.guards, item))
    else:
        longer = Update(_joined(update.operators, item, limits), update.guards)
    count = len(longer.operators) + len(longer.guards)
    if count > limits.operators:
        raise LimitExceeded("operators", limits.operators, count)
    return longer


def _joined(operators: tuple[Operator, ...], item: Operator, limits: Limits) -> tuple[Operator, ...]:
    places = paths_of(item)
    for number, first in enumerate(operators):
        if not _meet(paths_of(first), places) and not type(first) is type(item) is Take:
            continue
        folded = _folded(first, item, limits)
        if folded is None:
            raise ConflictingUpdate(_show(first), _show(item))
        # what lies inside one operator's place touches none of the others
        return (*operators[:number], folded, *operators[number + 1 :])
    return (*operators, item)


def _meet(places: tuple[Path, ...], others: tuple[Path, ...]) -> bool:
    for place in places:
        for other in others:
            if overlaps(place, other):
                return True
    return False


def _folded(first: Operator, second: Operator, limits: Limits) -> Operator | None:
    """Return the one operator that does what *first* and then *second* do, if there is one."""
    if isinstance(first, Set):
        return _into_set(first, second, limits)
    if isinstance(first, Replace):
        return _into_replace(first, second, limits)
    if isinstance(first, AddToSet) and isinstance(second, AddToSet) and first.path == second.path:
        return AddToSet(first.path, first.values + second.values)
    if isinstance(first, Push) and isinstance(second, Push) and first.path == second.path:
        plain = first.at is first.keep is second.at is second.keep is None
        return Push(first.path, first.values + second.values) if plain else None
    return None


def _into_set(first: Set, second: Operator, limits: Limits) -> Operator | None:
    path = first.path
    if any(place[: len(path)] != path for place in paths_of(second)):
        return None
    if isinstance(second, Take):  # folded, it would have no answer
        return None
    if isinstance(second, Set) and second.path == path:
        return second
    value = read(change(_nested(path, first.value), (second,), limits).data, path)
    return None if value is MISSING else Set(path, value)  # no `Set` says that nothing is there


def _into_replace(first: Replace, second: Operator, limits: Limits) -> Operator | None:
    if isinstance(second, Take):  # folded, it would have no answer
        return None
    return Replace(change(first.value, (second,), limits).data)


def _nested(path: Path, value: Value) -> dict[str, Value]:
    """Return data that holds *value* at *path*, and nothing else."""
    return {path[0]: value if len(path) == 1 else _nested(path[1:], value)}


def _show(operator: Operator) -> str:
    if isinstance(operator, Replace):
        return operator.verb
    return f"{operator.verb} {show_path(operator.path)!r}"
