"""The ways to a server: a socket file, and a master that a Sentinel names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from tests.servers import valkey
from tests.servers.valkey import Sentineled

from atomic_session import SessionManager
from atomic_session.commands import Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import AtomicSessionError
from atomic_session.operators import Inc
from atomic_session.stores.redis import RedisStore
from atomic_session.testing.holder import ask, started

PATIENCE = 2.0


async def test_a_socket_file_serves_a_whole_manager() -> None:
    with valkey.server() as server:
        manager = SessionManager(f"unix://{server.socket}?db=1&prefix=app:")
        await manager.open()
        holder = await started(manager.store, {"n": 0})
        assert (await ask(manager.store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
        await manager.close()
        client: Any = Redis(unix_socket_path=str(server.socket), db=1)
        assert [key.startswith(b"app:session:") for key in await client.keys()] == [True]
        await client.aclose()


@pytest.fixture
def sentineled() -> Iterator[Sentineled]:
    with valkey.sentineled() as made:
        yield made


async def test_a_sentinel_names_the_master_also_after_it_died(sentineled: Sentineled) -> None:
    watchers: Any = Sentinel([("127.0.0.1", sentineled.sentinel.port)])  # type: ignore[no-untyped-call]
    store = RedisStore(lambda: watchers.master_for(sentineled.name), timeout=PATIENCE)
    dispatcher = Dispatcher(store, PATIENCE)
    await dispatcher.open()
    holder = await started(store, {"n": 0})
    assert (await dispatcher.submit(holder.update(Inc.of("n", 1)))).opened().data == {"n": 1}
    client = Redis(port=sentineled.master.port)
    assert await client.wait(1, 5000) == 1  # the replica has it
    await client.aclose()

    sentineled.master.kill()
    outcome = None
    while outcome is not Outcome.DONE:
        try:
            outcome = (await dispatcher.submit(holder.update(Inc.of("n", 1)))).outcome
        except AtomicSessionError:
            await asyncio.sleep(0.05)
    replica = Redis(port=sentineled.replica.port)
    assert int(await replica.hget(f"atomic-session:session:{holder.id}", "n") or 0) == 2
    await replica.aclose()
    await dispatcher.close()
    for watcher in watchers.sentinels:
        await watcher.aclose()
