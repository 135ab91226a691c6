"""
A client for each event loop, since PyMongo's belongs to the loop that it was first used in.

A test client makes a loop for every request.  So a client closes with its loop: an asynchronous
generator waits beside it, and whoever ends a loop properly first ends the generators of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from .trips import Collection

__all__ = ["ClientPerLoop"]


class ClientPerLoop:
    """The collections that *make* makes, each with a client of its own, one for each running loop."""

    def __init__(self, make: Callable[[], Collection]) -> None:
        self._make = make
        self._kept: dict[asyncio.AbstractEventLoop, tuple[Collection, AsyncGenerator[None, None]]] = {}

    async def get(self) -> Collection:
        """Return the collection of the running loop."""
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            self._kept = {known: pair for known, pair in self._kept.items() if not known.is_closed()}
            collection = self._make()
            keeper = _close_with_the_loop(collection)
            kept = self._kept[loop] = (collection, keeper)
            await anext(keeper)
        return kept[0]

    async def close(self) -> None:
        """Close the client of the running loop; those of other loops close with them."""
        kept = self._kept.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await kept[1].aclose()


async def _close_with_the_loop(collection: Collection) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await collection.database.client.close()
