"""
Records in a dict: for tests, and for development in one process.

Everything is lost when the process ends, and each process has its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import islice
from urllib.parse import urlsplit

from ..clock import Instant
from ..commands import Answer, Command, Create, Outcome
from ..errors import LimitExceeded
from ..fields import EMPTY
from ..lifecycle import Stored, making_room, perform, tombstone
from ..limits import DEFAULT_LIMITS, Limits
from ..record import Record
from ..store import SessionInfo

__all__ = ["MemoryStore"]


class MemoryStore:
    """
    Keep records as text in a dict.

    It may be used from several event loops and threads.  What is over is removed as new records come.
    """

    lanes = 0
    batch_size = 1

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._records: OrderedDict[str, Stored] = OrderedDict()
        self._in_use = threading.Lock()

    @classmethod
    def from_url(cls, url: str, *, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> MemoryStore:  # noqa: ARG003
        """Build one from `memory://`; there is nothing more to say in the URL."""
        parts = urlsplit(url)
        if parts.netloc or parts.path or parts.query:
            raise ValueError(f"a memory store takes no options: write memory://, not {url!r}")
        return cls(limits=limits)

    async def open(self) -> None:
        """Do nothing: it is always open."""

    async def close(self) -> None:
        """Do nothing: what it holds stays until the store itself goes."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        with self._in_use:
            return [self._carry_out(command) for command in commands]

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        with self._in_use:
            return [SessionInfo.of(record) for record in self._live_of(owner, now)]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        with self._in_use:
            ended = [record for record in self._live_of(owner, now) if record.id != keep]
            for record in ended:
                self._bury(record, now)
        return len(ended)

    async def purge(self, now: Instant, limit: int) -> int:
        with self._in_use:
            over = [key for key, stored in self._records.items() if stored.record.expired(now)][:limit]
            for key in over:
                del self._records[key]
        return len(over)

    def _carry_out(self, command: Command) -> Answer:
        before = self._records.get(command.id)
        after, answer = perform(command, before, self._limits)
        if after is before or after is None:
            return answer
        try:
            for record in making_room(command, partial(self._live_of, now=command.now)):
                self._bury(record, command.now)
        except LimitExceeded as error:
            return Answer(Outcome.REFUSED, error=error)
        if type(command) is Create:
            self._forget_some(command.now)
        self._records[command.id] = after
        return answer

    def _live_of(self, owner: str, now: Instant) -> list[Record]:
        """Return *owner*'s live records, the latest used first."""
        records = (stored.record for stored in self._records.values())
        live = [record for record in records if record.owner == owner and not record.expired(now)]
        return sorted(live, key=lambda record: (-record.last_used, record.id))

    def _bury(self, record: Record, now: Instant) -> None:
        self._records[record.id] = Stored(tombstone(record, now), EMPTY)

    def _forget_some(self, now: Instant) -> None:
        """Look at the two records that were looked at longest ago, so that what is over cannot pile up."""
        for key in list(islice(self._records, 2)):
            if self._records[key].record.expired(now):
                del self._records[key]
            else:
                self._records.move_to_end(key)
