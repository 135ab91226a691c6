"""The harness of the PostgreSQL store: many stores in one database, each in a schema of its own."""

from __future__ import annotations

import itertools
import os

import asyncpg

from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.stores.postgresql import PostgreSQLStore

PATIENCE = 60.0
SPOILT = '{"n": "~?"}'

_numbers = itertools.count()


class PostgreSQLHarness:
    """Stores in the database at *url*; two with one schema are as two processes."""

    limits = DEFAULT_LIMITS

    def __init__(self, url: str, options: str = "") -> None:
        self._server = url
        self._options = options
        self._made: list[str] = []
        self._opened: list[PostgreSQLStore] = []

    @property
    def schema(self) -> str:
        """The schema of the store that was made last."""
        return self._made[-1]

    @property
    def url(self) -> str:
        """The URL of the store that was made last."""
        sign = "&" if "?" in self._server else "?"
        return f"{self._server}{sign}schema={self.schema}{self._options}"

    async def make(self) -> PostgreSQLStore:
        self._made.append(f"test_{os.getpid()}_{next(_numbers)}")
        return await self.another()

    async def another(self) -> PostgreSQLStore:
        store = PostgreSQLStore.from_url(self.url, timeout=PATIENCE)
        self._opened.append(store)
        await store.open()
        return store

    async def corrupt(self, session_id: str) -> None:
        connection = await self.connect()
        await connection.execute(f"UPDATE {self.schema}.records SET data = $1 WHERE id = $2", SPOILT, session_id)
        await connection.close()

    async def dump(self) -> bytes:
        """Return all that the server keeps of the store made last."""
        connection = await self.connect()
        rows = await connection.fetch(f"SELECT r::text FROM {self.schema}.records AS r")
        digests = await connection.fetch(f"SELECT digest, previous_digest FROM {self.schema}.records")
        await connection.close()
        return "\n".join(row[0] for row in rows).encode() + b"\n".join(part or b"" for row in digests for part in row)

    async def connect(self) -> asyncpg.Connection:
        """Return a connection of the driver's, for looking behind the store."""
        return await asyncpg.connect(self._server, statement_cache_size=0)

    async def close(self) -> None:
        for store in self._opened:
            await store.close()
        connection = await self.connect()
        for schema in self._made:
            await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        await connection.close()
