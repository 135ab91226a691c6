"""Connections: a pool for each event loop, of the application's or of our own making."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from msgspec import Struct

__all__ = ["Address", "ConnectionPool", "GivenPool", "OwnPool", "abandon", "address_of"]

Connection: TypeAlias = Any

_DEFAULT_SCHEMA = "atomic_session"
_DEFAULT_SIZE = 4
_MOST_KEPT = 2
"""How many connections are kept between trips, instead of going back to a pool that takes its time: one a lane."""

_LARGEST_PORT = 65_535
_FOR_US = ("schema", "pool_size", "statement_cache_size")


class Address(Struct, frozen=True):
    """
    Where the records are.

    Attributes:
        dsn: what the driver connects to.
        schema: the schema that the tables are in.
        size: how many connections each event loop may have.
        cached: whether prepared statements outlive a transaction; behind a pooler that lends a server for one
            transaction only they do not.
    """

    dsn: str
    schema: str
    size: int
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
    rest = urlencode([pair for pair in pairs if pair[0] not in _FOR_US])
    schema = ours.get("schema", _DEFAULT_SCHEMA)
    size = ours.get("pool_size", str(_DEFAULT_SIZE))
    cache = ours.get("statement_cache_size", "100")
    if not size.isdecimal() or not int(size):
        raise ValueError(f"pool_size must be a positive whole number, not {size!r}")
    if not cache.isdecimal():
        raise ValueError(f"statement_cache_size must be a whole number, not {cache!r}")
    return Address(urlunsplit(parts._replace(query=rest)), schema, int(size), cached=int(cache) > 0)


def _check_port(host: str) -> None:
    """Refuse what the driver would take for a port, and show in its error: it may be half of a password."""
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not (port.isdecimal() and int(port) <= _LARGEST_PORT):
        raise ValueError(
            "a port in the URL must be a number up to 65535; in a password '/', '?' and '#' are %2F, %3F and %23"
        )


class ConnectionPool(Protocol):
    """The connections of one event loop."""

    def at_hand(self) -> Connection | None:
        """Return a connection that needs no waiting, None where there is none."""
        ...

    async def acquire(self) -> Connection: ...

    async def release(self, connection: Connection) -> None:
        """Take a connection back; one that was terminated is forgotten."""
        ...

    async def close(self) -> None: ...


def is_gone(connection: Connection) -> bool:
    """Say whether a connection has broken; where it has, its pool may have taken it back already."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


def abandon(connection: Connection) -> None:
    """End a connection at once, whatever it does; it is to be released all the same."""
    with suppress(asyncpg.InterfaceError):  # its pool has taken it back
        connection.terminate()


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection in which nobody leaves anything that were to be reset."""

    def get_reset_query(self) -> str:
        return ""


class GivenPool:
    """A pool of the application's own, which lends a connection for each trip and stays the application's to close."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def at_hand(self) -> Connection | None:
        return None

    async def acquire(self) -> Connection:
        return await self._pool.acquire()

    async def release(self, connection: Connection) -> None:
        await self._pool.release(connection)

    async def close(self) -> None: ...


class OwnPool:
    """A pool of our own, and a few connections of it that are kept between trips."""

    def __init__(self, address: Address, timeout: float) -> None:
        options: dict[str, Any] = {"statement_cache_size": 100 if address.cached else 0}
        if "target_session_attrs" not in dict(parse_qsl(urlsplit(address.dsn).query)):
            options["target_session_attrs"] = "read-write"
        self._pool: Any = asyncpg.create_pool(
            address.dsn,
            min_size=0,
            max_size=address.size,
            connection_class=_Connection,
            timeout=timeout,
            **options,
        )
        self._kept: list[Connection] = []
        self._most = min(_MOST_KEPT, address.size - 1)

    def at_hand(self) -> Connection | None:
        if self._kept and not is_gone(self._kept[-1]):
            return self._kept.pop()
        return None

    async def acquire(self) -> Connection:
        while self._kept:  # the last one is closed, or came just now
            connection = self._kept.pop()
            if not is_gone(connection):
                return connection
            await self._pool.release(connection)
        await self._pool  # it begins once
        return await self._pool.acquire()

    async def release(self, connection: Connection) -> None:
        if len(self._kept) < self._most and not is_gone(connection):
            self._kept.append(connection)
        else:
            await self._pool.release(connection)

    async def close(self) -> None:
        self._most = 0  # what is under way still comes back
        kept, self._kept = self._kept, []
        for connection in kept:
            await self._pool.release(connection)
        await self._pool.close()
