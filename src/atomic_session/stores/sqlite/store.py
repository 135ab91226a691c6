"""The SQLite store: reads on the calling thread, writes through the writer."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, get_args
from urllib.parse import parse_qs, unquote, urlsplit

import apsw
import msgspec

from ... import clock as system_clock
from ...clock import Clock, Instant
from ...commands import Answer, Command, Load
from ...errors import OutcomeUnknown, StoreUnavailable
from ...lifecycle import perform
from ...limits import DEFAULT_LIMITS, Limits
from ...store import SessionInfo
from . import forks, rows
from .database import Durability, Stopped, unavailable
from .jobs import Work
from .reader import Reader
from .writer import Writer

__all__ = ["SQLiteStore"]

Reading: TypeAlias = Callable[[rows.Executor], Any]


class SQLiteStore:
    """
    Keep records in the SQLite file *path*, shared by any number of processes on one machine.

    With durability "full" every acknowledged change survives a crash of the process and a loss
    of power, on hardware that honours sync.  With "relaxed" a loss of power may undo the newest
    changes, a logout among them; a crash of the process may not.  The file system must be local.
    No other SQLite library may open the file in this process: two of them undo each other's locks
    (https://www.sqlite.org/howtocorrupt.html, on several copies of SQLite).

    It may be used from several event loops and threads, and in children of a fork.  What is over
    is removed in small steps after other writes.

    Args:
        path: the file; its directory must exist, it is created with mode 0600.
        durability: "full" or "relaxed".
        timeout: seconds after which a call has failed.
        limits: what one session may hold.
        clock: what tells the time to the purge in the background.

    Raises:
        ValueError: a setting is nonsense; the message names it.
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
        if not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout!r}")
        name = os.fspath(path)
        if not name or name.startswith(":"):
            raise ValueError(f"{name!r} is no file; for sessions in memory use memory://")
        if "\0" in name:
            raise ValueError(f"{name!r} is no file name")
        self._path = Path(os.path.realpath(name))  # one name for one file, wherever the process goes
        self._durability: Durability = durability
        self._timeout = timeout
        self._limits = limits
        self._clock = clock
        self._file: _File | None = None
        self._opening = threading.Lock()
        forks.watch(self)

    @classmethod
    def from_url(cls, url: str, *, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> SQLiteStore:
        """
        Build one from `sqlite:///relative.db`, `sqlite:////absolute.db`, `…?durability=relaxed`.

        Raises:
            ValueError: the URL says less than that, or more.
        """
        parts = urlsplit(url)
        try:
            path = unquote(parts.path, errors="strict").removeprefix("/")
        except UnicodeDecodeError as error:
            raise ValueError(f"{url!r}: the path is not UTF-8") from error
        if parts.netloc or not path or not url[len(parts.scheme) :].startswith(":///"):
            raise ValueError(f"{url!r}: write sqlite:///relative.db or sqlite:////absolute.db")
        options = parse_qs(parts.query, keep_blank_values=True)
        durability: Any = options.pop("durability", ["full"])
        if options or parts.fragment or len(durability) > 1:
            raise ValueError(f"{url!r}: the one option of an SQLite URL is durability")
        return cls(path, durability=durability[0], limits=limits, timeout=timeout)

    async def open(self) -> None:
        await self._opened()

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        if not commands:
            return ()
        first = commands[0]
        if len(commands) == 1 and type(first) is Load:
            return (await self._load(first),)
        answers: list[Answer] = await self._write(self._carrying_out(commands), first.now)
        return answers

    def load_at_once(self, command: Load) -> Answer | None:
        """Answer on the calling thread; None where the file is busy or closed, or the session is to be renewed."""
        file = self._file
        if file is None or not file.ready:
            return None
        try:
            stored = file.reader.run(rows.read, command.id)
        except (Stopped, apsw.BusyError):
            return None
        except apsw.Error as error:
            raise unavailable(self._path, error) from error
        after, answer = perform(command, stored, self._limits)
        return answer if after is stored else None

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        live = await self._read(partial(rows.live_of, owner=owner, now=now), now)
        return [SessionInfo.of(record) for record in live]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        ended: int = await self._write(partial(rows.destroy_all, owner=owner, keep=keep, now=now), now)
        return ended

    async def purge(self, now: Instant, limit: int) -> int:
        removed: int = await self._write(partial(rows.purge, now=now, limit=limit), now)
        return removed

    async def _load(self, command: Load) -> Answer:
        """Answer from a read; a renewal that fails is not worth refusing what was read."""
        stored = await self._read(partial(rows.read, session_id=command.id), command.now)
        after, answer = perform(command, stored, self._limits)
        if stored is None or after is stored:
            return answer
        try:
            renewed: list[Answer] = await self._write(self._carrying_out((command,)), command.now)
        except (StoreUnavailable, OutcomeUnknown):
            return msgspec.structs.replace(answer, record=stored.record, renewed=False)
        return renewed[0]

    def _carrying_out(self, commands: Sequence[Command]) -> Work:
        return partial(rows.carry_out, commands=commands, limits=self._limits)

    async def _read(self, work: Reading, now: Instant) -> Any:
        while True:
            file = await self._opened()
            try:
                return file.reader.run(_do, work)
            except Stopped:
                continue
            except apsw.BusyError:  # to wait is for the writer's thread, never for an event loop
                return await self._read_late(work, now)
            except apsw.Error as error:
                raise unavailable(self._path, error) from error

    async def _read_late(self, work: Reading, now: Instant) -> Any:
        try:
            return await self._write(work, now)
        except OutcomeUnknown as error:  # to read has no outcome that could be unknown
            raise StoreUnavailable(error.reason) from error

    async def _write(self, work: Work, now: Instant) -> Any:
        while True:
            file = self._file
            if file is None or not file.ready:
                file = await self._opened()
            try:
                future = file.writer.submit(work, now)
            except Stopped:
                continue
            return await future

    async def _opened(self) -> _File:
        """Return the open file, opening it where nobody did, or where it was closed."""
        while (file := self._file) is None or not file.ready:
            file = self._start()
            try:
                await file.writer.submit(_nothing, 0)  # the first transaction creates what is missing
            except Stopped:
                continue
            except OutcomeUnknown as error:
                raise StoreUnavailable(error.reason) from error
            file.ready = True
        return file

    def _start(self) -> _File:
        with self._opening:
            if self._file is None:
                self._file = _File(self._path, self._durability, self._timeout, self._clock)
                self._finalizer = weakref.finalize(self, self._file.stop)
            return self._file

    def _close(self) -> None:
        with self._opening:
            file, self._file = self._file, None
            if file is not None:
                self._finalizer.detach()
        if file is not None:
            file.stop()

    def before_fork(self) -> None:
        """Let go of the file until the fork is done."""
        self._opening.acquire()
        if self._file is not None:
            self._file.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._file is not None:
            self._file.writer.after_fork_in_parent()
            self._file.reader.after_fork_in_parent()
        self._opening.release()

    def after_fork_in_child(self) -> None:
        """Be closed: the thread that writes is the parent's."""
        file, self._file = self._file, None
        if file is not None:
            self._finalizer.detach()
            file.writer.after_fork_in_child()
        self._opening.release()


class _File:
    """The file while it is open: who reads it, and who writes it."""

    def __init__(self, path: Path, durability: Durability, timeout: float, clock: Clock) -> None:
        self.reader = Reader(path)
        self.writer = Writer(path, durability, timeout, clock)
        self.ready = False

    def stop(self) -> None:
        """Complete what was accepted, then let go.  Blocks; at most for the timeout."""
        self.writer.stop()
        self.writer.join()
        self.reader.stop()

    def before_fork(self) -> None:
        """Let go until the fork is done."""
        self.writer.before_fork()
        self.reader.before_fork()


def _do(reader: rows.Executor, work: Reading) -> Any:
    return work(reader)


def _nothing(_: apsw.Connection) -> None:
    """Be the work of a transaction that only opens the file."""
