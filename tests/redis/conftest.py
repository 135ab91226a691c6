"""The server that all tests share, or the one that ATOMIC_SESSION_REDIS_URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.harnesses.redis import RedisHarness
from tests.stores import Servers


@pytest.fixture(scope="session")
def url(servers: Servers) -> str:
    return servers.url("redis")


@pytest.fixture
async def harness(url: str) -> AsyncIterator[RedisHarness]:
    made = RedisHarness(url)
    yield made
    await made.close()
