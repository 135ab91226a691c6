"""The purge in the background: what is over goes in small steps, beside the commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import TypeAlias

from ...clock import Clock, Instant
from ...commands import Command, Load
from ...events import emit

__all__ = ["BackgroundPurge"]

Purge: TypeAlias = Callable[[Instant, int], Awaitable[int]]

_EVERY = 60_000
_STEP = 200


class BackgroundPurge:
    """
    Call *purge* after a write, a minute after the store was first used and then once a minute, by *clock*.

    It takes a step, and another one where that was a full one.  Gone is what is over by the commands' time and by
    our own clock: whichever is wrong, nothing alive goes.
    """

    def __init__(self, purge: Purge, clock: Clock) -> None:
        self._purge = purge
        self._clock = clock
        self._last: Instant | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_ending = False

    def after(self, commands: Sequence[Command]) -> None:
        """Begin, where it is due after *commands* were carried out: whatever fails is not their failure."""
        try:
            now = self._clock()
        except Exception as error:  # noqa: BLE001 - the application's own
            emit("purge_failed", reason=str(error))
            return
        if self._last is None:
            self._last = now
        if abs(now - self._last) < _EVERY or all(type(command) is Load for command in commands):
            return
        self._last = now
        over = min(now, commands[0].now)
        task = asyncio.get_running_loop().create_task(self._steps(over), context=Context())  # no request's
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def end(self) -> None:
        """Take no further step, and wait for the one that is under way in this event loop."""
        loop = asyncio.get_running_loop()
        ours = [task for task in tuple(self._under_way) if task.get_loop() is loop]
        self._is_ending = True
        try:
            await asyncio.gather(*ours, return_exceptions=True)
        finally:
            self._is_ending = False

    async def _steps(self, over: Instant) -> None:
        try:
            while await self._purge(over, _STEP) == _STEP and not self._is_ending:
                pass
        except Exception as error:  # noqa: BLE001 - nobody waits for it, and a later one tries again
            emit("purge_failed", reason=str(error))
