"""One connection, many commands: what was sent, what was not, and what becomes of both when it breaks."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.harnesses.redis import RedisHarness
from tests.servers.proxy import proxy

from atomic_session.commands import Answer, Outcome
from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.redis import RedisStore
from atomic_session.stores.redis.scripts import SCRIPTS
from atomic_session.testing.holder import ask, started

MANY = 1_500


async def test_what_was_never_sent_goes_over_the_next_connection(harness: RedisHarness) -> None:
    direct = await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}", timeout=30)
        await store.open()
        holder = await started(store, {"n": 0})
        before = wire.heard.count(b"EVALSHA")
        wire.hold()
        asking = [asyncio.create_task(ask(store, holder.update(Inc.of("n", 1)))) for _ in range(MANY)]
        await wire.has_heard(before + 1_000, b"EVALSHA")
        assert wire.heard.count(b"EVALSHA") == before + 1_000  # the others wait, and are known to be unsent
        wire.cut()
        wire.let_go()
        ends = await asyncio.gather(*asking, return_exceptions=True)
        kinds = Counter(type(end) for end in ends)
        assert kinds == {OutcomeUnknown: 1_000, Answer: MANY - 1_000}
        assert wire.connections == 2
        count = ((await ask(direct, holder.load())).data or {})["n"]
        assert isinstance(count, int)
        assert MANY - 1_000 <= count <= MANY  # what had no answer was applied once or not at all
        await store.close()


async def test_the_scripts_that_a_server_lost_are_not_sent_for_each_command(harness: RedisHarness) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}")
        holders = [await started(store, {"n": 0}) for _ in range(200)]
        before = wire.heard.count(b"LOAD")
        client = harness.client()
        await client.script_flush()
        await client.aclose()
        answers = await asyncio.gather(*[ask(store, holder.update(Inc.of("n", 1))) for holder in holders])
        assert [answer.data for answer in answers] == [{"n": 1}] * 200
        assert 0 < wire.heard.count(b"LOAD") - before <= 5 * len(SCRIPTS)  # those that are answered late ask again
        await store.close()


async def test_closing_completes_what_was_accepted(harness: RedisHarness) -> None:
    direct = await harness.make()
    store = await harness.another()
    holder = await started(store, {"n": 0})
    asking = [asyncio.create_task(ask(store, holder.update(Inc.of("n", 1)))) for _ in range(100)]
    await asyncio.sleep(0)
    await store.close()
    assert {answer.outcome for answer in await asyncio.gather(*asking)} == {Outcome.DONE}
    assert (await ask(direct, holder.load())).data == {"n": 100}


async def test_a_task_that_is_cancelled_takes_no_other_with_it(harness: RedisHarness) -> None:
    store = await harness.make()
    holders = [await started(store, {"n": 0}) for _ in range(40)]
    asking = [asyncio.create_task(ask(store, holder.update(Inc.of("n", 1)))) for holder in holders]
    await asyncio.sleep(0)
    for task in asking[::2]:
        task.cancel()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends[::2])
    assert [end.data for end in ends[1::2] if isinstance(end, Answer)] == [{"n": 1}] * 20


async def test_closing_gives_back_a_connection_that_nobody_waits_for_any_more(harness: RedisHarness) -> None:
    await harness.make()
    client: Any = Redis.from_url(harness.url, max_connections=1)
    store = RedisStore(client, prefix=harness.prefix)
    holder = await started(store, {"n": 0})
    await store.close()
    asking = asyncio.create_task(ask(store, holder.load()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it has begun to connect
    asking.cancel()
    await asyncio.wait([asking])
    await store.close()
    assert await client.ping()  # the one connection is free
    await client.aclose()


async def test_a_server_that_speaks_another_language_is_left(harness: RedisHarness) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}", timeout=5)
        await store.open()
        holder = await started(store, {"n": 0})
        wire.lie = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with pytest.raises(OutcomeUnknown, match="protocol"):
            await ask(store, holder.update(Inc.of("n", 1)))
        wire.lie = b""
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 2}
        await store.close()


async def test_a_connection_that_was_idle_for_as_long_as_the_client_allows_is_replaced(harness: RedisHarness) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        client = Redis(port=wire.port, health_check_interval=30)
        store = RedisStore(client, prefix=harness.prefix)
        holder = await started(store, {"n": 0})
        before = wire.connections
        servers: Any = store._clients.get()
        servers._multiplexer._wire.used -= 31  # as after so many seconds
        assert (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
        assert wire.connections == before + 1
        await store.close()
        await client.aclose()


async def test_a_pool_without_a_free_connection_is_unavailable_and_nothing_was_sent(harness: RedisHarness) -> None:
    await harness.make()
    client: Any = Redis.from_url(harness.url, max_connections=1)
    taken = await client.connection_pool.get_connection()
    store = RedisStore(client, prefix=harness.prefix)
    with pytest.raises(StoreUnavailable, match="connections"):
        await started(store, {"n": 0})
    await client.connection_pool.release(taken)
    await started(store, {"n": 0})
    await store.close()
    await client.aclose()
