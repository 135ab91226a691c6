"""One connection that reads, on the thread of whoever asks: a read takes microseconds, a thread hop a hundred."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from .database import Stopped, connect

__all__ = ["Reader"]

Result = TypeVar("Result")
Argument = TypeVar("Argument")


class Reader:
    """
    Read from *path*, which the writer has prepared, on any thread.

    It never waits for another process: an event loop may stand behind.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._cursor: apsw.Cursor | None = None
        self._in_use = threading.Lock()
        self._stopped = False

    def run(self, work: Callable[[apsw.Cursor, Argument], Result], argument: Argument) -> Result:
        """
        Return what *work* reads when it has a cursor and *argument*.

        Raises:
            Stopped: the store was closed.
            apsw.BusyError: another process keeps the file locked at this moment.
            apsw.Error: the engine failed.
        """
        with self._in_use:
            if self._stopped:
                raise Stopped
            cursor = self._cursor
            if cursor is None:
                cursor = self._cursor = self._new_cursor()
            try:
                return work(cursor, argument)
            except BaseException:
                cursor.close(True)  # else it might hold what it read last, and keep the log from being emptied
                self._cursor = None
                raise

    def stop(self) -> None:
        """Let go of the file for good."""
        with self._in_use:
            self._stopped = True
            self._disconnect()

    def before_fork(self) -> None:
        """Let go of the file until the fork is done."""
        self._in_use.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on; the next read connects again."""
        self._in_use.release()

    def _new_cursor(self) -> apsw.Cursor:
        if self._connection is None:
            self._connection = connect(self._path, busy_timeout=0)
        return self._connection.cursor()

    def _disconnect(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(apsw.Error):
                connection.close(True)
