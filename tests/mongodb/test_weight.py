"""What a document is said to weigh is never less than the text of its data: so the limits of size hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pymongo import MongoClient

from atomic_session.commands import Outcome
from atomic_session.errors import LimitExceeded
from atomic_session.limits import Limits
from atomic_session.operators import AddToSet, Inc, Max, Operator, Push, Rename, Replace, Set, SetDefault, Take, Unset
from atomic_session.stores.mongodb import MongoStore
from atomic_session.testing.holder import ask, started
from atomic_session.values import encode

AWKWARD = '"[]{}\\~%.$\x01'
LONG = "x" * 200
SMALL = Limits(field=1_000, record=1_000)


@pytest.mark.parametrize(
    "item",
    [
        Set.of("x", dict.fromkeys(AWKWARD)),
        Set.of("x", {name * 2: True for name in AWKWARD}),
        Set.of((AWKWARD, AWKWARD), AWKWARD),
        Set.of("x.50", [Decimal("-1.5E-300"), datetime.max.replace(tzinfo=UTC), b"\xff" * 40, 5e-324]),
        SetDefault.of("x", [None] * 40),
        Push.of("l", [AWKWARD, ""]),
        AddToSet.of("new", [{"[": None}]),
        Inc.of("x", -1.7976931348623157e280),
        Max.of("n", 2**63 - 1),
        Rename.of("n", AWKWARD * 10),
        Unset.of("l.0"),
        Take.of("l.1"),
        Replace.of(dict.fromkeys(AWKWARD)),
    ],
    ids=lambda item: type(item).__name__,
)
async def test_a_document_weighs_no_less_than_its_text(url: str, store: MongoStore, item: Operator) -> None:
    holder = await started(store, {"n": 1, "l": [1, 2]})
    answer = await ask(store, holder.update(item))
    assert answer.outcome is Outcome.DONE
    with MongoClient[dict[str, Any]](url) as client:
        kept = client.get_default_database()["sessions"].find_one({"_id": holder.id}) or {}
    assert kept["version"] == 2  # in one trip
    assert kept["weight"] >= len(encode((await ask(store, holder.load())).data or {}))


@pytest.mark.parametrize(
    ("data", "item"),
    [
        ({f"n{at}": at for at in range(40)}, lambda at: Rename.of(f"n{at}", f"{LONG}{at}")),
        ({"l": [1] * 400}, lambda at: Unset.of(f"l.{at}")),
    ],
    ids=["rename", "unset"],
)
async def test_many_small_steps_do_not_pass_a_limit(url: str, data: Any, item: Callable[[int], Operator]) -> None:
    store = MongoStore(url, limits=SMALL)
    holder = await started(store, data)
    steps = len(next(iter(data.values()))) if "l" in data else len(data)
    answers = [await ask(store, holder.update(item(at))) for at in range(steps)]
    refused = [answer for answer in answers if answer.outcome is Outcome.REFUSED]
    assert refused
    assert all(isinstance(answer.error, LimitExceeded) for answer in refused)
    assert len(encode((await ask(store, holder.load())).data or {})) <= SMALL.record
    await store.close()


async def test_the_largest_record_fits_into_a_document(url: str) -> None:
    limits = Limits(field=2_097_152, record=2_097_152)
    store = MongoStore(url, limits=limits, timeout=20)
    holder = await started(store, {"l": [0] * 1_048_570})  # of all values these grow most in BSON
    assert (await ask(store, holder.update(Inc.of("l.0", 1)))).outcome is Outcome.DONE
    await store.close()
    with pytest.raises(ValueError, match="'record' must be at most 2097152"):
        MongoStore(url, limits=Limits(record=limits.record + 1))


@pytest.mark.parametrize("digits", ["١٢٣", "٩" * 40, "９" * 20])
async def test_digits_of_other_scripts_are_a_name_and_no_position(store: MongoStore, digits: str) -> None:
    holder = await started(store, {"n": 1})
    assert (await ask(store, holder.update(Set.of(digits, 1), Rename.of("n", "7" * 40)))).outcome is Outcome.DONE
    assert (await ask(store, holder.load())).data == {digits: 1, "7" * 40: 1}
