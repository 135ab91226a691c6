"""Connections: a pool for each event loop, of the application's or of our own making."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

__all__ = ["Address", "ConnectionPool", "GivenPool", "OwnPool", "abandon", "address_of"]

Connection: TypeAlias = Any

_DEFAULT_SCHEMA = "atomic_session"
_DEFAULT_SIZE = 4
_STATEMENTS = 100
"""How many statements are kept prepared, as is the driver's own default."""

_AVOID_LONG_READS = "SET enable_seqscan = off"
"""No plan reads a whole table that is small now: the plan would stay when it has grown."""

_LARGEST_PORT = 65_535
_FOR_US = ("schema", "pool_size", "statement_cache_size")


class Address(Struct, frozen=True):
    """
    Where the records are.

    Attributes:
        dsn: what the driver connects to.
        schema: the schema that the tables are in.
        size: how many connections each event loop may have.
        target: what kind of server will do, of several: the driver's `target_session_attrs`.
        cached: whether prepared statements outlive a transaction; behind a pooler that lends a server for one
            transaction only they do not.
    """

    dsn: str
    schema: str
    size: int
    target: str
    cached: bool


def address_of(url: str) -> Address:
    """
    Take *url* apart.

    Raises:
        ValueError: an option of ours is nonsense, or the driver refuses the rest.
    """
    parts = urlsplit(url)
    for host in parts.netloc.rpartition("@")[2].split(","):
        _check_port(host)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name: value for name, value in pairs if name in _FOR_US}
    target = dict(pairs).get("target_session_attrs", "read-write")
    rest = urlencode([pair for pair in pairs if pair[0] not in _FOR_US])
    schema = ours.get("schema", _DEFAULT_SCHEMA)
    size = ours.get("pool_size", str(_DEFAULT_SIZE))
    cache = ours.get("statement_cache_size", "100")
    if not size.isdecimal() or not int(size):
        raise ValueError(f"pool_size must be a positive whole number, not {size!r}")
    if not cache.isdecimal():
        raise ValueError(f"statement_cache_size must be a whole number, not {cache!r}")
    return Address(urlunsplit(parts._replace(query=rest)), schema, int(size), target, cached=int(cache) > 0)


def _check_port(host: str) -> None:
    """Refuse what the driver would take for a port, and show in its error: it may be half of a password."""
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not (port.isdecimal() and int(port) <= _LARGEST_PORT):
        raise ValueError(
            "a port in the URL must be a number up to 65535; in a password '/', '?' and '#' are %2F, %3F and %23"
        )


class ConnectionPool(Protocol):
    """The connections of one event loop."""

    def is_at_hand(self) -> bool:
        """Say whether there is a connection that needs no waiting."""
        ...

    async def acquire(self) -> Connection: ...

    async def release(self, connection: Connection) -> None:
        """Take a connection back; one that was terminated is forgotten."""
        ...

    async def close(self) -> None: ...


def abandon(connection: Connection) -> None:
    """End a connection at once, whatever it does; it is to be released all the same."""
    with suppress(asyncpg.InterfaceError):  # its pool has taken it back
        connection.terminate()


class GivenPool:
    """A pool of the application's own, which lends a connection for each trip and stays the application's to close."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def is_at_hand(self) -> bool:
        return False

    async def acquire(self) -> Connection:
        return await self._pool.acquire()

    async def release(self, connection: Connection) -> None:
        await self._pool.release(connection)

    async def close(self) -> None: ...


class OwnPool:
    """
    Connections of our own, no more than *address* has room for: the one that was used last is taken first.

    The driver's pool takes as long as a small statement to lend a connection, and to take it back.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
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
            return await self._connect()
        except BaseException:
            self._room.release()
            raise

    async def release(self, connection: Connection) -> None:
        if self._is_closed:
            abandon(connection)
        if not connection.is_closed():
            self._idle.append(connection)
        self._room.release()

    async def close(self) -> None:
        self._is_closed = True
        for _ in range(self._address.size):  # what is under way still comes back
            await self._room.acquire()
        while self._idle:
            await self._idle.pop().close(timeout=self._timeout)

    async def _connect(self) -> Connection:
        address = self._address
        options: dict[str, Any] = {
            "timeout": self._timeout,
            "statement_cache_size": _STATEMENTS if address.cached else 0,
            "target_session_attrs": address.target,
        }
        connection = await asyncpg.connect(address.dsn, **options)
        if address.cached:  # else it belongs to others, too
            try:
                await connection.execute(_AVOID_LONG_READS)
            except BaseException:
                abandon(connection)
                raise
        return connection
