"""
Where the library is stricter than MongoDB, or otherwise than it: each case beside what the bare server does.

`docs/mongodb.md` lists them; `tests/docs/test_mongodb.py` holds the list to these tests.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import WriteError

from atomic_session.commands import Answer, Outcome
from atomic_session.errors import LimitExceeded, OperatorError
from atomic_session.operators import (
    AddToSet,
    Inc,
    Max,
    Min,
    Mul,
    Operator,
    Pull,
    PullWhere,
    Push,
    Rename,
    Set,
    When,
)
from atomic_session.stores.mongodb import MongoStore
from atomic_session.stores.mongodb.documents import OPTIONS, from_bson, to_bson
from atomic_session.testing.holder import ask, clean, started

DAY = datetime(2031, 2, 3, tzinfo=UTC)
ONE_ORDER, OTHER_ORDER = {"a": 1, "b": 2}, {"b": 2, "a": 1}


class Beside:
    """The bare server, and our store on it."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], store: MongoStore) -> None:
        self._bare = client.get_default_database()["bare"].with_options(codec_options=OPTIONS)
        self._store = store

    async def bare(self, before: dict[str, Any], update: dict[str, Any], read: Callable[[Any], Any] = from_bson) -> Any:
        """Return what MongoDB itself makes of *before*, the code of its error where it refuses."""
        key = await self._kept(before)
        try:
            await self._bare.update_one(key, update)
        except WriteError as error:
            return error.code
        document = await self._bare.find_one(key)
        assert document is not None
        return read(document["data"])

    async def finds(self, before: dict[str, Any], condition: dict[str, Any]) -> bool:
        """Say whether MongoDB finds *before* by *condition*."""
        key = await self._kept(before)
        return await self._bare.find_one({**key, **condition}) is not None

    async def ours(self, before: dict[str, Any], *items: Operator | When) -> tuple[Answer, dict[str, Any] | None]:
        """Return our answer, and what is kept after it."""
        holder = await started(self._store, before)
        answer = await ask(self._store, holder.update(*items))
        return answer, (await ask(self._store, holder.load())).data

    async def refused(self, before: dict[str, Any], *items: Operator | When) -> Exception:
        """Return why we refuse; nothing may have changed."""
        answer, after = await self.ours(before, *items)
        assert answer.outcome is Outcome.REFUSED
        assert after == clean(before)
        assert answer.error is not None
        return answer.error

    async def _kept(self, before: dict[str, Any]) -> dict[str, Any]:
        key = {"_id": uuid.uuid4().hex}
        await self._bare.insert_one({**key, "data": to_bson(clean(before))})
        return key


@pytest.fixture
async def beside(url: str, store: MongoStore) -> AsyncIterator[Beside]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    yield Beside(client, store)
    await client.close()


@pytest.mark.parametrize(
    ("word", "item", "result"),
    [
        ("$inc", Inc.of("n", 1), Decimal(4)),
        ("$mul", Mul.of("n", 2), Decimal(6)),
        ("$min", Min.of("n", 2), 2),
        ("$max", Max.of("n", 5), 5),
    ],
    ids=str,
)
async def test_a_decimal_is_no_number_to_an_operator(beside: Beside, word: str, item: Any, result: Any) -> None:
    operand = item.by if isinstance(item, Inc | Mul) else item.value
    assert await beside.bare({"n": Decimal(3)}, {word: {"data.n": operand}}) == {"n": result}
    assert isinstance(await beside.refused({"n": Decimal(3)}, item), OperatorError)


@pytest.mark.parametrize(
    ("stored", "word", "item", "result"),
    [
        (True, "$min", Min.of("n", 0), 0),
        (False, "$max", Max.of("n", 7), False),
        ("text", "$max", Max.of("n", 5), "text"),
        (None, "$max", Max.of("n", 5), 5),
        ([1], "$min", Min.of("n", 5), 5),
        (DAY, "$min", Min.of("n", 5), 5),
        (5, "$max", Max.of("n", DAY), DAY),
        ("text", "$min", Min.of("n", DAY), "text"),
    ],
    ids=str,
)
async def test_min_and_max_compare_within_one_kind(
    beside: Beside, stored: Any, word: str, item: Min | Max, result: Any
) -> None:
    assert await beside.bare({"n": stored}, {word: {"data.n": item.value}}) == {"n": result}
    assert isinstance(await beside.refused({"n": stored}, item), OperatorError)


@pytest.mark.parametrize(
    ("word", "item"), [("$inc", Inc.of("n", 1.7e308)), ("$mul", Mul.of("n", 10.0)), ("$mul", Mul.of("n", -1e200))]
)
async def test_a_result_that_is_not_finite_is_refused(beside: Beside, word: str, item: Inc | Mul) -> None:
    kept = await beside.bare({"n": 1.7e308}, {word: {"data.n": item.by}})
    assert abs(kept["n"]) == float("inf")
    assert "not finite" in str(await beside.refused({"n": 1.7e308}, item))


async def test_zero_has_no_sign(beside: Beside) -> None:
    kept = await beside.bare({"n": -1.0}, {"$mul": {"data.n": 0}}, read=lambda data: data)
    assert str(kept["n"]) == "-0.0"
    answer, after = await beside.ours({"n": -1.0}, Mul.of("n", 0))
    assert (str((answer.data or {})["n"]), str((after or {})["n"])) == ("0.0", "0.0")


async def test_dicts_are_equal_in_any_order_of_names(beside: Beside) -> None:
    before = {"l": [ONE_ORDER]}
    assert await beside.bare(before, {"$addToSet": {"data.l": OTHER_ORDER}}) == {"l": [ONE_ORDER, OTHER_ORDER]}
    assert (await beside.ours(before, AddToSet.of("l", [OTHER_ORDER])))[1] == {"l": [ONE_ORDER]}
    assert await beside.bare(before, {"$pullAll": {"data.l": [OTHER_ORDER]}}) == {"l": [ONE_ORDER]}
    assert (await beside.ours(before, Pull.of("l", OTHER_ORDER)))[1] == {"l": []}
    assert not await beside.finds({"d": ONE_ORDER}, {"data.d": OTHER_ORDER})
    assert (await beside.ours({"d": ONE_ORDER}, When.of("d", OTHER_ORDER), Set.of("x", 1)))[0].outcome is Outcome.DONE


async def test_a_list_is_padded_with_a_thousand_none_at_most(beside: Beside) -> None:
    kept = await beside.bare({"l": []}, {"$set": {"data.l.1001": 1}})
    assert len(kept["l"]) == 1002
    assert "past the end" in str(await beside.refused({"l": []}, Set.of("l.1001", 1)))
    assert (await beside.ours({"l": []}, Set.of("l.1000", 1)))[0].outcome is Outcome.DONE


async def test_what_passes_the_limits_of_size_is_refused(beside: Beside) -> None:
    before = {"l": ["x" * 1000] * 250}
    kept = await beside.bare(before, {"$push": {"data.l": "y" * 20_000}})
    assert len(kept["l"]) == 251
    assert isinstance(await beside.refused(before, Push.of("l", ["y" * 20_000])), LimitExceeded)


async def test_what_is_renamed_goes_no_deeper_than_the_limit(beside: Beside) -> None:
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    kept = await beside.bare({"a": deep, "b": {"c": {}}}, {"$rename": {"data.a": "data.b.c.d"}})
    assert kept == {"b": {"c": {"d": deep}}}
    assert isinstance(await beside.refused({"a": deep, "b": {"c": {}}}, Rename.of("a", "b.c.d")), LimitExceeded)


@pytest.mark.parametrize(
    ("elements", "wanted", "left"),
    [
        ([1, 2, 3], {"$gte": 2}, [1]),
        ([{"a": 1, "b": 2}, {"a": 1}], {"a": 1}, []),
        ([{"a": [1, 2]}], {"a": 1}, []),
    ],
    ids=["an operator", "a subset", "inside a list"],
)
async def test_pull_takes_its_value_literally(beside: Beside, elements: Any, wanted: Any, left: Any) -> None:
    assert await beside.bare({"l": elements}, {"$pull": {"data.l": wanted}}) == {"l": left}
    literally = [element for element in elements if element != wanted]
    assert (await beside.ours({"l": elements}, Pull.of("l", wanted)))[1] == {"l": literally}


@pytest.mark.parametrize(
    ("element", "where"),
    [({"a": [1, 2]}, {"a": 1}), ({"b": 1}, {"a": None}), ({"a": 5}, {"a": {"$gt": 1}})],
    ids=["inside a list", "none and missing", "an operator"],
)
async def test_pull_where_compares_the_named_fields_literally(beside: Beside, element: Any, where: Any) -> None:
    assert await beside.bare({"l": [element]}, {"$pull": {"data.l": where}}) == {"l": []}
    assert (await beside.ours({"l": [element]}, PullWhere.of("l", where)))[1] == {"l": [element]}


@pytest.mark.parametrize(
    ("before", "condition", "guard"),
    [
        ({"l": [1, 2]}, {"data.l": 1}, When.of("l", 1)),
        ({}, {"data.n": None}, When.of("n", None)),
        ({"n": 5}, {"data.n": {"$gt": 1}}, When.of("n", {"$gt": 1})),
        ({"l": [{"a": 1}]}, {"data.l.a": 1}, When.of("l.a", 1)),
    ],
    ids=["inside a list", "none and missing", "an operator", "through a list"],
)
async def test_when_takes_its_value_literally(
    beside: Beside, before: dict[str, Any], condition: dict[str, Any], guard: When
) -> None:
    assert await beside.finds(before, condition)
    assert (await beside.ours(before, guard, Set.of("x", 1)))[0].outcome is Outcome.UNMET


async def test_a_name_means_nothing_to_the_server(beside: Beside, url: str) -> None:
    awkward = {"$ref": "c", "$id": 1, "a.b": 2, "": 3, "01": 4, "%": 5}
    answer, after = await beside.ours({"d": awkward}, Set.of(("d", "a.b"), 6))
    assert answer.outcome is Outcome.DONE
    assert after == {"d": {**awkward, "a.b": 6}}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    kept = await client.get_default_database()["sessions"].find_one({"data.d.a%2Eb": 6})
    await client.close()
    assert kept is not None
    assert sorted(kept["data"]["d"]) == sorted(["%24ref", "%24id", "a%2Eb", "%", "%301", "%25"])


async def test_one_place_by_two_names_is_refused_and_no_end_of_the_server(beside: Beside) -> None:
    """The bare server, 6.0.5, stops at `{$set: {"a.1": …, "a.01": …}}`, so that it is not asked here."""
    assert "no position" in str(await beside.refused({"a": [1, 2]}, Set.of("a.1", 3), Set.of("a.01", 4)))
    answer, after = await beside.ours({"a": {}}, Set.of("a.1", 3), Set.of("a.01", 4))
    assert answer.outcome is Outcome.DONE
    assert after == {"a": {"1": 3, "01": 4}}


async def test_a_chain_reads_in_order_where_the_server_sees_a_conflict(beside: Beside) -> None:
    assert await beside.bare({"n": 1}, {"$set": {"data.n": 5}, "$inc": {"data.n": 1}}) == 40
    assert (await beside.ours({"n": 1}, Set.of("n", 5), Inc.of("n", 1)))[1] == {"n": 6}
