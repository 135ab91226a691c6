"""
SQLite without sessions: what the library is compared with.

Each rival keeps an id and a JSON document in a table of its own, and nothing else: no digest, no
deadlines, no index.  It does less than a session has to, so a comparison errs in its favour.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiosqlite
import apsw
import msgspec

__all__ = ["OnTheLoop", "OneByOne", "commits_in_log"]

_TABLE = "CREATE TABLE session (id TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT"
_INSERT = "INSERT INTO session VALUES (?, ?)"
_UPDATE = """
UPDATE session
   SET data = json_set(data, '$.color', ?, '$.visits', coalesce(json_extract(data, '$.visits'), 0) + 1)
 WHERE id = ? RETURNING data
"""
_VISITS = "SELECT sum(json_extract(data, '$.visits')) FROM session"
_SYNCHRONOUS = {False: "FULL", True: "NORMAL"}

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class OneByOne:
    """
    aiosqlite on one shared connection, one transaction an update.

    With the default `isolation_level`, tasks that share a connection share transactions too: one
    commits the half of another, and it looks faster than it is.  With None each statement commits
    by itself.  It is one call, so that one hop to the thread and back is all that it costs; a
    cursor that is fetched from later would leave its transaction open for others to join.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path, rows: Iterable[tuple[str, dict[str, Any]]], *, relaxed: bool = False) -> OneByOne:
        connection = await aiosqlite.connect(path, isolation_level=None)
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        await connection.execute_fetchall(f"PRAGMA synchronous = {_SYNCHRONOUS[relaxed]}")
        await connection.execute_fetchall(_TABLE)
        await connection.executemany(_INSERT, [(key, _encode(data).decode()) for key, data in rows])
        return cls(connection)

    async def update(self, key: str, color: str) -> dict[str, Any]:
        rows = await self._connection.execute_fetchall(_UPDATE, (color, key))
        return _decode(next(iter(rows))[0])

    async def update_in_three_calls(self, key: str, color: str) -> dict[str, Any]:
        """Update as it is mostly written.  Fit for one task alone: of several, one commits for all."""
        async with self._connection.execute(_UPDATE, (color, key)) as cursor:
            row: Any = await cursor.fetchone()
        return _decode(row[0])

    async def visits(self) -> int:
        rows = await self._connection.execute_fetchall(_VISITS)
        return int(next(iter(rows))[0])

    async def close(self) -> None:
        await self._connection.close()


class OnTheLoop:
    """apsw on the event loop's own thread, one transaction an update."""

    def __init__(self, path: Path, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "FULL")
        self._connection.execute(_TABLE)
        self._connection.executemany(_INSERT, [(key, _encode(data).decode()) for key, data in rows])

    def update(self, key: str, color: str) -> dict[str, Any]:
        row: Any = self._connection.execute(_UPDATE, (color, key)).fetchall()[0]
        return _decode(row[0])

    def close(self) -> None:
        self._connection.close()


def commits_in_log(path: Path) -> int:
    """
    Return how many transactions the write-ahead log of *path* holds, counted in the log itself.

    The last frame of each carries the size of the database (file format, section 4.1).  A
    checkpoint starts the log again, so what is counted must be less than a thousand pages.
    """
    raw = path.with_name(f"{path.name}-wal").read_bytes()
    page = int.from_bytes(raw[8:12])
    salt = raw[16:24]
    frames = (raw[start : start + 24] for start in range(32, len(raw), page + 24))
    return sum(frame[4:8] != bytes(4) for frame in frames if frame[8:16] == salt)
