"""A server that the environment names instead of ours: a standalone one with a password, which promises less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient
from tests.mongodb.harness import forget, fresh_url
from tests.mongodb.test_trips import Log
from tests.servers.mongodb import VARIABLE, mongodb_url, standalone

from atomic_session.commands import Outcome
from atomic_session.operators import Inc
from atomic_session.stores.mongodb import MongoStore
from atomic_session.testing.holder import ask, started


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    with standalone("tester", "p@ss/word") as url:
        yield url


async def _writes(url: str) -> list[dict[str, Any]]:
    """Keep sessions in the database that *url* names, and return the commands that wrote them."""
    log = Log()
    async with AsyncMongoClient[dict[str, Any]](url, event_listeners=[log]) as client:
        store = MongoStore(client.get_default_database())
        holders = [await started(store, {"n": 0}) for _ in range(3)]
        assert (await ask(store, holders[0].update(Inc.of("n", 1)))).data == {"n": 1}
        answers = await store.execute([holder.update(Inc.of("n", 1)) for holder in holders])
        assert [answer.outcome for answer in answers] == [Outcome.DONE] * 3
    return [command for command in log.sent if next(iter(command)) in {"insert", "update", "findAndModify"}]


async def test_the_server_that_the_environment_names_is_used_and_left_as_it_was(
    outside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, outside)
    with mongodb_url() as url:
        assert url == outside
        own = fresh_url(url)
        await _writes(own)
        with MongoClient[dict[str, Any]](outside) as client:
            before = client.list_database_names()
            forget(own)
            assert set(before) - set(client.list_database_names()) == {own.rpartition("/")[2].partition("?")[0]}


async def test_a_user_is_known_to_the_database_that_the_url_named() -> None:
    assert fresh_url("mongodb://u:p@db.example/people").endswith("?authSource=people")
    assert fresh_url("mongodb://u:p@db.example/?replicaSet=rs").endswith("?replicaSet=rs&authSource=admin")
    assert fresh_url("mongodb://u:p@db.example/x?authSource=admin").endswith("?authSource=admin")
    assert "authSource" not in fresh_url("mongodb://db.example/x")


async def test_a_standalone_server_numbers_no_write_and_a_replica_set_each(outside: str, url: str) -> None:
    """By the number the server knows a retry from a second command: without it a lost reply leaves the outcome open."""
    alone = fresh_url(outside)
    assert ["txnNumber" in command for command in await _writes(alone)] == [False] * 5
    forget(alone)
    with MongoClient[dict[str, Any]](url) as client:
        if "setName" in client.admin.command("hello"):
            assert ["txnNumber" in command for command in await _writes(url)] == [True] * 5
