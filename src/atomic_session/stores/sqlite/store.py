"""The SQLite store: reads on the calling thread, writes through the writer."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import apsw

from ... import clock as system_clock
from ...clock import Clock, Instant
from ...commands import Answer, Command, Load
from ...errors import StoreUnavailable
from ...lifecycle import perform
from ...limits import DEFAULT_LIMITS, Limits
from ...store import SessionInfo
from . import rows
from .database import Durability, connect, prepare, unavailable
from .writer import Work, Writer

__all__ = ["SQLiteStore"]


class SQLiteStore:
    """
    Keep records in the SQLite file *path*, shared by any number of processes on one machine.

    With durability "full" every acknowledged change survives a crash of the process and a loss
    of power, on hardware that honours sync.  With "relaxed" a loss of power may undo the newest
    changes, a logout among them; a crash of the process may not.  The file system must be local.

    Args:
        path: the file; its directory must exist, it is created with mode 0600.
        durability: "full" or "relaxed".
        timeout: seconds after which a call has failed.
        limits: what one session may hold.
        clock: what tells the time to the purge in the background.
    """

    lanes = 0
    batch_size = 1

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "full",
        timeout: float = 5.0,
        limits: Limits = DEFAULT_LIMITS,
        clock: Clock = system_clock.now,
    ) -> None:
        if durability not in get_args(Durability):
            raise ValueError(f"durability must be one of {get_args(Durability)}, not {durability!r}")
        if not os.fspath(path) or os.fspath(path).startswith(":"):
            raise ValueError(f"{os.fspath(path)!r} is no file; for sessions in memory use memory://")
        self._path = Path(path)
        self._durability: Durability = durability
        self._timeout = timeout
        self._limits = limits
        self._clock = clock
        self._become_closed()
        _STORES.add(self)

    @classmethod
    def from_url(cls, url: str, *, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> SQLiteStore:
        """Build one from `sqlite:///relative.db`, `sqlite:////absolute.db`, `…?durability=relaxed`."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        durability: Any = options.pop("durability", "full")
        path = unquote(parts.path).removeprefix("/")
        if options or parts.fragment:
            raise ValueError(f"{url!r}: the one option of an SQLite URL is durability")
        if parts.netloc or not path:
            raise ValueError(f"{url!r}: write sqlite:///relative.db or sqlite:////absolute.db")
        return cls(path, durability=durability, limits=limits, timeout=timeout)

    async def open(self) -> None:
        if self._writer is None:
            await asyncio.to_thread(self._open)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        if self._writer is None:
            await self.open()
        if len(commands) == 1 and type(commands[0]) is Load:
            answer = self._load(commands[0])
            if answer is not None:
                return (answer,)
        result: list[Answer] = await self._write(partial(rows.carry_out, commands=commands, limits=self._limits))
        return result

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        await self.open()
        live = self._read(partial(rows.live_of, owner=owner, now=now))
        return [SessionInfo.of(record) for record in live]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        ended: int = await self._write(partial(rows.destroy_all, owner=owner, keep=keep, now=now))
        return ended

    async def purge(self, now: Instant, limit: int) -> int:
        removed: int = await self._write(partial(rows.purge, now=now, limit=limit))
        return removed

    def _load(self, command: Load) -> Answer | None:
        """Answer on the calling thread, where a read takes microseconds; None where it is to be renewed."""
        stored = self._read(partial(rows.read, session_id=command.id))
        after, answer = perform(command, stored, self._limits)
        return answer if after is stored else None

    def _read(self, work: Work) -> Any:
        with self._reading:
            if self._reader is None:
                raise StoreUnavailable(f"{self._path}: the store is closed")
            try:
                return work(self._reader)
            except apsw.Error as error:
                raise unavailable(self._path, error) from error

    async def _write(self, work: Work) -> Any:
        while (writer := self._writer) is None:
            await self.open()
        return await writer.run(work)

    def _open(self) -> None:
        with self._opening:
            if self._writer is not None:
                return
            prepare(self._path, self._durability, self._timeout)
            self._reader = connect(self._path, self._durability, self._timeout)
            self._writer = Writer(self._path, self._durability, self._timeout, self._clock)
            self._finalizer = weakref.finalize(self, self._writer.stop)

    def _close(self) -> None:
        with self._opening:
            writer, self._writer = self._writer, None
            if writer is None:
                return
            self._finalizer.detach()
            writer.stop()
            with self._reading:
                reader, self._reader = self._reader, None
                if reader is not None:
                    reader.close()

    def forget(self) -> None:
        """Become closed in a forked child, which must neither use nor close what it inherits."""
        if self._writer is not None:
            self._finalizer.detach()
            _INHERITED.append((self._reader, self._writer))
            self._become_closed()

    def _become_closed(self) -> None:
        self._reader: apsw.Connection | None = None
        self._writer: Writer | None = None
        self._opening = threading.Lock()
        self._reading = threading.Lock()


_STORES: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()
_INHERITED: list[object] = []
"""Connections of a parent process: closing one here could remove the log that the parent still writes."""


def _after_fork() -> None:
    for store in _STORES:
        store.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
