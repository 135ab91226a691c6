"""Several processes on the same sessions: no update is lost, and nobody waits for each other in a circle."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from tests.harnesses.postgresql import PostgreSQLHarness

from atomic_session.testing.holder import NOW, ask, started

PROCESSES = 4
SESSIONS = 24
ROUNDS = 12

_WORKER = """
import asyncio, json, random, sys
from atomic_session.commands import Login, Outcome, OwnerLimit
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import StoreUnavailable
from atomic_session.operators import Inc, Push
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.testing.holder import NOW, Holder
from atomic_session.token import parse_token

async def main():
    url, seed, rounds, tokens = json.loads(sys.stdin.read())
    chance = random.Random(seed)
    store = PostgreSQLStore.from_url(url, timeout=60)
    dispatcher = Dispatcher(store, 60)
    await dispatcher.open()
    holders = [Holder(parse_token(token.encode())) for token in tokens]
    done = {holder.id: 0 for holder in holders}

    async def update(holder):
        answer = await dispatcher.submit(holder.update(Inc.of("n", 1), Push.of("log", [seed])))
        done[holder.id] += answer.outcome is Outcome.DONE

    async def log_in():
        visitor = Holder()
        await dispatcher.submit(visitor.create({}, NOW, owner="alice", limit=OwnerLimit(3, evict_oldest=True)))

    for _ in range(rounds):
        chance.shuffle(holders)
        others = [log_in(), store.destroy_all("alice", None, NOW), store.purge(NOW + 7_200_000, 5), log_in()]
        await asyncio.gather(*map(update, holders), *map(update, holders), *others)
    await dispatcher.close()
    print(json.dumps(done))

asyncio.run(main())
"""


async def test_several_processes_lose_no_update_and_never_block_each_other(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holders = [await started(store, {"n": 0, "log": []}) for _ in range(SESSIONS)]
    tokens = [holder.token.value for holder in holders]
    connection = await harness.connect()
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await connection.fetchval(deadlocks)

    def work(seed: int) -> dict[str, int]:
        asked = json.dumps([harness.url, seed, ROUNDS, tokens])
        run = subprocess.run([sys.executable, "-c", _WORKER], input=asked, capture_output=True, text=True, check=False)
        assert run.stderr == ""
        found: dict[str, int] = json.loads(run.stdout)
        return found

    counts = await asyncio.gather(*[asyncio.to_thread(work, seed) for seed in range(PROCESSES)])
    for holder in holders:
        data = (await ask(store, holder.load())).data or {}
        acknowledged = sum(count[holder.id] for count in counts)
        assert acknowledged == 2 * ROUNDS * PROCESSES
        assert data["n"] == acknowledged
        log = data["log"]
        assert isinstance(log, list)
        assert len(log) == acknowledged
    assert await connection.fetchval(deadlocks) == before
    await connection.close()


async def test_batches_that_hold_the_same_sessions_in_any_order_do_not_deadlock(harness: PostgreSQLHarness) -> None:
    first, second = await harness.make(), await harness.another()
    holders = [await started(first, {"n": 0}, owner="alice") for _ in range(30)]
    connection = await harness.connect()
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await connection.fetchval(deadlocks)
    for _ in range(20):
        await asyncio.gather(
            first.execute([holder.touch(NOW) for holder in holders]),
            second.execute([holder.touch(NOW) for holder in reversed(holders)]),
            first.destroy_all("bob", None, NOW),
            second.destroy_all("alice", holders[0].id, NOW),
        )
        holders = [holders[0], *[await started(first, {"n": 0}, owner="alice") for _ in range(9)]]
    await first.close()
    await second.close()  # their connections tell what they counted when they end
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    left = -1
    async with asyncio.timeout(20):
        while left:
            left = await connection.fetchval(others)
    assert await connection.fetchval(deadlocks) == before
    await connection.close()
