"""
MongoDB is the reference: what `operators.apply` says is what the bare server does, refusals included.

The conformance suite asks the same of the store, which may take the slow path; here every answer is the
server's own.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import WriteError

from atomic_session.errors import LimitExceeded, OperatorError
from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.operators import SetDefault, Update, apply
from atomic_session.stores.mongodb.compile import compile_update
from atomic_session.stores.mongodb.documents import OPTIONS, data_of, is_wide, to_bson
from atomic_session.stores.mongodb.failures import REFUSALS
from atomic_session.testing import strategies
from atomic_session.testing.properties import holds
from atomic_session.values import Value, same

Bare = AsyncCollection[dict[str, Any]]
Drawn = tuple[dict[str, Value], Update]

STRICTER = ("not int or float", "not datetime", "is not finite", "past the end of the list", "depth")
"""What we may refuse and the server does not: the rows of `docs/mongodb.md` that a random update can meet."""

DONE, MISSED, REFUSED = "done", "missed", "refused"


@pytest.fixture
async def bare(url: str) -> AsyncIterator[Bare]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    yield client.get_default_database()["bare"].with_options(codec_options=OPTIONS)
    await client.close()


def _drawn() -> st.SearchStrategy[Drawn]:
    def with_update(data: dict[str, Value]) -> st.SearchStrategy[Drawn]:
        alone = strategies.operators(data).map(lambda operator: Update((operator,)))
        return st.tuples(st.just(data), st.one_of(alone, strategies.updates(data)))

    return strategies.data().flatmap(with_update)


def _meaning(data: dict[str, Value], update: Update) -> tuple[Value, str]:
    """Return what `apply` makes of *data* (None where a guard does not hold), and why it refuses."""
    try:
        applied = apply(data, update)
    except (OperatorError, LimitExceeded) as error:
        return REFUSED, str(error)
    return (None if applied is None else dict(applied.data)), ""


async def _server(bare: Bare, data: dict[str, Value], words: dict[str, Any], conditions: list[Any]) -> Value:
    """Return what the server makes of *data*."""
    key = {"_id": uuid.uuid4().hex}
    await bare.insert_one({**key, "data": to_bson(data), **({"wide": True} if is_wide(data) else {})})
    where = {**key, "$and": conditions} if conditions else key
    outcome = await _outcome(bare, where, words)
    document = await bare.find_one_and_delete(key)
    assert document is not None
    after = dict(data_of(document))
    assert outcome == DONE or same(after, data)
    return after if outcome == DONE else outcome


async def _outcome(bare: Bare, where: dict[str, Any], words: dict[str, Any]) -> str:
    try:
        result = await bare.update_one(where, words)
    except WriteError as error:
        return REFUSED if error.code in REFUSALS else f"error {error.code}"
    return DONE if result.matched_count else MISSED


async def test_what_the_server_does_under_our_conditions_is_what_apply_says(bare: Bare) -> None:
    seen: Counter[str] = Counter()

    async def law(drawn: Drawn) -> None:
        data, update = drawn
        compiled = compile_update(update, DEFAULT_LIMITS)
        if compiled is None or not compiled.update:
            seen["slow"] += 1
            return
        found = await _server(bare, data, compiled.update, compiled.conditions)
        seen[found if isinstance(found, str) else DONE] += 1
        if found != MISSED:
            meaning, cause = _meaning(data, update)
            assert same(found, meaning), f"{update} on {data!r}: the server leaves {found!r}, not {meaning!r} ({cause})"

    await holds(law, _drawn(), examples=500)
    assert 5 * seen[DONE] > seen.total()
    assert seen[REFUSED] > 0


async def test_what_the_server_does_alone_is_what_apply_says_but_for_the_documented_cases(bare: Bare) -> None:
    agreed: Counter[bool] = Counter()

    async def law(drawn: Drawn) -> None:
        data, update = drawn
        update = Update(tuple(item for item in update.operators if not isinstance(item, SetDefault)))
        compiled = compile_update(update, DEFAULT_LIMITS)
        if compiled is None or not compiled.update:
            return
        found = await _server(bare, data, compiled.update, [])
        meaning, cause = _meaning(data, update)
        agreed[same(found, meaning)] += 1
        if not same(found, meaning):
            assert meaning == REFUSED, f"{update} on {data!r}: the server leaves {found!r}, not {meaning!r}"
            assert any(reason in cause for reason in STRICTER), cause

    await holds(law, _drawn(), examples=500)
    assert agreed[True] > 2 * agreed[False]
