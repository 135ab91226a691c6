"""What the tests see of the files without asking the store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw


@contextlib.contextmanager
def turn_taken(path: Path) -> Iterator[None]:
    """Hold the turn to write, as another process would."""
    file = os.open(f"{path}-lock", os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def written_elsewhere(path: Path) -> Iterator[apsw.Connection]:
    """Hold SQLite's own write lock, as a program that knows nothing of turns would."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(60_000)
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def transactions(path: Path) -> int:
    """Count the transactions that the log holds: each ends with the one frame that says how large the database is."""
    log = Path(f"{path}-wal").read_bytes()
    (page_size,) = struct.unpack(">I", log[8:12])
    salts = log[16:24]
    frames = (log[at : at + 24] for at in range(32, len(log), 24 + page_size))
    return sum(1 for frame in frames if frame[8:16] == salts and frame[4:8] != b"\0\0\0\0")


def rows(path: Path, query: str = "SELECT count(*) FROM atomic_session") -> Any:
    """Return what the file itself says."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(60_000)
        return connection.execute(query).get
    finally:
        connection.close()


@contextlib.contextmanager
def busy_readers() -> Iterator[list[threading.Thread]]:
    """Let every connection that this thread opens find the file busy whenever it reads; give the threads that tried."""
    asked: list[threading.Thread] = []

    def trace(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        if "SELECT" in statement:
            asked.append(threading.current_thread())
            raise apsw.BusyError("another process recovers the log")
        return True

    def watch(connection: apsw.Connection) -> None:
        if threading.current_thread() is here:
            connection.exec_trace = trace

    here = threading.current_thread()
    apsw.connection_hooks.append(watch)
    try:
        yield asked
    finally:
        apsw.connection_hooks.remove(watch)
