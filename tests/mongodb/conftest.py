"""What the tests of MongoDB share: one server for all tests, and a database for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.mongodb.harness import MongoHarness, forget, fresh_url
from tests.stores import Servers

from atomic_session.stores.mongodb import MongoStore


@pytest.fixture(scope="session")
def server(servers: Servers) -> str:
    return servers.url("mongodb")


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """The URL of a database that is empty, and gone afterwards."""
    own = fresh_url(server)
    yield own
    forget(own)


@pytest.fixture
async def store(url: str) -> AsyncIterator[MongoStore]:
    made = MongoStore(url, timeout=20)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def harness(server: str) -> AsyncIterator[MongoHarness]:
    made = MongoHarness(server)
    yield made
    await made.close()
