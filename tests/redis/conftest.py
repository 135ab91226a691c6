"""A server for all tests of this folder, or the one that ATOMIC_SESSION_REDIS_URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.harnesses.redis import RedisHarness
from tests.servers import valkey


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with valkey.valkey_url() as found:
        yield found


@pytest.fixture
async def harness(url: str) -> AsyncIterator[RedisHarness]:
    made = RedisHarness(url)
    yield made
    await made.close()
