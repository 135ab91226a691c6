"""Which servers a store talks to: one client for each event loop, of the application's or of our own making."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from ...loops import PerLoop
from .cluster import ClusterServers
from .servers import OneServer, Servers

__all__ = ["Client", "Clients", "client_from_url"]

Client: TypeAlias = "Redis | RedisCluster"

_CLUSTER = "+cluster"
_DEFAULT_PREFIX = "atomic-session:"


class Clients:
    """
    The servers as each event loop reaches them, which ends with it.

    A client of the application's own serves the loop that uses it first, and is never closed here;
    those that a function makes are ours.
    """

    def __init__(self, client: Client | Callable[[], Client], timeout: float) -> None:
        if not isinstance(client, Redis | RedisCluster) and not callable(client):
            raise ValueError(
                "a Redis store needs a client of redis.asyncio, or what makes one, "
                f"or a URL by from_url; this is of type {type(client).__name__}"
            )
        self._client = client
        self._timeout = timeout
        self._served: asyncio.AbstractEventLoop | None = None
        self._servers: PerLoop[Servers] = PerLoop(self._made, _end)

    def get(self) -> Servers:
        """Return the servers as the running loop reaches them."""
        return self._servers.get()

    async def close(self) -> None:
        """Complete what the running loop asks, then let go of its connections."""
        await self._servers.close()
        if self._served is asyncio.get_running_loop():
            self._served = None

    def _made(self) -> Servers:
        if not isinstance(self._client, Redis | RedisCluster):
            return _servers_of(self._client(), self._timeout, owned=True)
        loop = asyncio.get_running_loop()
        if self._served not in (None, loop) and not self._served.is_closed():
            raise RuntimeError("a Redis client serves one event loop: give the store a URL, or what makes a client")
        self._served = loop
        return _servers_of(self._client, self._timeout, owned=False)


def client_from_url(url: str) -> tuple[Callable[[], Client], str]:
    """
    Return what makes a client for *url*, and the prefix of its keys.

    Raises:
        ValueError: the driver does not take it.
    """
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018 - who asks for it is told whether it is one
    except ValueError:  # its words may show half of a password
        raise ValueError(
            "the port in the URL must be a number up to 65535; in a password '/', '?' and '#' are %2F, %3F and %23"
        ) from None
    options = parse_qsl(parts.query, keep_blank_values=True)
    prefix = dict(options).get("prefix", _DEFAULT_PREFIX)
    rest = urlencode([(name, value) for name, value in options if name != "prefix"])
    plain = urlunsplit(parts._replace(scheme=parts.scheme.removesuffix(_CLUSTER), query=rest))
    kind = RedisCluster if parts.scheme.endswith(_CLUSTER) else Redis

    def make() -> Client:
        made: Client = kind.from_url(
            plain, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None
        )
        return made

    try:
        make()  # it connects to nothing
    except (RedisError, RedisClusterException, TypeError) as error:
        raise ValueError(f"a Redis URL that the driver refuses: {str(error).partition('.')[0]}") from error
    return make, prefix


def _servers_of(client: Client, timeout: float, *, owned: bool) -> Servers:
    if isinstance(client, RedisCluster):
        return ClusterServers(client, timeout, owned=owned)
    return OneServer(client, timeout, owned=owned)


async def _end(servers: Servers) -> None:
    await servers.calls.ended()
    await servers.close()
