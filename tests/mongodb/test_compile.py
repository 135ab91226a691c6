"""What each operator is in MongoDB's words, and where there are none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from atomic_session.limits import DEFAULT_LIMITS, Limits
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
    When,
)
from atomic_session.stores.mongodb.compile import compile_update
from atomic_session.stores.mongodb.documents import decode_name, encode_name
from atomic_session.testing.holder import joined
from atomic_session.values import MISSING

DAY = datetime(2031, 2, 3, tzinfo=UTC)
TOO_WIDE = Decimal("9" * 40)
NO_LIST = {"$not": {"$type": "array"}}
NOT_WIDE = {"wide": None}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Set.of("color", "red"), {"$set": {"data.color": "red"}}),
        (Set.of("a.b.0", {"x": [1]}), {"$set": {"data.a.b.0": {"x": [1]}}}),
        (Set.of(("a.b", "$c"), {"d.e": 1}), {"$set": {"data.a%2Eb.%24c": {"d%2Ee": 1}}}),
        (SetDefault.of("n", 1), {"$set": {"data.n": 1}}),
        (Unset.of("n"), {"$unset": {"data.n": ""}}),
        (Take.of("n"), {"$unset": {"data.n": ""}}),
        (Rename.of("a", "b"), {"$rename": {"data.a": "data.b"}}),
        (Inc.of("n", 2), {"$inc": {"data.n": 2}}),
        (Mul.of("n", 2), {"$mul": {"data.n": 2}}),
        (Min.of("n", 2.5), {"$min": {"data.n": 2.5}}),
        (Max.of("n", DAY), {"$max": {"data.n": DAY}}),
        (Push.of("l", [1, 2]), {"$push": {"data.l": {"$each": [1, 2]}}}),
        (Push.of("l", [1], -2, 5), {"$push": {"data.l": {"$each": [1], "$position": -2, "$slice": -5}}}),
        (AddToSet.of("l", [1, "a"]), {"$addToSet": {"data.l": {"$each": [1, "a"]}}}),
        (Pull.of("l", 1), {"$pullAll": {"data.l": [1]}}),
        (PullAll.of("l", [1, 2]), {"$pullAll": {"data.l": [1, 2]}}),
        (PullWhere.of("l", {"sku": 1}), {"$pull": {"data.l": {"sku": {"$eq": 1, "$exists": True, **NO_LIST}}}}),
        (PopFirst.of("l"), {"$pop": {"data.l": -1}}),
        (PopLast.of("l"), {"$pop": {"data.l": 1}}),
        (Replace.of({"a": 1}), {"$set": {"data": {"a": 1}}}),
    ],
    ids=str,
)
def test_an_operator_has_words(item: Operator, words: dict[str, Any]) -> None:
    compiled = compile_update(joined(item), DEFAULT_LIMITS)

    assert compiled is not None
    assert compiled.update == words


@pytest.mark.parametrize(
    ("item", "conditions"),
    [
        (When.of("n", 1), [{"data.n": {"$eq": 1, "$exists": True, **NO_LIST}}, NOT_WIDE]),
        (When.of("n", None), [{"data.n": {"$eq": None, "$exists": True, **NO_LIST}}, NOT_WIDE]),
        (When.of("n", MISSING), [{"data.n": {"$exists": False}}]),
        (When.of("n", []), [{"data.n": {"$size": 0}}]),
        (When.of("a.b", MISSING), [{"data.a": NO_LIST}, {"data.a.b": {"$exists": False}}]),
    ],
    ids=str,
)
def test_a_guard_is_a_condition(item: When, conditions: list[dict[str, Any]]) -> None:
    compiled = compile_update(joined(item), DEFAULT_LIMITS)

    assert compiled is not None
    assert compiled.update == {}
    assert compiled.conditions == conditions


@pytest.mark.parametrize(
    "item",
    [
        Set.of("n", TOO_WIDE),
        Set.of("l.1001", 1),
        SetDefault.of("n", [TOO_WIDE]),
        Rename.of("a", "b.c"),
        Inc.of("n", 1e300),
        Mul.of("n", 1e200),
        Push.of("l", [TOO_WIDE]),
        AddToSet.of("l", [{"a": 1, "b": 2}]),
        Pull.of("l", {"a": 1, "b": 2}),
        PullAll.of("l", [1, [{"a": 1, "b": 2}]]),
        PullWhere.of("l", {"x": []}),
        When.of("n", [1]),
        When.of("n", {"a": 1, "b": 2}),
    ],
    ids=str,
)
def test_what_has_no_exact_words_takes_the_slow_path(item: Operator | When) -> None:
    """This is the documented list: it is read, applied, and exchanged."""
    assert compile_update(joined(item), DEFAULT_LIMITS) is None


def test_a_chain_is_one_update() -> None:
    compiled = compile_update(joined(Set.of("a", 1), Set.of("b", 2), Inc.of("n", 1), Unset.of("x")), DEFAULT_LIMITS)

    assert compiled is not None
    assert compiled.update == {"$set": {"data.a": 1, "data.b": 2}, "$inc": {"data.n": 1}, "$unset": {"data.x": ""}}


def test_an_index_beyond_the_padding_is_for_apply_to_judge() -> None:
    assert compile_update(joined(Set.of("l.11", 1)), Limits(padding=10)) is None
    assert compile_update(joined(Set.of("l.10", 1)), Limits(padding=10)) is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "plain"),
        ("0", "0"),
        ("10", "10"),
        ("01", "%301"),
        ("", "%"),
        ("%", "%25"),
        ("$set", "%24set"),
        ("a$", "a$"),
        ("a.b", "a%2Eb"),
        ("$", "%24"),
        ("%2E", "%252E"),
    ],
)
def test_a_name_is_written_so_that_it_means_nothing_and_read_back(name: str, text: str) -> None:
    assert encode_name(name) == text
    assert decode_name(text) == name


@pytest.mark.parametrize("text", ["%zz", "a.b", "$x", "01", "%2e", "%41", ""])
def test_a_name_that_we_never_write_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="not ours"):
        decode_name(text)
