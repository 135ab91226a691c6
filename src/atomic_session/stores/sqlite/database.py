"""
One connection to the file: how it is created, opened and kept up to date.

Rule 1: we open the file ourselves only where it does not exist yet.  Closing any descriptor of
a file drops every lock that SQLite holds on it in this process.
Rule 2: a connection never lives through a fork; see `forks`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

from ...errors import StoreUnavailable
from ...resources import read_migrations

__all__ = ["Durability", "Stopped", "connect", "migrate", "prepare", "unavailable"]

Durability: TypeAlias = Literal["full", "relaxed"]

_SYNCHRONOUS: dict[Durability, str] = {"full": "FULL", "relaxed": "NORMAL"}

_REASONS: dict[type[Exception], str] = {
    apsw.NotADBError: "it is not an SQLite database",
    apsw.ReadOnlyError: "it is read-only",
    apsw.CantOpenError: "it cannot be opened",
    apsw.FullError: "the disk is full",
    apsw.BusyError: "another process keeps it locked",
    apsw.CorruptError: "it is damaged",
    apsw.PermissionsError: "access is not permitted",
}

_CREATING = threading.Lock()


class Stopped(Exception):
    """The store was closed in the meantime: nothing was done, and it is to be opened again."""


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """Return what *error* means to a caller; the cause is to be chained where it is raised."""
    if isinstance(error, StoreUnavailable):
        return StoreUnavailable(error.reason)
    reason = error.strerror if isinstance(error, OSError) else _REASONS.get(type(error))
    return StoreUnavailable(f"{path}: {reason or str(error) or type(error).__name__}")


def connect(path: Path, busy_timeout: float) -> apsw.Connection:
    """
    Open the file, created readable by its owner alone where there is none.

    Another process that keeps it locked is waited for, *busy_timeout* seconds at most.

    Raises:
        StoreUnavailable: it cannot be created.
        apsw.Error: it cannot be opened, or is no database.
    """
    _create(path)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(int(busy_timeout * 1000))
        connection.pragma("schema_version")  # the first look at the file itself
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: Path, connection: apsw.Connection, durability: Durability) -> None:
    """
    Make *connection* one to write through: the log, how safe a commit is, the tables.

    Raises:
        StoreUnavailable: the file system is not fit for it, or a newer release made the tables.
        apsw.Error: the engine failed.
    """
    connection.pragma("synchronous", _SYNCHRONOUS[durability])
    connection.pragma("fullfsync", durability == "full")
    connection.pragma("secure_delete", "fast")  # what is over is overwritten where its page is written anyway
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StoreUnavailable(f"{path}: the file system cannot keep a write-ahead log (journal mode {mode!r})")
    migrate(path, connection, read_migrations(__name__.rpartition(".")[0]))


def migrate(path: Path, connection: apsw.Connection, migrations: Sequence[str]) -> None:
    """
    Bring the tables to the version that *migrations* lead to, in one step.

    Raises:
        StoreUnavailable: a newer release made them.
        apsw.Error: the engine failed; nothing changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS atomic_session_schema (version INTEGER NOT NULL) STRICT")
        version = connection.execute("SELECT coalesce(max(version), 0) FROM atomic_session_schema").get
        if version > len(migrations):
            raise StoreUnavailable(f"{path}: its tables (version {version}) were made by a newer release")
        for number, migration in enumerate(migrations[version:], start=version + 1):
            connection.execute(migration)
            connection.execute("INSERT INTO atomic_session_schema VALUES (?)", (number,))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _create(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreUnavailable(f"{path}: there is no directory {path.parent}")
    if path.is_dir():
        raise StoreUnavailable(f"{path}: it is a directory")
    try:
        with _CREATING, contextlib.suppress(FileExistsError):  # nobody connects while the descriptor is open
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise unavailable(path, error) from error
