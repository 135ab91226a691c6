"""
Connections: many requests in one trip, and the truth about each of them.

Only the driver's connections are used, never its commands: so none of its retries, whatever a
client was made with, can send a request twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from redis.exceptions import AuthenticationError, BusyLoadingError, NoScriptError, ResponseError

from .failures import LOST, lost
from .scripts import SCRIPTS, Script
from .wire import Part, pack

__all__ = [
    "MOST_TRIPS",
    "Link",
    "Node",
    "Reply",
    "Request",
    "SingleLink",
    "plain",
    "refreshed",
    "running",
    "with_scripts",
]

Reply: TypeAlias = Any
"""What the server answered; a `ResponseError` it answered; `StoreUnavailable` or `OutcomeUnknown` where it did not."""

MOST_TRIPS = 16
"""How many trips to one server may be under way in one event loop; others wait."""

MOST_KEPT = 2
"""How many connections are kept between trips, instead of going back to a pool that takes its time: one a lane."""

_REFUSALS = (ResponseError, BusyLoadingError, AuthenticationError)
"""What the driver raises for an answer; all else that it raises means that there will be none."""


class Request(Struct, frozen=True):
    """One request to the server, about one key."""

    key: bytes
    parts: Sequence[Part]


def running(script: Script, key: bytes, arguments: Iterable[Part]) -> Request:
    """Return the request to run *script* on *key*."""
    return Request(key, (b"EVALSHA", script.sha, 1, key, *arguments))


def plain(command: str, key: bytes, *arguments: Part) -> Request:
    """Return the request for a *command* of the server's own."""
    return Request(key, (command, key, *arguments))


class Node(Protocol):
    """One server."""

    async def at_hand(self) -> Any:
        """Return a connection that needs no waiting, None where there is none."""
        ...

    async def acquire(self) -> Any:
        """Return a connection of the driver that is connected, and has nothing unread."""
        ...

    async def release(self, connection: Any) -> None:
        """Take a connection back, whatever became of it."""
        ...


class Link(Protocol):
    """
    The servers of a store, as one event loop reaches them.

    Attributes:
        opening: held while the store is being opened.
    """

    @property
    def opening(self) -> asyncio.Lock: ...

    async def send(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out *requests* and return a reply to each; those on one key keep their order.  It never raises."""
        ...

    async def close(self) -> None:
        """Let go of the connections, where they are ours."""
        ...


async def trip(node: Node, requests: Sequence[Sequence[Part]], timeout: float) -> list[Reply]:
    """
    Send all *requests* at once, and read the replies.

    A connection must be had in half of *timeout* seconds: until then nothing was sent.
    """
    replies: list[Reply] = []
    sent = False
    try:
        async with asyncio.timeout(timeout):
            connection = await node.at_hand()
            if connection is None:
                async with asyncio.timeout(timeout / 2):
                    connection = await node.acquire()
            sent = True
            await _converse(node, connection, requests, replies)
    except LOST as error:
        replies += [lost(error, sent=sent) for _ in requests[len(replies) :]]
    return replies


async def _converse(node: Node, connection: Any, requests: Sequence[Sequence[Part]], replies: list[Reply]) -> None:
    try:
        await connection.send_packed_command(pack(requests), check_health=False)
        for _ in requests:
            replies.append(await _reply(connection))  # noqa: PERF401 - those before an error count
    except BaseException:  # what was sent may still be answered: nobody else may read that
        await connection.disconnect(nowait=True)
        raise
    finally:
        await node.release(connection)


async def _reply(connection: Any) -> Reply:
    try:
        return await connection.read_response(disable_decoding=True, disconnect_on_error=False)
    except _REFUSALS as error:
        return error


async def with_scripts(node: Node, requests: Sequence[Sequence[Part]], timeout: float) -> list[Reply]:
    """Make a trip; where the server has lost the scripts, load them all and send again what was not carried out."""
    replies = await trip(node, requests, timeout)
    missing = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missing:
        loads: list[Sequence[Part]] = [(b"SCRIPT", b"LOAD", script.text) for script in SCRIPTS]
        again = await trip(node, [*loads, *(requests[place] for place in missing)], timeout)
        for place, reply in zip(missing, again[len(loads) :], strict=True):
            replies[place] = reply
    return replies


async def refreshed(connection: Any) -> None:
    """Connect, and connect again where the server has hung up, or has left something that nobody read."""
    await connection.connect()
    if await connection.can_read():
        await connection.disconnect(nowait=True)
        await connection.connect()


async def usable(connection: Any) -> bool:
    """Say whether a connection can be written to at once."""
    return bool(connection.is_connected and not connection.health_check_interval and not await connection.can_read())


class SingleLink:
    """One server, or the master that a sentinel names."""

    def __init__(self, client: Any, timeout: float, *, owned: bool) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._timeout = timeout
        self._owned = owned
        self.opening = asyncio.Lock()
        self._places = asyncio.Semaphore(MOST_TRIPS)
        self._kept: list[Any] = []

    async def send(self, requests: Sequence[Request]) -> list[Reply]:
        replies = await with_scripts(self, [request.parts for request in requests], self._timeout)
        if any(isinstance(reply, Exception) and "READONLY" in str(reply) for reply in replies):
            await self._let_go()  # the name may lead to another server by now
            await self._pool.disconnect(inuse_connections=False)
        return replies

    async def close(self) -> None:
        await self._let_go()
        if self._owned:
            await self._client.aclose()

    async def at_hand(self) -> Any:
        if not self._kept or self._places.locked():
            return None
        connection = self._kept.pop()
        await self._places.acquire()  # there is room: nobody waits here
        if await usable(connection):
            return connection
        await self.release(connection)
        return None

    async def acquire(self) -> Any:
        await self._places.acquire()
        try:
            connection = self._kept.pop() if self._kept else await self._pool.get_connection()
        except BaseException:
            self._places.release()
            raise
        try:
            await refreshed(connection)
            await connection.check_health()
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        self._places.release()
        if len(self._kept) < MOST_KEPT and not connection.should_reconnect():
            self._kept.append(connection)
        else:
            await self._pool.release(connection)

    async def _let_go(self) -> None:
        kept, self._kept = self._kept, []
        for connection in kept:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
