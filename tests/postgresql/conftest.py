"""The server that all tests share, or the one that ATOMIC_SESSION_POSTGRESQL_URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.harnesses.postgresql import PostgreSQLHarness
from tests.stores import Servers


@pytest.fixture(scope="session")
def url(servers: Servers) -> str:
    return servers.url("postgresql")


@pytest.fixture
async def harness(url: str) -> AsyncIterator[PostgreSQLHarness]:
    made = PostgreSQLHarness(url)
    yield made
    await made.close()
