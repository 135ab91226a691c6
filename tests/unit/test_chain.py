"""How an update grows: what is folded, and what conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_session.errors import ConflictingUpdate, LimitExceeded, OperatorError
from atomic_session.limits import Limits
from atomic_session.operators import (
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
    apply,
    chain,
)
from atomic_session.testing import strategies
from atomic_session.values import MISSING, Missing, Value, same

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)


def chained(*items: Operator | When, limits: Limits | None = None) -> Update:
    update = Update()
    for item in items:
        update = chain(update, item, limits or Limits())
    return update


# --- what stands side by side


@pytest.mark.parametrize(
    "items",
    [
        [Set.of("a", 1), Set.of("b", 2)],
        [Set.of("a.b", 1), Set.of("a.c", 2)],
        [Set.of("a.0", 1), Push.of("a.1", [2])],
        [Inc.of("a", 1), Take.of("b"), Unset.of("c")],
        [Rename.of("a", "b"), Set.of("c", 1), Rename.of("d", "e")],
        [Set.of("a", 1), Set.of(("a.b",), 1)],
    ],
)
def test_operators_of_different_places_stand_in_their_order(items: list[Operator]) -> None:
    assert chained(*items).operators == tuple(items)


def test_guards_stand_apart_and_conflict_with_nothing() -> None:
    guards = (When.of("a", 1), When.of("a", 2), When.of("a.b", MISSING))
    update = chained(guards[0], Set.of("a", 5), guards[1], Inc.of("a", 1), guards[2])

    assert update == Update((Set.of("a", 6),), guards)


def test_chaining_leaves_the_shorter_update_as_it_was() -> None:
    shorter = chained(Set.of("a", [1]), Push.of("b", [1]))
    chain(chain(shorter, Push.of("a", [2])), Push.of("b", [2]))

    assert shorter == Update((Set.of("a", [1]), Push.of("b", [1])))


# --- what is folded

FOLDED: list[tuple[Set, Operator, Value]] = [
    (Set.of("a", 1), Set.of("a", 2), 2),
    (Set.of("a", 1), SetDefault.of("a", 2), 1),
    (Set.of("a", None), SetDefault.of("a", 2), None),
    (Set.of("a", 1), Inc.of("a", 2.0), 3.0),
    (Set.of("a", 3), Mul.of("a", 2), 6),
    (Set.of("a", 3), Min.of("a", 2), 2),
    (Set.of("a", NOON), Max.of("a", NOON), NOON),
    (Set.of("a", [1]), Push.of("a", [2, 3], at=0, keep=2), [3, 1]),
    (Set.of("a", [1]), AddToSet.of("a", [1.0, 2]), [1, 2]),
    (Set.of("a", [1, 2]), Pull.of("a", 1), [2]),
    (Set.of("a", [1, 2]), PullAll.of("a", [1, 2]), []),
    (Set.of("a", [{"x": 1}]), PullWhere.of("a", {"x": 1}), []),
    (Set.of("a", [1, 2]), PopFirst.of("a"), [2]),
    (Set.of("a", [1, 2]), PopLast.of("a"), [1]),
    (Set.of("a", {}), Set.of("a.b.c", 1), {"b": {"c": 1}}),
    (Set.of("a", {"b": 1}), Inc.of("a.b", 1), {"b": 2}),
    (Set.of("a", {"b": 1}), Unset.of("a.b"), {}),
    (Set.of("a", {"b": 1}), Unset.of("a.c"), {"b": 1}),
    (Set.of("a", {"b": 1}), Rename.of("a.b", "a.c.d"), {"c": {"d": 1}}),
    (Set.of("a", [1, 2]), Unset.of("a.0"), [None, 2]),
    (Set.of("a", [1]), Set.of("a.2", 3), [1, None, 3]),
    (Set.of("a.0.b", {"0": 1}), Inc.of("a.0.b.0", 1), {"0": 2}),
]


@pytest.mark.parametrize(("first", "second", "value"), FOLDED)
def test_what_was_just_set_is_changed_at_once(first: Set, second: Operator, value: Value) -> None:
    before = Set(first.path, first.value)
    (operator,) = chained(first, second).operators

    assert isinstance(operator, Set)
    assert operator.path == first.path
    assert same(operator.value, value)
    assert first == before


def test_a_folded_set_stays_in_its_place() -> None:
    update = chained(Set.of("a", 1), Set.of("b", 1), Set.of("c", 1), Inc.of("b", 1))

    assert update.operators == (Set.of("a", 1), Set.of("b", 2), Set.of("c", 1))


def test_values_pushed_to_one_list_go_together() -> None:
    update = chained(Push.of("a", [1]), Set.of("b", 1), Push.of("a", [2, 3]))

    assert update.operators == (Push.of("a", [1, 2, 3]), Set.of("b", 1))


def test_values_added_to_one_set_go_together() -> None:
    update = chained(AddToSet.of("a", [1]), AddToSet.of("a", [1.0, 2]))

    assert apply({"a": [0]}, update) == apply({"a": [0]}, Update((AddToSet.of("a", [1, 2]),)))
    assert len(update.operators) == 1


@pytest.mark.parametrize(
    ("second", "value"),
    [
        (Set.of("a.b", 1), {"a": {"b": 1}, "n": 1}),
        (Inc.of("n", 1), {"a": {}, "n": 2}),
        (Unset.of("a"), {"n": 1}),
        (Rename.of("a", "b"), {"b": {}, "n": 1}),
        (Replace.of({"z": 1}), {"z": 1}),
    ],
)
def test_what_comes_after_a_replacement_is_folded_into_it(second: Operator, value: Any) -> None:
    assert chained(Replace.of({"a": {}, "n": 1}), second).operators == (Replace.of(value),)


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        (Set.of("a", "text"), Inc.of("a", 1), "a"),
        (Set.of("a", None), Push.of("a", [1]), "a"),
        (Set.of("a", 2**63 - 1), Inc.of("a", 1), "a"),
        (Set.of("a.b", {"c": 1}), Set.of("a.b.c.d", 1), "a.b.c.d"),
        (Set.of("a", [1]), Rename.of("a.0", "a.1"), "a.0"),
        (Set.of("a", []), Set.of("a.1001", 1), "a.1001"),
        (Replace.of({"a": 1}), Push.of("a", [1]), "a"),
    ],
)
def test_what_does_not_fit_the_value_that_was_set_is_refused_at_once(
    first: Operator, second: Operator, path: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        chained(first, second)

    assert not isinstance(second, Replace)
    assert (caught.value.operator, caught.value.path) == (second.verb, path)


def test_a_rename_inside_what_was_set_may_go_too_deep() -> None:
    limits = Limits(depth=4)
    first = Set.of("a", {"b": [[1]]}, limits)

    assert chained(first, Rename.of("a.b", "a.c"), limits=limits).operators == (Set.of("a", {"c": [[1]]}),)
    with pytest.raises(LimitExceeded):
        chained(first, Rename.of("a.b", "a.c.d"), limits=limits)


# --- what conflicts

CONFLICTS: list[tuple[Operator, Operator]] = [
    (Set.of("a", 1), Unset.of("a")),
    (Set.of("a", 1), Take.of("a")),
    (Set.of("a", 1), Rename.of("a", "b")),
    (Set.of("a", 1), Rename.of("b", "a")),
    (Set.of("a", {"b": 1}), Take.of("a.b")),
    (Set.of("a", {"b": 1}), Rename.of("a.b", "c")),
    (Set.of("a", {"b": 1}), Rename.of("c", "a.b")),
    (Set.of("a.b", 1), Set.of("a", {})),
    (Set.of("a.b", 1), Unset.of("a")),
    (Set.of("a.b", 1), Push.of("a", [1])),
    (Inc.of("a", 1), Inc.of("a", 1)),
    (Inc.of("a", 1), Set.of("a", 1)),
    (SetDefault.of("a", {}), Set.of("a.b", 1)),
    (SetDefault.of("a", 1), SetDefault.of("a", 1)),
    (Unset.of("a"), Set.of("a", 1)),
    (Unset.of("a.b"), Set.of("a", 1)),
    (Take.of("a"), Unset.of("a")),
    (Take.of("a"), Take.of("b")),
    (Rename.of("a", "b"), Set.of("a", 1)),
    (Rename.of("a", "b"), Inc.of("b.c", 1)),
    (Rename.of("a.x", "b"), Set.of("a", 1)),
    (Rename.of("a", "b"), Rename.of("b", "c")),
    (Push.of("a", [1]), Push.of("a.0", [1])),
    (Push.of("a", [1]), Push.of("a", [1], at=0)),
    (Push.of("a", [1], keep=3), Push.of("a", [1])),
    (Push.of("a", [1]), AddToSet.of("a", [1])),
    (Push.of("a", [1]), Pull.of("a", 1)),
    (AddToSet.of("a", [1]), AddToSet.of("a.b", [1])),
    (PopFirst.of("a"), PopFirst.of("a")),
    (Set.of("a", 1), Replace.of({})),
    (Take.of("a"), Replace.of({})),
    (Replace.of({"a": 1}), Take.of("a")),
]


@pytest.mark.parametrize(("first", "second"), CONFLICTS)
def test_what_touches_the_same_place_and_cannot_be_folded_conflicts(first: Operator, second: Operator) -> None:
    with pytest.raises(ConflictingUpdate):
        chained(first, second)


def test_an_operator_around_two_others_conflicts() -> None:
    with pytest.raises(ConflictingUpdate):
        chained(Set.of("a.b", 1), Set.of("a.c", 1), Set.of("a", {}))
    with pytest.raises(ConflictingUpdate):
        chained(Set.of("a", {"x": 1}), Set.of("b", {}), Rename.of("a.x", "b.x"))


def test_a_conflict_names_both() -> None:
    with pytest.raises(ConflictingUpdate) as caught:
        chained(Set.of("z", 1), Inc.of("a.b", 1), Unset.of("a"))
    assert (caught.value.first, caught.value.second) == ("inc 'a.b'", "unset 'a'")

    with pytest.raises(ConflictingUpdate) as caught:
        chained(Set.of("z", 1), Replace.of({}))
    assert (caught.value.first, caught.value.second) == ("set 'z'", "replace")


def test_operators_and_guards_together_are_limited() -> None:
    limits = Limits(operators=2)
    update = chained(Set.of("a", 1), When.of("b", 1), limits=limits)

    assert chain(update, Inc.of("a", 1), limits).operators == (Set.of("a", 2),)
    for item in (Set.of("c", 1), When.of("c", 1)):
        with pytest.raises(LimitExceeded) as caught:
            chain(update, item, limits)
        assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("operators", 2, 3)


# --- the law

Data = dict[str, Value]


@st.composite
def stories(draw: st.DrawFn) -> tuple[Data, list[Operator]]:
    """Return data, and operators of which each is drawn for what the ones before it have made."""
    data = draw(strategies.data())
    operators: list[Operator] = []
    here = data
    for _ in range(draw(st.integers(2, 5))):
        operators.append(draw(strategies.operators(here)))
        done = one_by_one(here, operators[-1:])
        here = here if done is None else done[0]
    return data, operators


def one_by_one(data: Data, operators: Sequence[Operator]) -> tuple[Data, Value | Missing] | None:
    """Return the data and what was taken after each operator as an update of its own; None when one is refused."""
    taken: Value | Missing = MISSING
    for operator in operators:
        try:
            applied = apply(data, Update((operator,)))
        except (OperatorError, LimitExceeded):
            return None
        assert applied is not None
        data = applied.data
        taken = applied.taken if isinstance(operator, Take) else taken
    return data, taken


@given(stories())
def test_a_chain_does_what_its_operators_do_one_by_one(story: tuple[Data, list[Operator]]) -> None:
    data, operators = story
    update, accepted = Update(), list[Operator]()
    for operator in operators:
        try:
            update = chain(update, operator)
        except ConflictingUpdate:
            continue
        except (OperatorError, LimitExceeded):
            assert one_by_one(data, [*accepted, operator]) is None
            return
        accepted.append(operator)
    expected = one_by_one(data, accepted)

    if expected is None:
        with pytest.raises((OperatorError, LimitExceeded)):
            apply(data, update)
    else:
        applied = apply(data, update)
        assert applied is not None
        assert same(applied.data, expected[0])
        assert same(applied.taken, expected[1])


@given(strategies.data(), st.data())
def test_no_two_operators_of_an_update_touch_the_same_place(data: Data, draws: st.DataObject) -> None:
    update = draws.draw(strategies.updates(data))
    again = Update()
    for operator in update.operators:
        again = chain(again, operator)

    assert again.operators == update.operators
