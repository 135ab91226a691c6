"""
How long the event loop stands still while sessions are written.

A ticker is due every millisecond; how late it comes is how long somebody else's request would have
waited.  The loop is asyncio's own on `select`, whose timers are exact to tens of microseconds: those
of epoll and of libuv are rounded to whole milliseconds, which would drown what is measured.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from statistics import quantiles
from typing import Any

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, managed, open_session, sqlite_url
from .sqlite import OnTheLoop

__all__ = ["make_loop", "measure"]

_WIDTH = 16
_TICK = 0.001
_PACE = 0.02

_IDLE, _OURS, _ON_LOOP = "no writes", "ours", "each commit on the loop"

Update = Callable[[int], Awaitable[object]]
Load = Callable[[Update], Coroutine[Any, Any, None]]


def make_loop() -> asyncio.AbstractEventLoop:
    """Return a loop with exact timers."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def measure(options: Options) -> Figure:
    figure = Figure("pauses", "how late a ticker of the event loop comes (p99) while 16 tasks write durably")
    seconds = 0.3 if options.quick else 2.0
    rival = OnTheLoop(options.folder / "loop.db", [(f"{n:022}", data_of()) for n in range(_WIDTH)])
    async with managed(sqlite_url(options.folder / "ours.db")) as context:
        made = await create(context, _WIDTH, data_of())

        async def ours(number: int) -> object:
            return await open_session(context, made[number]).set("color", "red").inc("visits")

        async def on_loop(number: int) -> object:
            rival.update(f"{number:022}", "red")
            return await asyncio.sleep(0, number)

        async def nothing(number: int) -> object:
            return await asyncio.sleep(_TICK, number)

        ways: dict[str, Update] = {_IDLE: nothing, _OURS: ours, _ON_LOOP: on_loop}
        cases = [
            Case(f"{name}{how}", "ms", _turn(load, update, seconds))
            for how, load in (
                (", as fast as it goes", _flat_out),
                (f", 16 at once every {_PACE * 1000:.0f} ms", _paced),
            )
            for name, update in ways.items()
        ]
        await record(figure, cases, options.rounds)
    rival.close()
    for how, target in (
        (", as fast as it goes", Target("at most", 0.2)),
        (f", 16 at once every {_PACE * 1000:.0f} ms", None),
    ):
        figure.compare(f"p99{how}: ours / on the loop", f"{_OURS}{how}", f"{_ON_LOOP}{how}", target)
    return figure


def _turn(load: Load, update: Update, seconds: float) -> Callable[[], Awaitable[float]]:
    async def turn() -> float:
        work = asyncio.create_task(load(update))
        late = await _tick(seconds)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        return quantiles(late, n=100, method="inclusive")[98] * 1000

    return turn


async def _flat_out(update: Update) -> None:
    """Have each task write again as soon as its last write is acknowledged."""

    async def work(number: int) -> None:
        while True:
            await update(number)

    await asyncio.gather(*(work(number) for number in range(_WIDTH)))


async def _paced(update: Update) -> None:
    """Have all tasks write at once, at a pace that either way can keep."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await asyncio.gather(*(update(number) for number in range(_WIDTH)))
        due = max(due + _PACE, loop.time())
        await asyncio.sleep(due - loop.time())


async def _tick(seconds: float) -> list[float]:
    """Return how late each tick of *seconds* came."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    late = []
    due = loop.time() + _TICK
    while due < end:
        await asyncio.sleep(due - loop.time())
        late.append(loop.time() - due)
        due = loop.time() + _TICK
    return late
