"""The MongoDB store."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri

from ...clock import Instant
from ...commands import Answer, Command
from ...errors import OutcomeUnknown, StoreUnavailable
from ...lifecycle import is_limited
from ...limits import DEFAULT_LIMITS, Limits
from ...loops import PerLoop
from ...store import SessionInfo
from . import owners
from .documents import OPTIONS, Document
from .failures import door
from .indexes import prepare
from .trips import Collection, Trips

__all__ = ["MongoStore"]

Place: TypeAlias = "AsyncDatabase[Document] | AsyncCollection[Document]"

_COLLECTION = "sessions"
_NO_DATABASE = re.compile(r"^$|[\\/. \"$\0]").search
_NO_COLLECTION = re.compile(r"^$|^\.|\.\.|\.$|[$\0]").search
_MOST_TEXT = 2_097_152
"""Bytes of one record's text: as BSON it may be nearly seven times as long, and a document holds 16 MB."""
_CALL = 0.9
_CONNECTION = 0.8
"""Shares of the time that a caller has: who is nearer to the server gives up first, and knows more."""


class MongoStore:
    """
    Keep records in a MongoDB collection, one document each.

    Every acknowledged change was written by a majority of a replica set, and reads ask the
    primary for what a majority has, whatever the client's own settings say.  A standalone server
    can promise less: what it acknowledged survives a crash of the server as far as its journal
    does, a lost reply leaves the outcome unknown, and there is no other node to go on.

    Args:
        place: a URL that names a database; or the application's own `AsyncDatabase`, whose
            collection "sessions" is used, or `AsyncCollection`.  These work in the one event loop
            that they belong to, and are the application's to close.
        timeout: seconds after which a call has failed.
        limits: what one session may hold.

    Raises:
        ValueError: the URL or a limit is nonsense; the message says which.
    """

    lanes = 3
    batch_size = 32

    def __init__(self, place: str | Place, *, timeout: float = 5.0, limits: Limits = DEFAULT_LIMITS) -> None:
        if limits.record > _MOST_TEXT:
            raise ValueError(f"limit 'record' must be at most {_MOST_TEXT} on MongoDB, not {limits.record}")
        self._timeout = timeout
        self._limits = limits
        self._prepared = False
        self._clients: PerLoop[Collection] | None = None
        self._own: Collection | None = None
        if isinstance(place, str):
            url, database, name = _parse(place)
            self._clients = PerLoop(lambda: _strict(self._connect(url)[database][name]), _close_client)
        else:
            found = place if isinstance(place, AsyncCollection) else place[_COLLECTION]
            self._own = _strict(found)

    @classmethod
    def from_url(cls, url: str, *, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> MongoStore:
        """Build one from `mongodb://host/database`, `mongodb+srv://…`, `…?collection=name` and PyMongo's options."""
        return cls(url, limits=limits, timeout=timeout)

    async def open(self) -> None:
        if self._prepared:
            return
        try:
            async with asyncio.timeout(self._timeout * _CALL):
                with door(writing=False):
                    await prepare(self._collection())
        except TimeoutError as error:
            raise StoreUnavailable("it does not answer") from error
        self._prepared = True

    async def close(self) -> None:
        self._prepared = False
        if self._clients is not None:
            await self._clients.close()

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        collection = await self._ready()
        trips = Trips(collection, self._limits)
        limited = {place for place, command in enumerate(commands) if is_limited(command)}
        if len(commands) == 1 and not limited:
            return (await trips.alone(commands[0]),)

        turn = owners.Turn.within(self._timeout)

        async def log_in(command: Command) -> Answer:
            return await owners.log_in(collection, trips, command, turn)

        return await trips.carry_out(commands, limited, log_in)

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        collection = await self._ready()
        try:
            async with asyncio.timeout(self._timeout * _CALL):
                records = await owners.sessions_of(collection, owner, now)
        except TimeoutError as error:
            raise StoreUnavailable("it does not answer") from error
        return [SessionInfo.of(record) for record in records]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        collection = await self._ready()
        try:
            async with asyncio.timeout(self._timeout * _CALL):
                return await owners.destroy_all(collection, owner, keep, now)
        except TimeoutError as error:
            raise OutcomeUnknown("it does not answer") from error

    async def purge(self, now: Instant, limit: int) -> int:  # noqa: ARG002
        """Do nothing: the server sweeps by itself."""
        return 0

    async def _ready(self) -> Collection:
        if not self._prepared:
            await self.open()
        return self._collection()

    def _collection(self) -> Collection:
        if self._own is not None:
            return self._own
        if self._clients is None:
            raise RuntimeError("a store without a place cannot have been made")
        return self._clients.get()

    def _connect(self, url: str) -> AsyncMongoClient[Document]:
        milliseconds = max(round(self._timeout * _CONNECTION * 1000), 1)
        return AsyncMongoClient(
            url,
            appname="atomic-session",
            retryWrites=True,
            connectTimeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
        )


async def _close_client(collection: Collection) -> None:
    await collection.database.client.close()


def _strict(collection: Collection) -> Collection:
    return collection.with_options(OPTIONS, ReadPreference.PRIMARY, WriteConcern("majority"), ReadConcern("majority"))


def _parse(url: str) -> tuple[str, str, str]:
    """Return what PyMongo is to connect to, and the names of database and collection."""
    parts = urlsplit(url)
    options = parts.query.split("&") if parts.query else []
    names = [unquote_plus(option.partition("=")[2]) for option in options if option.partition("=")[0] == "collection"]
    rest = "&".join(option for option in options if option.partition("=")[0] != "collection")  # as it was written
    database = unquote(parts.path.strip("/"))
    collection = names[0] if names else _COLLECTION
    if _NO_DATABASE(database) or _NO_COLLECTION(collection) or len(names) > 1 or parts.fragment:
        raise ValueError("write mongodb://host/database, or mongodb://host/database?collection=name")
    url = urlunsplit(parts._replace(query=rest))
    if parts.scheme == "mongodb":
        try:
            parse_uri(url, warn=False)
        except (PyMongoError, ValueError) as error:
            raise ValueError(f"this is no MongoDB URL: {type(error).__name__}") from None
    return url, database, collection
