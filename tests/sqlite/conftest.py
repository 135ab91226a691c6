"""A file, a store on it, and a disk that obeys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from atomic_session.stores.sqlite import SQLiteStore

from .commands import NOW
from .disk import Disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    """An open store, whose clock stands still."""
    opened = SQLiteStore(path, clock=lambda: NOW)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def disk() -> Iterator[Disk]:
    """The disk of every connection that the test opens."""
    watched = Disk()
    yield watched
    watched.heal()
    watched.holding.set()
    watched.unregister()
