"""How statements travel: one in a trip of its own, or several in a transaction; and what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from ...errors import AtomicSessionError, CorruptRecord, OutcomeUnknown, StoreUnavailable
from .failures import LOST, broken, is_to_be_repeated, leads_elsewhere, no_connection, refused
from .pools import ConnectionPool, abandon

__all__ = ["Connection", "Rows", "Trips"]

Rows: TypeAlias = Sequence[Any]
Connection: TypeAlias = Any
Statements: TypeAlias = "Callable[[Connection], Awaitable[Any]]"

_MOST_TRIES = 10
"""How often is asked again what the server has undone for the sake of others."""


class Trips:
    """
    Trips over the connections that *pool* returns, each of *timeout* seconds at most.

    Where statements are not *cached*, each goes in a transaction of its own.
    """

    def __init__(self, pool: Callable[[], ConnectionPool], timeout: float, *, cached: bool) -> None:
        self._pool = pool
        self._timeout = timeout
        self._cached = cached

    async def fetch(self, query: str, arguments: Sequence[object] = (), session_id: str = "") -> Rows:
        """
        Carry out one statement.

        Raises:
            StoreUnavailable: it was not, or was undone.
            OutcomeUnknown: it may have been.
            CorruptRecord: it was undone, for what is in a record: one session's, or of one with *session_id*.
        """
        for _ in range(_MOST_TRIES):
            pool = self._pool()
            is_at_hand = pool.is_at_hand()
            connection = await (pool.acquire() if is_at_hand else self._acquired(pool))
            rest = self._timeout if is_at_hand else self._timeout / 2
            try:
                if self._cached:
                    rows: Rows = await connection.fetch(query, *arguments, timeout=rest)
                else:
                    rows = await self._in_transaction(connection, lambda lent: lent.fetch(query, *arguments), rest)
            except LOST as error:
                reason = _settled(pool, connection, error, session_id, committing=self._cached)
                if reason is not None:
                    raise reason from reason.__cause__
            except BaseException:
                abandon(connection)  # what was sent may still be answered: nobody else may read that
                raise
            else:
                return rows
            finally:
                await pool.release(connection)
        raise StoreUnavailable("others hold the same sessions all the time")

    async def transact(self, statements: Statements, session_id: str = "") -> Any:
        """
        Carry out *statements* in a transaction, which is undone if it raises.

        Raises:
            StoreUnavailable, OutcomeUnknown, CorruptRecord: as `fetch` does.
            AtomicSessionError: what *statements* raises.
        """
        for _ in range(_MOST_TRIES):
            pool = self._pool()
            connection = await self._acquired(pool)
            try:
                return await self._in_transaction(connection, statements, self._timeout / 2)
            except LOST as error:
                reason = _settled(pool, connection, error, session_id, committing=False)
                if reason is not None:
                    raise reason from reason.__cause__
            finally:
                await pool.release(connection)
        raise StoreUnavailable("others hold the same sessions all the time")

    async def _acquired(self, pool: ConnectionPool) -> Connection:
        """Wait for a connection, for half of the time: until then nothing was sent."""
        try:
            async with asyncio.timeout(self._timeout / 2):
                return await pool.acquire()
        except LOST as error:
            reason = no_connection(error)
            raise reason from reason.__cause__

    async def _in_transaction(self, connection: Connection, statements: Statements, rest: float) -> Any:
        """
        Carry out *statements* and commit it, in the *rest* of the time.

        Raises:
            OutcomeUnknown: it was lost while it was committed.
        """
        committing = False
        try:
            async with asyncio.timeout(rest):
                transaction = connection.transaction(isolation="read_committed")
                await transaction.start()
                try:
                    result = await statements(connection)
                except (AtomicSessionError, *LOST) as error:
                    if isinstance(error, AtomicSessionError) or refused(error, "") is not None:
                        await transaction.rollback()
                    raise
                committing = True
                await transaction.commit()
        except LOST as error:
            if committing and refused(error, "") is None:
                abandon(connection)
                reason = broken(error, committing=True)
                raise reason from reason.__cause__
            raise
        except AtomicSessionError:
            raise
        except BaseException:
            abandon(connection)
            raise
        return result


def _settled(
    pool: ConnectionPool, connection: Connection, error: BaseException, session_id: str, *, committing: bool
) -> StoreUnavailable | OutcomeUnknown | CorruptRecord | None:
    """Return what an error means, None where all is to be tried again; drop a connection that is not to be trusted."""
    if is_to_be_repeated(error):
        return None
    if leads_elsewhere(error):
        abandon(connection)
        pool.leave()
    reason = refused(error, session_id)
    if reason is not None:
        return reason
    abandon(connection)
    return broken(error, committing=committing)
