"""
Plain updates, which nearly all are, as the functions `update_one` and `update_many` take them: pure.

A plain update has no guard and takes nothing; it sets and removes fields at the top, and adds an
integer to one of them at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ... import operators
from ...commands import Command, Update
from ...limits import Limits
from ...values import Value, encode, encode_name
from .answers import Row
from .compile import NAME_SEPARATOR, largest, without_exponents

__all__ = ["Batch", "batch_of"]

Told: TypeAlias = tuple[str, str | None, int | None, str | None, str | None, int]
"""What tells one update: the parameters from its opening to its growth."""


class Batch(NamedTuple):
    """
    Plain updates that go in one statement.

    Attributes:
        updates: in the order of their ids.
        query: the name of the statement.
        arguments: what it is given.
    """

    updates: Sequence[Update]
    query: str
    arguments: Sequence[object]

    def rows_in(self, result: Sequence[Row]) -> Sequence[Row]:
        """Return the rows in what the statement has brought: alone, one comes as a value."""
        return [row[0] for row in result] if self.query == "update_one" else result


_SUM = 20
"""The most digits of a sum, its sign among them."""

_JOINT = 4
"""Bytes by which a text in another one grows, at most: a comma and a space before it, and what it ends with."""


def batch_of(commands: Sequence[Command], limits: Limits) -> Batch | None:
    """
    Return the batch of *commands*.

    None where one of them is no plain update, or has other lifetimes than the first; or two are of one session.
    """
    updates: dict[str, Update] = {}
    for command in commands:
        if type(command) is not Update:
            return None
        updates[command.id] = command
    if len(updates) < len(commands) or limits.field < _SUM:
        return None
    in_order = [updates[key] for key in sorted(updates)]
    lifetimes = in_order[0].lifetimes
    rows = []
    for update in in_order:
        told = _told(update.update, limits)
        if told is None or (update.lifetimes is not lifetimes and update.lifetimes != lifetimes):
            return None
        rows.append((update.id, update.digest, update.now, update.known_rev, *told))
    shared = (lifetimes.max_age, lifetimes.touch_after, largest(limits.record))
    if len(rows) == 1:
        return Batch(in_order, "update_one", (*rows[0], *shared))
    return Batch(in_order, "update_many", (*zip(*rows, strict=True), *shared))


def _told(update: operators.Update, limits: Limits) -> Told | None:
    """Return what tells *update*, from its opening to its growth; None where it is not plain."""
    if update.guards or not update.operators:
        return None
    fields: list[str] = []
    replaced: list[str] = []
    removed: list[str] = []
    counter: str | None = None
    by: int | None = None
    for operator in update.operators:
        if isinstance(operator, operators.Replace) or len(operator.path) != 1:
            return None
        name = encode_name(operator.path[0])
        if type(operator) is operators.Set:
            text = _text_of(operator.value, limits)
            if text is None:
                return None
            fields.append(f'"{name}":{text}')
            replaced.append(name)
        elif type(operator) is operators.Inc and type(operator.by) is int and counter is None:
            counter, by = name, operator.by
        elif type(operator) is operators.Unset:
            removed.append(name)
        else:
            return None
    if counter is not None:
        fields.append(f'"{counter}":')
    opening = "{" + ",".join(fields)
    return opening, counter, by, _names(removed), _names(replaced + removed), _growth(opening)


def _text_of(value: Value, limits: Limits) -> str | None:
    """Return *value* as JSON for the server; None where it is larger than a field may be."""
    raw = encode(value)
    return None if len(raw) > limits.field else without_exponents(raw).decode()


def _names(names: list[str]) -> str | None:
    return NAME_SEPARATOR.join(names) if names else None


def _growth(opening: str) -> int:
    """Return no less than the bytes that the server's text of all data grows by: it writes spaces, too."""
    length = len(opening) if opening.isascii() else len(opening.encode())
    return length + opening.count(",") + opening.count(":") + _JOINT + _SUM
