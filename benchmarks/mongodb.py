"""One update on MongoDB: ours beside the bare driver, and beside a bare socket that waits for its answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import bson
from pymongo import AsyncMongoClient, ReturnDocument, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from tests.servers.mongodb import mongodb_url

from atomic_session.session import SessionContext
from atomic_session.stores.mongodb import MongoStore

from .harness import Case, Figure, Options, Target, record
from .sessions import Headers, create, data_of, managed, open_session, stored
from .sides import Side, Update

__all__ = ["measure"]

_WIDTHS = {1: 200, 16: 40, 64: 20}
"""How many tasks at once, and how often each of them updates in a round."""

_APART = "the socket's"
"""The document that the bare socket updates."""

_CHANGE = {"$set": {"data.color": "red"}, "$inc": {"data.visits": 1}}

Collection = AsyncCollection[dict[str, Any]]


async def measure(options: Options) -> Figure:
    figure = Figure(
        "mongodb", "one update (set, inc) of a 0.5 KB session on a replica set of one node, majority writes"
    )
    widths = {width: options.times(times) for width, times in _WIDTHS.items()}
    most = max(widths)
    with mongodb_url() as url:
        async with _ours(url, most, figure) as ours, _driver(url, most, figure) as driver:
            cases = [
                _case(f"{name}, {width} at once", side, width, times)
                for width, times in widths.items()
                for name, side in (("ours", ours), ("driver", driver))
            ]
            with _Socket(url) as bare:
                cases.append(Case("blocking socket, alone", "us", lambda: bare.run(widths[1])))
                for side in (ours, driver):
                    await side.run(most, 2)
                await record(figure, cases, options.rounds)
        await _count(url, figure)
    alone = Target("at most", 1.15)
    figure.compare("time of one alone: ours / driver", "ours, 1 at once", "driver, 1 at once", alone)
    figure.compare("time of one alone: ours / blocking socket", "ours, 1 at once", "blocking socket, alone")
    for width in (16, 64):
        target = Target("at least", 2) if width == 64 else None
        over, under = f"driver, {width} at once", f"ours, {width} at once"
        figure.compare(f"updates/s, {width} at once: ours / driver", over, under, target)
    return figure


def _case(name: str, side: Side, width: int, times: int) -> Case:
    async def turn() -> float:
        return await side.run(width, times)

    return Case(name, "us", turn)


@asynccontextmanager
async def _ours(url: str, count: int, figure: Figure) -> AsyncIterator[Side]:
    async with managed(MongoStore(url, timeout=30)) as context:
        made = await create(context, count, data_of())
        before = await stored(context, made, "visits")
        side = Side(_update_by(context, made))
        yield side
        figure.counted["ours: updates acknowledged"] = side.done
        figure.counted["ours: updates stored"] = await stored(context, made, "visits") - before


def _update_by(context: SessionContext, made: list[Headers]) -> Update:
    async def update(number: int) -> object:
        return await open_session(context, made[number]).set("color", "red").inc("visits")

    return update


@asynccontextmanager
async def _driver(url: str, count: int, figure: Figure) -> AsyncIterator[Side]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    documents = client.get_default_database()["driver"].with_options(write_concern=WriteConcern("majority"))
    await documents.drop()
    await documents.insert_many([{"_id": f"{number:022}", "data": data_of()} for number in range(count)])
    await documents.insert_one({"_id": _APART, "data": data_of()})
    before = await _visits(documents)

    async def update(number: int) -> object:
        return await documents.find_one_and_update(
            {"_id": f"{number:022}"}, _CHANGE, return_document=ReturnDocument.AFTER
        )

    side = Side(update)
    yield side
    figure.counted["driver: updates acknowledged"] = side.done
    figure.counted["driver: updates stored"] = await _visits(documents) - before
    await client.close()


async def _visits(documents: Collection) -> int:
    return sum([document["data"]["visits"] async for document in documents.find({"_id": {"$ne": _APART}})])


class _Socket:
    """The driver's command without the driver: a message out, a message in, nothing else going on."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 27017))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._command = bson.encode(
            {
                "findAndModify": "driver",
                "query": {"_id": _APART},
                "update": _CHANGE,
                "new": True,
                "writeConcern": {"w": "majority"},
                "$db": parts.path.strip("/"),
            }
        )

    def __enter__(self) -> _Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def run(self, times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            if bson.decode(self._ask()).get("ok") != 1:
                raise RuntimeError("the server refuses the bare command")
        return (time.perf_counter() - start) / times * 1e6

    def _ask(self) -> bytes:
        size = 16 + 4 + 1 + len(self._command)
        self._socket.sendall(struct.pack("<iiiiIB", size, 1, 0, 2013, 0, 0) + self._command)
        (length,) = struct.unpack("<i", self._read(4))
        return self._read(length - 4)[12 + 4 + 1 :]

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._socket.recv(size - len(data))
        return data


class _Counter(CommandListener):
    def __init__(self) -> None:
        self.count = 0

    def started(self, event: CommandStartedEvent) -> None:  # noqa: ARG002
        self.count += 1

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


async def _count(url: str, figure: Figure) -> None:
    """Count the commands that requests send."""
    counter = _Counter()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, event_listeners=[counter])
    async with managed(MongoStore(client.get_default_database())) as context:
        made = await create(context, 64, data_of())
        update = _update_by(context, made)

        async def updated_after_a_load() -> None:
            session = await open_session(context, made[0])()
            await session.inc("visits")

        async def read() -> None:
            await open_session(context, made[0])()

        async def look() -> None:
            open_session(context, made[0]).cookie_header()

        works: dict[str, Callable[[], Awaitable[object]]] = {
            "untouched": look,
            "read": read,
            "updated blindly": lambda: update(0),
            "read, then updated": updated_after_a_load,
            "64 updated at once": lambda: asyncio.gather(*(update(number) for number in range(64))),
        }
        for name, work in works.items():
            counter.count = 0
            await work()
            figure.counted[f"commands: {name}"] = counter.count
    await client.close()
