"""A site on the memory store, and the same on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.session.kit import Site

from atomic_session.stores.sqlite import SQLiteStore


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture(params=["memory", "sqlite"])
async def any_site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site on each store of the package."""
    inner = SQLiteStore(tmp_path / "sessions.db", durability="relaxed") if request.param == "sqlite" else None
    made = Site(inner)
    yield made
    await made.manager.close()
