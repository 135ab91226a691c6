"""Behind pgbouncer in transaction mode, where each transaction may have another server connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from tests.harnesses.postgresql import PostgreSQLHarness
from tests.servers.pgbouncer import find_pgbouncer, pooled

from atomic_session.dispatcher import Dispatcher
from atomic_session.operators import Inc
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.testing import CASES, Case
from atomic_session.testing.holder import ask, started

pytestmark = pytest.mark.skipif(find_pgbouncer() is None, reason="pgbouncer is not installed (Debian: pgbouncer)")


@pytest.fixture(scope="module")
def pooler(url: str) -> Iterator[str]:
    with pooled(url) as found:
        yield found


@pytest.fixture
async def harness(pooler: str) -> AsyncIterator[PostgreSQLHarness]:
    made = PostgreSQLHarness(pooler, "&statement_cache_size=0")
    yield made
    await made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_conformance_behind_pgbouncer(case: Case, harness: PostgreSQLHarness) -> None:
    await case(harness)


async def test_more_stores_than_server_connections_work_at_once(harness: PostgreSQLHarness) -> None:
    stores = [await harness.make(), *[await harness.another() for _ in range(7)]]
    holder = await started(stores[0], {"n": 0})
    dispatchers = [Dispatcher(store, 60) for store in stores]
    for dispatcher in dispatchers:
        await dispatcher.open()
    updates = [dispatcher.submit(holder.update(Inc.of("n", 1))) for dispatcher in dispatchers for _ in range(25)]
    await asyncio.gather(*updates)
    assert (await ask(stores[0], holder.load())).data == {"n": 200}


async def test_connections_that_others_have_next_are_left_as_they_were(harness: PostgreSQLHarness, pooler: str) -> None:
    holder = await started(await harness.make(), {"n": 0})
    pool = await asyncpg.create_pool(pooler, min_size=1, max_size=3, statement_cache_size=0)
    store = PostgreSQLStore(pool, schema=harness.schema, in_transactions=True)
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
    changed = "SELECT name FROM pg_settings WHERE source = 'session' AND name LIKE ANY ('{enable%,default%}')"
    assert await asyncio.gather(*[pool.fetch(changed) for _ in range(9)]) == [[]] * 9
    await pool.close()


async def test_a_pool_of_the_applications_own_works_behind_it(harness: PostgreSQLHarness, pooler: str) -> None:
    await harness.make()
    pool = await asyncpg.create_pool(pooler, min_size=1, max_size=3, statement_cache_size=0)
    store = PostgreSQLStore(pool, schema=harness.schema, in_transactions=True)
    holder = await started(store, {"n": 0})
    await asyncio.gather(*[ask(store, holder.update(Inc.of("n", 1))) for _ in range(20)])
    assert (await ask(store, holder.load())).data == {"n": 20}
    await store.close()
    await pool.close()
