"""The stores that the security tests run on; another one joins by its name here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from atomic_session.store import Store
from atomic_session.stores.memory import MemoryStore
from atomic_session.stores.sqlite import SQLiteStore

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "sessions.db", durability="relaxed"),
}


@pytest.fixture(params=sorted(STORES))
async def inner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    yield store
    await store.close()
