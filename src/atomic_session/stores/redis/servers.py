"""
The servers of a store: many requests in one trip, and the truth about each of them.

Only the driver's connections are used, never its commands: so none of its retries, whatever a
client was made with, can send a request twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from redis.exceptions import AuthenticationError, NoScriptError, ReadOnlyError

from .multiplexer import Multiplexer
from .scripts import SCRIPTS, Script
from .wire import Part, Reply, pack

__all__ = [
    "Calls",
    "OneServer",
    "Reply",
    "Request",
    "Servers",
    "after_scripts",
    "plain",
    "refreshed",
    "running",
    "with_scripts",
]


class Request(Struct, frozen=True):
    """One request to the server, about one key, as it is written."""

    key: bytes
    text: bytes


def running(script: Script, key: bytes, arguments: Iterable[Part]) -> Request:
    """Return the request to run *script* on *key*."""
    return Request(key, pack((b"EVALSHA", script.sha, 1, key, *arguments)))


def plain(command: str, key: bytes, *arguments: Part) -> Request:
    """Return the request for a *command* of the server's own."""
    return Request(key, pack((command, key, *arguments)))


class Calls:
    """What the store is being asked: each call is a `with` block."""

    def __init__(self) -> None:
        self._count = 0
        self._over = asyncio.Event()

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *error: object) -> None:
        self._count -= 1
        if not self._count:
            self._over.set()

    async def ended(self) -> None:
        """Wait until nothing is asked."""
        while self._count:
            self._over.clear()
            await self._over.wait()


class Servers(Protocol):
    """
    The servers of a store, as one event loop reaches them.

    Attributes:
        opening: held while the store is being opened.
        calls: what is being asked, perhaps in several trips.
    """

    @property
    def opening(self) -> asyncio.Lock: ...

    @property
    def calls(self) -> Calls: ...

    async def send(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out *requests* and return a reply to each; those on one key keep their order.  It never raises."""
        ...

    async def close(self) -> None:
        """Complete what is under way, and let go of the connections, where they are ours."""
        ...


async def with_scripts(multiplexer: Multiplexer, requests: Sequence[bytes], replies: list[Reply]) -> list[Reply]:
    """Where the server had lost its scripts, have them loaded and send again what was not carried out."""
    missing = [place for place, reply in enumerate(replies) if type(reply) is NoScriptError]
    if missing:
        again = await after_scripts(multiplexer, [requests[place] for place in missing])
        for place, reply in zip(missing, again, strict=True):
            replies[place] = reply
    return replies


async def after_scripts(multiplexer: Multiplexer, requests: Sequence[bytes]) -> list[Reply]:
    """Load all scripts, unless they are on their way, and carry out *requests* behind them."""
    if multiplexer.loading is None or multiplexer.loading.done():
        multiplexer.loading = multiplexer.put([pack((b"SCRIPT", b"LOAD", script.text)) for script in SCRIPTS])
    return await multiplexer.put(requests)


async def refreshed(connection: Any) -> None:
    """Connect, and connect again where the server has hung up, or has left something that nobody read."""
    await connection.connect()
    if await connection.can_read():
        await connection.disconnect(nowait=True)
        await connection.connect()


class OneServer:
    """One server, or the master that a sentinel names."""

    def __init__(self, client: Any, timeout: float, *, owned: bool) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._owned = owned
        self.opening = asyncio.Lock()
        self.calls = Calls()
        self._multiplexer = Multiplexer(self, timeout)

    async def send(self, requests: Sequence[Request]) -> list[Reply]:
        texts = [request.text for request in requests]
        replies = await self._multiplexer.put(texts)
        for reply in replies:
            if isinstance(reply, Exception):
                return await self._after_a_refusal(texts, replies)
        return replies

    async def _after_a_refusal(self, texts: Sequence[bytes], replies: list[Reply]) -> list[Reply]:
        replies = await with_scripts(self._multiplexer, texts, replies)
        if any(isinstance(reply, ReadOnlyError | AuthenticationError) for reply in replies):
            await self._begin_anew()
        return replies

    async def close(self) -> None:
        await self._multiplexer.close()
        if self._owned:
            await self._client.aclose()

    async def acquire(self) -> Any:
        connection = await self._pool.get_connection()
        try:
            await refreshed(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        await self._pool.release(connection)

    async def _begin_anew(self) -> None:
        """Have the next request go over a new connection: the name may lead to another server by now."""
        self._multiplexer.renew()
        await self._pool.disconnect(inuse_connections=False)
