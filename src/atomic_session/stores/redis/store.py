"""The Redis store: a hash per session, one script per command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ...clock import Instant
from ...commands import Answer, Command
from ...errors import AtomicSessionError
from ...lifecycle import Fate, answers_of, is_limited
from ...limits import DEFAULT_LIMITS, Limits
from ...store import SessionInfo
from .clients import Client, Clients, client_from_url
from .failures import refused
from .owners import Owners
from .proof import prove
from .servers import Reply, Request
from .work import Work

__all__ = ["RedisStore"]

_MOST_OPERATORS = 1_000
"""What one update may ask of a script, whose stack is bounded."""


class RedisStore:
    """
    Keep records on a Redis or Valkey server, behind a sentinel, or in a Cluster.

    An acknowledged change is as safe as the server's persistence and replication make it: a
    failover can undo an acknowledged logout.  What is over the server sweeps by itself.

    Args:
        client: a `redis.asyncio.Redis` or `RedisCluster`, which stays the application's own and serves the event loop
            that uses it first; or a function that makes one for each event loop.
        prefix: what the names of all keys begin with.
        timeout: seconds after which a trip has failed.
        limits: what one session may hold.

    Raises:
        ValueError: a setting is nonsense; the message names it.
    """

    lanes = 0
    batch_size = 128

    def __init__(
        self,
        client: Client | Callable[[], Client],
        *,
        prefix: str = "atomic-session:",
        timeout: float = 5.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        if limits.operators > _MOST_OPERATORS:
            raise ValueError(f"limit 'operators' must be at most {_MOST_OPERATORS} on Redis, not {limits.operators}")
        self._clients = Clients(client, timeout)
        self._proved = False
        self._prefix = prefix.encode()
        self._owners = Owners(self._prefix + b"owner:", self._key_of, self._ask)
        self._work = Work(self._send, self._key_of, self._owners, limits)

    @classmethod
    def from_url(cls, url: str, *, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> RedisStore:
        """
        Build one from `redis://`, `rediss://`, `unix://`, `redis+cluster://` or `rediss+cluster://`.

        What the driver takes in a URL may stand in it, and `prefix=`.

        Raises:
            ValueError: the driver does not take it.
        """
        make, prefix = client_from_url(url)
        return cls(make, prefix=prefix, limits=limits, timeout=timeout)

    async def open(self) -> None:
        servers = self._clients.get()
        async with servers.opening:
            if not self._proved:
                await prove(servers, self._work, self._owners)
                self._proved = True

    async def close(self) -> None:
        self._proved = False
        await self._clients.close()

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        with self._clients.get().calls:
            if len(commands) != 1:
                return await self._together(commands)
            fate = await self._work.one(commands[0])
        if isinstance(fate, AtomicSessionError):
            raise fate
        return (fate,)

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        with self._clients.get().calls:
            return [SessionInfo.of(record) for record in await self._owners.live(owner, now)]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        with self._clients.get().calls:
            return await self._owners.destroy_all(owner, keep, now)

    async def purge(self, now: Instant, limit: int) -> int:  # noqa: ARG002 - the server sweeps by itself
        return 0

    async def _together(self, commands: Sequence[Command]) -> Sequence[Answer]:
        if any(map(is_limited, commands)):
            fates = [await self._work.one(command) for command in commands]
        else:
            fates = await asyncio.gather(*map(self._one, commands))
        return answers_of(fates)

    async def _one(self, command: Command) -> Fate:
        return await self._work.one(command)  # in its turn among the others

    def _key_of(self, session_id: str) -> bytes:
        return self._prefix + b"session:" + session_id.encode()

    def _send(self, requests: Sequence[Request]) -> Awaitable[list[Reply]]:
        return self._clients.get().send(requests)

    async def _ask(self, requests: Sequence[Request]) -> list[Reply]:
        """
        Make a trip, and raise the first failure in it.

        Raises:
            StoreUnavailable: one of the requests was not carried out.
            OutcomeUnknown: one of them may have been.
        """
        replies = await self._send(requests) if requests else []
        for reply in replies:
            if isinstance(reply, AtomicSessionError):
                raise reply
            if isinstance(reply, Exception):
                raise refused(reply, "") from reply
        return replies
