"""
What waits for the writer, and who waits for it.

A job is made and awaited in an event loop, and done on the writer's thread.  Exactly one of the
writer and the clock claims it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import apsw

from ...clock import Instant
from ...errors import OutcomeUnknown, StoreUnavailable

__all__ = ["Job", "Work"]

Work: TypeAlias = Callable[[apsw.Connection], Any]


class Job:
    """One piece of work, and the future in whose loop somebody waits for it."""

    __slots__ = ("_ticket", "deadline", "future", "loop", "now", "outcome", "work")

    def __init__(self, work: Work, now: Instant, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.now = now
        self.loop = loop
        self.deadline = 0.0
        self.future: asyncio.Future[Any] = loop.create_future()
        self.outcome: Any = None
        self._ticket = [True]

    def claim(self) -> bool:
        """
        Say whether the caller is the first to ask, and somebody still waits: then the job is its own.

        A task that is cancelled while its job waits has withdrawn it.
        """
        if self.future.cancelled():
            return False
        try:
            return self._ticket.pop()
        except IndexError:
            return False

    def is_over(self) -> bool:
        return self.future.done()

    def expire(self) -> None:
        """Tell who waits that it took too long, and whether it can still happen."""
        late = StoreUnavailable("it was busy for too long") if self.claim() else OutcomeUnknown("no answer in time")
        self.future.set_exception(late)

    def settle(self) -> None:
        """Hand over the outcome, in the loop of whoever waits."""
        if self.future.done():
            return
        if isinstance(self.outcome, Exception):
            self.future.set_exception(self.outcome)
        else:
            self.future.set_result(self.outcome)
