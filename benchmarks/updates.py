"""Durable updates on SQLite: one alone, and many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from atomic_session.session import SessionContext

from .harness import Case, Figure, Options, Target, record
from .sessions import Headers, create, data_of, managed, open_session, sqlite_url, stored
from .sides import Side, Update
from .sqlite import OneByOne, commits_in_log

__all__ = ["measure"]

_WIDTHS = {1: 200, 16: 60, 64: 30, 256: 10}
"""How many tasks at once, and how often each of them updates in a round."""

_COUNTED = 64

_OURS, _BY_REQUESTS = "ours, durable", "ours, durable, each by a request of its own"
_THREE_CALLS = "aiosqlite, durable, in three calls, 1 at once"


async def measure(options: Options) -> Figure:
    figure = Figure("updates", "one update (set, inc) of a 0.5 KB session on SQLite")
    widths = {width: options.times(times) for width, times in _WIDTHS.items() if width <= options.times(256, 16)}
    most = max(widths)
    cases: list[Case] = []
    async with (
        _ours(options.folder / "ours.db", most, figure) as ours,
        _ours(options.folder / "ours-requests.db", most, figure, by_requests=True) as by_requests,
        _ours(options.folder / "ours-relaxed.db", most, figure, relaxed=True) as ours_relaxed,
        _theirs(options.folder / "theirs.db", most, figure) as theirs,
        _theirs(options.folder / "theirs-in-three.db", 1, figure, in_three_calls=True) as in_three_calls,
        _theirs(options.folder / "theirs-relaxed.db", most, figure, relaxed=True) as theirs_relaxed,
    ):
        sides = {
            _OURS: ours,
            _BY_REQUESTS: by_requests,
            "aiosqlite, durable": theirs,
            "ours, relaxed": ours_relaxed,
            "aiosqlite, relaxed": theirs_relaxed,
        }
        for width, times in widths.items():
            cases += [_case(f"{name}, {width} at once", side, width, times) for name, side in sides.items()]
        cases.append(_case(_THREE_CALLS, in_three_calls, 1, widths[1]))
        for side in sides.values():
            await side.run(most, 2)
        await record(figure, cases, options.rounds)
    _compare(figure, widths)
    await _count(figure, options)
    return figure


def _case(name: str, side: Side, width: int, times: int) -> Case:
    async def turn() -> float:
        return await side.run(width, times)

    return Case(name, "us", turn)


def _compare(figure: Figure, widths: dict[int, int]) -> None:
    theirs = "aiosqlite, durable, {} at once"
    for name, way in ((_OURS, ""), (_BY_REQUESTS, "by requests, ")):
        ours = f"{name}, {{}} at once"
        alone = None if way else Target("at most", 1.3)
        figure.compare(f"{way}time of one alone: ours / aiosqlite", ours.format(1), theirs.format(1), alone)
        for width in list(widths)[1:]:
            target = Target("at least", 4) if width == 64 and not way else None
            figure.compare(
                f"{way}updates/s, {width} at once: ours / aiosqlite", theirs.format(width), ours.format(width), target
            )
    figure.compare("time of one alone: ours / aiosqlite in three calls", f"{_OURS}, 1 at once", _THREE_CALLS)
    for width in widths:
        over, under = (f"{name}, relaxed, {width} at once" for name in ("aiosqlite", "ours"))
        figure.compare(f"relaxed, updates/s, {width} at once: ours / aiosqlite", over, under)


def _update_by_requests(context: SessionContext, made: list[Headers]) -> Update:
    """Each update reads its cookie first, as the first one of a request does."""

    async def update(number: int) -> object:
        return await open_session(context, made[number]).set("color", "red").inc("visits")

    return update


def _update_by_sessions(context: SessionContext, made: list[Headers]) -> Update:
    """Each task has a session, and goes on updating it."""
    sessions = [open_session(context, headers) for headers in made]

    async def update(number: int) -> object:
        return await sessions[number].set("color", "red").inc("visits")

    return update


@asynccontextmanager
async def _ours(
    path: Path, count: int, figure: Figure, *, relaxed: bool = False, by_requests: bool = False
) -> AsyncIterator[Side]:
    async with managed(sqlite_url(path, relaxed=relaxed)) as context:
        made = await create(context, count, data_of())
        before = await stored(context, made, "visits")
        side = Side(_update_by_requests(context, made) if by_requests else _update_by_sessions(context, made))
        yield side
        name = f"ours, {'relaxed' if relaxed else 'durable'}{', by requests' if by_requests else ''}"
        figure.counted[f"{name}: updates acknowledged"] = side.done
        figure.counted[f"{name}: updates stored"] = await stored(context, made, "visits") - before


@asynccontextmanager
async def _theirs(
    path: Path, count: int, figure: Figure, *, relaxed: bool = False, in_three_calls: bool = False
) -> AsyncIterator[Side]:
    rival = await OneByOne.open(path, [(f"{n:022}", data_of()) for n in range(count)], relaxed=relaxed)
    try:
        before = await rival.visits()
        update = rival.update_in_three_calls if in_three_calls else rival.update
        side = Side(lambda number: update(f"{number:022}", "red"))
        yield side
        name = f"aiosqlite, {'relaxed' if relaxed else 'durable'}{', in three calls' if in_three_calls else ''}"
        figure.counted[f"{name}: updates acknowledged"] = side.done
        figure.counted[f"{name}: updates stored"] = await rival.visits() - before
    finally:
        await rival.close()


async def _count(figure: Figure, options: Options) -> None:
    """Count the transactions of 64 updates at once, on either side, in SQLite's own log."""
    path = options.folder / "counted-theirs.db"
    rival = await OneByOne.open(path, [(f"{n:022}", data_of()) for n in range(_COUNTED)])
    before = commits_in_log(path)
    await asyncio.gather(*(rival.update(f"{number:022}", "red") for number in range(_COUNTED)))
    figure.counted[f"aiosqlite: commits for {_COUNTED} updates at once"] = commits_in_log(path) - before
    await rival.close()

    path = options.folder / "counted-ours.db"
    async with managed(sqlite_url(path)) as context:
        made = await create(context, _COUNTED, data_of())
        update = _update_by_requests(context, made)
        before = commits_in_log(path)
        await asyncio.gather(*(update(number) for number in range(_COUNTED)))
        figure.counted[f"ours: commits for {_COUNTED} updates at once"] = commits_in_log(path) - before
