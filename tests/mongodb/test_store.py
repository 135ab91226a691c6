"""Addresses, indexes, guarantees that are asked for, and several event loops."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient, ReadPreference, WriteConcern
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from atomic_session import SessionManager, SessionMiddleware
from atomic_session.commands import Login, Outcome, OwnerLimit
from atomic_session.errors import CorruptRecord, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.registry import open_url
from atomic_session.session import Session
from atomic_session.stores.mongodb import MongoStore
from atomic_session.testing.holder import NOW, ask, started


def _indexes(url: str) -> dict[str, Any]:
    with MongoClient[dict[str, Any]](url) as client:
        return dict(client.get_default_database()["sessions"].index_information())


@pytest.mark.parametrize("url", ["mongodb://db.example/shop", "mongodb://a:1,b:2/shop?replicaSet=x&collection=tokens"])
def test_a_url_makes_a_store_and_connects_to_nothing(url: str) -> None:
    assert isinstance(open_url(url), MongoStore)


@pytest.mark.parametrize(
    "url", ["mongodb://db.example", "mongodb://db.example/", "mongodb:///x", "mongodb://db.example/x?collection="]
)
def test_a_url_that_names_no_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"MongoDB|database"):
        open_url(url)


@pytest.mark.parametrize("rest", ["a.b", "a%24b", "x?collection=a..b", "x?collection=$a", "x?collection=.a"])
def test_a_url_with_a_name_that_cannot_be_one_is_refused_at_once(rest: str) -> None:
    with pytest.raises(ValueError, match="database"):
        MongoStore(f"mongodb://db.example/{rest}")


async def test_what_a_url_says_is_understood_as_the_driver_does() -> None:
    options = "readPreference=secondary&readPreferenceTags=dc:ny,rack:1&readPreferenceTags="
    store = MongoStore(f"mongodb://db.example/my%2Dshop?{options}&collection=my%2Dsessions")
    assert store._collection().full_name == "my-shop.my-sessions"
    await store.close()


async def test_a_url_that_the_driver_refuses_late_is_refused_in_our_words() -> None:
    store = MongoStore("mongodb://db.example/x?readPreferenceTags=dc:ny")
    with pytest.raises(StoreUnavailable, match="ConfigurationError"):
        await store.open()
    await store.close()


async def test_opening_makes_the_indexes_and_opening_again_leaves_them(url: str) -> None:
    for _ in range(2):
        store = MongoStore(url)
        await store.open()
        await store.close()
        indexes = _indexes(url)
        assert indexes["sweep"]["key"] == [("sweep_at", 1)]
        assert indexes["sweep"]["expireAfterSeconds"] == 0
        assert indexes["owner"]["partialFilterExpression"] == {"owner": {"$type": "string"}}


@pytest.mark.parametrize("options", [{}, {"expireAfterSeconds": 3600}])
async def test_an_index_of_another_definition_is_reported_and_left(url: str, options: dict[str, Any]) -> None:
    with MongoClient[dict[str, Any]](url) as client:
        client.get_default_database()["sessions"].create_index("sweep_at", name="old", **options)
    store = MongoStore(url)
    with pytest.raises(StoreUnavailable, match="index 'old' of another definition"):
        await store.open()
    await store.close()
    assert "sweep" not in _indexes(url)


async def test_an_equal_index_of_another_name_will_do(url: str) -> None:
    with MongoClient[dict[str, Any]](url) as client:
        client.get_default_database()["sessions"].create_index("sweep_at", name="mine", expireAfterSeconds=0)
    store = MongoStore(url)
    await store.open()
    await store.close()
    assert "sweep" not in _indexes(url)


async def test_a_collection_with_a_collation_is_refused(url: str) -> None:
    with MongoClient[dict[str, Any]](url) as client:
        client.get_default_database().create_collection("sessions", collation={"locale": "en", "strength": 1})
    store = MongoStore(url)
    with pytest.raises(StoreUnavailable, match="collation"):
        await store.open()
    await store.close()


async def test_majority_and_primary_are_asked_for_whatever_the_client_says(url: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, w=0, readPreference="secondary")
    store = MongoStore(client.get_default_database())
    collection = store._collection()
    assert collection.write_concern == WriteConcern("majority")
    assert collection.read_preference == ReadPreference.PRIMARY
    assert collection.read_concern.level == "majority"
    await client.close()


@pytest.mark.parametrize("kind", ["database", "collection"])
async def test_the_applications_own_client_is_used_and_left_open(url: str, kind: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    database = client.get_default_database()
    manager = SessionManager()
    manager.store = MongoStore(database if kind == "database" else database["tokens"])
    await manager.open()
    holder = await started(manager.store, {"n": 1})
    await manager.close()
    collection = database["sessions" if kind == "database" else "tokens"]
    assert (await collection.find_one({"_id": holder.id})) is not None
    await client.close()


async def test_the_time_to_live_only_sweeps(url: str, store: MongoStore) -> None:
    """The server may remove a record only when it was over for an hour; the filter decides who lives."""
    holder = await started(store, {"n": 1})
    with MongoClient[dict[str, Any]](url, tz_aware=True) as client:
        kept = client.get_default_database()["sessions"].find_one({"_id": holder.id}) or {}
    answer = await ask(store, holder.load())
    assert answer.record is not None
    assert kept["sweep_at"].timestamp() * 1000 >= answer.record.idle_deadline + 3_600_000
    late = holder.update(Inc.of("n", 1), now=answer.record.idle_deadline)
    assert (await ask(store, late)).outcome is Outcome.ABSENT


async def test_nobody_reads_a_token_or_a_digest_of_one_in_an_index(url: str, store: MongoStore) -> None:
    await started(store, {"n": 1}, NOW)
    keys = {name for index in _indexes(url).values() for name, _ in index["key"]}
    assert keys == {"_id", "sweep_at", "owner"}


@pytest.mark.parametrize(
    "spoil",
    [
        {"digest": "text"},
        {"digest": None},
        {"last_used": "soon"},
        {"version": "x"},
        {"idle": None},
        {"owner": ["alice"]},
    ],
    ids=str,
)
async def test_a_record_that_is_not_ours_is_told_so_and_keeps_no_other_of_its_owner(
    url: str, store: MongoStore, spoil: dict[str, Any]
) -> None:
    spoilt, other = [await started(store, {"n": 0}, owner="alice") for _ in range(2)]
    with MongoClient[dict[str, Any]](url) as client:
        client.get_default_database()["sessions"].update_one({"_id": spoilt.id}, {"$set": spoil})
    with pytest.raises(CorruptRecord):
        await ask(store, spoilt.load())
    new, login = await started(store, {"n": 0}), Login("alice", OwnerLimit(2, evict_oldest=False))
    assert (await ask(store, new.rotate(new.renewed(), login=login))).outcome is Outcome.DONE
    assert {info.id for info in await store.sessions_of("alice", NOW)} == {other.id, new.id}
    assert await store.destroy_all("alice", None, NOW) >= 2
    assert (await ask(store, other.load())).outcome is Outcome.DESTROYED


async def test_what_cannot_be_counted_up_is_not_tried_for_ever(url: str, store: MongoStore) -> None:
    holder = await started(store, {"n": 0})
    with MongoClient[dict[str, Any]](url) as client:
        client.get_default_database()["sessions"].update_one({"_id": holder.id}, {"$set": {"version": "x"}})
    with pytest.raises(CorruptRecord):
        await ask(store, holder.update(Inc.of("n", 1)))


async def _visit(request: Request) -> JSONResponse:
    session: Session = request.scope["session"]
    await session.inc("visits")
    return JSONResponse(dict(await session()))


def test_each_event_loop_has_a_client_that_closes_with_it(url: str) -> None:
    """A test client without a lifespan makes a loop for every request."""
    store = MongoStore(url)
    app = Starlette(routes=[Route("/", _visit)])
    app.add_middleware(SessionMiddleware, store=store)
    client = TestClient(app)
    counts = [client.get("/").json()["visits"] for _ in range(5)]
    assert counts == [1, 2, 3, 4, 5]
    assert len(store._clients._kept) == 1  # type: ignore[union-attr]
    assert all(loop.is_closed() for loop in store._clients._kept)  # type: ignore[union-attr]


def test_a_store_is_used_again_in_another_loop(url: str) -> None:
    store = MongoStore(url)

    async def use() -> Outcome:
        holder = await started(store, {"n": 1})
        answer = await ask(store, holder.update(Inc.of("n", 1)))
        return answer.outcome

    assert [asyncio.run(use()) for _ in range(3)] == [Outcome.DONE] * 3


def test_a_driver_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "atomic_session.stores.mongodb")
    monkeypatch.setitem(sys.modules, "atomic_session.stores.mongodb.store", None)
    with pytest.raises(ImportError, match=r"atomic-session\[mongodb\]"):
        open_url("mongodb://db.example/shop")
