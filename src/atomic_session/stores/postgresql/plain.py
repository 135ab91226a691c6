"""
Plain updates, which nearly all are, as `update_one` and `update_many` take them: pure.

A plain update has no guard and takes nothing; it sets and removes fields at the top, and adds an
integer to one of them at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from ... import operators
from ...commands import Command, Update
from ...limits import Limits
from ...operators import Inc, Set, Unset
from ...values import Value, encode, encode_name
from .compile import NAME_SEPARATOR, Arguments, digests, largest, numbers, texts, without_exponents

__all__ = ["Batch", "batch_of"]

Told: TypeAlias = tuple[str, str | None, int | None, str | None, str | None, str | None, int]
"""What tells one update: the parameters from its opening to its growth."""


class Batch(NamedTuple):
    """
    Plain updates, each of another session, that go in one statement.

    Attributes:
        updates: in the order of their ids.
        query: the name of the statement.
        arguments: what it is given.
    """

    updates: Sequence[Update]
    query: str
    arguments: Arguments


_LISTS: tuple[Callable[[Any], str], ...] = (
    texts,
    digests,
    numbers,
    numbers,
    texts,
    texts,
    numbers,
    texts,
    texts,
    texts,
    numbers,
)
"""How the parameters of an update's own go for many."""

_PLAIN = (Set, Inc, Unset)

_SUM = 20
"""The most digits of a sum, its sign among them."""

_LARGEST_STEP = 1 << 62
"""What is added to a number of 18 digits, and cannot make it leave 64 bits."""

_JOINT = 4
"""Bytes by which a text in another one grows, at most: a comma and a space before it, and what it ends with."""


def batch_of(commands: Sequence[Command], limits: Limits) -> Batch | None:
    """
    Return the batch of *commands*.

    None where one of them is no plain update, or has other lifetimes than the first; or two are of one session.
    """
    updates = [command for command in commands if type(command) is Update]
    if len(updates) < len(commands):
        return None
    updates.sort(key=_id_of)
    lifetimes = updates[0].lifetimes
    shared = (lifetimes.max_age, lifetimes.renew_at(0, None), largest(limits.record))
    rows = []
    last_id = ""
    for update in updates:
        told = _told(update.update, limits)
        if told is None or update.id == last_id:
            return None
        if update.lifetimes is not lifetimes and update.lifetimes != lifetimes:
            return None
        last_id = update.id
        rows.append((last_id, update.digest, update.now, update.known_rev, *told))
    if len(rows) == 1:
        return Batch(updates, "update_one", (*rows[0], *shared))
    columns = zip(_LISTS, zip(*rows, strict=True), strict=True)
    return Batch(
        updates,
        "update_many",
        (*(None if set(column) == {None} else listed(column) for listed, column in columns), *shared),
    )


def _id_of(update: Update) -> str:
    return update.id


def _told(update: operators.Update, limits: Limits) -> Told | None:
    """Return what tells *update*, from its opening to its growth; None where it is not plain."""
    if update.guards or not update.operators or limits.field < _SUM:
        return None
    fields: list[str] = []
    replaced: list[str] = []
    removed: list[str] = []
    counter: str | None = None
    by: int | None = None
    for operator in update.operators:
        if not isinstance(operator, _PLAIN) or len(operator.path) != 1:
            return None
        name = encode_name(operator.path[0])
        if type(operator) is Set:
            text = _text_of(operator.value, limits)
            if text is None:
                return None
            fields.append(f'"{name}":{text}')
            replaced.append(name)
        elif type(operator) is Unset:
            removed.append(name)
            replaced.append(name)
        elif type(operator.by) is int and counter is None and abs(operator.by) <= _LARGEST_STEP:
            counter, by = name, operator.by
        else:
            return None
    if counter is not None:
        fields.append(f'"{counter}":')
    opening = "{" + ",".join(fields)
    one, several = (replaced[0], None) if len(replaced) == 1 else (None, NAME_SEPARATOR.join(replaced) or None)
    return opening, counter, by, NAME_SEPARATOR.join(removed) or None, one, several, _growth(opening)


def _text_of(value: Value, limits: Limits) -> str | None:
    """Return *value* as JSON for the server; None where it is larger than a field may be."""
    raw = encode(value)
    if len(raw) > limits.field:
        return None
    return (raw if type(value) is str else without_exponents(raw)).decode()


def _growth(opening: str) -> int:
    """Return no less than the bytes that the server's text of all data grows by: it writes spaces, too."""
    length = len(opening) if opening.isascii() else len(opening.encode())
    return length + opening.count(",") + opening.count(":") + _JOINT + _SUM
