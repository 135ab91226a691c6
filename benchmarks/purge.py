"""Purging PostgreSQL in small steps: what a step costs, and what an update beside it waits."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import asyncpg
from tests.servers.postgresql import server

from atomic_session.stores.postgresql import PostgreSQLStore

from .harness import Case, Figure, Options, record
from .sessions import create, data_of, managed, open_session

__all__ = ["measure"]

_STEP = 1_000
_STEPS = 3
_UPDATES = 100

_FILL = """
INSERT INTO atomic_session.records
SELECT 'row-' || number, '\\x00', 1, 0, 0, 0, 1, NULL, NULL, NULL, NULL, NULL, 0, 0, false,
       CASE WHEN number % 2 = 0 THEN number ELSE 9000000000000 END, 0, $2::jsonb
  FROM generate_series(1, $1) AS number
"""
"""Every second row is over, one a millisecond, as they come in when sessions end."""


async def measure(options: Options) -> Figure:
    rows = 1_000_000 if options.large else options.times(100_000, 30_000)
    figure = Figure(
        "purge", f"purging {rows:,} sessions on PostgreSQL, half of them over, {_STEP:,} at a time, durable"
    )
    with server(durable=True, folder=options.folder.parent) as running:
        store = PostgreSQLStore.from_url(running.url, timeout=120)
        async with managed(store) as context:
            connection: Any = await asyncpg.connect(running.url)
            await connection.execute(_FILL, rows, json.dumps(data_of()), timeout=600)
            await connection.execute("VACUUM ANALYZE atomic_session.records", timeout=600)
            (living,) = await create(context, 1, data_of())

            async def step() -> float:
                start = time.perf_counter()
                for _ in range(_STEPS):
                    if await store.purge(rows, _STEP) != _STEP:
                        raise RuntimeError("there is nothing more to purge")
                return (time.perf_counter() - start) / _STEPS * 1e3

            async def updates() -> float:
                longest = 0.0
                for _ in range(options.times(_UPDATES, 5)):
                    start = time.perf_counter()
                    await open_session(context, living).inc("visits")
                    longest = max(longest, time.perf_counter() - start)
                return longest * 1e3

            async def beside() -> float:
                purge = asyncio.create_task(step())
                longest = await updates()
                await purge
                return longest

            cases = [
                Case(f"a step of {_STEP:,}", "ms", step),
                Case("longest update, nothing beside it", "ms", updates),
                Case("longest update, beside steps", "ms", beside),
            ]
            await record(figure, cases, options.rounds)
            figure.counted["rows left that are over"] = await connection.fetchval(
                "SELECT count(*) FROM atomic_session.records WHERE purge_at <= $1", rows
            )
            await connection.close()
    return figure
