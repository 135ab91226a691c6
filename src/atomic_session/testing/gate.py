"""
A barrier at every call to a store, and every order in which the calls can pass it.

Requests run until each of them waits at the gate or has ended; then one is let through, and so
on.  Run again and again, a scene takes every turn that it could have taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ..clock import Instant
from ..commands import Answer, Command
from ..store import SessionInfo, Store

__all__ = ["Gate", "GatedStore", "in_every_order"]

MOST_ORDERS = 5_000
"""More say that a scene is too large to be gone through."""


class Orders:
    """The turns of one run, and from them the turns of the next: all of them, each once."""

    def __init__(self) -> None:
        self._turns: list[tuple[int, int]] = []
        self._at = 0

    def choose(self, count: int) -> int:
        """Return which of *count* may go next."""
        if self._at == len(self._turns):
            self._turns.append((0, count))
        chosen, known = self._turns[self._at]
        if known != count:
            raise AssertionError(f"the scene is not the same twice: {count} wait where {known} did")
        self._at += 1
        return chosen

    def advance(self) -> bool:
        """Turn to the next order; say whether there is one."""
        del self._turns[self._at :]
        self._at = 0
        while self._turns:
            chosen, count = self._turns.pop()
            if chosen + 1 < count:
                self._turns.append((chosen + 1, count))
                return True
        return False


class Gate:
    """Hold back tasks wherever they `wait`, and let one through at a time."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._moving = 0
        self._still = asyncio.Event()

    async def wait(self) -> None:
        """Wait here until the order says so; outside of `run`, go on at once."""
        task = asyncio.current_task()
        if task is None or not self._moving:
            return
        passed = asyncio.get_running_loop().create_future()
        self._waiting[task.get_name()] = passed
        self._stop()
        await passed

    async def run(self, *requests: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run *requests*, one call of theirs at a time, and return their results; the first error is raised."""
        self._moving = len(requests)
        tasks = [asyncio.create_task(request, name=str(number)) for number, request in enumerate(requests)]
        for task in tasks:
            task.add_done_callback(lambda _: self._stop())
        await self._still.wait()
        while self._waiting:
            names = sorted(self._waiting)
            passed = self._waiting.pop(names[self._orders.choose(len(names)) if len(names) > 1 else 0])
            self._moving = 1
            self._still.clear()
            passed.set_result(None)
            await self._still.wait()
        return list(await asyncio.gather(*tasks))

    def _stop(self) -> None:
        self._moving -= 1
        if not self._moving:
            self._still.set()


class GatedStore:
    """A store whose calls wait at *gate*; it queues by itself, so that each call is one turn."""

    lanes = 0
    batch_size = 1

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        """Leave the store open: the next scene wants it."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        await self._gate.wait()
        return await self._store.execute(commands)

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        await self._gate.wait()
        return await self._store.sessions_of(owner, now)

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        await self._gate.wait()
        return await self._store.destroy_all(owner, keep, now)

    async def purge(self, now: Instant, limit: int) -> int:
        await self._gate.wait()
        return await self._store.purge(now, limit)


async def in_every_order(scene: Callable[[Gate], Coroutine[Any, Any, None]]) -> int:
    """Run *scene* once for each order in which the tasks of its gate can take turns; say how many there are."""
    orders = Orders()
    for count in range(1, MOST_ORDERS):
        await scene(Gate(orders))
        if not orders.advance():
            return count
    raise AssertionError(f"the scene has more than {MOST_ORDERS} orders")
