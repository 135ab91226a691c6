"""One server for all tests of this folder, or the one that ATOMIC_SESSION_POSTGRESQL_URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.harnesses.postgresql import PostgreSQLHarness
from tests.servers.postgresql import postgresql_url


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with postgresql_url() as found:
        yield found


@pytest.fixture
async def harness(url: str) -> AsyncIterator[PostgreSQLHarness]:
    made = PostgreSQLHarness(url)
    yield made
    await made.close()
