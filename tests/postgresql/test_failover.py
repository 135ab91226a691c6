"""A primary and a standby that takes its place: the store moves there unaided, and what may be lost is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import pytest
from tests.servers import postgresql
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import proxy

from atomic_session.commands import Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.testing.holder import NOW, Holder, ask, started

PATIENCE = 2.0
HEALED = 20.0
SYNCHRONOUS = ("-c", "synchronous_standby_names=*", "-c", "synchronous_commit=on")


class Pair(NamedTuple):
    """A primary, and the standby that follows it."""

    primary: PostgreSQL
    standby: PostgreSQL

    @property
    def url(self) -> str:
        return _both(self.primary.port, self.standby.port)

    @asynccontextmanager
    async def pool(self, size: int) -> AsyncIterator[asyncpg.Pool]:
        """A pool of the application's own, which knows both."""
        async with asyncpg.create_pool(self.url, target_session_attrs="read-write", min_size=0, max_size=size) as made:
            yield made


@asynccontextmanager
async def pair(*options: str) -> AsyncIterator[Pair]:
    """Run both; *options* are the primary's."""
    with postgresql.server(*options) as primary, postgresql.standby(primary) as standby:
        await _until(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
        yield Pair(primary, standby)


class Writers:
    """Twenty sessions that are counted up all the time, and what their writers were told."""

    def __init__(self, dispatcher: Dispatcher, holders: list[Holder]) -> None:
        self._dispatcher = dispatcher
        self._holders = holders
        self.acknowledged = [0] * len(holders)
        self.unknown = [0] * len(holders)
        self.refused = 0
        self.slowest = 0.0
        self._over = False
        self._tasks = [asyncio.create_task(self._write(number)) for number in range(len(holders))]

    async def all_have_written(self) -> None:
        """Wait until everybody was acknowledged something, counted from now."""
        before = list(self.acknowledged)
        await self._until(lambda: all(now > then for now, then in zip(self.acknowledged, before, strict=True)))

    async def somebody_is_refused(self) -> None:
        before = self.refused
        await self._until(lambda: self.refused > before)

    async def end(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HEALED):
            while not condition():
                assert not any(task.done() for task in self._tasks), self._tasks
                await asyncio.sleep(0.01)

    async def _write(self, number: int) -> None:
        while not self._over:
            began = time.monotonic()
            try:
                answer = await self._dispatcher.submit(self._holders[number].update(Inc.of("n", 1)))
                assert answer.outcome is Outcome.DONE
                self.acknowledged[number] += 1
            except OutcomeUnknown:
                self.unknown[number] += 1
            except StoreUnavailable:
                self.refused += 1
                await asyncio.sleep(0.01)
            self.slowest = max(self.slowest, time.monotonic() - began)


@pytest.mark.parametrize("own", [True, False], ids=["by its URL", "a pool of the application's"])
@pytest.mark.parametrize("options", [SYNCHRONOUS, ()], ids=["synchronous", "asynchronous"])
async def test_a_primary_that_dies_under_load_is_replaced_and_what_was_lost_is_printed(
    options: tuple[str, ...], own: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with pair(*options) as servers, servers.pool(4) as pool:
        store = PostgreSQLStore(servers.url if own else pool, timeout=PATIENCE)
        holders = [await started(store, {"n": 0}) for _ in range(20)]
        dispatcher = Dispatcher(store, PATIENCE)
        writers = Writers(dispatcher, holders)
        await writers.all_have_written()
        await asyncio.to_thread(servers.primary.kill)
        await writers.somebody_is_refused()
        await asyncio.to_thread(servers.standby.promote)
        began = time.monotonic()
        await writers.all_have_written()
        healed = time.monotonic() - began
        await writers.end()
        counts = [await _count(store, holder) for holder in holders]
        await dispatcher.close()
    lost = doubled = 0
    for count, acknowledged, unknown in zip(counts, writers.acknowledged, writers.unknown, strict=True):
        lost += max(acknowledged - count, 0)
        doubled += max(count - acknowledged - unknown, 0)
    with capsys.disabled():
        print(  # noqa: T201
            f"\nfailover: {sum(writers.acknowledged)} updates acknowledged, {lost} of them lost, "
            f"{sum(writers.unknown)} unknown, {sum(counts)} stored, {writers.refused} refused, {doubled} doubled; "
            f"all were written {healed:.2f} s after the promotion, the slowest answer took {writers.slowest:.2f} s"
        )
    assert doubled == 0
    assert writers.slowest < 2 * PATIENCE
    if options:
        assert lost == 0


async def test_a_failover_to_an_asynchronous_standby_may_undo_an_acknowledged_logout() -> None:
    async with pair() as servers:
        store = PostgreSQLStore.from_url(servers.url, timeout=PATIENCE)
        holder, other = await started(store, {"n": 0}), await started(store, {"n": 0})
        assert (await ask(store, other.update(Inc.of("n", 1)))).data == {"n": 1}
        await _cut(servers)
        assert (await ask(store, holder.destroy())).outcome is Outcome.DONE
        assert (await ask(store, other.update(Inc.of("n", 1)))).data == {"n": 2}
        assert (await ask(store, holder.load())).outcome is Outcome.DESTROYED
        await _fail_over(servers)
        assert await _count(store, other) == 1
        assert (await ask(store, holder.load())).data == {"n": 0}
        await store.close()


async def test_what_a_synchronous_standby_does_not_have_is_not_acknowledged() -> None:
    async with pair(*SYNCHRONOUS) as servers:
        store = PostgreSQLStore.from_url(servers.url, timeout=PATIENCE)
        holder, other = await started(store, {"n": 0}), await started(store, {"n": 0})
        await _cut(servers)
        began = time.monotonic()
        for command in (holder.destroy(), other.update(Inc.of("n", 1))):
            with pytest.raises(OutcomeUnknown):
                await ask(store, command)
        assert time.monotonic() - began < 4 * PATIENCE
        await _fail_over(servers)
        assert await _count(store, holder) == 0
        assert await _count(store, other) == 0
        await store.close()


async def test_a_synchronous_primary_goes_on_when_its_standby_is_back() -> None:
    async with pair(*SYNCHRONOUS) as servers:
        store = PostgreSQLStore.from_url(servers.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        servers.standby.kill()
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.update(Inc.of("n", 1)))
        servers.standby.start()
        await _until(servers.primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 2}
        await store.close()


async def test_a_primary_that_falls_silent_is_left_for_the_next_host() -> None:
    """Nobody says that its machine is gone: connections to it stay, and new ones get no answer."""
    async with pair() as servers, proxy(servers.primary.url) as wire:
        store = PostgreSQLStore.from_url(_both(wire.port, servers.standby.port), timeout=PATIENCE)
        holders = [await started(store, {"n": 0}) for _ in range(8)]
        dispatcher = Dispatcher(store, PATIENCE)
        await asyncio.gather(*[store.sessions_of("alice", NOW) for _ in holders])  # all connections are made
        await _caught_up(servers)
        wire.dead = True
        servers.standby.promote()
        began = time.monotonic()
        for holder in holders:
            await _first(dispatcher, holder)
        assert time.monotonic() - began < 6 * PATIENCE
        assert [await _count(store, holder) for holder in holders] == [1] * 8
        async with asyncio.timeout(2 * PATIENCE):
            await dispatcher.close()


@pytest.mark.parametrize("own", [True, False], ids=["by its URL", "a pool of the application's"])
async def test_a_primary_that_only_reads_from_now_on_is_left_for_the_new_one(own: bool) -> None:
    async with pair() as servers, servers.pool(1) as pool:
        store = PostgreSQLStore(servers.url if own else pool, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        await asyncio.gather(*[store.sessions_of("alice", NOW) for _ in range(8)])  # all connections are made
        await _caught_up(servers)
        servers.standby.promote()
        there = PostgreSQLStore(servers.standby.url)
        assert (await ask(there, holder.update(Inc.of("n", 5)))).data == {"n": 5}
        await _set(servers.primary, "default_transaction_read_only", "on")
        with pytest.raises(StoreUnavailable, match="read-only"):
            await ask(store, holder.update(Inc.of("n", 1)))
        assert await asyncio.gather(*[_count(store, holder) for _ in range(8)]) == [5] * 8
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 6}
        await there.close()
        await store.close()


async def test_a_standby_that_was_asked_for_is_told_and_serves_when_it_is_promoted() -> None:
    async with pair() as servers:
        first = PostgreSQLStore(servers.primary.url)
        holder = await started(first, {"n": 0})
        await first.close()
        await _caught_up(servers)
        strict = PostgreSQLStore(f"{servers.standby.url}?target_session_attrs=primary", timeout=PATIENCE)
        lax = PostgreSQLStore(f"{servers.standby.url}?target_session_attrs=any", timeout=PATIENCE)
        with pytest.raises(StoreUnavailable, match="standby"):
            await strict.open()
        for command in (holder.load(), holder.update(Inc.of("n", 1)), holder.destroy()):
            with pytest.raises(StoreUnavailable, match="standby"):
                await ask(lax, command)
        servers.standby.promote()
        assert (await ask(lax, holder.update(Inc.of("n", 1)))).data == {"n": 1}
        assert (await ask(strict, holder.update(Inc.of("n", 1)))).data == {"n": 2}
        await strict.close()
        await lax.close()


def _both(first: int, second: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres"


async def _fail_over(servers: Pair) -> None:
    """Have the standby take over; when this returns, who held a connection to the dead primary has heard of it."""
    await asyncio.to_thread(servers.primary.kill)
    await asyncio.to_thread(servers.standby.promote)


async def _first(dispatcher: Dispatcher, holder: Holder) -> None:
    """Count *holder* up where somebody takes it; what was sent into the silence did not arrive there."""
    while True:
        try:
            answer = await dispatcher.submit(holder.update(Inc.of("n", 1)))
        except (OutcomeUnknown, StoreUnavailable):
            continue
        assert answer.outcome is Outcome.DONE
        return


async def _count(store: PostgreSQLStore, holder: Holder) -> int:
    count = ((await ask(store, holder.load())).data or {})["n"]
    assert isinstance(count, int)
    return count


async def _ask(server: PostgreSQL, *statements: str) -> Any:
    """Return the value that the last of *statements* brings."""
    connection = await asyncpg.connect(server.url)
    values = [await connection.fetchval(statement) for statement in statements]
    await connection.close()
    return values[-1]


async def _until(server: PostgreSQL, condition: str) -> None:
    async with asyncio.timeout(HEALED):
        while not await _ask(server, condition):
            pass


async def _set(server: PostgreSQL, name: str, value: str) -> None:
    """Change a setting for everybody who is there, and whoever comes."""
    await _ask(server, f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()")
    await _until(server, f"SELECT current_setting('{name}') = '{value}'")


async def _cut(servers: Pair) -> None:
    """Have the standby hear of nothing any more."""
    await _set(servers.standby, "primary_conninfo", "")
    await _until(servers.primary, "SELECT count(*) = 0 FROM pg_stat_replication")


async def _caught_up(servers: Pair) -> None:
    """Wait until the standby shows all that the primary has now."""
    there = await _ask(servers.primary, "SELECT pg_current_wal_lsn()::text")
    await _until(servers.standby, f"SELECT pg_last_wal_replay_lsn() >= '{there}'")
