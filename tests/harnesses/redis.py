"""The harness of the Redis store: many stores on one server, each with a prefix of its own."""

from __future__ import annotations

import itertools
from typing import Any

import redis
from redis.asyncio import Redis, RedisCluster

from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.stores.redis import RedisStore

PATIENCE = 60.0
SPOILT = b'{"n":'

_numbers = itertools.count()


class RedisHarness:
    """Stores on the server at *url*; two with one prefix are as two processes."""

    limits = DEFAULT_LIMITS

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = ""
        self._opened: list[RedisStore] = []

    async def make(self) -> RedisStore:
        self.prefix = f"test{next(_numbers)}:"
        return await self.another()

    async def another(self) -> RedisStore:
        store = RedisStore.from_url(f"{self.url}?prefix={self.prefix}", timeout=PATIENCE)
        self._opened.append(store)
        await store.open()
        return store

    async def corrupt(self, session_id: str) -> None:
        client = self.client()
        key = f"{self.prefix}session:{session_id}"
        for name in await client.hkeys(key):
            if not name.startswith(b"\0"):
                await client.hset(key, name, SPOILT)
        await client.aclose()

    async def dump(self) -> bytes:
        """Return every byte that is kept: names, fields and values."""
        with redis.Redis.from_url(self.url) as client:
            keys = list(client.scan_iter(match=f"{self.prefix}*"))
            kept = [client.hgetall(key) if client.type(key) == b"hash" else client.dump(key) for key in keys]
        return repr((keys, kept)).encode()

    def client(self) -> Any:
        """Return a client of the driver, for looking behind the store."""
        if "+cluster" in self.url:
            return RedisCluster.from_url(self.url.replace("+cluster", ""))
        return Redis.from_url(self.url)

    async def close(self) -> None:
        for store in self._opened:
            await store.close()
