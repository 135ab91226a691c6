"""How statements travel: one in a trip of its own, or several in a transaction; and what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from ...errors import AtomicSessionError, StoreUnavailable
from .failures import LOST, broken, is_to_be_repeated, no_connection, refused
from .pools import ConnectionPool

__all__ = ["Statement", "Trips"]

Rows: TypeAlias = Sequence[Any]
Connection: TypeAlias = Any
Work: TypeAlias = "Callable[[Connection], Awaitable[Any]]"

_MOST_TRIES = 10
"""How often a statement is asked that the server undoes for the sake of others."""


class Statement:
    """A statement, and of which session it is where it is of one."""

    __slots__ = ("arguments", "query", "session_id")

    def __init__(self, query: str, *arguments: object, session_id: str = "") -> None:
        self.query = query
        self.arguments = arguments
        self.session_id = session_id


class Trips:
    """Trips over the connections that *pool* returns, each of *timeout* seconds at most."""

    def __init__(self, pool: Callable[[], Awaitable[ConnectionPool]], timeout: float, *, cached: bool) -> None:
        self._pool = pool
        self._timeout = timeout
        self._cached = cached

    async def fetch(self, statement: Statement) -> Rows:
        """
        Carry out one statement.

        Raises:
            StoreUnavailable: it was not, or was undone.
            OutcomeUnknown: it may have been.
            CorruptRecord: it was undone, for what is in a record.
        """

        async def work(connection: Connection) -> Rows:
            rows: Rows = await connection.fetch(statement.query, *statement.arguments)
            return rows

        rows: Rows = await self.transact(work, statement.session_id, alone=self._cached)
        return rows

    async def transact(self, work: Work, session_id: str = "", *, alone: bool = False) -> Any:
        """
        Carry out *work*: in a transaction, or *alone* where it is one statement.

        Raises:
            StoreUnavailable, OutcomeUnknown, CorruptRecord: as `fetch` does.
        """
        for _ in range(_MOST_TRIES):
            progress = _Progress(alone)
            try:
                async with asyncio.timeout(self._timeout), self._connection() as connection:
                    return await progress.carry_out(work, connection)
            except AtomicSessionError:
                raise
            except LOST as error:
                if is_to_be_repeated(error):
                    continue
                reason = refused(error, session_id) or broken(error, committing=progress.committing)
                raise reason from reason.__cause__
        raise StoreUnavailable("others hold the same sessions all the time")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        pool = await self._pool()
        connection = pool.at_hand()
        if connection is None:
            connection = await self._acquired(pool)
        try:
            yield connection
        except BaseException as error:
            if refused(error, "") is None and not isinstance(error, AtomicSessionError):
                connection.terminate()  # what was sent may still be answered: nobody else may read that
            raise
        finally:
            await pool.release(connection)

    async def _acquired(self, pool: ConnectionPool) -> Connection:
        """Wait for a connection, for half of the time: until then nothing was sent."""
        try:
            async with asyncio.timeout(self._timeout / 2):
                return await pool.acquire()
        except LOST as error:
            reason = no_connection(error)
            raise reason from reason.__cause__


class _Progress:
    """How far one try is: whether what it has sent may have been committed."""

    def __init__(self, alone: bool) -> None:
        self._alone = alone
        self.committing = alone

    async def carry_out(self, work: Work, connection: Connection) -> Any:
        if self._alone:
            return await work(connection)
        transaction = connection.transaction(isolation="read_committed")
        await transaction.start()
        try:
            result = await work(connection)
        except AtomicSessionError:
            await transaction.rollback()
            raise
        except LOST as error:
            if refused(error, "") is not None:
                await transaction.rollback()
            raise
        self.committing = True
        await transaction.commit()
        return result
