"""
What belongs to one event loop, such as a driver's connections, and ends with it.

A test client makes a loop for every request.  So what is kept for a loop closes with it: an
asynchronous generator waits beside it, and whoever ends a loop properly first ends the generators
of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """What *make* makes, one for each running loop, and *close* closes; loops may run in several threads."""

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        self._make = make
        self._close = close
        self._kept: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}

    def get(self) -> T:
        """Return what the running loop has."""
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            for other in list(self._kept):
                if other.is_closed():
                    self._kept.pop(other, None)  # another thread may have done so
            made = self._make()
            keeper = _close_with_the_loop(made, self._close)
            kept = self._kept[loop] = (made, keeper)
            _begin(keeper)
        return kept[0]

    async def close(self) -> None:
        """Close what the running loop has; what other loops have closes with them."""
        kept = self._kept.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await kept[1].aclose()


def _begin(keeper: AsyncGenerator[None, None]) -> None:
    """Bring it to its first `yield`, so that the loop knows of it: nothing in it waits before."""
    with suppress(StopIteration):
        keeper.asend(None).send(None)


async def _close_with_the_loop(made: T, close: Callable[[T], Awaitable[object]]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close(made)
