"""What each operator makes of what is stored, and what it refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from atomic_session.errors import InvalidPath, InvalidValue, LimitExceeded, OperatorError
from atomic_session.limits import Limits
from atomic_session.operators import (
    AddToSet,
    Applied,
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
)
from atomic_session.paths import parse_path
from atomic_session.testing import strategies
from atomic_session.values import MISSING, Value, same

Data = dict[str, Any]

BIG = 2**63 - 1
NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)
LATER = NOON + timedelta(milliseconds=1)


def applied(data: Data, *operators: Operator, limits: Limits | None = None) -> Applied:
    """Return what *operators* make of *data*, which must stay as it is."""
    before = copy.deepcopy(data)
    result = apply(data, Update(operators), limits or Limits())
    assert same(data, before)
    assert result is not None
    return result


def refused(data: Data, *operators: Operator) -> OperatorError:
    """Return why *operators* do not fit *data*, which must stay as it is."""
    before = copy.deepcopy(data)
    with pytest.raises(OperatorError) as caught:
        apply(data, Update(operators))
    assert same(data, before)
    return caught.value


# --- what each operator makes of what is there

MEANINGS: dict[str, list[tuple[Data, Operator, Data]]] = {
    "set": [
        ({}, Set.of("a", 1), {"a": 1}),
        ({"a": 1, "b": 2}, Set.of("a", None), {"a": None, "b": 2}),
        ({}, Set.of("a.b.c", 1), {"a": {"b": {"c": 1}}}),
        ({"a": {"x": 1}}, Set.of("a.b", 1), {"a": {"x": 1, "b": 1}}),
        ({"a": {"b": 1}}, Set.of(("a.b",), 2), {"a": {"b": 1}, "a.b": 2}),
        ({"a": {"b": 1}}, Set.of("a", []), {"a": []}),
        ({}, Set.of("a.0", 1), {"a": {"0": 1}}),
        ({}, Set.of("a.-1.01", 1), {"a": {"-1": {"01": 1}}}),
        ({"a": [1, 2]}, Set.of("a.0", 9), {"a": [9, 2]}),
        ({"a": [1, 2]}, Set.of("a.2", 9), {"a": [1, 2, 9]}),
        ({"a": [1, 2]}, Set.of("a.4", 9), {"a": [1, 2, None, None, 9]}),
        ({"a": [1]}, Set.of("a.2.b", 9), {"a": [1, None, {"b": 9}]}),
        ({"a": [{"b": [1]}]}, Set.of("a.0.b.0", 9), {"a": [{"b": [9]}]}),
        ({"a": []}, Set.of("a.1000", 9), {"a": [None] * 1000 + [9]}),
    ],
    "unset": [
        ({"a": 1, "b": 2}, Unset.of("a"), {"b": 2}),
        ({"a": None}, Unset.of("a"), {}),
        ({"b": 2}, Unset.of("a"), {"b": 2}),
        ({"a": {"b": 1}}, Unset.of("a.b"), {"a": {}}),
        ({"a": {"0": 1}}, Unset.of("a.0"), {"a": {}}),
        ({"a": [1, 2, 3]}, Unset.of("a.1"), {"a": [1, None, 3]}),
        ({"a": [1, 2, 3]}, Unset.of("a.2"), {"a": [1, 2, None]}),
        ({"a": [1]}, Unset.of("a.1"), {"a": [1]}),
        ({"a": [1]}, Unset.of("a.00"), {"a": [1]}),
        ({"a": [1]}, Unset.of("a.-1"), {"a": [1]}),
        ({"a": [{"b": 1}]}, Unset.of("a.0.b"), {"a": [{}]}),
        ({"a": 5}, Unset.of("a.b"), {"a": 5}),
        ({"a": None}, Unset.of("a.b.c"), {"a": None}),
        ({"a": "text"}, Unset.of("a.0"), {"a": "text"}),
    ],
    "set_default": [
        ({}, SetDefault.of("a", 1), {"a": 1}),
        ({"a": 0}, SetDefault.of("a", 1), {"a": 0}),
        ({"a": None}, SetDefault.of("a", 1), {"a": None}),
        ({}, SetDefault.of("a.b", []), {"a": {"b": []}}),
        ({"a": [1]}, SetDefault.of("a.0", 9), {"a": [1]}),
        ({"a": [1]}, SetDefault.of("a.2", 9), {"a": [1, None, 9]}),
        ({"a": [1, None]}, SetDefault.of("a.1", 9), {"a": [1, None]}),
    ],
    "rename": [
        ({"a": 1}, Rename.of("a", "b"), {"b": 1}),
        ({"a": 1, "b": 2}, Rename.of("a", "b"), {"b": 1}),
        ({"a": None}, Rename.of("a", "b"), {"b": None}),
        ({"b": 2}, Rename.of("a", "b"), {"b": 2}),
        ({"a": {"b": [1]}}, Rename.of("a.b", "c.d"), {"a": {}, "c": {"d": [1]}}),
        ({"a": {"b": 1, "c": 2}}, Rename.of("a.b", "a.c"), {"a": {"c": 1}}),
        ({"a": {"0": 1}}, Rename.of("a.0", "a.1"), {"a": {"1": 1}}),
        ({"a": 1, "b": [2]}, Rename.of("a", "b"), {"b": 1}),
        ({"b": 5}, Rename.of("a", "b.c"), {"b": 5}),
        ({"b": [5]}, Rename.of("a", "b.0"), {"b": [5]}),
        ({"a": [1]}, Rename.of("a.1", "b"), {"a": [1]}),
        ({"a": [1]}, Rename.of("a.1.c", "b"), {"a": [1]}),
    ],
    "inc": [
        ({}, Inc.of("a", 2), {"a": 2}),
        ({}, Inc.of("a", 2.0), {"a": 2.0}),
        ({}, Inc.of("a.b", -1), {"a": {"b": -1}}),
        ({"a": 1}, Inc.of("a", 2), {"a": 3}),
        ({"a": 1}, Inc.of("a", 2.0), {"a": 3.0}),
        ({"a": 1.5}, Inc.of("a", 2), {"a": 3.5}),
        ({"a": 2**53}, Inc.of("a", 1), {"a": 2**53 + 1}),
        ({"a": 2**53 + 1}, Inc.of("a", 1.0), {"a": 2.0**53}),
        ({"a": BIG}, Inc.of("a", 0), {"a": BIG}),
        ({"a": BIG}, Inc.of("a", -BIG - 1), {"a": -1}),
        ({"a": BIG}, Inc.of("a", 1.0), {"a": 2.0**63}),
        ({"a": [1, 2]}, Inc.of("a.1", 5), {"a": [1, 7]}),
        ({"a": [1]}, Inc.of("a.2", 5), {"a": [1, None, 5]}),
    ],
    "mul": [
        ({}, Mul.of("a", 2), {"a": 0}),
        ({}, Mul.of("a", -2.5), {"a": 0.0}),
        ({"a": 3}, Mul.of("a", 2), {"a": 6}),
        ({"a": 3}, Mul.of("a", 0.5), {"a": 1.5}),
        ({"a": 0.5}, Mul.of("a", 2), {"a": 1.0}),
        ({"a": 2**62}, Mul.of("a", -2), {"a": -(2**63)}),
        ({"a": BIG}, Mul.of("a", -1), {"a": -BIG}),
        ({"a": 3037000499}, Mul.of("a", 3037000499), {"a": 9223372030926249001}),
    ],
    "min": [
        ({}, Min.of("a", 5), {"a": 5}),
        ({"a": 6}, Min.of("a", 5), {"a": 5}),
        ({"a": 4}, Min.of("a", 5), {"a": 4}),
        ({"a": 5}, Min.of("a", 5.0), {"a": 5}),
        ({"a": 5.0}, Min.of("a", 5), {"a": 5.0}),
        ({"a": 5.5}, Min.of("a", 5), {"a": 5}),
        ({"a": 2**53 + 1}, Min.of("a", 2.0**53), {"a": 2.0**53}),
        ({}, Min.of("a.b", NOON), {"a": {"b": NOON}}),
        ({"a": LATER}, Min.of("a", NOON), {"a": NOON}),
        ({"a": NOON}, Min.of("a", LATER), {"a": NOON}),
    ],
    "max": [
        ({}, Max.of("a", 5), {"a": 5}),
        ({"a": 4}, Max.of("a", 5), {"a": 5}),
        ({"a": 6}, Max.of("a", 5), {"a": 6}),
        ({"a": 5}, Max.of("a", 5.0), {"a": 5}),
        ({"a": 5.0}, Max.of("a", 5), {"a": 5.0}),
        ({"a": 2.0**53}, Max.of("a", 2**53 + 1), {"a": 2**53 + 1}),
        ({"a": NOON}, Max.of("a", LATER), {"a": LATER}),
        ({"a": LATER}, Max.of("a", NOON), {"a": LATER}),
    ],
    "push": [
        ({}, Push.of("a", [1]), {"a": [1]}),
        ({}, Push.of("a.b", [1, [2]]), {"a": {"b": [1, [2]]}}),
        ({}, Push.of("a", []), {"a": []}),
        ({"a": [1]}, Push.of("a", []), {"a": [1]}),
        ({"a": [1]}, Push.of("a", [1, None]), {"a": [1, 1, None]}),
        ({"a": [[1]]}, Push.of("a.0", [2]), {"a": [[1, 2]]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=0), {"a": [8, 9, 1, 2, 3]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=1), {"a": [1, 8, 9, 2, 3]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=7), {"a": [1, 2, 3, 8, 9]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=-1), {"a": [1, 2, 8, 9, 3]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=-7), {"a": [8, 9, 1, 2, 3]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=BIG), {"a": [1, 2, 3, 8, 9]}),
        ({}, Push.of("a", [8, 9], at=-1), {"a": [8, 9]}),
        ({"a": [1, 2, 3]}, Push.of("a", [9], keep=2), {"a": [3, 9]}),
        ({"a": [1, 2, 3]}, Push.of("a", [9], keep=4), {"a": [1, 2, 3, 9]}),
        ({"a": [1, 2, 3]}, Push.of("a", [9], keep=BIG), {"a": [1, 2, 3, 9]}),
        ({"a": [1, 2, 3]}, Push.of("a", [9], keep=0), {"a": []}),
        ({"a": [1, 2, 3]}, Push.of("a", [], keep=1), {"a": [3]}),
        ({"a": [1, 2, 3]}, Push.of("a", [8, 9], at=0, keep=2), {"a": [2, 3]}),
        ({}, Push.of("a", [8, 9], keep=1), {"a": [9]}),
    ],
    "add_to_set": [
        ({}, AddToSet.of("a", [1, 1.0, True]), {"a": [1, True]}),
        ({}, AddToSet.of("a", []), {"a": []}),
        ({"a": [1]}, AddToSet.of("a", [1.0, 2, 2]), {"a": [1, 2]}),
        ({"a": [1, 1]}, AddToSet.of("a", [1]), {"a": [1, 1]}),
        ({"a": [{"x": 1, "y": 2}]}, AddToSet.of("a", [{"y": 2, "x": 1.0}]), {"a": [{"x": 1, "y": 2}]}),
        ({"a": [None]}, AddToSet.of("a", [None, [], {}]), {"a": [None, [], {}]}),
    ],
    "pull": [
        ({"a": [1, 2, 1]}, Pull.of("a", 1), {"a": [2]}),
        ({"a": [1, 1.0, True, "1", Decimal("1.0")]}, Pull.of("a", 1), {"a": [True, "1"]}),
        ({"a": [1]}, Pull.of("a", 2), {"a": [1]}),
        ({"a": [{"x": 1, "y": 2}]}, Pull.of("a", {"x": 1}), {"a": [{"x": 1, "y": 2}]}),
        ({"a": [{"x": 1, "y": 2}]}, Pull.of("a", {"y": 2.0, "x": 1}), {"a": []}),
        ({"a": [[1, 2], 1, 2]}, Pull.of("a", [1, 2]), {"a": [1, 2]}),
        ({"a": [None, 1]}, Pull.of("a", None), {"a": [1]}),
        ({}, Pull.of("a", 1), {}),
        ({"a": {}}, Pull.of("a.b", 1), {"a": {}}),
        ({"a": [[1]]}, Pull.of("a.0", 1), {"a": [[]]}),
        ({"a": [[1]]}, Pull.of("a.1", 1), {"a": [[1]]}),
        ({"a": [1]}, Pull.of("a.1.b", 1), {"a": [1]}),
    ],
    "pull_all": [
        ({"a": [1, 2, 3, 1.0]}, PullAll.of("a", [1, 3]), {"a": [2]}),
        ({"a": [1, True]}, PullAll.of("a", []), {"a": [1, True]}),
        ({}, PullAll.of("a", [1]), {}),
    ],
    "pull where": [
        ({"a": [{"x": 1, "y": 2}, {"x": 2}]}, PullWhere.of("a", {"x": 1.0}), {"a": [{"x": 2}]}),
        ({"a": [{"x": 1}, {"x": 1, "y": 2}]}, PullWhere.of("a", {"x": 1, "y": 2}), {"a": [{"x": 1}]}),
        ({"a": [{"x": None}, {}]}, PullWhere.of("a", {"x": None}), {"a": [{}]}),
        ({"a": [{"x": [1]}]}, PullWhere.of("a", {"x": 1}), {"a": [{"x": [1]}]}),
        ({"a": [{"x": {"y": 1}}]}, PullWhere.of("a", {"x.y": 1}), {"a": [{"x": {"y": 1}}]}),
        ({"a": [{"x.y": 1}]}, PullWhere.of("a", {"x.y": 1}), {"a": []}),
        ({"a": [1, "x", ["x"], None]}, PullWhere.of("a", {"x": 1}), {"a": [1, "x", ["x"], None]}),
        ({}, PullWhere.of("a", {"x": 1}), {}),
    ],
    "pop": [
        ({"a": [1, 2, 3]}, PopFirst.of("a"), {"a": [2, 3]}),
        ({"a": [1, 2, 3]}, PopLast.of("a"), {"a": [1, 2]}),
        ({"a": [1]}, PopLast.of("a"), {"a": []}),
        ({"a": []}, PopFirst.of("a"), {"a": []}),
        ({"a": []}, PopLast.of("a"), {"a": []}),
        ({}, PopFirst.of("a"), {}),
        ({}, PopLast.of("a.b"), {}),
    ],
    "replace": [
        ({"a": 1}, Replace.of({"b": [2]}), {"b": [2]}),
        ({"a": 1}, Replace.of({}), {}),
    ],
}


def _meanings() -> list[Any]:
    return [
        pytest.param(*row, id=f"{name} {number}") for name, rows in MEANINGS.items() for number, row in enumerate(rows)
    ]


@pytest.mark.parametrize(("before", "operator", "after"), _meanings())
def test_an_operator_makes_this_of_what_is_there(before: Data, operator: Operator, after: Data) -> None:
    result = applied(before, operator)

    assert same(result.data, after)
    assert result.taken is MISSING


@pytest.mark.parametrize("verb", ["inc", "mul"])
def test_a_result_of_zero_has_no_sign(verb: str) -> None:
    operator = Inc.of("a", 0.0) if verb == "inc" else Mul.of("a", -1)
    (result,) = applied({"a": -0.0 if verb == "inc" else 0.0}, operator).data.values()

    assert repr(result) == "0.0"


@pytest.mark.parametrize(
    ("before", "path", "taken", "after"),
    [
        ({"a": [1]}, "a", [1], {}),
        ({"a": None}, "a", None, {}),
        ({"a": {"b": 1}}, "a.b", 1, {"a": {}}),
        ({"a": [1, 2]}, "a.0", 1, {"a": [None, 2]}),
        ({"a": [None]}, "a.0", None, {"a": [None]}),
        ({}, "a", MISSING, {}),
        ({"a": [1]}, "a.1", MISSING, {"a": [1]}),
        ({"a": [1]}, "a.x", MISSING, {"a": [1]}),
        ({"a": 5}, "a.b", MISSING, {"a": 5}),
        ({"a": None}, "a.b", MISSING, {"a": None}),
    ],
)
def test_take_removes_and_answers(before: Data, path: str, taken: Any, after: Data) -> None:
    result = applied(before, Take.of(path), Set.of("z", 1))

    assert same(result.taken, taken)
    assert same(result.data, {**after, "z": 1})


# --- what does not fit

NOT_LISTS: list[Any] = [None, True, 5, "text", b"", NOON, {}, {"0": 1}]
NOT_NUMBERS: list[Any] = [None, True, "5", Decimal(5), NOON, [], {}]
LIST_OPERATORS: list[Operator] = [
    Push.of("a", [1]),
    Push.of("a", [], keep=0),
    AddToSet.of("a", [1]),
    AddToSet.of("a", []),
    Pull.of("a", 1),
    PullAll.of("a", []),
    PullWhere.of("a", {"x": 1}),
    PopFirst.of("a"),
    PopLast.of("a"),
]


@pytest.mark.parametrize("stored", NOT_LISTS, ids=repr)
@pytest.mark.parametrize("operator", LIST_OPERATORS, ids=lambda operator: operator.verb)
def test_what_is_no_list_takes_and_gives_no_elements(operator: Operator, stored: Any) -> None:
    error = refused({"a": stored}, operator)

    assert not isinstance(operator, Replace)
    assert (error.operator, error.path) == (operator.verb, "a")
    assert error.reason.endswith(", not list")


@pytest.mark.parametrize("stored", NOT_NUMBERS, ids=repr)
@pytest.mark.parametrize("operator", [Inc.of("a", 1), Mul.of("a", 0.5), Min.of("a", 1), Max.of("a", 1)])
def test_what_is_no_number_is_not_calculated_with(operator: Inc | Mul | Min | Max, stored: Any) -> None:
    error = refused({"a": stored}, operator)

    assert (error.operator, error.path) == (operator.verb, "a")
    assert error.reason.endswith(", not int or float")


@pytest.mark.parametrize("stored", [None, True, 5, 5.0, "2031", [], {}], ids=repr)
@pytest.mark.parametrize("operator", [Min.of("a", NOON), Max.of("a", NOON)])
def test_a_datetime_is_compared_with_datetimes_only(operator: Min | Max, stored: Any) -> None:
    assert refused({"a": stored}, operator).reason.endswith(", not datetime")


@pytest.mark.parametrize(
    ("stored", "operator", "reason"),
    [
        (BIG, Inc.of("a", 1), "the result does not fit into 64 bits"),
        (-BIG - 1, Inc.of("a", -1), "the result does not fit into 64 bits"),
        (-BIG - 1, Mul.of("a", -1), "the result does not fit into 64 bits"),
        (2**62, Mul.of("a", 2), "the result does not fit into 64 bits"),
        (1e308, Inc.of("a", 1e308), "the result is not finite"),
        (-1e308, Mul.of("a", 10), "the result is not finite"),
        (BIG, Mul.of("a", 1e308), "the result is not finite"),
    ],
)
def test_a_result_that_a_session_cannot_hold_is_refused(stored: Any, operator: Operator, reason: str) -> None:
    assert refused({"a": stored}, operator).reason == reason


AT_ANY_PATH: list[Callable[[str], Operator]] = [
    lambda path: Set.of(path, 1),
    lambda path: SetDefault.of(path, 1),
    lambda path: Inc.of(path, 1),
    lambda path: Mul.of(path, 1),
    lambda path: Min.of(path, 1),
    lambda path: Max.of(path, NOON),
    lambda path: Push.of(path, [1]),
    lambda path: AddToSet.of(path, [1]),
    lambda path: Pull.of(path, 1),
    lambda path: PullAll.of(path, [1]),
    lambda path: PullWhere.of(path, {"x": 1}),
    PopFirst.of,
    PopLast.of,
    lambda path: Rename.of(path, "z"),
    lambda path: Rename.of("source", path),
]


@pytest.mark.parametrize("make", AT_ANY_PATH)
@pytest.mark.parametrize(
    ("stored", "path"),
    [
        (5, "a.b"),
        (None, "a.b"),
        (None, "a.0"),
        ("text", "a.0"),
        (NOON, "a.b.c"),
        ({"b": None}, "a.b.c"),
        ([5], "a.0.b"),
        ([1], "a.b"),
        ([1], "a.01"),
        ([1], "a.-1"),
        ([1], "a.b.c"),
        ([[1]], "a.0.x"),
    ],
)
def test_nothing_leads_through_a_scalar_or_to_a_name_in_a_list(
    make: Callable[[str], Operator], stored: Any, path: str
) -> None:
    operator = make(path)
    error = refused({"a": stored, "source": 1}, operator)

    assert not isinstance(operator, Replace)
    assert error.operator == operator.verb
    assert error.path == ("source" if isinstance(operator, Rename) and operator.to != ("z",) else path)


@pytest.mark.parametrize(
    "rename",
    [
        Rename.of("list.0", "b"),
        Rename.of("list.0.x", "b"),
        Rename.of("list.0.x", "list.0.y"),
        Rename.of("list.0", "list.1"),
        Rename.of("a", "list.0"),
        Rename.of("a", "list.1"),
        Rename.of("a", "list.0.y"),
        Rename.of("a", "list.9.y"),
    ],
)
def test_elements_of_lists_are_not_renamed(rename: Rename) -> None:
    error = refused({"a": 1, "list": [{"x": 1}]}, rename)

    assert error.operator == "rename"
    assert "element of a list" in error.reason


@pytest.mark.parametrize("make", [lambda path: Set.of(path, 1), lambda path: Inc.of(path, 1)])
def test_a_list_is_padded_only_so_far(make: Callable[[str], Operator]) -> None:
    limits = Limits(padding=3)

    assert len(applied({"a": [0]}, make("a.4"), limits=limits).data["a"]) == 5  # type: ignore[arg-type]
    for path in ("a.5", "a.5.b", "a." + "9" * 200):
        with pytest.raises(OperatorError, match="past the end"):
            apply({"a": [0]}, Update((make(path),)), limits)


def test_the_first_operator_that_does_not_fit_is_the_one_that_is_named() -> None:
    error = refused({"a": 1, "b": None}, Inc.of("a", 1), Inc.of("b", 1), Push.of("a.x", [1]))

    assert (error.operator, error.path) == ("inc", "b")
    assert error.reason == "it is None, not int or float"


def test_a_refusal_names_the_way_but_shows_no_value() -> None:
    error = refused({"a": {"b": "hunter2"}}, Set.of("a.b.c", "hunter3"))

    assert str(error) == "set refused at 'a.b.c': 'a.b' is str, which has nothing inside"


def test_a_rename_that_goes_too_deep_exceeds_the_limit() -> None:
    limits = Limits(depth=4)
    data: Data = {"a": {"b": [[1]]}}

    assert applied(data, Rename.of("a.b", "c.d"), limits=limits).data == {"a": {}, "c": {"d": [[1]]}}
    with pytest.raises(LimitExceeded) as caught:
        apply(data, Update((Rename.of("a.b", "c.d.e"),)), limits)
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("depth", 4, 5)


# --- guards


@pytest.mark.parametrize(
    ("data", "path", "value", "holds"),
    [
        ({"a": 1}, "a", 1, True),
        ({"a": 1}, "a", 1.0, True),
        ({"a": 1}, "a", True, False),
        ({"a": 1}, "a", 2, False),
        ({"a": None}, "a", None, True),
        ({}, "a", None, False),
        ({}, "a", MISSING, True),
        ({"a": None}, "a", MISSING, False),
        ({"a": {"b": [5, 6]}}, "a.b.1", 6, True),
        ({"a": {"b": [5, 6]}}, "a.b", 5, False),
        ({"a": {"b": [5, 6]}}, "a.b", [5, 6], True),
        ({"a": {"x": 1, "y": 2}}, "a", {"y": 2, "x": 1}, True),
        ({"a": {"x": 1, "y": 2}}, "a", {"x": 1}, False),
        ({"a": [1]}, "a.1", MISSING, True),
        ({"a": [1]}, "a.00", MISSING, True),
        ({"a": [1]}, "a.00", 1, False),
        ({"a": 5}, "a.b", MISSING, True),
        ({"a": None}, "a.b", None, False),
    ],
)
def test_a_guard_compares_what_is_there(data: Data, path: str, value: Any, *, holds: bool) -> None:
    result = apply(data, Update((Set.of("z", 1),), (When.of(path, value),)))

    assert (result is not None) is holds


def test_every_guard_must_hold_before_any_operator() -> None:
    guards = (When.of("a", 1), When.of("b", 1))
    update = Update((Inc.of("b", 1), Inc.of("c", 1)), guards)

    assert apply({"a": 1, "b": 2}, update) is None
    assert apply({"a": 1, "b": 2, "c": "text"}, update) is None
    assert apply({"a": 1, "b": 1}, update) == Applied({"a": 1, "b": 2, "c": 1})


# --- what an application may ask for


@pytest.mark.parametrize("make", [*AT_ANY_PATH, Unset.of, Take.of, lambda path: When.of(path, 1)])
@pytest.mark.parametrize("path", ["", "a..b", ("a", ""), None, "a\0"])
def test_every_operator_checks_its_path(make: Callable[[Any], object], path: Any) -> None:
    with pytest.raises(InvalidPath):
        make(path)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda value: Set.of("a.b", value), "a.b.x"),
        (lambda value: SetDefault.of("a.b", value), "a.b.x"),
        (lambda value: Pull.of("a.b", value), "a.b.x"),
        (lambda value: When.of("a.b", value), "a.b.x"),
        (lambda value: Push.of("a.b", [1, value]), "a.b.1.x"),
        (lambda value: PullAll.of("a.b", [1, value]), "a.b.1.x"),
        (lambda value: AddToSet.of("a.b", [1, value]), "a.b.1.x"),
        (lambda value: PullWhere.of("a.b", value), "a.b.0.x"),
        (Replace.of, "x"),
    ],
)
def test_every_operator_checks_its_values(make: Callable[[Any], object], path: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        make({"x": {1, 2}})
    assert caught.value.path == path

    deep: Any = {}
    for _ in range(40):
        deep = {"x": deep}
    with pytest.raises(LimitExceeded) as exceeded:
        make(deep)
    assert exceeded.value.limit == "depth"


@pytest.mark.parametrize("kind", [Inc, Mul])
@pytest.mark.parametrize("by", [True, Decimal(1), None, "1", [1], NOON, 2**63, float("nan"), float("inf"), 1j])
def test_calculations_take_finite_numbers_only(kind: type[Inc] | type[Mul], by: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        kind.of("a.b", by)
    assert caught.value.path == "a.b"


@pytest.mark.parametrize("kind", [Min, Max])
@pytest.mark.parametrize("value", [True, Decimal(1), None, "1", [1], datetime(2031, 1, 1), float("nan")])  # noqa: DTZ001
def test_comparisons_take_numbers_and_datetimes_only(kind: type[Min] | type[Max], value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        kind.of("a.b", value)
    assert caught.value.path == "a.b"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"at": True}, TypeError),
        ({"at": 1.0}, TypeError),
        ({"at": "0"}, TypeError),
        ({"at": 2**63}, InvalidValue),
        ({"at": -(2**63) - 1}, InvalidValue),
        ({"keep": False}, TypeError),
        ({"keep": 1.0}, TypeError),
        ({"keep": -1}, InvalidValue),
        ({"keep": 2**63}, InvalidValue),
    ],
)
def test_push_checks_where_and_how_much(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Push.of("a", [1], **options)


def test_pull_where_needs_names() -> None:
    with pytest.raises(InvalidValue):
        PullWhere.of("a", {})
    with pytest.raises(TypeError):
        PullWhere.of("a", [("x", 1)])


@pytest.mark.parametrize("data", [{"": 1}, {"a": 1, "": {}}])
def test_replace_takes_only_names_that_fields_can_have(data: Data) -> None:
    with pytest.raises(InvalidPath):
        Replace.of(data)


def test_replace_takes_a_dict() -> None:
    with pytest.raises(TypeError):
        Replace.of([("a", 1)])


@pytest.mark.parametrize("to", ["a", "a.b", "a.b.c", "a.b.c.d"])
def test_nothing_is_renamed_into_itself(to: str) -> None:
    with pytest.raises(InvalidPath):
        Rename.of("a.b.c", to)


def test_an_element_may_be_as_deep_as_what_is_set_in_its_place() -> None:
    limits = Limits(depth=3)

    for kind in (Push, AddToSet, PullAll):
        kind.of("a", [[1]], limits=limits)
        with pytest.raises(LimitExceeded):
            kind.of("a", [[[1]]], limits=limits)


# --- what an update says about itself


@pytest.mark.parametrize(
    ("operators", "guards", "fields"),
    [
        ((), (), set()),
        ((Set.of("a.b", 1), Inc.of("c", 1)), (), {"a", "c"}),
        ((Rename.of("a.b", "c.d"),), (), {"a", "c"}),
        ((Set.of(("a.b", "c"), 1),), (When.of("x.y", 1),), {"a.b", "x"}),
        ((), (When.of("x", 1), When.of("y", 1)), {"x", "y"}),
        ((Replace.of({"a": 1}),), (When.of("x", 1),), None),
    ],
)
def test_an_update_knows_its_fields(operators: Any, guards: Any, fields: set[str] | None) -> None:
    assert Update(operators, guards).fields == fields


def test_an_update_knows_what_it_takes() -> None:
    assert Update((Set.of("b", 1), Take.of("a.b"))).take == ("a", "b")
    assert Update((Set.of("b", 1),)).take is None


# --- laws


@st.composite
def cases(draw: st.DrawFn) -> tuple[Data, Update]:
    data = draw(strategies.data())
    return data, draw(strategies.updates(data))


def outcome(data: Data, *updates: Update) -> Applied | OperatorError | LimitExceeded | None:
    """Return what becomes of *data* by one update after the other, or the first refusal."""
    result: Applied | None = None
    for update in updates:
        try:
            result = apply(data, update)
        except (OperatorError, LimitExceeded) as error:
            return error
        data = data if result is None else result.data
    return result


@given(cases())
def test_data_is_never_changed_only_the_result_is_another(case: tuple[Data, Update]) -> None:
    data, update = case
    before = copy.deepcopy(data)
    outcome(data, update)

    assert same(data, before)


@given(cases())
def test_changing_the_result_never_changes_the_update(case: tuple[Data, Update]) -> None:
    data, update = case
    first = outcome(copy.deepcopy(data), update)
    assume(isinstance(first, Applied))
    assert isinstance(first, Applied)
    expected = copy.deepcopy(first.data)
    _spoil(first.data)
    second = outcome(data, update)

    assert isinstance(second, Applied)
    assert same(second.data, expected)


def _spoil(value: Value) -> None:
    """Put something into every container that *value* consists of."""
    if isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        value["spoilt"] = True
    elif isinstance(value, list):
        for item in value:
            _spoil(item)
        value.append("spoilt")


@given(cases())
def test_an_update_looks_at_its_own_fields_only(case: tuple[Data, Update]) -> None:
    data, update = case
    fields = update.fields
    assert fields is not None
    whole = outcome(data, update)
    part = outcome({name: value for name, value in data.items() if name in fields}, update)

    if isinstance(whole, Applied):
        assert isinstance(part, Applied)
        assert same(whole.taken, part.taken)
        rest = {name: value for name, value in data.items() if name not in fields}
        assert set(part.data) <= fields
        assert same(whole.data, part.data | rest)
    else:
        assert str(whole) == str(part)


@given(strategies.data(), strategies.data(), st.data())
def test_updates_of_different_fields_commute(ours: Data, others: Data, draws: st.DataObject) -> None:
    theirs = {f"their {name}": value for name, value in others.items()}
    first = draws.draw(strategies.updates(ours))
    second = draws.draw(strategies.updates(theirs))
    assert first.fields is not None
    assert second.fields is not None
    assume(not first.fields & second.fields)
    data = ours | theirs
    one, other = outcome(data, first, second), outcome(data, second, first)

    assert isinstance(one, Exception) is isinstance(other, Exception)
    if not isinstance(one, Exception):
        assert same(_after(data, first, second), _after(data, second, first))


def _after(data: Data, *updates: Update) -> Data:
    for update in updates:
        result = apply(data, update)
        data = data if result is None else result.data
    return data


@given(st.data())
def test_operators_of_one_dict_commute_where_their_names_differ(draws: st.DataObject) -> None:
    inner = draws.draw(strategies.data())
    first = draws.draw(strategies.operators(inner))
    second = draws.draw(strategies.operators(inner))
    assume(not Update((first,)).fields & Update((second,)).fields)  # type: ignore[operator]
    data: Data = {"deep": [{"er": inner}]}
    one = outcome(data, *(Update((_below(operator),)) for operator in (first, second)))
    other = outcome(data, *(Update((_below(operator),)) for operator in (second, first)))

    assert isinstance(one, Exception) is isinstance(other, Exception)
    if isinstance(one, Applied) and isinstance(other, Applied):
        assert same(one.data, other.data)


def _below(operator: Operator) -> Operator:
    """Return *operator* for the same data at `deep.0.er`."""
    below = ("deep", "0", "er")
    if isinstance(operator, Rename):  # inside a list it would be refused in any case
        return Unset((*below, *operator.path))
    assert not isinstance(operator, Replace)
    return msgspec.structs.replace(operator, path=(*below, *operator.path))


@given(strategies.data(), st.data())
def test_set_is_read_back_where_it_was_put(data: Data, draws: st.DataObject) -> None:
    path = draws.draw(strategies.paths(data))
    value = draws.draw(strategies.values(4))
    result = outcome(data, Update((Set(path, value),)))

    if isinstance(result, Applied):
        assert apply(result.data, Update((), (When(path, value),))) is not None
        assert apply(result.data, Update((Unset(path),))) is not None
    else:
        assert isinstance(result, OperatorError)


def test_paths_are_parsed_once_and_kept_as_names() -> None:
    assert Set.of("a.b", 1).path == parse_path("a.b") == ("a", "b")
