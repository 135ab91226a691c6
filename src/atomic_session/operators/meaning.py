"""
Updates, and what they mean: `apply` is the one meaning that every store has.

Rule 1: guards look at the data first, then the operators change it in their order.
Rule 2: all operators land or none does; the first that does not fit refuses the whole update.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from msgspec import Struct

from ..errors import LimitExceeded, OperatorError
from ..limits import DEFAULT_LIMITS, Limits
from ..paths import Path, parse_path, show_path
from ..values import MISSING, Missing, Value, check_value, equal
from .draft import Draft, Refusal, copy_value, read
from .kinds import Change, Operator, Rename, Replace, Take, Unset
from .shapes import RawPath

__all__ = ["Applied", "Update", "When", "apply", "change"]


class When(Struct, frozen=True):
    """A guard: the update is applied only if what is at *path* equals *value*; MISSING asks for nothing there."""

    path: Path
    value: Value | Missing

    @classmethod
    def of(cls, path: RawPath, value: object, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the guard.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: a session cannot hold *value*.
            LimitExceeded: *value* is too deep, or a name in it too long.
        """
        names = parse_path(path, limits)
        return cls(names, MISSING if value is MISSING else check_value(value, names, limits))


class Update(Struct, frozen=True):
    """
    What is asked of one session in one step: all operators in their order, or none.

    Attributes:
        operators: no two of them touch the same place; `chain` sees to it.
        guards: what must hold before any operator; else nothing happens.
    """

    operators: tuple[Operator, ...] = ()
    guards: tuple[When, ...] = ()

    @property
    def fields(self) -> frozenset[str] | None:
        """The names of the top-level fields that it reads or changes; None for all."""
        names = [guard.path[0] for guard in self.guards]
        for operator in self.operators:
            if type(operator) is Replace:
                return None
            names.append(operator.path[0])
            if type(operator) is Rename:
                names.append(operator.to[0])
        return frozenset(names)

    @property
    def take(self) -> Path | None:
        """The path whose value is the answer; None when nothing is taken."""
        for operator in self.operators:
            if type(operator) is Take:
                return operator.path
        return None


class Applied(Struct, frozen=True):
    """The data after an update, and what it took: MISSING when it took nothing, or nothing was there."""

    data: dict[str, Value]
    taken: Value | Missing = MISSING


def apply(data: dict[str, Value], update: Update, limits: Limits = DEFAULT_LIMITS) -> Applied | None:
    """
    Return what *update* makes of *data*, or None if one of its guards does not hold.

    *data* may lack the top-level fields that `update.fields` does not name.  It is never changed;
    what the update leaves alone is shared with the result, what it brings in is not.

    Raises:
        OperatorError: an operator, the first in order, does not fit *data*.
        LimitExceeded: a `Rename` would put something too deep.
    """
    for guard in update.guards:
        if not equal(read(data, guard.path), guard.value):
            return None
    return change(data, update.operators, limits)


def change(data: dict[str, Value], operators: Iterable[Operator], limits: Limits) -> Applied:
    """
    Return what *operators* make of *data*, one after the other.

    Raises:
        OperatorError, LimitExceeded: as `apply` does.
    """
    draft = Draft(data, limits)
    taken: Value | Missing = MISSING
    for operator in operators:
        if type(operator) is Replace:
            draft.data = {name: copy_value(item) for name, item in operator.value.items()}
            continue
        try:
            if type(operator) is Take:
                taken = draft.remove(operator.path)
            else:
                _carry_out(operator, draft, limits)
        except Refusal as refusal:
            raise OperatorError(operator.verb, show_path(operator.path), str(refusal)) from None
    return Applied(draft.data, taken)


def _carry_out(operator: Unset | Rename | Change, draft: Draft, limits: Limits) -> None:
    if type(operator) is Unset:
        draft.remove(operator.path)
    elif type(operator) is Rename:
        _move(operator, draft, limits)
    else:
        old = draft.find(operator.path)
        new = operator.change(old)
        if new is not MISSING and new is not old:
            draft.put(operator.path, new)


def _move(rename: Rename, draft: Draft, limits: Limits) -> None:
    value = draft.find(rename.path)
    if value is MISSING:
        return
    if draft.passes_list(rename.path) or draft.passes_list(rename.to):
        raise Refusal("an element of a list cannot be renamed, nor anything inside one")
    depth = len(rename.to) + _height(value)
    if depth > limits.depth:
        raise LimitExceeded("depth", limits.depth, depth)
    draft.put(rename.to, value)
    draft.remove(rename.path)


def _height(value: Value) -> int:
    """Return how many containers are inside each other in *value*."""
    if type(value) is dict:
        return 1 + max(map(_height, value.values()), default=0)
    if type(value) is list:
        return 1 + max(map(_height, value), default=0)
    return 0
