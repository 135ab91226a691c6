"""Removing what is over: in small steps, without waiting for anybody and without making anybody wait."""

from __future__ import annotations

from tests.harnesses.postgresql import PostgreSQLHarness

from atomic_session.commands import Outcome
from atomic_session.operators import Inc
from atomic_session.record import Lifetimes
from atomic_session.testing.holder import HOUR, NOW, ask, started


async def test_a_purge_removes_as_many_as_it_is_told_and_only_what_is_over(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    short = Lifetimes(max_age=1_000)
    for _ in range(25):
        await started(store, lifetimes=short)
    living = await started(store, {"n": 0})
    capped = await started(store, lifetimes=Lifetimes(max_age=10 * HOUR, max_lifetime=1_000))
    buried = await started(store)
    await ask(store, buried.destroy())
    assert await store.purge(NOW + 500, 100) == 0
    assert [await store.purge(NOW + 2 * HOUR, 10) for _ in range(4)] == [10, 10, 7, 0]
    assert (await ask(store, living.load(NOW + 2 * HOUR))).outcome is Outcome.DONE
    assert (await ask(store, capped.create({}, NOW + 2 * HOUR))).outcome is Outcome.DONE  # its id is free again


async def test_a_purge_leaves_what_somebody_holds_for_later(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holders = [await started(store, lifetimes=Lifetimes(max_age=1_000)) for _ in range(5)]
    connection = await harness.connect()
    async with connection.transaction():
        lock = f"SELECT FROM {harness.schema}.records WHERE id = $1 FOR UPDATE"
        await connection.execute(lock, holders[0].id)
        assert await store.purge(NOW + 2 * HOUR, 10) == 4
    assert await store.purge(NOW + 2 * HOUR, 10) == 1
    await connection.close()


async def test_updates_go_on_while_a_purge_is_under_way(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    over = await started(store, lifetimes=Lifetimes(max_age=1_000))
    living = await started(store, {"n": 0})
    connection = await harness.connect()
    async with connection.transaction():
        await connection.execute(f"DELETE FROM {harness.schema}.records WHERE id = $1", over.id)
        assert (await ask(store, living.update(Inc.of("n", 1)))).data == {"n": 1}
    await connection.close()


async def test_the_index_finds_what_is_over(harness: PostgreSQLHarness) -> None:
    await harness.make()
    connection = await harness.connect()
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch(
        f"EXPLAIN SELECT id FROM {harness.schema}.records WHERE purge_at <= 1 ORDER BY purge_at LIMIT 10 "
        "FOR UPDATE SKIP LOCKED"
    )
    assert any("records_purge" in row[0] for row in plan)
    await connection.close()
