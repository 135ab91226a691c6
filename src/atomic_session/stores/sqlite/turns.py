"""
Turns: a lock file beside the database makes its writers go one after the other.

SQLite's own lock keeps them correct.  But it is polled, with growing pauses, and starves the
slower ones; here the kernel wakes whoever has waited.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Turns"]


def _locking() -> ModuleType | None:
    """Return the module that locks files; None on Windows, where SQLite's own lock has to do."""
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        return None


_fcntl = _locking()


class Turns:
    """
    A lock that is held by one process at a time, and in it by one `Turns`.

    Waiting for it has no bound: whoever waits for the outcome has a timer.

    Raises:
        OSError: the lock file cannot be opened, or locked.
    """

    def __init__(self, database: Path) -> None:
        self._file = None if _fcntl is None else _open_beside(database)

    def __enter__(self) -> None:
        if self._file is not None and _fcntl is not None:
            _fcntl.flock(self._file, _fcntl.LOCK_EX)

    def __exit__(self, *_: Any) -> None:
        if self._file is not None and _fcntl is not None:
            with contextlib.suppress(OSError):  # what was committed in this turn stays committed
                _fcntl.flock(self._file, _fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file.  In a forked child this does not end a turn of its parent's."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _open_beside(database: Path) -> int:
    """
    Open the lock file; a new one gets the mode and the owner of the database.

    SQLite does so with its own files: what root ran once must not lock out the application.
    """
    path = f"{database}-lock"
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR)
    model = database.stat()
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.geteuid() == 0:
            os.fchown(file, model.st_uid, model.st_gid)
        os.fchmod(file, model.st_mode & 0o666)
    except BaseException:
        os.close(file)
        raise
    return file
