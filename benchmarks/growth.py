"""What an update and a load cost as a session grows, and as the file does."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import apsw

from atomic_session.session import Session, SessionContext

from .harness import Case, Figure, Options, record
from .sessions import Headers, cookie_of, create, data_of, managed, open_session, sqlite_url, with_cookie

__all__ = ["measure"]

_SIZES = {"0.5 KB": 500, "5 KB": 5_000, "50 KB": 50_000}
_FILES = (1_000, 100_000)
_LARGE_FILE = 1_000_000
_SAMPLE = 4_096
_AT_ONCE = 64

_LOAD, _BLIND, _KNOWN = "load", "update, not loaded before", "update, loaded before"

Step = Callable[[int], Awaitable[object]]


async def measure(options: Options) -> Figure:
    figure = Figure(
        "growth", f"one load alone; one durable update (inc) of {_AT_ONCE} at once, by size of session and file"
    )
    cases: list[Case] = []
    async with AsyncExitStack() as stack:
        for name, size in _SIZES.items():
            path = options.folder / f"size-{size}.db"
            context = await stack.enter_async_context(managed(sqlite_url(path)))
            made = await create(context, _AT_ONCE, data_of(size))
            kept = [await open_session(context, headers)() for headers in made]
            cases += _by_size(name, context, made, kept, options)
        for count in (options.times(_FILES[0], 100), *(() if options.quick else _FILES[1:])) + (
            _LARGE_FILE,
        ) * options.large:
            context = await stack.enter_async_context(managed(sqlite_url(options.folder / f"file-{count}.db")))
            sample = await _fill(context, options.folder / f"file-{count}.db", count)
            cases += _by_file(f"{count:,} sessions", context, sample, options)
        for case in cases:
            await case.measure()
        await record(figure, cases, options.rounds)
    _compare(figure)
    return figure


def _by_size(
    name: str, context: SessionContext, made: list[Headers], kept: list[Session], options: Options
) -> Iterator[Case]:
    async def update_kept(number: int) -> object:
        return await kept[number].inc("hits")

    every = itertools.cycle(range(_AT_ONCE))
    yield Case(f"{_LOAD}, {name}", "us", partial(_alone, _loads(context, made), every, options.times(640)))
    yield Case(f"{_BLIND}, {name}", "us", partial(_together, _updates(context, made), every, options.times(20)))
    yield Case(f"{_KNOWN}, {name}", "us", partial(_together, update_kept, every, options.times(20)))


def _by_file(name: str, context: SessionContext, sample: list[Headers], options: Options) -> Iterator[Case]:
    every = itertools.cycle(range(len(sample)))
    yield Case(f"{_LOAD}, {name}", "us", partial(_alone, _loads(context, sample), every, options.times(640)))
    yield Case(f"{_BLIND}, {name}", "us", partial(_together, _updates(context, sample), every, options.times(20)))


def _loads(context: SessionContext, made: list[Headers]) -> Step:
    async def load(number: int) -> object:
        return await open_session(context, made[number])()

    return load


def _updates(context: SessionContext, made: list[Headers]) -> Step:
    async def update(number: int) -> object:
        return await open_session(context, made[number]).inc("hits")

    return update


async def _alone(step: Step, every: Iterator[int], times: int) -> float:
    """Return the microseconds of one step where none waits for another."""
    start = time.perf_counter()
    for _ in range(times):
        await step(next(every))
    return (time.perf_counter() - start) / times * 1e6


async def _together(step: Step, every: Iterator[int], times: int) -> float:
    """Return the microseconds of one step where many are under way at once."""

    async def work() -> None:
        for _ in range(times):
            await step(next(every))

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return (time.perf_counter() - start) / (times * _AT_ONCE) * 1e6


async def _fill(context: SessionContext, path: Path, count: int) -> list[Headers]:
    """
    Fill the file with *count* sessions in one transaction, and return the headers of some of them.

    They are copies of one that was made properly, under ids of their own; so its secret opens all.
    """
    (model,) = await create(context, 1, data_of())
    head, _, rest = cookie_of(model).partition("sid=")
    key, _, secret = rest.partition(".")
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5_000)  # the writer may be purging
    columns = ", ".join(row[1] for row in connection.execute("PRAGMA table_info(atomic_session)") if row[1] != "id")
    with connection:
        connection.execute(
            f"""
            WITH RECURSIVE step (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM step LIMIT ?)
            INSERT INTO atomic_session (id, {columns})
            SELECT substr(hex(randomblob(11)), 1, 21) || 'A', {columns} FROM step, atomic_session WHERE id = ?
            """,
            (count - 1, key),
        )
    rows = random.sample(range(1, count + 1), min(_SAMPLE, count))
    ids = [connection.execute("SELECT id FROM atomic_session WHERE rowid = ?", (row,)).get for row in rows]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    value = f"{head.rpartition('; ')[2]}sid={{}}.{secret.partition(';')[0]}"
    return [with_cookie(value.format(each).encode()) for each in ids]


def _compare(figure: Figure) -> None:
    """Compare each case with the smallest of its kind."""
    for what in (_LOAD, _BLIND, _KNOWN):
        sizes = [series.name for series in figure.series if series.name.startswith(f"{what}, ") and "B" in series.name]
        files = [
            series.name for series in figure.series if series.name.startswith(f"{what}, ") and "sess" in series.name
        ]
        for names in (sizes, files):
            for name in names[1:]:
                figure.compare(f"time of {name} / of {names[0].removeprefix(what + ', ')}", name, names[0])
