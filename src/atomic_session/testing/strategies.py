"""
Hypothesis strategies: data, paths and updates that meet each other often enough to matter.

Random names never meet.  So paths are drawn by walking data, a step aside now and then, and names
come from a small pool in which the awkward ones are at home.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias

from hypothesis import strategies as st

from ..errors import ConflictingUpdate, InvalidPath, LimitExceeded, OperatorError
from ..limits import DEFAULT_LIMITS, Limits
from ..operators import (
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
    Set,
    SetDefault,
    Take,
    Unset,
    Update,
    When,
    chain,
)
from ..paths import Path
from ..values import INT64, MISSING, Value, check_value

__all__ = ["data", "edited", "guards", "names", "operators", "paths", "scalars", "texts", "updates", "values"]

ORDINARY = ("a", "b", "c", "0", "1")
AWKWARD = ("2", "01", "-1", "7", " 0", "$set", "a.b", "~", "~sx", "%", '"', "\\", "[", "}", "é", "😀", "\x7f")
NUMBERS = (0, 1, -1, 2, 0.5, 1.0, -2.5, 2**53 + 1, 2.0**53, INT64.start, INT64.stop - 1, 1e308, -1e308, 5e-324)


@cache
def texts() -> st.SearchStrategy[str]:
    """Return any text, often one that needs care."""
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return st.one_of(st.sampled_from(("", "x", "\0", "~d2020-01-01", *AWKWARD)), anything)


@cache
def names() -> st.SearchStrategy[str]:
    """Return names of fields, few of them ordinary ones that meet often."""
    anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
    return st.one_of(st.sampled_from(ORDINARY * 4 + AWKWARD), anything)


@cache
def numbers() -> st.SearchStrategy[int | float]:
    """Return what an operator can calculate with."""
    return st.one_of(
        st.sampled_from(NUMBERS),
        st.integers(INT64.start, INT64.stop - 1),
        st.floats(allow_nan=False, allow_infinity=False),
    )


@cache
def datetimes() -> st.SearchStrategy[datetime]:
    """Return datetimes of any year, in UTC."""
    return st.datetimes(timezones=st.just(UTC))


@cache
def scalars() -> st.SearchStrategy[Value]:
    """Return every kind of value that has nothing inside."""
    anything: st.SearchStrategy[Any] = st.one_of(
        st.none(),
        st.booleans(),
        numbers(),
        texts(),
        st.binary(max_size=8),
        datetimes(),
        st.uuids(),
        st.decimals(allow_nan=False, allow_infinity=False),
    )
    return anything.map(lambda value: check_value(value, ()))


@cache
def values(max_leaves: int = 8) -> st.SearchStrategy[Value]:
    """Return every kind of value."""
    return st.recursive(scalars(), _containers, max_leaves=max_leaves)


@cache
def data(max_leaves: int = 4) -> st.SearchStrategy[dict[str, Value]]:
    """Return the data of a session."""
    return st.dictionaries(names(), values(max_leaves), max_size=4)


@st.composite
def paths(draw: st.DrawFn, inside: dict[str, Value]) -> Path:
    """Return a path to something in the data *inside*, or to a place beside, below or past the end of it."""
    path: list[str] = []
    here: Value = inside
    while True:
        known = _names_in(here)
        place = draw(st.integers(0, len(known)))  # the last one is aside
        path.append(known[place] if place < len(known) else draw(names()))
        here = _step(here, path[-1])
        if len(path) == 4 or not draw(st.integers(0, 2 if _names_in(here) else 1)):
            return tuple(path)


@st.composite
def operators(draw: st.DrawFn, inside: dict[str, Value]) -> Operator:
    """Return any operator but `Replace`, for the data *inside*."""
    return _operator(draw, inside)


@st.composite
def guards(draw: st.DrawFn, inside: dict[str, Value]) -> When:
    """Return a guard that often holds for the data *inside*."""
    return _guard(draw, inside)


@st.composite
def updates(draw: st.DrawFn, inside: dict[str, Value], limits: Limits = DEFAULT_LIMITS) -> Update:
    """Return an update for the data *inside*: what can be chained of a few operators, sometimes guarded."""
    update = Update()
    for _ in range(draw(st.integers(1, 3))):
        try:
            update = chain(update, _operator(draw, inside), limits)
        except (ConflictingUpdate, LimitExceeded, OperatorError):
            continue
    return update if draw(st.integers(0, 3)) else chain(update, _guard(draw, inside), limits)


@st.composite
def edited(draw: st.DrawFn, before: dict[str, Value]) -> dict[str, Any]:
    """Return *before* as plain Python code may have left it: new containers, here and there another content."""
    after = _edited(draw, before)
    return after if isinstance(after, dict) else {}


def _edited(draw: st.DrawFn, before: Value) -> Any:
    change = draw(st.integers(0, 7))
    if change == 0:
        return draw(values(3))
    if isinstance(before, dict):
        after = {name: _edited(draw, item) for name, item in before.items() if draw(st.integers(0, 5))}
        return {**after, draw(_any_name()): draw(values(3))} if change < 4 else after
    if isinstance(before, list):
        items = [_edited(draw, item) for item in before] if change < 3 else before
        return [*items, draw(values(3))] if change > 4 else (*items,)
    return before


def _guard(draw: st.DrawFn, inside: dict[str, Value]) -> When:
    path = draw(paths(inside))
    there: Any = inside
    for name in path:
        there = _step(there, name)
    return When.of(path, there if draw(st.integers(0, 2)) else draw(values(3)))


def _operator(draw: st.DrawFn, inside: dict[str, Value]) -> Operator:
    path = draw(paths(inside))
    return draw(st.sampled_from(_MAKERS))(draw, path, inside)


@cache
def _any_name() -> st.SearchStrategy[str]:
    return st.one_of(names(), st.just(""))


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    anything: st.SearchStrategy[Any] = st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(_any_name(), inner, max_size=4),
    )
    return anything


def _names_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [name for name in value if name]
    return [str(index) for index in range(len(value))] if isinstance(value, list) else []


def _step(value: Any, name: str) -> Any:
    if name not in _names_in(value):
        return MISSING
    return value[name] if isinstance(value, dict) else value[int(name)]


def _everything(value: Value) -> list[Value]:
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list):
        items = value
    else:
        return []
    return items + [inner for item in items for inner in _everything(item)]


def _met(draw: st.DrawFn, inside: dict[str, Value]) -> Value:
    """Return a value, often one that is somewhere in the data *inside*."""
    found = _everything(inside)
    place = draw(st.integers(0, len(found)))
    return found[place] if place < len(found) else draw(values(3))


def _several(draw: st.DrawFn, inside: dict[str, Value]) -> list[Value]:
    return [_met(draw, inside) for _ in range(draw(st.integers(0, 3)))]


def _rename(draw: st.DrawFn, path: Path, inside: dict[str, Value]) -> Operator:
    try:
        return Rename.of(path, draw(paths(inside)))
    except InvalidPath:  # the two overlap
        return Unset.of(path)


def _push(draw: st.DrawFn, path: Path, inside: dict[str, Value]) -> Operator:
    at, keep = draw(st.sampled_from((None, None, 0, 1, -1, -9, 9))), draw(st.sampled_from((None, None, 0, 1, 3)))
    return Push.of(path, _several(draw, inside), at, keep)


def _pull_where(draw: st.DrawFn, path: Path, inside: dict[str, Value]) -> Operator:
    wanted = _met(draw, inside)
    known = isinstance(wanted, dict) and wanted
    return PullWhere.of(path, wanted if known else {draw(names()): wanted})


Maker: TypeAlias = Callable[[st.DrawFn, Path, dict[str, Value]], Operator]

_MAKERS: tuple[Maker, ...] = (
    lambda draw, path, _: Set.of(path, draw(values(3))),
    lambda draw, path, _: SetDefault.of(path, draw(values(3))),
    lambda _, path, __: Unset.of(path),
    lambda _, path, __: Take.of(path),
    _rename,
    lambda draw, path, _: Inc.of(path, draw(numbers())),
    lambda draw, path, _: Mul.of(path, draw(numbers())),
    lambda draw, path, _: Min.of(path, draw(numbers())),
    lambda draw, path, _: Max.of(path, draw(numbers())),
    lambda draw, path, _: Min.of(path, draw(datetimes())),
    lambda draw, path, _: Max.of(path, draw(datetimes())),
    lambda draw, path, inside: Push.of(path, _several(draw, inside)),
    _push,
    lambda draw, path, inside: AddToSet.of(path, _several(draw, inside)),
    lambda draw, path, inside: Pull.of(path, _met(draw, inside)),
    lambda draw, path, inside: PullAll.of(path, _several(draw, inside)),
    _pull_where,
    lambda _, path, __: PopFirst.of(path),
    lambda _, path, __: PopLast.of(path),
)
