"""A disk under the engine that counts, waits and fails as it is told; everything else is the real one."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import apsw

_BASE = "unix"


class Disk(apsw.VFS):
    """
    The file system of every connection that is opened while it is there.

    Attributes:
        syncs: how often files were made durable, by the end of their name ("-wal", ".db").
        writes: how often they were written.
        failing: what writes and syncs end with, by the end of the name: (after how many more, error code, where).
        holding: while cleared, a sync of the log waits for it.
        held: set when a sync of the log has begun to wait.
    """

    def __init__(self) -> None:
        super().__init__("watched", _BASE, makedefault=True)
        self.syncs: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.holding = threading.Event()
        self.holding.set()
        self.held = threading.Event()
        self._fails_at: tuple[str, int] | None = None
        self._error = apsw.SQLITE_OK

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)

    def fail(self, what: str, after: int, error: int) -> None:
        """End the next "write" or "sync" of the log, but for *after* of them, with *error*, and all later ones too."""
        counter = self.writes if what == "write" else self.syncs
        self._fails_at = (what, counter["wal"] + after)
        self._error = error

    def heal(self) -> None:
        """Work again."""
        self._fails_at = None

    def check(self, what: str, counter: Counter[str]) -> None:
        """Fail where that was asked for."""
        if self._fails_at is not None and self._fails_at[0] == what and counter["wal"] >= self._fails_at[1]:
            raise apsw.exception_for(self._error)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__(_BASE, name, flags)
        self._disk = disk
        self._kind = _kind(name)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        if self._kind == "wal":
            self._disk.check("write", self._disk.writes)
        self._disk.writes[self._kind] += 1
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._kind == "wal":
            self._disk.check("sync", self._disk.syncs)
            if not self._disk.holding.is_set():
                self._disk.held.set()
                self._disk.holding.wait(60)
        super().xSync(flags)
        self._disk.syncs[self._kind] += 1


def _kind(name: apsw.URIFilename | str | None) -> str:
    text = name.filename() if isinstance(name, apsw.URIFilename) else name or "temporary"
    return text.rpartition("-")[2] if text.endswith(("-wal", "-journal")) else "database"
