"""A small store whose batches a test can watch and hold back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from atomic_session.clock import Instant
from atomic_session.commands import Answer, Command
from atomic_session.errors import CorruptRecord
from atomic_session.store import SessionInfo
from atomic_session.stores.memory import MemoryStore

Hook = Callable[[Sequence[Command]], Awaitable[None]]


class LaneStore:
    """
    Carry out each batch in one step, after whatever *before* waits for.

    Attributes:
        batches: the batches that came, in the order in which they did.
        under_way: the batches that were not answered yet.
        opened: how often it was opened; `is_open` whether it is.
        poison: ids that cannot be read.
    """

    def __init__(self, lanes: int = 1, batch_size: int = 100, before: Hook | None = None) -> None:
        self.lanes = lanes
        self.batch_size = batch_size
        self.batches: list[list[Command]] = []
        self.under_way: list[list[Command]] = []
        self.opened = 0
        self.is_open = False
        self.poison: set[str] = set()
        self.before = before
        self._inner = MemoryStore()

    @property
    def sizes(self) -> list[int]:
        """How many commands came in each batch."""
        return [len(batch) for batch in self.batches]

    async def open(self) -> None:
        self.opened += 1
        self.is_open = True

    async def close(self) -> None:
        assert not self.under_way
        self.is_open = False

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        assert self.is_open
        assert len(commands) <= self.batch_size
        batch = list(commands)
        self.batches.append(batch)
        self.under_way.append(batch)
        try:
            await asyncio.sleep(0)
            if self.before is not None:
                await self.before(commands)
            for command in commands:
                if command.id in self.poison:
                    raise CorruptRecord(command.id, "poison")
            return await self._inner.execute(commands)
        finally:
            self.under_way.remove(batch)

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        return await self._inner.sessions_of(owner, now)

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        return await self._inner.destroy_all(owner, keep, now)

    async def purge(self, now: Instant, limit: int) -> int:
        return await self._inner.purge(now, limit)


class Barrier:
    """Hold batches back until they are let through, one by one and oldest first, or all of them."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._lifted = False

    async def __call__(self, commands: Sequence[Command]) -> None:
        if not self._lifted:
            passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(passed)
            await passed

    def let_one(self) -> None:
        passed = self._waiting.pop(0)
        if not passed.done():  # it was cancelled meanwhile
            passed.set_result(None)

    def lift(self) -> None:
        self._lifted = True
        while self._waiting:
            self.let_one()
