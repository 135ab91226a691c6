"""Updates on PostgreSQL: one alone, and many at once, beside the driver's own `UPDATE ... RETURNING`, one call each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from tests.servers.postgresql import server

from atomic_session import commands, operators
from atomic_session.dispatcher import Dispatcher
from atomic_session.record import Lifetimes, new_record
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.token import new_token

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, managed, open_session, stored
from .sides import Side

__all__ = ["measure"]

_WIDTHS = {1: 200, 16: 40, 64: 20}
"""How many tasks at once, and how often each of them updates in a round."""

_CONNECTIONS = 16
"""How many connections the driver's pool has: more of them were slower here."""

_PLAIN = """
UPDATE plain
   SET data = jsonb_set(data || '{"color": "red"}', '{visits}', to_jsonb((data ->> 'visits')::bigint + 1)),
       rev = rev + 1, deadline = $3::bigint
 WHERE id = $1 AND digest = $2 AND deadline > $3::bigint - 1209600000
RETURNING data, rev
"""
"""What a session needs at least: a guard, a change, a deadline, and the data back."""

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
    with server(durable=True, folder=options.folder.parent) as running:
        async with (
            _sessions(running.url, most, figure) as sessions,
            _statements(running.url, most, figure) as statements,
            _dispatched(running.url) as dispatcher,
        ):
            updates = [await _started(dispatcher) for _ in range(most)]
            sides = {"ours": sessions, "our store": _commands(dispatcher, updates), "asyncpg, UPDATE": statements}
            for width, times in widths.items():
                cases += [_case(f"{name}, {width} at once", side, width, times) for name, side in sides.items()]
            for side in sides.values():
                await side.run(most, 10)
            await record(figure, cases, options.rounds)
    ours, store, theirs = "ours, {} at once", "our store, {} at once", "asyncpg, UPDATE, {} at once"
    for width in widths:
        if width == 1:
            target = Target("at most", 1.2)
            figure.compare("time of one alone: ours / asyncpg", ours.format(1), theirs.format(1), target)
            figure.compare("time of one alone: our store / asyncpg", store.format(1), theirs.format(1))
        else:
            target = Target("at least", 3) if width == 64 else None
            name = f"updates/s, {width} at once: ours / asyncpg"
            figure.compare(name, theirs.format(width), ours.format(width), target)
            name = f"updates/s, {width} at once: our store / asyncpg"
            figure.compare(name, theirs.format(width), store.format(width))
    return figure


def _case(name: str, side: Side, width: int, times: int) -> Case:
    async def turn() -> float:
        return await side.run(width, times)

    return Case(name, "us", turn)


@asynccontextmanager
async def _sessions(url: str, count: int, figure: Figure) -> AsyncIterator[Side]:
    async with managed(PostgreSQLStore.from_url(url)) as context:
        made = await create(context, count, data_of())
        before = await stored(context, made, "visits")

        async def update(number: int) -> object:
            return await open_session(context, made[number]).set("color", "red").inc("visits")

        side = Side(update)
        yield side
        figure.counted["ours: updates acknowledged"] = side.done
        figure.counted["ours: updates stored"] = await stored(context, made, "visits") - before


@asynccontextmanager
async def _dispatched(url: str) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(PostgreSQLStore.from_url(url), 5.0)
    await dispatcher.open()
    yield dispatcher
    await dispatcher.close()


async def _started(dispatcher: Dispatcher) -> commands.Update:
    """Create a session, and return the command that updates it."""
    token, lifetimes = new_token(), Lifetimes(max_age=1_209_600_000)
    record = new_record(token.id, token.digest, _NOW, lifetimes)
    await dispatcher.submit(commands.Create(record, data_of(), _NOW))
    update = operators.Update((operators.Set(("color",), "red"), operators.Inc(("visits",), 1)))
    return commands.Update(token.id, token.digest, _NOW, lifetimes, update)


def _commands(dispatcher: Dispatcher, updates: Sequence[commands.Update]) -> Side:
    """What the store and the dispatcher take, without a session and its cookie."""
    return Side(lambda number: dispatcher.submit(updates[number]))


@asynccontextmanager
async def _statements(url: str, count: int, figure: Figure) -> AsyncIterator[Side]:
    pool: Any = await asyncpg.create_pool(
        url, min_size=_CONNECTIONS, max_size=_CONNECTIONS, connection_class=_Connection
    )
    await pool.execute(
        "CREATE TABLE plain (id text PRIMARY KEY, digest bytea, rev bigint, deadline bigint, data jsonb) "
        "WITH (fillfactor = 80)"
    )
    data = json.dumps(data_of())
    rows = [(f"{number:022}", _DIGEST, 1, _NOW, data) for number in range(count)]
    await pool.executemany("INSERT INTO plain VALUES ($1, $2, $3, $4, $5)", rows)

    async def update(number: int) -> object:
        row = await pool.fetchrow(_PLAIN, f"{number:022}", _DIGEST, _NOW + number)
        return json.loads(row["data"])

    side = Side(update)
    visits = "SELECT sum((data ->> 'visits')::bigint)::bigint FROM plain"
    before = await pool.fetchval(visits)
    try:
        yield side
        figure.counted["asyncpg, UPDATE: updates acknowledged"] = side.done
        figure.counted["asyncpg, UPDATE: updates stored"] = await pool.fetchval(visits) - before
    finally:
        await pool.close()
