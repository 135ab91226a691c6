"""Connections: a pool for each event loop, of the application's or of our own making."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

import asyncpg

from .address import WRITABLE, Address
from .failures import LOST

__all__ = ["ConnectionPool", "GivenPool", "OwnPool", "abandon"]

Connection: TypeAlias = Any

_STATEMENTS = 100
"""How many statements are kept prepared, as is the driver's own default."""

_OUR_SETTINGS = "SET enable_seqscan = off; SET default_transaction_isolation = 'read committed'"
"""
No plan reads a whole table that is small now: the plan would stay when it has grown.  Nor does an account's own level
of isolation have the server undo, for the sake of others, what it could do after them.
"""

_FAREWELL = 4
"""How many times as long as a connection takes at most, closing may take: what is under way is waited for."""


class ConnectionPool(Protocol):
    """The connections of one event loop."""

    def is_at_hand(self) -> bool:
        """Say whether there is a connection that needs no waiting."""
        ...

    async def acquire(self) -> Connection: ...

    async def release(self, connection: Connection) -> None:
        """Take a connection back; one that was terminated is forgotten."""
        ...

    def leave(self) -> None:
        """Use none again of the connections that nobody has just now: their server takes no writes any more."""
        ...

    async def close(self) -> None: ...


def abandon(connection: Connection) -> None:
    """End a connection at once, whatever it does; it is to be released all the same."""
    with suppress(asyncpg.InterfaceError):  # its pool has taken it back
        connection.terminate()


class GivenPool:
    """
    A pool of the application's own, which lends a connection for each trip and stays the application's to close.

    It has *timeout* to make a connection ready for others.
    """

    def __init__(self, pool: Any, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    def is_at_hand(self) -> bool:
        return False

    async def acquire(self) -> Connection:
        return await self._pool.acquire()

    async def release(self, connection: Connection) -> None:
        with suppress(*LOST):  # that it breaks now says nothing of what it did
            await self._pool.release(connection, timeout=self._timeout)

    def leave(self) -> None: ...

    async def close(self) -> None: ...


class OwnPool:
    """
    Connections of our own, no more than *address* has room for: the one that was used last is taken first.

    One is made within *timeout*.  The driver's pool takes as long as a small statement to lend a connection.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._size = address.size
        self._timeout = timeout
        self._hosts = _Hosts(address, timeout)
        self._room = asyncio.Semaphore(address.size)
        self._idle: list[Connection] = []
        self._is_closed = False

    def is_at_hand(self) -> bool:
        return bool(self._idle) and not self._idle[-1].is_closed() and not self._room.locked()

    async def acquire(self) -> Connection:
        await self._room.acquire()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self._hosts.connect()
        except BaseException:
            self._room.release()
            raise

    async def release(self, connection: Connection) -> None:
        if self._is_closed:
            abandon(connection)
        if not connection.is_closed():
            self._idle.append(connection)
        self._room.release()

    def leave(self) -> None:
        while self._idle:
            abandon(self._idle.pop())

    async def close(self) -> None:
        self._is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL * self._timeout):
                for _ in range(self._size):  # what is under way still comes back
                    await self._room.acquire()
                while self._idle:
                    await self._idle.pop().close(timeout=self._timeout)
        self.leave()


class _OwnConnection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """
    A connection that keeps our few statements at hand.

    For the driver to find one again, and to see whether it is to be logged, took 8 of 160 µs of a small update.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._statements: dict[str, Any] = {}

    async def fetch(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, query: str, *args: Any, timeout: float | None = None
    ) -> Any:
        """Fetch as the driver does, which prepares a statement again when the tables were changed."""
        statement = self._statements.get(query)
        if statement is None:
            statement = self._statements[query] = await self.prepare(query, timeout=timeout)
        try:
            return await statement.fetch(*args, timeout=timeout)
        except asyncpg.InvalidCachedStatementError:
            self._statements.clear()
            if self.is_in_transaction():
                raise
        return await super().fetch(query, *args, timeout=timeout)


class _Hosts:
    """
    The servers of one address, of which one takes writes: which one may change.

    The driver tries hosts in order, too, but waits for a silent one as long as there is time, and never gets further.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._dsns = list(address.dsns)
        self._timeout = timeout / len(self._dsns)

    async def connect(self) -> Connection:
        """
        Return a connection to the first server that is fit; the last one that was is asked first.

        Raises:
            any of `LOST`: none is.
        """
        failures: list[BaseException] = []
        for dsn in tuple(self._dsns):
            try:
                async with asyncio.timeout(self._timeout):
                    connection = await _connection(dsn, self._address)
            except LOST as error:
                failures.append(error)
            else:
                self._dsns.remove(dsn)
                self._dsns.insert(0, dsn)
                return connection
        raise failures[-1]


async def _connection(dsn: str, address: Address) -> Connection:
    """Connect to a server that is what it must be."""
    options: dict[str, Any] = {
        "connection_class": _OwnConnection if address.cached else asyncpg.Connection,
        "statement_cache_size": _STATEMENTS if address.cached else 0,
        "target_session_attrs": address.target,
    }
    connection = await asyncpg.connect(dsn, **options)
    try:
        told = hasattr(connection.get_settings(), "default_transaction_read_only")  # 13 does not say it by itself
        unknown = address.target == WRITABLE and not told
        if unknown and await connection.fetchval("SHOW transaction_read_only") == "on":
            raise asyncpg.TargetServerAttributeNotMatched("the server is read-only")
        if address.cached:  # else it belongs to others, too
            await connection.execute(_OUR_SETTINGS)
    except BaseException:
        abandon(connection)
        raise
    return connection
