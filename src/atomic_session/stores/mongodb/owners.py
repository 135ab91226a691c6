"""
What concerns all sessions of an owner: they are found by an index, and ended each on its own.

Where an owner may have so many sessions only, their logins take turns: a document of the owner's is a
lock that one login holds at a time, for no longer than a login can take; others wait for half of the time
that their batch has.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from bson import ObjectId
from msgspec import Struct
from pymongo.errors import DuplicateKeyError

from ... import clock
from ...clock import Instant
from ...commands import Answer, Command, Outcome
from ...errors import LimitExceeded, OutcomeUnknown, StoreUnavailable
from ...lifecycle import evicted, login_of
from ...record import Record
from .documents import record_of, sweep_at
from .failures import door
from .statements import is_live, tombstone
from .trips import Collection, Trips

__all__ = ["Turn", "destroy_all", "log_in", "sessions_of"]

_PAUSE = 0.01


class Turn(Struct, frozen=True):
    """How long a login waits for its turn, and may take it: the commands of its batch are answered when it is over."""

    comes_by: Instant
    lasts: int

    @classmethod
    def within(cls, timeout: float) -> Turn:
        """Return what is left to the logins of a batch that has *timeout* seconds from now."""
        milliseconds = round(timeout * 1000)
        return cls(clock.now() + milliseconds // 2, 2 * milliseconds)


async def sessions_of(collection: Collection, owner: str, now: Instant) -> list[Record]:
    """Return the live records of *owner*, the latest used first; what is not ours is left out."""
    with door(writing=False):
        found = await collection.find({"owner": owner, **is_live(now)}, {"data": False}).to_list()
    records = []
    for document in found:
        with suppress(ValueError):
            records.append(record_of(document))
    return sorted(records, key=lambda record: (record.last_used, record.id), reverse=True)


async def destroy_all(collection: Collection, owner: str, keep: str | None, now: Instant) -> int:
    """End the live sessions of *owner* but for *keep*, and say how many."""
    with door(writing=True):
        result = await collection.update_many({"owner": owner, "_id": {"$ne": keep}, **is_live(now)}, tombstone(now))
    return result.modified_count


async def log_in(collection: Collection, trips: Trips, command: Command, turn: Turn) -> Answer:
    """Carry out *command*, a login of an owner who may have so many sessions only."""
    login = login_of(command)
    if login is None or login.limit is None:
        raise TypeError("this is no such login")
    async with _turn(collection, login.owner, turn):
        live = await sessions_of(collection, login.owner, command.now)
        try:
            going = evicted(login.limit, [record.id for record in live if record.id != command.id])
        except LimitExceeded as error:
            unchanged = await trips.look(command)
            return Answer(Outcome.REFUSED, error=error) if unchanged is None else unchanged
        answer = await trips.alone(command)
        if answer.outcome is Outcome.DONE:
            try:
                await _end(collection, going, login.owner, command.now)
            except StoreUnavailable as error:  # the login is done; who should have given way may live on
                raise OutcomeUnknown(error.reason) from error
        return answer


async def _end(collection: Collection, ids: Sequence[str], owner: str, now: Instant) -> None:
    for session_id in ids:
        with door(writing=True):
            await collection.update_one({"_id": session_id, "owner": owner}, tombstone(now))


@asynccontextmanager
async def _turn(collection: Collection, owner: str, turn: Turn) -> AsyncIterator[None]:
    key = {"_id": f"login:{hashlib.sha256(owner.encode()).hexdigest()}"}
    mine = ObjectId()
    while not await _take(collection, key, mine, turn.lasts):
        if clock.now() >= turn.comes_by:
            raise StoreUnavailable("another login of this owner takes too long")
        await asyncio.sleep(_PAUSE)
    try:
        yield
    finally:
        with suppress(StoreUnavailable), door(writing=False):  # it ends by itself
            await collection.delete_one({**key, "holder": mine})


async def _take(collection: Collection, key: dict[str, str], mine: ObjectId, lasts: int) -> bool:
    now = clock.now()
    until = now + lasts
    changes = {"$set": {"holder": mine, "until": until, "sweep_at": sweep_at(until)}}
    try:
        with door(writing=False):
            await collection.update_one({**key, "until": {"$lte": now}}, changes, upsert=True)
    except DuplicateKeyError:
        return False
    return True
