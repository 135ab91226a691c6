"""Harnesses of the stores that the package brings."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import msgspec

from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.stores.memory import MemoryStore
from atomic_session.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from atomic_session.store import Store

PATIENCE = 60.0
SPOILT = b'{"n":'


class MemoryHarness:
    """Memory has no other processes."""

    limits = DEFAULT_LIMITS

    async def make(self) -> Store:
        self._store = MemoryStore()
        return self._store

    async def dump(self) -> bytes:
        """Return every byte that is kept."""
        return repr(self._store._records).encode()

    async def corrupt(self, session_id: str) -> None:
        records = self._store._records
        records[session_id] = msgspec.structs.replace(records[session_id], raw=SPOILT)

    async def close(self) -> None:
        pass


class SQLiteHarness:
    """
    Every store is a file of its own below *folder*; two stores on one file are as two processes.

    It forgoes the wait for the disk, which no case can see.
    """

    limits = DEFAULT_LIMITS

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._opened: list[SQLiteStore] = []

    @property
    def path(self) -> Path:
        """The file of the store that was made last."""
        return self._folder / f"{self._made}.db"

    async def make(self) -> Store:
        self._made += 1
        return await self.another()

    async def another(self) -> Store:
        store = SQLiteStore(self.path, durability="relaxed", timeout=PATIENCE)
        await store.open()
        self._opened.append(store)
        return store

    async def dump(self) -> bytes:
        """Return every byte that is kept, in the file and in those beside it."""
        return b"".join(path.read_bytes() for path in sorted(self._folder.glob(f"{self.path.name}*")))

    async def corrupt(self, session_id: str) -> None:
        # not the `sqlite3` of Python: a second library in one process would drop the first one's locks
        with closing(apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(int(PATIENCE * 1_000))  # the store may be emptying its log
            connection.execute("UPDATE atomic_session SET data = ? WHERE id = ?", (SPOILT, session_id))
            assert connection.changes() == 1

    async def close(self) -> None:
        for store in self._opened:
            await store.close()
