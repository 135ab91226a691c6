"""How the conformance suite gets its stores."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.collection import AsyncCollection

from atomic_session.limits import DEFAULT_LIMITS, Limits
from atomic_session.stores.mongodb import MongoStore

__all__ = ["MongoHarness", "forget", "fresh_url"]

_PATIENCE = 60.0


def fresh_url(url: str) -> str:
    """Return *url* with the name of a database that nobody has used; who the user is stays a matter of the old one."""
    parts = urlsplit(url)
    query = parts.query
    if parts.username and "authsource=" not in query.lower():
        query = f"{query}&authSource={parts.path.strip('/') or 'admin'}".strip("&")
    return urlunsplit(parts._replace(path=f"/test_{uuid.uuid4().hex}", query=query))


def forget(url: str) -> None:
    """Remove the database that *url* names: an outside server is left as it was."""
    with MongoClient[dict[str, Any]](url) as client:
        client.drop_database(client.get_default_database().name)


class MongoHarness:
    """A collection for each store, in one database."""

    limits: Limits = DEFAULT_LIMITS

    def __init__(self, server: str) -> None:
        self._url = fresh_url(server)
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self._url)
        self._made = 0
        self._stores: list[MongoStore] = []

    @property
    def _collection(self) -> AsyncCollection[dict[str, Any]]:
        return self._client.get_default_database()[f"sessions_{self._made}"]

    async def make(self) -> MongoStore:
        self._made += 1
        return await self.another()

    async def another(self) -> MongoStore:
        sign = "&" if "?" in self._url else "?"
        store = MongoStore(f"{self._url}{sign}collection={self._collection.name}", timeout=_PATIENCE)
        self._stores.append(store)
        await store.open()
        return store

    async def dump(self) -> bytes:
        """Return every byte that is kept."""
        return repr([document async for document in self._collection.find()]).encode()

    async def corrupt(self, session_id: str) -> None:
        await self._collection.update_one({"_id": session_id}, {"$set": {"data": "not ours"}})

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        await self._client.drop_database(self._client.get_default_database().name)
        await self._client.close()
