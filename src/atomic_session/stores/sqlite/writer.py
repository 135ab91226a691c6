"""
The one thread that writes: everything that waits goes into one transaction.

Jobs queue up while the disk makes the last transaction durable; the next one takes them all.
So one sync serves many updates, and the queue itself is the lane.

Rule 1: a job is claimed once, after the transaction has begun: by the thread, or by whoever gave
it up.  What is given up before is never done.
Rule 2: every job that was put is answered; no error ends the thread.
Rule 3: a connection that failed is not used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from ...clock import Clock, Instant
from ...errors import OutcomeUnknown
from ...events import emit
from ...timelimits import Watch
from .database import Durability, Stopped, connect, prepare, unavailable
from .jobs import Job, Work
from .rows import purge
from .turns import Turns

__all__ = ["Writer"]

_BATCH = 512
_PURGE_EVERY = 60_000
_PURGE_STEP = 200

# The frame that commits was not written, or not whole.  Where it was written and a sync failed, the
# next opening may find it.
_NOT_COMMITTED = (apsw.FullError, apsw.BusyError)


class Writer:
    """Run jobs for *path* on a thread of its own, each answered within *timeout* seconds."""

    def __init__(self, path: Path, durability: Durability, timeout: float, clock: Clock) -> None:
        self._path = path
        self._durability: Durability = durability
        self._timeout = timeout
        self._clock = clock
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._watches: dict[asyncio.AbstractEventLoop, Watch] = {}
        self._stopped = False
        self._turns: Turns | None = None
        self._connection: apsw.Connection | None = None
        self._in_use = threading.Lock()
        self._now: Instant = 0
        self._purged: Instant = 0
        self._more_to_purge = False
        self._thread = threading.Thread(target=self._run, name=f"atomic-session {path.name}", daemon=True)
        self._thread.start()

    def submit(self, work: Work, now: Instant) -> asyncio.Future[Any]:
        """
        Do *work* inside a transaction; the future has its result once that is durable.

        It ends in `StoreUnavailable` where the work was not done, in `OutcomeUnknown` where it may
        have been done, or may be later.  Cancelled while the work waits, it withdraws it.

        Raises:
            Stopped: it was not done, and never will be.
        """
        loop = asyncio.get_running_loop()
        job = Job(work, now, loop)
        (self._watches.get(loop) or self._watch(loop)).add(job)
        self._jobs.put(job)
        if self._stopped and job.claim():
            job.future.cancel()
            raise Stopped
        return job.future

    def _watch(self, loop: asyncio.AbstractEventLoop) -> Watch:
        """Begin to watch *loop*; those that are closed are forgotten."""
        watches = {known: watch for known, watch in self._watches.items() if not known.is_closed()}
        watch = watches[loop] = Watch(loop, self._timeout)
        self._watches = watches
        return watch

    def stop(self) -> None:
        """Complete what was accepted, then let go of the file; `join` waits for that."""
        self._jobs.put(None)

    def join(self) -> None:
        """Wait until the thread has ended, at most for the timeout."""
        if threading.current_thread() is not self._thread:  # garbage is collected on any thread
            self._thread.join(self._timeout)

    def before_fork(self) -> None:
        """Wait for the transaction under way, and let go of the file until the fork is done."""
        self._in_use.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on; the next transaction connects again."""
        self._in_use.release()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's turn, which the child would keep if the parent died in it."""
        if self._turns is not None:
            self._turns.close()

    def _run(self) -> None:
        while not self._stopped:
            self._turn()
        while not self._jobs.empty():  # put while the flag went up
            self._turn()
        with self._in_use:
            self._disconnect()
        if self._turns is not None:
            self._turns.close()

    def _turn(self) -> None:
        """Wait for work and do all there is, in one transaction."""
        first = self._next()
        if first is None:
            return
        batch = [first]
        try:
            with self._our_turn():
                self._together(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for an answer
            self._fail(batch, error)
        _deliver(batch)
        self._now = first.now
        self._purge_when_due()

    def _next(self) -> Job | None:
        try:
            job = self._jobs.get(block=not self._more_to_purge)
        except queue.Empty:
            self._purge_when_due()
            return None
        if job is None:
            self._stopped = True
        return job

    def _together(self, batch: list[Job]) -> None:
        """Do the one job in *batch*, and all that wait, in one transaction."""
        connection = self._begin()
        self._gather(batch)
        try:
            for job in batch:
                job.outcome = job.work(connection)
        except Exception:  # noqa: BLE001 - one of them is the cause: which one shows when each stands alone
            self._disconnect()
            self._one_by_one(batch)
        else:
            self._commit(connection)

    def _gather(self, batch: list[Job]) -> None:
        while len(batch) < _BATCH and not self._jobs.empty():
            job = self._jobs.get()
            if job is None:
                self._stopped = True
                break
            batch.append(job)
        batch[:] = [job for job in batch if job.claim()]

    def _one_by_one(self, batch: list[Job]) -> None:
        """Do each job in a transaction of its own: an engine that met damage lets nothing else be committed with it."""
        for place, job in enumerate(batch):
            try:
                connection = self._begin()
                job.outcome = job.work(connection)
                self._commit(connection)
            except (apsw.Error, OutcomeUnknown) as error:
                self._disconnect()
                if isinstance(error, apsw.BusyError):  # the next ones would wait as long, one after the other
                    self._fail(batch[place:], error)
                    return
                self._fail([job], error)
            except Exception as error:  # noqa: BLE001 - its own
                self._disconnect()
                job.outcome = error

    @contextlib.contextmanager
    def _our_turn(self) -> Iterator[None]:
        """Keep other writers and forks out; where an error ends it, all that was not committed is undone."""
        if self._turns is None:
            self._turns = self._open_turns()
        with self._turns, self._in_use:
            try:
                yield
            except BaseException:
                self._disconnect()
                raise

    def _begin(self) -> apsw.Connection:
        connection = self._connection or self._connect()
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _commit(self, connection: apsw.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except apsw.Error as error:
            if isinstance(error, _NOT_COMMITTED) or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE:
                raise
            raise OutcomeUnknown(unavailable(self._path, error).reason) from error

    def _fail(self, batch: list[Job], error: Exception) -> None:
        told = error if isinstance(error, OutcomeUnknown) else unavailable(self._path, error)
        for job in batch:
            job.outcome = type(told)(told.reason)  # no two tasks share one exception
            job.outcome.__cause__ = error

    def _purge_when_due(self) -> None:
        """
        Take one small step; where there is more to do, the next follows at once, or after the next batch.

        Gone is what is over by the commands' time and by our own clock: whichever is wrong, nothing alive goes.
        """
        try:
            now = min(self._now, self._clock())
            if not self._more_to_purge and abs(now - self._purged) < _PURGE_EVERY:
                return
            self._more_to_purge, self._purged = False, now
            with self._our_turn():
                connection = self._begin()
                removed = purge(connection, now, _PURGE_STEP)
                self._commit(connection)
            self._more_to_purge = removed == _PURGE_STEP
        except Exception as error:  # noqa: BLE001 - nobody waits for it, and a later step tries again
            self._more_to_purge = False
            emit("purge_failed", reason=unavailable(self._path, error).reason)

    def _open_turns(self) -> Turns:
        with self._in_use:  # there is to be no lock file beside what is no database
            connect(self._path, self._timeout).close()
        return Turns(self._path)

    def _connect(self) -> apsw.Connection:
        connection = self._connection = connect(self._path, self._timeout)
        prepare(self._path, connection, self._durability)
        return connection

    def _disconnect(self) -> None:
        """Let go of the connection, and with it of a transaction that was not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(apsw.Error):
                connection.close(True)


def _deliver(batch: list[Job]) -> None:
    """Wake each event loop once, with all that was done for it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits in it
            loop.call_soon_threadsafe(_settle, jobs)


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
