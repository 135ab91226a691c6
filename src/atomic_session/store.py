"""
The promise that every store keeps.

A store inherits from nothing of ours.  It keeps the contract below, and passes the conformance
suite in `atomic_session.testing`.

Rule 1: each command is one atomic step on one record, whatever else is under way.
Rule 2: a command that is refused, or finds its session gone, never disturbs its neighbours.
Rule 3: nothing but `Create` brings a record into being, and never over one that is there.
Rule 4: DONE is answered only after the change is as safe as the store ever makes it.
Rule 5: who is alive is decided by the command's `now`, never by the store's own clock.
Rule 6: commands on one session that come in one batch take effect in the batch's order; those on
different sessions in any, a login that looks at its owner's other sessions among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from .clock import Instant, to_datetime
from .commands import Answer, Command, Load
from .record import Record

__all__ = ["AtOnce", "SessionInfo", "Store"]


class SessionInfo(msgspec.Struct, frozen=True):
    """
    What an owner may see of one of their sessions: never a token, a digest or data.

    Attributes:
        id: the public id, which `destroy` takes.
        created, last_used: when that was; aware, in UTC.
        expires: when it ends if nobody uses it.
    """

    id: str
    created: datetime
    last_used: datetime
    expires: datetime

    @classmethod
    def of(cls, record: Record) -> SessionInfo:
        """Return what may be seen of *record*."""
        return cls.at(record.id, record.created, record.last_used, record.idle_deadline)

    @classmethod
    def at(cls, session_id: str, created: Instant, last_used: Instant, expires: Instant) -> SessionInfo:
        """Return it from what a record holds."""
        return cls(session_id, to_datetime(created), to_datetime(last_used), to_datetime(expires))


class AtOnce(Protocol):
    """What a store may do besides, where reading takes microseconds: answer a load without waiting."""

    def load_at_once(self, command: Load) -> Answer | None:
        """
        Answer *command* as `execute` would, or return None where that takes a wait.

        Raises:
            StoreUnavailable, CorruptRecord: as `execute` does.
        """
        ...


class Store(Protocol):
    """
    Where records live.

    Attributes:
        lanes: how many batches may be under way at once in one event loop, the commands of one
            session never in two of them; 0 for a store that queues by itself, takes each command
            at once and bounds its own calls in time.
        batch_size: how many commands one batch may hold.
    """

    @property
    def lanes(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    async def open(self) -> None:
        """
        Make the store ready: connect, create what is missing, say what is wrong.

        Opening an open store does nothing; a closed one may be opened again.  Several tasks may open it at once,
        and each may be cancelled, as when it takes too long.

        Raises:
            StoreUnavailable: it cannot be made ready; nothing was changed that matters.
        """
        ...

    async def close(self) -> None:
        """Complete what was accepted, then let go of every connection.  Closing twice does nothing."""
        ...

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        """
        Carry out *commands* and return one answer each, in their order.

        It may be cancelled, as when it takes too long or the task that asks is: the store must go on working, and
        what was under way may have been applied or not.

        Where the commands of a batch have fates of their own, one may be answered REFUSED with
        `CorruptRecord`, `StoreUnavailable` or `OutcomeUnknown`: the others are as answered.

        Raises:
            StoreUnavailable: none of them was applied.
            OutcomeUnknown: any of them may have been applied, or may be later.
            Exception: any other error says that none of them was applied, and that one of them
                is the cause: a batch of several is then run again, one by one.
        """
        ...

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        """Return the live sessions of *owner*, the latest used first; none for an unknown owner."""
        ...

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        """
        Destroy the live sessions of *owner* but for the one with the id *keep*; say how many.

        A login at the same time is either before it, and destroyed, or after it.
        """
        ...

    async def purge(self, now: Instant, limit: int) -> int:
        """
        Remove up to *limit* records that are over at *now*, and say how many.

        A record that ended less than an hour ago may be left for later.  A store whose engine
        sweeps by itself removes nothing, and returns 0.
        """
        ...
