"""The PostgreSQL store: a row per session, many commands in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from ... import clock as system_clock
from ...clock import Clock, Instant
from ...commands import Answer, Command
from ...lifecycle import answers_of
from ...limits import DEFAULT_LIMITS, Limits
from ...loops import PerLoop
from ...store import SessionInfo
from ...values import encode_name
from .address import address_of
from .failures import nothing_is_unknown
from .pools import ConnectionPool, GivenPool, OwnPool
from .purging import BackgroundPurge
from .schema import prepare, queries_in
from .trips import Trips
from .work import Work

__all__ = ["PostgreSQLStore"]

_CALL = 0.9
"""The share of a caller's time that a trip has: who is nearer to the server gives up first, and knows more."""


class PostgreSQLStore:
    """
    Keep records in a PostgreSQL database, one row each.

    An acknowledged change is as safe as a commit is there: with the server's defaults it survives a
    crash.  Only a primary is used.  What is over is removed in small steps after other writes.

    Args:
        place: a URL; or the application's own `asyncpg.Pool`, which serves the event loop that it belongs to and is
            the application's to close.
        schema: the schema that holds the tables, created where it is missing; the URL's, or "atomic_session".
        in_transactions: every statement goes in a transaction of its own: a pooler that lends servers for one
            transaction (pgbouncer) asks for that.  A URL with `statement_cache_size=0` says so, too.
        timeout: seconds after which a call has failed.
        limits: what one session may hold.
        clock: what tells the time to the purge in the background.

    Raises:
        ValueError: a setting is nonsense; the message names it.
    """

    lanes = 2
    batch_size = 32

    def __init__(
        self,
        place: str | asyncpg.Pool,
        *,
        schema: str | None = None,
        in_transactions: bool = False,
        timeout: float = 5.0,
        limits: Limits = DEFAULT_LIMITS,
        clock: Clock = system_clock.now,
    ) -> None:
        self._own: PerLoop[OwnPool] | None = None
        self._given: GivenPool | None = None
        address = address_of(place if isinstance(place, str) else "postgresql://")
        address = msgspec.structs.replace(address, cached=address.cached and not in_transactions)
        if isinstance(place, str):
            self._own = PerLoop(lambda: OwnPool(address, timeout * _CALL / 2), OwnPool.close)
        elif isinstance(place, asyncpg.Pool):
            self._given = GivenPool(place, timeout * (1 - _CALL))
        else:
            raise ValueError(
                f"a PostgreSQL store needs a URL or an asyncpg pool; this is of type {type(place).__name__}"
            )
        self._schema = address.schema if schema is None else schema
        self._queries = queries_in(self._schema)
        self._trips = Trips(self._pool, timeout * _CALL, cached=address.cached)
        self._work = Work(self._trips, self._queries, limits)
        self._purging = BackgroundPurge(self._purge, clock)
        self._ready = False

    @classmethod
    def from_url(cls, url: str, *, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> PostgreSQLStore:
        """
        Build one from `postgresql://` or `postgres://`.

        What the driver takes in a URL may stand in it, and `schema=`, `pool_size=`, `statement_cache_size=0`.

        Raises:
            ValueError: an option is nonsense.
        """
        return cls(url, limits=limits, timeout=timeout)

    async def open(self) -> None:
        if not self._ready:
            with nothing_is_unknown():
                await prepare(self._trips, self._schema)
            self._ready = True

    async def close(self) -> None:
        self._ready = False
        await self._purging.end()
        if self._own is not None:
            await self._own.close()

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        if not commands:
            return ()
        if not self._ready:
            await self.open()
        fates = await self._work.all_of(commands)
        self._purging.after(commands)
        return answers_of(fates)

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        with nothing_is_unknown():
            rows = await self._ask("live_of_owner", encode_name(owner), now)
        return [SessionInfo.at(*row) for row in rows]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        ((count,),) = await self._ask("destroy_all", encode_name(owner), keep, now)
        return int(count)

    async def purge(self, now: Instant, limit: int) -> int:
        if not self._ready:
            await self.open()
        return await self._purge(now, limit)

    async def _purge(self, now: Instant, limit: int) -> int:
        ((count,),) = await self._trips.fetch(self._queries["purge"], (now, limit))
        return int(count)

    async def _ask(self, name: str, *arguments: object) -> Sequence[Any]:
        if not self._ready:
            await self.open()
        return await self._trips.fetch(self._queries[name], arguments)

    def _pool(self) -> ConnectionPool:
        if self._given is not None:
            return self._given
        if self._own is None:
            raise RuntimeError("a store without a place cannot have been made")
        return self._own.get()
