"""Records in one SQLite file: durable, for any number of processes on one machine."""

from .store import SQLiteStore

__all__ = ["SQLiteStore"]
