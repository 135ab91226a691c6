"""
One connection to the file: how it is created, opened and kept up to date.

Every error of the engine leaves through `unavailable`, with its cause chained.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

from ...errors import StoreUnavailable
from ...resources import read_migrations

__all__ = ["Durability", "connect", "prepare", "unavailable"]

Durability: TypeAlias = Literal["full", "relaxed"]

_SYNCHRONOUS: dict[Durability, str] = {"full": "FULL", "relaxed": "NORMAL"}

_REASONS: dict[type[apsw.Error], str] = {
    apsw.NotADBError: "it is not an SQLite database",
    apsw.ReadOnlyError: "it is read-only",
    apsw.CantOpenError: "it cannot be opened",
    apsw.FullError: "the disk is full",
    apsw.BusyError: "another process keeps it locked",
    apsw.CorruptError: "it is damaged",
    apsw.PermissionsError: "access is not permitted",
}


def unavailable(path: Path, error: apsw.Error) -> StoreUnavailable:
    """Return what *error* means to a caller; the cause is to be chained where it is raised."""
    return StoreUnavailable(f"{path}: {_REASONS.get(type(error), str(error))}")


def prepare(path: Path, durability: Durability, timeout: float) -> None:
    """
    Create the file, readable by its owner alone, and bring its tables up to date.

    Several processes may do so at once.

    Raises:
        StoreUnavailable: it cannot be created, is no database, or was made by a newer version.
    """
    if not path.parent.is_dir():
        raise StoreUnavailable(f"{path}: there is no directory {path.parent}")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = connect(path, durability, timeout)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    try:
        _migrate(path, connection)
    except apsw.Error as error:
        raise unavailable(path, error) from error
    finally:
        connection.close()


def connect(path: Path, durability: Durability, timeout: float) -> apsw.Connection:
    """
    Open the file, which must exist.

    Raises:
        StoreUnavailable: it cannot be opened, or is no database.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(int(timeout * 1000))
            mode = connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", _SYNCHRONOUS[durability])
            connection.pragma("fullfsync", durability == "full")
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise unavailable(path, error) from error
    if mode != "wal":
        connection.close()
        raise StoreUnavailable(f"{path}: the file system cannot keep a write-ahead log (journal mode {mode!r})")
    return connection


def _migrate(path: Path, connection: apsw.Connection) -> None:
    migrations = read_migrations(__package__)
    connection.execute("BEGIN IMMEDIATE")
    with_rollback = "ROLLBACK"
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS atomic_session_schema (version INTEGER NOT NULL) STRICT")
        version = connection.execute("SELECT coalesce(max(version), 0) FROM atomic_session_schema").get
        if version > len(migrations):
            raise StoreUnavailable(f"{path}: its tables (version {version}) were made by a newer release")
        for number, migration in enumerate(migrations[version:], start=version + 1):
            connection.execute(migration)
            connection.execute("INSERT INTO atomic_session_schema VALUES (?)", (number,))
        with_rollback = "COMMIT"
    finally:
        connection.execute(with_rollback)
