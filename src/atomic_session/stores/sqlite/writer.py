"""
The one thread that writes: everything that waits goes into one transaction.

Jobs queue up while the disk makes the last transaction durable; the next one takes them all.
So one sync serves many updates, and the queue itself is the lane.

A file lock around each transaction makes several processes take turns.  SQLite's own lock is
polled, and starves the slower ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import apsw

from ...clock import Clock
from ...errors import OutcomeUnknown, StoreUnavailable
from .database import Durability, connect, unavailable
from .rows import purge

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: SQLite's own lock has to do
    fcntl = None  # type: ignore[assignment]

__all__ = ["Writer"]

Work: TypeAlias = Callable[[apsw.Connection], Any]

_BATCH = 512
_PURGE_EVERY = 60_000
_PURGE_STEP = 200


class _Job:
    """One piece of work, and the future in whose loop somebody waits for it."""

    __slots__ = ("future", "loop", "outcome", "ticket", "work")

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.ticket = [True]
        self.outcome: Any = None

    def claim(self) -> bool:
        """Say whether the caller is the first to ask: then the job is its own to do or to drop."""
        try:
            return self.ticket.pop()
        except IndexError:
            return False

    def run(self, connection: apsw.Connection) -> None:
        """Do the work and keep its result; an error of the engine ends the whole transaction."""
        try:
            self.outcome = self.work(connection)
        except apsw.Error:
            raise
        except Exception as error:  # this job's own: its neighbours go on
            self.outcome = error

    def expire(self) -> None:
        """Tell who waits that it took too long, and whether it can still happen."""
        if not self.future.done():
            late = StoreUnavailable("it was busy for too long") if self.claim() else OutcomeUnknown("no answer in time")
            self.future.set_exception(late)


class Writer:
    """Run jobs for *path* on a thread of its own, each answered within *timeout* seconds."""

    def __init__(self, path: Path, durability: Durability, timeout: float, clock: Clock) -> None:
        self._path = path
        self._timeout = timeout
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection = connect(path, durability, timeout)
        self._lock_file = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._purge_at = clock()
        self._thread = threading.Thread(target=self._run, name=f"atomic-session {path.name}", daemon=True)
        self._thread.start()

    async def run(self, work: Work) -> Any:
        """
        Do *work* inside a transaction and return its result once that is durable.

        Raises:
            StoreUnavailable: it was not done.
            OutcomeUnknown: it may have been done, or may be later.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop)
        timer = loop.call_later(self._timeout, job.expire)
        self._jobs.put(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            job.claim()  # withdrawn, if it has not left yet
            raise
        finally:
            timer.cancel()

    def stop(self) -> None:
        """Complete what was accepted, then let go of the file.  Blocks; at most for the timeout."""
        self._jobs.put(None)
        self._thread.join(self._timeout)

    def _run(self) -> None:
        running = True
        while running:
            running = self._turn()
        self._connection.close()
        os.close(self._lock_file)

    def _turn(self) -> bool:
        """Wait for work and do all there is; say whether to go on."""
        try:
            first = self._jobs.get(timeout=_PURGE_EVERY / 1000)
        except queue.Empty:
            self._purge()
            return True
        if first is None:
            return False
        running = self._commit(first)
        if self._clock() >= self._purge_at and self._jobs.empty():
            self._purge()
        return running

    def _commit(self, first: _Job) -> bool:
        batch = [first]
        running = True
        with self._file_locked():
            while len(batch) < _BATCH and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    running = False
                    break
                batch.append(job)
            batch = [job for job in batch if job.claim()]
            self._run_batch(batch)
        _deliver(batch)
        return running

    def _run_batch(self, batch: list[_Job]) -> None:
        """Run *batch* in one transaction; what fails the transaction is every job's outcome."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.run(connection)
        except apsw.Error as error:
            self._roll_back()
            _fail(batch, unavailable(self._path, error), error)
            return
        try:
            connection.execute("COMMIT")
        except (apsw.FullError, apsw.BusyError) as error:
            self._roll_back()
            _fail(batch, unavailable(self._path, error), error)
        except apsw.Error as error:
            self._roll_back()
            _fail(batch, OutcomeUnknown(f"{self._path}: {error}"), error)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(apsw.Error):  # the first error is the one to tell
                self._connection.execute("ROLLBACK")

    def _purge(self) -> None:
        """Take one small step of purging; another follows soon where there was more to do."""
        now = self._clock()
        with self._file_locked(), contextlib.suppress(apsw.Error):  # the next step tries again
            with self._connection:
                removed = purge(self._connection, now, _PURGE_STEP)
            self._purge_at = now + (_PURGE_EVERY if removed < _PURGE_STEP else 0)

    @contextlib.contextmanager
    def _file_locked(self) -> Iterator[None]:
        if fcntl is None:  # pragma: no cover
            yield
            return
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)


def _fail(batch: list[_Job], error: StoreUnavailable | OutcomeUnknown, cause: apsw.Error) -> None:
    for job in batch:
        job.outcome = type(error)(error.reason)
        job.outcome.__cause__ = cause


def _deliver(batch: list[_Job]) -> None:
    """Wake each event loop once, with all that was done for it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits in it
            loop.call_soon_threadsafe(_settle, jobs)


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if isinstance(job.outcome, Exception):
            job.future.set_exception(job.outcome)
        else:
            job.future.set_result(job.outcome)
