"""
The way to one server: over one connection at a time, which is made again when it is needed.

What is asked for in one turn of the event loop leaves in one piece at its end; what is asked for
while the server is at work follows it at once, for the server takes requests in turn.  There is
no task and no timer for a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from .wire import Pipeline, Reply, Wire

__all__ = ["Multiplexer", "Node"]

_MOST_UNDER_WAY = 1_000
"""How many pipelines the server may owe an answer to; others wait, and are known to be unsent."""

_ENOUGH = 32
"""How many pipelines leave without waiting for others: the server is at work while the next ones are prepared."""


class Node(Protocol):
    """Where connections to one server come from."""

    async def acquire(self) -> Any:
        """Return a connection of the driver that is connected, and has nothing unread."""
        ...

    async def release(self, connection: Any) -> None:
        """Take back a connection that is connected no more."""
        ...


class Multiplexer:
    """
    Bring requests to the server of *node*, and give up what was not answered within *timeout* seconds.

    A connection must be had in half of that: until then nothing was sent.

    Attributes:
        loading: the scripts that were put last; what is put before they are answered comes after them.
    """

    def __init__(self, node: Node, timeout: float) -> None:
        self._node = node
        self._timeout = timeout
        self.loading: asyncio.Future[list[Reply]] | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pipeline] = deque()
        self._wire: Wire | None = None
        self._leaving = False
        self._watched = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = False

    def put(self, requests: Sequence[bytes]) -> asyncio.Future[list[Reply]]:
        """Ask for packed *requests*, which stay together and in order; the future never fails."""
        loop = self._loop
        done: asyncio.Future[list[Reply]] = loop.create_future()
        self._waiting.append(Pipeline(b"".join(requests), len(requests), loop.time() + self._timeout, done))
        wire = self._wire
        if len(self._waiting) >= _ENOUGH or (wire is not None and not wire.under_way):
            self._leave()
        elif not self._leaving:
            self._leaving = True
            loop.call_soon(self._leave_in_turn)
        if not self._watched:
            self._watched = True
            loop.call_later(self._timeout, self._watch)
        return done

    async def close(self) -> None:
        """Complete what was accepted, then let go of the connection."""
        while left := [pipeline.done for pipeline in (*self._under_way(), *self._waiting) if not pipeline.done.done()]:
            await asyncio.wait(left)
        while self._tasks or self._wire is not None:
            if self._tasks:  # one of them may connect for somebody who waits no more
                await asyncio.wait(self._tasks)
            elif self._wire is not None:
                self._wire.drop(ConnectionError("the store was closed"))

    def renew(self) -> None:
        """Have what comes next go over another connection, once all that is under way on this one is done."""
        if self._wire is not None:
            self._wire.is_worn = True

    def _under_way(self) -> deque[Pipeline]:
        return deque() if self._wire is None else self._wire.under_way

    def _leave_in_turn(self) -> None:
        self._leaving = False
        self._leave()

    def _leave(self) -> None:
        """Write what waits, if it can be written."""
        wire = self._wire
        if wire is None or not self._waiting:
            if self._waiting:
                self._connect()
            return
        if self._is_over(wire):
            if not wire.under_way:
                wire.drop(ConnectionError("another connection takes over"))
            return
        room = _MOST_UNDER_WAY - len(wire.under_way)
        if wire.is_clear and room > 0 and (pipelines := self._taken(room)):
            wire.write(pipelines)
            wire.used = self._loop.time()

    def _is_over(self, wire: Wire) -> bool:
        """Say whether a new connection is wanted; it is as good as a look at one that was idle for long."""
        interval = wire.connection.health_check_interval
        idle = bool(interval) and not wire.under_way and self._loop.time() - wire.used > interval
        return wire.is_worn or idle

    def _taken(self, room: int) -> list[Pipeline]:
        waiting = self._waiting
        if len(waiting) <= room:
            taken = [pipeline for pipeline in waiting if not pipeline.done.done()]
            waiting.clear()
            return taken
        return [waiting.popleft() for _ in range(room)]

    def _moved(self) -> None:
        """Go on after the wire has made room, or broke."""
        wire = self._wire
        if wire is not None and not wire.is_open:
            self._wire = None
            self._start(self._take_back(wire.connection))
        if self._waiting and not self._leaving:
            self._leaving = True
            self._loop.call_soon(self._leave_in_turn)

    def _connect(self) -> None:
        if not self._connecting:
            self._connecting = True
            self._start(self._connected())

    async def _connected(self) -> None:
        """Have a connection, and write what waits; where none can be had, nothing of it was sent."""
        try:
            async with asyncio.timeout(self._timeout / 2):
                connection = await self._node.acquire()
            self._wire = await self._wired(connection)
        except BaseException as error:
            left, self._waiting = self._waiting, deque()
            for pipeline in left:
                pipeline.fail(error, sent=False)
            if not isinstance(error, Exception):
                raise
        finally:
            self._connecting = False
        self._leave()

    async def _wired(self, connection: Any) -> Wire:
        try:
            wire = Wire(connection, self._moved)
        except BaseException:
            await self._take_back(connection)
            raise
        wire.used = self._loop.time()
        return wire

    async def _take_back(self, connection: Any) -> None:
        try:
            await connection.disconnect(nowait=True)
        finally:
            await self._node.release(connection)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _watch(self) -> None:
        """Give up what is late, and look again when the next one would be."""
        now = self._loop.time()
        under_way, waiting = self._under_way(), self._waiting
        if self._wire is not None and under_way and under_way[0].deadline <= now:
            self._wire.drop(TimeoutError(f"no answer within {self._timeout} s"))
            under_way = deque()
        while waiting and waiting[0].deadline <= now:
            waiting.popleft().fail(TimeoutError(f"not sent within {self._timeout} s"), sent=False)
        deadlines = [pipelines[0].deadline for pipelines in (under_way, waiting) if pipelines]
        self._watched = bool(deadlines)
        if deadlines:
            self._loop.call_later(min(deadlines) - now, self._watch)
