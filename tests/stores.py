"""
Every store that the package brings, for the tests that run on all of them.

A server is started when the first test asks for it, serves all of them, and ends with the run.
Another store joins by a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from tests.harnesses.own import MemoryHarness, SQLiteHarness
from tests.harnesses.postgresql import PostgreSQLHarness
from tests.harnesses.redis import RedisHarness
from tests.mongodb.harness import MongoHarness
from tests.servers.mongodb import mongodb_url
from tests.servers.postgresql import postgresql_url
from tests.servers.valkey import valkey_url

from atomic_session.store import Store

__all__ = ["KINDS", "AnyHarness", "Servers", "any_harness", "servers"]


class AnyHarness(Protocol):
    """What makes the stores of one test, and looks behind them."""

    async def make(self) -> Store: ...
    async def dump(self) -> bytes: ...
    async def corrupt(self, session_id: str) -> None: ...
    async def close(self) -> None: ...


class Kind(NamedTuple):
    """
    How the stores of one engine are had.

    Attributes:
        harness: makes a harness of the server's URL, or where there is no server of a folder.
        server: what runs a server, and says its URL.
    """

    harness: Callable[[Any], AnyHarness]
    server: Callable[[], AbstractContextManager[str]] | None = None


KINDS: dict[str, Kind] = {
    "memory": Kind(lambda _folder: MemoryHarness()),
    "sqlite": Kind(SQLiteHarness),
    "mongodb": Kind(MongoHarness, mongodb_url),
    "postgresql": Kind(PostgreSQLHarness, postgresql_url),
    "redis": Kind(RedisHarness, valkey_url),
}


class Servers:
    """The servers of one run."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._running = ExitStack()

    def harness(self, name: str, folder: Path) -> AnyHarness:
        kind = KINDS[name]
        return kind.harness(folder if kind.server is None else self.url(name))

    def url(self, name: str) -> str:
        """Return the URL of the server of this name, which is started if it does not run yet."""
        server = KINDS[name].server
        if server is None:
            raise ValueError(f"{name} has no server")
        if name not in self._urls:
            self._urls[name] = self._running.enter_context(server())
        return self._urls[name]

    def stop(self) -> None:
        self._running.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.stop()


@pytest.fixture(params=sorted(KINDS))
async def any_harness(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> AsyncIterator[AnyHarness]:
    """A harness of each store of the package."""
    made = servers.harness(request.param, tmp_path)
    yield made
    await made.close()
