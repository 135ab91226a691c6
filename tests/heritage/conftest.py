"""One browser and one site, on each store: what the original was observed to do wrong is tried on all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.heritage.browser import Browser
from tests.mongodb.harness import forget, fresh_url
from tests.session.kit import Clock, SpyStore
from tests.stores import AnyHarness, Servers

from atomic_session import SessionManager


@pytest.fixture
def url(servers: Servers) -> Iterator[str]:
    """A database on the MongoDB, gone afterwards."""
    own = fresh_url(servers.url("mongodb"))
    yield own
    forget(own)


@pytest.fixture
async def store(any_harness: AnyHarness) -> AsyncIterator[SpyStore]:
    spy = SpyStore(await any_harness.make())
    yield spy
    await spy.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def browser(store: SpyStore, clock: Clock) -> AsyncIterator[Browser]:
    async with Browser(SessionManager(store, clock=clock)) as made:
        yield made
