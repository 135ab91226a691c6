"""Updates on PostgreSQL: one alone, and many at once, beside the driver's own `UPDATE ... RETURNING`, one call each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from tests.servers.postgresql import server

from atomic_session.stores.postgresql import PostgreSQLStore

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, managed, open_session, stored
from .sides import Side

__all__ = ["measure"]

_WIDTHS = {1: 200, 16: 40, 64: 20}
"""How many tasks at once, and how often each of them updates in a round."""

_CONNECTIONS = 16
"""How many connections the driver's pool has: 8 and 24 were no faster here."""

_PLAIN = """
UPDATE plain
   SET data = jsonb_set(data || '{"color": "red"}', '{visits}', to_jsonb((data ->> 'visits')::bigint + 1)),
       rev = rev + 1, deadline = $3::bigint
 WHERE id = $1 AND digest = $2 AND deadline > $3::bigint - 1209600000
"""
"""What a session needs at least: a guard, the change, a deadline moved, a number that tells of changes."""

_WAYS = {
    "": "RETURNING rev, data -> 'color', data -> 'visits'",
    ", all fields": "RETURNING rev, data",
}
"""What comes back: as with ours, what was touched where a session goes on, all where a request has only its cookie."""

_OURS = {"": "", ", all fields": ", each by a request of its own"}

_DIGEST = b"x" * 32
_NOW = 2_500_000_000_000


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection that its pool does not reset, which costs a trip."""

    def get_reset_query(self) -> str:
        return ""


async def measure(options: Options) -> Figure:
    figure = Figure("postgresql", "one update (set, inc) of a 0.5 KB session on PostgreSQL with its data back, durable")
    widths = {width: options.times(times) for width, times in _WIDTHS.items() if width <= options.times(64, 16)}
    most = max(widths)
    cases: list[Case] = []
    async with AsyncExitStack() as stack:
        running = stack.enter_context(server(durable=True, folder=options.folder.parent))
        pool = await stack.enter_async_context(_pool(running.url))
        sides = {}
        for way in _WAYS:
            sides[f"ours{_OURS[way]}"] = await stack.enter_async_context(_sessions(running.url, most, figure, way))
            sides[f"asyncpg{way}"] = await stack.enter_async_context(_statements(pool, most, figure, way))
        for width, times in widths.items():
            cases += [_case(f"{name}, {width} at once", side, width, times) for name, side in sides.items()]
        for side in sides.values():
            await side.run(most, 10)
        await record(figure, cases, options.rounds)
    for width in widths:
        for way in _WAYS:
            _compare(figure, width, f"ours{_OURS[way]}, {width} at once", f"asyncpg{way}, {width} at once")
    return figure


def _compare(figure: Figure, width: int, ours: str, theirs: str) -> None:
    bound = "by a request of its own" not in ours
    if width == 1:
        figure.compare(f"time: {ours} / {theirs}", ours, theirs, Target("at most", 1.2) if bound else None)
    else:
        target = Target("at least", 3) if bound and width == 64 else None
        figure.compare(f"updates/s: {ours} / {theirs}", theirs, ours, target)


def _case(name: str, side: Side, width: int, times: int) -> Case:
    async def turn() -> float:
        return await side.run(width, times)

    return Case(name, "us", turn)


@asynccontextmanager
async def _sessions(url: str, count: int, figure: Figure, way: str) -> AsyncIterator[Side]:
    name = f"ours{_OURS[way]}"
    async with managed(PostgreSQLStore.from_url(url)) as context:
        made = await create(context, count, data_of())
        before = await stored(context, made, "visits")
        kept = [open_session(context, headers) for headers in made]

        async def go_on(number: int) -> object:
            return await kept[number].set("color", "red").inc("visits")

        async def by_request(number: int) -> object:
            return await open_session(context, made[number]).set("color", "red").inc("visits")

        side = Side(by_request if way else go_on)
        yield side
        figure.counted[f"{name}: updates acknowledged"] = side.done
        figure.counted[f"{name}: updates stored"] = await stored(context, made, "visits") - before


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[Any]:
    pool: Any = await asyncpg.create_pool(
        url, min_size=_CONNECTIONS, max_size=_CONNECTIONS, connection_class=_Connection
    )
    await pool.execute(
        "CREATE TABLE plain (id text PRIMARY KEY, digest bytea, rev bigint, deadline bigint, data jsonb) "
        "WITH (fillfactor = 80)"
    )
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def _statements(pool: Any, count: int, figure: Figure, way: str) -> AsyncIterator[Side]:
    data = json.dumps(data_of())
    keys = [f"{number:016}{way[:6]:>6}" for number in range(count)]
    rows = [(key, _DIGEST, 1, _NOW, data) for key in keys]
    await pool.executemany("INSERT INTO plain VALUES ($1, $2, $3, $4, $5)", rows)

    async def update(number: int) -> object:
        row = await pool.fetchrow(_PLAIN + _WAYS[way], keys[number], _DIGEST, _NOW + number)
        return [json.loads(text) for text in row[1:]]

    side = Side(update)
    visits = "SELECT sum((data ->> 'visits')::bigint)::bigint FROM plain WHERE id = ANY ($1)"
    before = await pool.fetchval(visits, keys)
    yield side
    figure.counted[f"asyncpg{way}: updates acknowledged"] = side.done
    figure.counted[f"asyncpg{way}: updates stored"] = await pool.fetchval(visits, keys) - before
