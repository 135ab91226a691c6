"""
Every operator, on every store, means what `operators.apply` means: errors and all.

Random updates find what nobody thought of; the tables hold every pair of awkward numbers, and of
values that are nearly equal, because random data hardly ever meets its like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..commands import Outcome
from ..errors import OperatorError
from ..limits import Limits
from ..operators import AddToSet, Inc, Max, Min, Mul, Operator, Pull, PullAll, PullWhere, Replace, Set, When, apply
from ..operators import Update as Operators
from ..values import Value
from .checks import check_data, check_equal, check_error, check_outcome
from .harness import Harness, case
from .holder import Holder, clean, joined, started
from .mirror import Mirror
from .properties import holds
from .sending import send
from .witness import look

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["EQUALS"]

DAY = datetime(2031, 2, 3, 4, 5, 6, 789000, UTC)
ZERO_UUID = UUID(int=0)

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 3, 7, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), -(2**63) + 1),
    *(0.0, 1.0, -1.0, 0.1, 0.5, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e18, 1e300, 1.7e308, -1.7e308, 5e-324),
)
INSTANTS = (DAY, DAY + timedelta(milliseconds=1), datetime(1, 1, 1, tzinfo=UTC))
FIRST: tuple[tuple[Any, Any], ...] = (*((Inc, 5), (Inc, 2.5), (Mul, 5), (Mul, 2.5), (Min, 5), (Max, -2.5), (Max, DAY)),)
NO_NUMBERS: tuple[Any, ...] = (None, True, False, "1", b"1", Decimal(1), ZERO_UUID, [], [1], {}, {"n": 1})

EQUALS: tuple[tuple[Any, ...], ...] = (
    *((None,), (True,), (False,), ("",), ("1",), ("true",), ("null",), (b"",), (b"1",), (b"\xff",)),
    (0, 0.0, Decimal(0), Decimal("0.00")),
    (1, 1.0, Decimal(1), Decimal("1.0")),
    *((-1, -1.0), (2,), (0.1,), (Decimal("0.1"),), (0.5, Decimal("0.5"), Decimal("0.50"))),
    (2**53, 2.0**53, Decimal(2**53)),
    (2**53 + 1, Decimal(2**53 + 1)),
    (2**53 + 2, 2.0**53 + 2),
    *((2**63 - 1,), (2**63 - 2,), (2.0**63, Decimal(2**63)), (-(2**63), -(2.0**63)), (-(2**63) + 1,)),
    *((1e308,), (5e-324,), (Decimal("1E+400"),), (Decimal("1E-400"),), (Decimal(2**63 + 1),)),
    *((DAY,), (DAY + timedelta(milliseconds=1),), ("2031-02-03T04:05:06.789Z",), ("~d2031-02-03T04:05:06.789Z",)),
    *((ZERO_UUID,), (UUID(int=1),), (str(ZERO_UUID),), (f"~u{ZERO_UUID}",), ("~n1",), ("~",), ("~s",)),
    *(([],), ({},), ([[]],), ([None],), ([{}],), ({"a": []},), ({"a": {}},), ({"a": None},), ({"": 1},)),
    *(([1], [1.0], [Decimal(1)]), ([True],), ([1, 2],), ([2, 1],), (["1"],)),
    *(({"a": 1}, {"a": 1.0}), ({"a": True},), ({"b": 1},), ({"a.b": 1},), ({"a": {"b": 1}},)),
    ({"a": 1, "b": [2, {"c": 3.0, "d": None}]}, {"b": [2.0, {"d": None, "c": Decimal(3)}], "a": Decimal("1.0")}),
    ({"a": 1, "b": [2, {"c": 3, "d": False}]},),
)
"""Values in classes: those of one class are equal to an operator, those of two classes are not."""


@case
async def random_updates_mean_what_the_reference_means(harness: Harness) -> None:
    """Whatever a session holds and whatever it is asked, the store's answer and data are those of `apply`."""
    store = await harness.make()

    async def law(drawn: tuple[dict[str, Value], list[tuple[Operators, int]]]) -> None:
        data, updates = drawn
        mirror = await Mirror.of(store, data, harness.limits)
        for update, lag in updates:
            await mirror.send_update(update, lag)

    await holds(law, _sessions(harness.limits), examples=60)


def _sessions(limits: Limits) -> SearchStrategy[tuple[dict[str, Value], list[tuple[Operators, int]]]]:
    """Return data, and some updates with how far behind their sender is; now and then a replacement."""
    from hypothesis import strategies as st  # noqa: PLC0415  # an extra: only this needs it

    from . import strategies  # noqa: PLC0415  # as above

    def with_updates(data: dict[str, Value]) -> SearchStrategy[Any]:
        replacement = strategies.data().map(lambda new: Operators((Replace.of(new, limits),)))
        mostly = st.one_of(*[strategies.updates(data, limits)] * 9, replacement)
        return st.tuples(
            st.just(data), st.lists(st.tuples(mostly, st.sampled_from((0, 0, 1, 3))), min_size=1, max_size=4)
        )

    return strategies.data().flatmap(with_updates)


@case
async def numbers_are_exact(harness: Harness) -> None:
    """Every pair of awkward numbers gives the exact result, or is refused; what is no number always is."""
    await _check_alone(harness, [*_pairs((Inc, Mul, Min, Max), (*NUMBERS, *NO_NUMBERS), NUMBERS)])


@case
async def instants_are_compared_with_instants(harness: Harness) -> None:
    """The lower or the higher of two datetimes is kept; a datetime and a number are refused."""
    stored = (*INSTANTS, *NO_NUMBERS, 1, 1.5)
    await _check_alone(harness, [*_pairs((Min, Max), stored, INSTANTS), *_pairs((Min, Max), INSTANTS, (1, 1.5))])


def _pairs(kinds: Sequence[Any], stored: Sequence[Any], given: Sequence[Any]) -> Iterator[tuple[Any, Operator]]:
    for kind in kinds:
        for first in stored:
            for second in given:
                yield first, kind.of("n", second)


async def _check_alone(harness: Harness, table: Sequence[tuple[Any, Operator]]) -> None:
    """Check each operator of *table* on a session that holds the value beside it, all at the same time."""
    store = await harness.make()
    holders = [Holder() for _ in table]
    await send(store, [holder.create({"n": value}) for holder, (value, _) in zip(holders, table, strict=True)])
    answers = await send(store, [holder.update(item) for holder, (_, item) in zip(holders, table, strict=True)])
    looks = await send(store, [holder.load() for holder in holders])
    for (value, item), answer, kept in zip(table, answers, looks, strict=True):
        what = f"{item} on {value!r}"
        data = clean({"n": value})
        try:
            applied = apply(data, Operators((item,)), harness.limits)
        except OperatorError as error:
            check_outcome(answer, Outcome.REFUSED, what)
            check_error(answer.error, error, what)
        else:
            check_outcome(answer, Outcome.DONE, what)
            data = data if applied is None else applied.data
            check_data(answer.data, data, f"{what}: the answer")
        check_data(kept.data, data, f"{what}: what is kept")


@case
async def missing_numbers_begin_as_they_should(harness: Harness) -> None:
    """What is missing becomes the operand, or a zero of its type; None is not missing."""
    store = await harness.make()
    mirror = await Mirror.of(store, {"none": None, "list": [1, 2.5]}, harness.limits)
    for name, (kind, operand) in enumerate(FIRST):
        await mirror.send(kind.of(f"new{name}.deep", operand))
        await mirror.send(kind.of("none", operand))
        await mirror.send(kind.of(f"list.{name}", operand))
    expected = [{"deep": value} for value in (5, 2.5, 0, 0.0, 5, -2.5, DAY)]
    check_data([mirror.data[f"new{name}"] for name in range(7)], clean({"x": expected})["x"], "the first numbers")


@case
async def equal_values_are_found_and_no_others(harness: Harness) -> None:
    """Of all pairs of values those are equal, to every operator that looks for one, which are so exactly."""
    store = await harness.make()
    given = [(number, value) for number, values in enumerate(EQUALS) for value in values]
    places = range(len(given))
    seeks = [
        joined(*[item for place in places[start::6] for item in _seek(place, given[place][1])]) for start in range(6)
    ]
    holders = [await started(store, _lists(value, len(given))) for _, value in given]
    updates = [holder.updating(seek, known=rev) for holder in holders for rev, seek in enumerate(seeks, start=1)]
    for answer in await send(store, updates):
        check_outcome(answer, Outcome.DONE, "an update that looks for equal values")
    for (group, value), holder in zip(given, holders, strict=True):
        kept = await look(store, holder.load())
        for place, (other, sought) in enumerate(given):
            lengths = [len(_list(kept[f"{name}{place}"])) for name in ("pull", "all", "where", "set")]
            expected = [1, 1, 1, 2] if group == other else [2, 2, 2, 3]
            if lengths != expected:
                what = f"lengths after pull, pull_all, pull where and add_to_set of {sought!r} where {value!r} is"
                check_equal(lengths, expected, what)


MARK = "the mark"


def _lists(value: object, count: int) -> dict[str, Any]:
    """Return lists that hold *value* beside a mark, four for each value that will be sought."""
    fields: dict[str, Any] = {}
    for place in range(count):
        fields |= {f"{name}{place}": [MARK, value] for name in ("pull", "all", "set")}
        fields[f"where{place}"] = [{"x": MARK}, {"x": value, "y": 0}]
    return fields


def _seek(place: int, value: object) -> Iterator[Operator]:
    yield Pull.of(f"pull{place}", value)
    yield PullAll.of(f"all{place}", ["another", value])
    yield PullWhere.of(f"where{place}", {"x": value})
    yield AddToSet.of(f"set{place}", [value])


def _list(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise AssertionError(f"what should be a list is {type(value).__name__}")
    return value


@case
async def guards_hold_for_equal_values_and_no_others(harness: Harness) -> None:
    """A guard holds exactly where the stored value equals its own."""
    store = await harness.make()
    given = [(number, value) for number, values in enumerate(EQUALS) for value in values]
    for group, value in given:
        holder = await started(store, {"f": value, "n": 0})
        answers = await send(store, [holder.update(When.of("f", other), Inc.of("n", 1)) for _, other in given])
        for (other_group, other), answer in zip(given, answers, strict=True):
            expected = Outcome.DONE if other_group == group else Outcome.UNMET
            check_outcome(answer, expected, f"a guard for {other!r} where {value!r} is")
        data = await look(store, holder.load())
        check_data(data["n"], len(EQUALS[group]), "the updates that were applied")


@case
async def absent_names_equal_nothing(harness: Harness) -> None:
    """A dict without the name is not one with None under it; and what is no dict has no names."""
    store = await harness.make()
    elements: list[Any] = [
        {},
        {"x": None},
        {"x": {"y": None}},
        {"x": {}},
        {"x": [], "y": 1},
        None,
        "x",
        ["x"],
        [{"x": None}],
    ]
    mirror = await Mirror.of(store, {"list": elements}, harness.limits)
    wheres: tuple[dict[str, Any], ...]
    wheres = ({"x": None}, {"x": {}}, {"x": [], "y": 2}, {"x": [], "y": True}, {"x": [], "y": 1.0}, {"0": "x"})
    for where in wheres:
        await mirror.send(PullWhere.of("list", where))
    left = [{}, {"x": {"y": None}}, None, "x", ["x"], [{"x": None}]]
    check_data(mirror.data["list"], clean({"list": left})["list"], "the elements that are left")
    await mirror.send(Set.of("list", elements), lag=1)
