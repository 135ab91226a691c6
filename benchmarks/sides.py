"""One way to do an update, of several that are compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Side", "Update"]

Update: TypeAlias = Callable[[int], Awaitable[object]]
"""Updates the session with this number."""


@dataclass
class Side:
    """One way to do an update, and how often it was done."""

    update: Update
    done: int = 0

    async def run(self, width: int, times: int) -> float:
        """Have *width* tasks update their sessions *times* each; return the microseconds of one update."""

        async def work(number: int) -> None:
            for _ in range(times):
                await self.update(number)

        start = time.perf_counter()
        await asyncio.gather(*(work(number) for number in range(width)))
        self.done += width * times
        return (time.perf_counter() - start) / (width * times) * 1e6
