"""A store as somebody else might write it: from the public modules, with no word of ours in its base classes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from atomic_session.clock import Instant
from atomic_session.commands import Answer, Command, Outcome
from atomic_session.errors import LimitExceeded
from atomic_session.lifecycle import Stored, making_room, perform, tombstone
from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.record import Record
from atomic_session.store import SessionInfo, Store


@dataclass
class Server:
    """What would be another machine: rows of bytes, and one lock for all of them."""

    rows: dict[str, bytes] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class OutsideStore:
    """One transaction for each batch, under the server's lock; every row is a trip."""

    lanes = 1
    batch_size = 16

    def __init__(self, server: Server) -> None:
        self._server = server

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        async with self._server.lock:
            rows = dict(self._server.rows)
            answers = [await self._carry_out(rows, command) for command in commands]
            self._server.rows = rows
        return answers

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        async with self._server.lock:
            return [SessionInfo.of(record) for record in live_of(self._server.rows, owner, now)]

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        async with self._server.lock:
            ended = [record for record in live_of(self._server.rows, owner, now) if record.id != keep]
            for record in ended:
                self._server.rows[record.id] = row(Stored(tombstone(record, now), b"{}"))
        return len(ended)

    async def purge(self, now: Instant, limit: int) -> int:
        async with self._server.lock:
            over = [key for key, kept in self._server.rows.items() if stored(kept).record.expired(now)][:limit]
            for key in over:
                del self._server.rows[key]
        return len(over)

    async def _carry_out(self, rows: dict[str, bytes], command: Command) -> Answer:
        await asyncio.sleep(0)
        found = rows.get(command.id)
        before = None if found is None else stored(found)
        after, answer = perform(command, before, DEFAULT_LIMITS)
        if after is None or after is before:
            return answer
        try:
            self._make_room(rows, command)
        except LimitExceeded as error:
            return Answer(Outcome.REFUSED, error=error)
        rows[command.id] = row(after)
        return answer

    def _make_room(self, rows: dict[str, bytes], command: Command) -> None:
        for record in making_room(command, partial(live_of, rows, now=command.now)):
            rows[record.id] = row(Stored(tombstone(record, command.now), b"{}"))


def row(kept: Stored) -> bytes:
    return msgspec.msgpack.encode(kept)


def stored(kept: bytes) -> Stored:
    return msgspec.msgpack.decode(kept, type=Stored)


def live_of(rows: dict[str, bytes], owner: str, now: Instant) -> list[Record]:
    records = (stored(kept).record for kept in rows.values())
    live = [record for record in records if record.owner == owner and not record.expired(now)]
    return sorted(live, key=lambda record: record.last_used, reverse=True)


class OutsideHarness:
    """Makes `OutsideStore`s, several on one server where that is asked for."""

    limits = DEFAULT_LIMITS

    async def make(self) -> Store:
        self._server = Server()
        return await self.another()

    async def another(self) -> Store:
        return OutsideStore(self._server)

    async def corrupt(self, session_id: str) -> None:
        record = stored(self._server.rows[session_id]).record
        self._server.rows[session_id] = row(Stored(record, b'{"n":'))

    async def close(self) -> None: ...
