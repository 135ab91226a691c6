"""One browser and one site, on each store: what the original was observed to do wrong is tried on all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.heritage.browser import Browser
from tests.mongodb.harness import forget, fresh_url
from tests.servers.mongodb import mongodb_url
from tests.session.kit import Clock, SpyStore

from atomic_session import SessionManager
from atomic_session.registry import open_url


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with mongodb_url() as url:
        yield url


@pytest.fixture
def url(server: str) -> Iterator[str]:
    own = fresh_url(server)
    yield own
    forget(own)


@pytest.fixture(params=["memory", "sqlite", "mongodb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SpyStore]:
    urls = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/sessions.db"}
    url = urls.get(request.param) or fresh_url(request.getfixturevalue("server"))
    spy = SpyStore(open_url(url, timeout=20))
    yield spy
    await spy.close()
    if request.param == "mongodb":
        forget(url)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def browser(store: SpyStore, clock: Clock) -> AsyncIterator[Browser]:
    async with Browser(SessionManager(store, clock=clock)) as made:
        yield made
