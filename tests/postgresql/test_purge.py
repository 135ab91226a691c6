"""Removing what is over: in small steps, without waiting for anybody and without making anybody wait."""

from __future__ import annotations

import asyncio

import pytest
from tests.harnesses.postgresql import PATIENCE, PostgreSQLHarness

from atomic_session.commands import Outcome
from atomic_session.operators import Inc
from atomic_session.record import Lifetimes
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.testing.holder import HOUR, NOW, Holder, ask, started

SHORT = Lifetimes(max_age=1_000)
LATER = NOW + 2 * HOUR


async def test_a_purge_removes_as_many_as_it_is_told_and_only_what_is_over(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    for _ in range(25):
        await started(store, lifetimes=SHORT)
    living = await started(store, {"n": 0})
    capped = await started(store, lifetimes=Lifetimes(max_age=10 * HOUR, max_lifetime=1_000))
    buried = await started(store)
    await ask(store, buried.destroy())
    assert await store.purge(NOW + 500, 100) == 0
    assert [await store.purge(LATER, 10) for _ in range(4)] == [10, 10, 7, 0]
    assert (await ask(store, living.load(LATER))).outcome is Outcome.DONE
    assert (await ask(store, capped.create({}, LATER))).outcome is Outcome.DONE  # its id is free again


async def test_a_purge_leaves_what_somebody_holds_for_later(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holders = [await started(store, lifetimes=SHORT) for _ in range(5)]
    connection = await harness.connect()
    async with connection.transaction():
        lock = f"SELECT FROM {harness.schema}.records WHERE id = $1 FOR UPDATE"
        await connection.execute(lock, holders[0].id)
        assert await store.purge(LATER, 10) == 4
    assert await store.purge(LATER, 10) == 1
    await connection.close()


async def test_updates_go_on_while_a_purge_is_under_way(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    over = await started(store, lifetimes=SHORT)
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


# --- in the background


class _Shop:
    """A store with a clock of its own, and what it keeps."""

    def __init__(self, harness: PostgreSQLHarness) -> None:
        self.clock = NOW
        self.store = PostgreSQLStore(harness.url, timeout=PATIENCE, clock=lambda: self.clock)
        self._harness = harness

    async def fill(self, number: int) -> Holder:
        """Begin one session that lives, and a *number* of them that are soon over."""
        living = await started(self.store, {"n": 0})
        await asyncio.gather(*(started(self.store, lifetimes=SHORT) for _ in range(number)))
        return living

    async def rows(self) -> int:
        connection = await self._harness.connect()
        count: int = await connection.fetchval(f"SELECT count(*) FROM {self._harness.schema}.records")
        await connection.close()
        return count


@pytest.fixture
async def shop(harness: PostgreSQLHarness) -> _Shop:
    await harness.make()
    return _Shop(harness)


async def test_what_is_over_goes_by_itself_after_another_write(shop: _Shop) -> None:
    living = await shop.fill(450)
    shop.clock = LATER
    assert (await ask(shop.store, living.load(LATER))).outcome is Outcome.DONE
    await ask(shop.store, living.update(Inc.of("n", 1), now=LATER))
    async with asyncio.timeout(PATIENCE):
        while await shop.rows() > 1:
            pass
    await shop.store.close()

    assert (await ask(shop.store, living.load(LATER))).data == {"n": 1}
    await shop.store.close()


async def test_a_store_that_closes_takes_the_step_that_it_has_begun_and_no_further_one(shop: _Shop) -> None:
    living = await shop.fill(250)
    shop.clock = LATER
    await ask(shop.store, living.update(Inc.of("n", 1), now=LATER))
    await shop.store.close()

    assert await shop.rows() == 51


async def test_nothing_goes_after_loads_only_nor_within_a_minute_of_the_last_time(
    shop: _Shop, harness: PostgreSQLHarness
) -> None:
    living = await shop.fill(3)
    shop.clock = LATER
    await ask(shop.store, living.load(LATER))
    await shop.store.close()
    assert await shop.rows() == 4

    await ask(shop.store, living.update(Inc.of("n", 1), now=LATER))
    await shop.store.close()
    assert await shop.rows() == 1

    await started(await harness.another(), lifetimes=SHORT)
    for shop.clock, left in ((LATER + 59_999, 2), (LATER + 60_000, 1)):
        await ask(shop.store, living.update(Inc.of("n", 1), now=shop.clock))
        await shop.store.close()
        assert await shop.rows() == left


async def test_the_first_write_of_a_process_begins_no_purge(shop: _Shop, harness: PostgreSQLHarness) -> None:
    living = await shop.fill(3)
    await shop.store.close()
    fresh = _Shop(harness)
    fresh.clock = LATER
    await ask(fresh.store, living.update(Inc.of("n", 1), now=LATER))
    await fresh.store.close()

    assert await fresh.rows() == 4


@pytest.mark.parametrize(
    ("ours", "theirs"), [(LATER, NOW + 60_000), (NOW + 60_000, LATER)], ids=["the store's", "the commands'"]
)
async def test_what_is_over_by_one_clock_only_stays(shop: _Shop, ours: int, theirs: int) -> None:
    living = await shop.fill(3)
    shop.clock = ours
    await ask(shop.store, living.update(Inc.of("n", 1), now=theirs))
    await shop.store.close()

    assert await shop.rows() == 4


async def test_a_clock_that_fails_costs_no_write_and_is_told(
    harness: PostgreSQLHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> int:
        raise ValueError("no time")

    await harness.make()
    store = PostgreSQLStore(harness.url, timeout=PATIENCE, clock=broken)
    holder = await started(store, {"n": 0})
    assert (await ask(store, holder.update(Inc.of("n", 1), known=1))).data == {"n": 1}
    await store.close()

    assert caplog.messages == ["purge_failed reason='no time'"] * 2


async def test_a_purge_that_fails_costs_no_write_is_told_and_is_tried_again(
    shop: _Shop, harness: PostgreSQLHarness, caplog: pytest.LogCaptureFixture
) -> None:
    living = await shop.fill(3)
    connection = await harness.connect()
    records = f"{harness.schema}.records"
    await connection.execute(f"CREATE RULE no_purge AS ON DELETE TO {records} DO INSTEAD NOTHING")  # no RETURNING
    shop.clock = LATER
    assert (await ask(shop.store, living.update(Inc.of("n", 1), now=LATER))).outcome is Outcome.DONE
    await shop.store.close()
    assert await shop.rows() == 4
    assert [message.partition(" ")[0] for message in caplog.messages] == ["purge_failed"]

    await connection.execute(f"DROP RULE no_purge ON {records}")
    await connection.close()
    shop.clock += 60_000
    assert (await ask(shop.store, living.update(Inc.of("n", 1), now=LATER))).outcome is Outcome.DONE
    await shop.store.close()
    assert await shop.rows() == 1
