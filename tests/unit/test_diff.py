"""The update that says how a dict was changed."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from atomic_session.errors import InvalidPath, InvalidValue, LimitExceeded
from atomic_session.limits import Limits
from atomic_session.operators import Operator, Push, Set, SetDefault, Unset, Update, apply, chain, diff
from atomic_session.testing import strategies
from atomic_session.values import Value, check_value, same

Data = dict[str, Any]

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)


def after(data: Data, *deltas: tuple[Operator, ...]) -> Data:
    for delta in deltas:
        applied = apply(data, Update(delta))
        assert applied is not None
        data = applied.data
    return data


# --- what is said, and how

SAID: dict[str, list[tuple[Data, Data, list[Operator]]]] = {
    "nothing": [
        ({}, {}, []),
        ({"a": {"b": [1, {"c": None}]}, "d": 1}, {"d": 1, "a": {"b": [1, {"c": None}]}}, []),
        ({"a": [1, [2]]}, {"a": (1, (2,))}, []),
        ({"a": {"b": 1}}, OrderedDict(a=OrderedDict(b=1)), []),
        ({"a": 0.0}, {"a": -0.0}, []),
        ({"a": NOON}, {"a": NOON.astimezone(timezone(timedelta(hours=1)))}, []),
        ({"a": NOON}, {"a": NOON.replace(microsecond=999)}, []),
        ({"": 1, "a": {"": 1}}, {"": 1, "a": {"": 1}}, []),
    ],
    "a scalar": [
        ({}, {"a": 1}, [Set.of("a", 1)]),
        ({"a": 1}, {"a": 2}, [Set.of("a", 2)]),
        ({"a": 1}, {"a": None}, [Set.of("a", None)]),
        ({"a": 1}, {}, [Unset.of("a")]),
        ({"a": None}, {}, [Unset.of("a")]),
        ({"a": 1}, {"a": 1.0}, [Set.of("a", 1.0)]),
        ({"a": 1}, {"a": True}, [Set.of("a", True)]),
        ({"a": Decimal("1.1")}, {"a": Decimal("1.10")}, [Set.of("a", Decimal("1.10"))]),
        ({"a": NOON}, {"a": NOON.isoformat()}, [Set.of("a", NOON.isoformat())]),
        ({"a": 1}, {"a.b": 1}, [Unset.of("a"), Set.of(("a.b",), 1)]),
    ],
    "a dict": [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [Set.of("a.c", 3)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, [Unset.of("a.c")]),
        ({"a": {"b": 1}}, {"a": {}}, [Unset.of("a.b")]),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": {"d": 1, "e": 2}}}}, [Set.of("a.b.c.e", 2)]),
        ({"a": {"0": 1}}, {"a": {"0": 2}}, [Set.of("a.0", 2)]),
        ({}, {"a": {"b": 1, "c": {"d": 2}}}, [Set.of("a.b", 1), Set.of("a.c.d", 2)]),
        ({}, {"a": {}}, [SetDefault.of("a", {})]),
        ({"a": {}}, {"a": {"b": {}}}, [SetDefault.of("a.b", {})]),
        ({"a": 1}, {"a": {"b": 1}}, [Set.of("a", {"b": 1})]),
        ({"a": None}, {"a": {}}, [Set.of("a", {})]),
        ({"a": {"b": 1}}, {"a": 1}, [Set.of("a", 1)]),
        ({"a": {"0": 1}}, {"a": [1]}, [Set.of("a", [1])]),
    ],
    "a list": [
        ({}, {"a": []}, [SetDefault.of("a", [])]),
        ({}, {"a": ()}, [SetDefault.of("a", [])]),
        ({}, {"a": [1, 2]}, [Push.of("a", [1, 2])]),
        ({"a": []}, {"a": [1]}, [Push.of("a", [1])]),
        ({"a": [1]}, {"a": [1, 2, 3]}, [Push.of("a", [2, 3])]),
        ({"a": [{"b": [1]}]}, {"a": ({"b": (1,)}, 2)}, [Push.of("a", [2])]),
        ({"a": {"b": [1]}}, {"a": {"b": [1, [2]]}}, [Push.of("a.b", [[2]])]),
        ({}, {"a": {"b": [1]}}, [Push.of("a.b", [1])]),
        ({"a": [1, 2]}, {"a": [1]}, [Set.of("a", [1])]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [Set.of("a", [2, 1])]),
        ({"a": [1, 2]}, {"a": [0, 1, 2]}, [Set.of("a", [0, 1, 2])]),
        ({"a": [1]}, {"a": [1.0, 2]}, [Set.of("a", [1.0, 2])]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [Set.of("a", [{"b": 2}])]),
        ({"a": [1]}, {"a": []}, [Set.of("a", [])]),
        ({"a": [1]}, {"a": {}}, [Set.of("a", {})]),
        ({"a": 1}, {"a": [1]}, [Set.of("a", [1])]),
        ({"a": None}, {"a": []}, [Set.of("a", [])]),
    ],
    "a name that no path has": [
        ({"a": {"b": 1}}, {"a": {"b": 1, "": 2}}, [Set.of("a", {"b": 1, "": 2})]),
        ({"a": {"b": 1, "": 2}}, {"a": {"b": 1}}, [Set.of("a", {"b": 1})]),
        ({"a": {"": 1}}, {"a": {"": 2}}, [Set.of("a", {"": 2})]),
        ({"a": {"": 1, "b": 1}}, {"a": {"": 1, "b": 2}}, [Set.of("a.b", 2)]),
        ({"a": {"": {"b": 1}}}, {"a": {"": {"b": 2}}}, [Set.of("a", {"": {"b": 2}})]),
        ({"a": {"x": {"": 1}, "y": 1}}, {"a": {"x": {"": 2}, "y": 2}}, [Set.of("a.x", {"": 2}), Set.of("a.y", 2)]),
        ({}, {"a": {"b": {"": 1}, "c": 1}}, [Set.of("a.b", {"": 1}), Set.of("a.c", 1)]),
        ({}, {"a": {"b": {"": {"c": 1}}}}, [Set.of("a.b", {"": {"c": 1}})]),
        ({"": {"a": 1}, "b": 1}, {"": {"a": 1}, "b": 2}, [Set.of("b", 2)]),
    ],
}


@pytest.mark.parametrize(
    ("before", "changed", "operators"),
    [pytest.param(*row, id=f"{name} {number}") for name, rows in SAID.items() for number, row in enumerate(rows)],
)
def test_a_difference_is_said_like_this(before: Data, changed: Data, operators: list[Operator]) -> None:
    found = diff(before, changed)

    assert found == tuple(operators)
    assert [type(operator) for operator in found] == [type(operator) for operator in operators]
    assert same(after(before, found), check_value(changed, ()))


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        ({}, {"": 1}),
        ({"": 1}, {}),
        ({"": 1}, {"": 2}),
        ({"": {"a": 1}}, {"": {"a": 2}}),
        ({}, {"a\0": 1}),
        ({}, {"\ud800": 1}),
        ({}, {"x" * 300: 1}),
        ({}, {1: 1}),
        ({}, {None: {}}),
    ],
)
def test_a_changed_field_needs_a_name_that_it_can_have(before: Data, changed: Any) -> None:
    with pytest.raises(InvalidPath):
        diff(before, changed)


@pytest.mark.parametrize(
    ("before", "changed", "path"),
    [
        ({}, {"a": {1, 2}}, "a"),
        ({"a": 1}, {"a": float("nan")}, "a"),
        ({"a": 1.0}, {"a": float("nan")}, "a"),
        ({"a": Decimal(1)}, {"a": Decimal("sNaN")}, "a"),
        ({"a": NOON}, {"a": datetime(2031, 2, 3)}, "a"),  # noqa: DTZ001
        ({"a": {"b": 1}}, {"a": {"b": 1j}}, "a.b"),
        ({"a": [1]}, {"a": [1, {"b": object}]}, "a.0.b"),
        ({"a": [1, 2]}, {"a": [1, {"b": object}]}, "a.1.b"),
        ({"a": {}}, {"a": {1: 2}}, "a"),
        ({}, {"a": {"b": {1: 2}}}, "a.b"),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c\0": 2}}, "a"),
    ],
)
def test_what_changed_must_be_a_value(before: Data, changed: Any, path: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        diff(before, changed)

    assert caught.value.path == path


@pytest.mark.parametrize("before", [{}, {"a": 1}, {"a": {}}, {"a": []}, {"a": {"a": {"a": {"b": 1}}}}])
@pytest.mark.parametrize("kind", [dict, list])
def test_what_contains_itself_is_too_deep(before: Data, kind: type) -> None:
    endless: Any = kind()
    if kind is dict:
        endless["a"] = endless
        endless["b"] = endless
    else:
        endless += [endless, endless]

    with pytest.raises(LimitExceeded) as caught:
        diff(before, {"a": endless})
    assert caught.value.limit == "depth"


def test_a_long_name_below_the_top_exceeds_its_limit() -> None:
    with pytest.raises(LimitExceeded) as caught:
        diff({"a": {"b": 1}}, {"a": {"b": 1, "x" * 300: 1}})
    assert caught.value.limit == "name"


def test_what_did_not_change_is_not_asked_whether_it_is_legal_now() -> None:
    before: Data = {"a": {"b": {"c": {"d": 1}}}, "long name": 1, "n": 1}

    assert diff(before, {**before, "n": 2}, Limits(depth=2, name=3)) == (Set.of("n", 2),)


def test_what_is_too_deep_for_a_path_is_said_by_what_holds_it() -> None:
    before: Data = {"a": {"b": {"c": 1, "d": 1}}}

    with pytest.raises(LimitExceeded):
        diff(before, {"a": {"b": {"c": 1, "d": 2}}}, Limits(depth=2))
    assert diff(before, {"a": {"b": {}}}, Limits(depth=3)) == (Unset.of("a.b.c"), Unset.of("a.b.d"))


def test_a_delta_may_take_more_operators_than_an_application_may_chain() -> None:
    changed = {"a": {str(number): number for number in range(500)}}

    assert len(diff({}, changed, Limits(operators=3))) == 500


def test_the_delta_holds_nothing_of_what_it_was_made_from() -> None:
    inner: list[Any] = [{"x": 1}]
    changed: Data = {"a": inner, "b": {"c": inner}}
    delta = diff({"a": 1}, changed)
    inner[0]["x"] = 2
    inner.append(3)

    assert after({"a": 1}, delta) == {"a": [{"x": 1}], "b": {"c": [{"x": 1}]}}


# --- plain code in two requests at once

EDITS: list[tuple[Data, Callable[[Data], object], Callable[[Data], object], Data]] = [
    ({}, lambda s: s.update(a=1), lambda s: s.update(b=2), {"a": 1, "b": 2}),
    ({}, lambda s: s.update(c={"a": 1}), lambda s: s.setdefault("c", {}).update(b=2), {"c": {"a": 1, "b": 2}}),
    ({}, lambda s: s.setdefault("log", []).append(1), lambda s: s.setdefault("log", []).append(2), {"log": [1, 2]}),
    ({}, lambda s: s.setdefault("c", {}), lambda s: s.setdefault("c", {}).update(b=2), {"c": {"b": 2}}),
    ({"log": [0]}, lambda s: s["log"].append(1), lambda s: s["log"].extend([2, 3]), {"log": [0, 1, 2, 3]}),
    ({"a": 1, "b": 1}, lambda s: s.pop("a"), lambda s: s.update(b=2), {"b": 2}),
    ({"c": {"x": 1, "y": 1}}, lambda s: s["c"].pop("x"), lambda s: s["c"].update(z=3), {"c": {"y": 1, "z": 3}}),
]  # fmt: skip


@pytest.mark.parametrize(("before", "one", "other", "both"), EDITS)
def test_plain_code_in_two_requests_keeps_both_changes(
    before: Data, one: Callable[[Data], object], other: Callable[[Data], object], both: Data
) -> None:
    deltas = []
    for edit in (one, other):
        view = copy.deepcopy(before)
        edit(view)
        deltas.append(diff(before, view))

    assert after(before, *deltas) == both


# --- laws


@st.composite
def edits(draw: st.DrawFn) -> tuple[Data, Data]:
    before = draw(strategies.data())
    return before, draw(strategies.edited(before))


@given(edits())
def test_applying_the_difference_gives_what_it_was_made_from(edit: tuple[Data, Data]) -> None:
    before, changed = edit
    original = copy.deepcopy(before)
    try:
        delta = diff(before, changed)
    except InvalidPath:
        assert "" in before or "" in changed
        return
    result = after(before, delta)

    assert same(result, check_value(changed, ()))
    assert same(before, original)
    assert diff(result, changed) == ()


@given(edits())
def test_no_two_operators_of_a_difference_touch_the_same_place(edit: tuple[Data, Data]) -> None:
    before, changed = edit
    assume("" not in changed)
    update = Update()
    delta = diff(before, changed)
    for operator in delta:
        update = chain(update, operator)

    assert update.operators == delta


@given(strategies.data())
def test_nothing_changed_is_no_operator(data: Data) -> None:
    assert diff(data, copy.deepcopy(data)) == ()


@given(st.data())
def test_two_changes_of_different_names_both_survive_at_any_depth(draws: st.DataObject) -> None:
    ours, theirs = draws.draw(strategies.data()), draws.draw(strategies.data())
    theirs = {f"their {name}": value for name, value in theirs.items()}
    our_edit = draws.draw(strategies.edited(ours))
    their_edit = {f"their {name}": value for name, value in draws.draw(strategies.edited(theirs)).items()}
    assume("" not in our_edit)
    assume(not set(our_edit) & ({*theirs, *their_edit}))
    path = draws.draw(st.lists(strategies.names(), max_size=3))

    def at(value: Data) -> Data:
        for name in reversed(path):
            value = {name: value, f"beside {name}": 0}
        return value

    before = at(ours | theirs)
    mine, yours = diff(before, at(our_edit | theirs)), diff(before, at(ours | their_edit))
    both = check_value(at(our_edit | their_edit), ())

    assert same(after(before, mine, yours), both)
    assert same(after(before, yours, mine), both)


@given(st.data())
def test_two_changes_that_both_make_the_parents_both_survive(draws: st.DataObject) -> None:
    path = draws.draw(st.lists(strategies.names(), min_size=1, max_size=3))
    fields = draws.draw(st.dictionaries(strategies.names(), strategies.values(3), min_size=2, max_size=4))
    half = set(list(fields)[::2])

    def at(value: Value) -> Data:
        for name in reversed(path):
            value = {name: value}
        assert isinstance(value, dict)
        return value

    mine = diff({}, at({name: value for name, value in fields.items() if name in half}))
    yours = diff({}, at({name: value for name, value in fields.items() if name not in half}))

    assert same(after({}, mine, yours), at(fields))
    assert same(after({}, yours, mine), at(fields))
