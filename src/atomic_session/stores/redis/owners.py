"""
Whose sessions are whose: a list per owner, in a key of its own.

In a Cluster no step can touch the record and the list at once.  So a session is written into the
list before it becomes the owner's: the list names every session of the owner, and perhaps others.
Whoever reads it asks the records, which are the truth, and takes off it what is not the owner's.
An entry whose login may be under way is left alone for a minute.  Who gives way to such a login
stays in the list, and takes no place for as long: the login may fail, or nobody may learn what
became of it.  A list that the server lost is written again when its sessions are renewed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from ...clock import Instant
from ...commands import OwnerLimit
from ...errors import CorruptRecord, OutcomeUnknown, StoreUnavailable
from ...lifecycle import evicted
from ...record import Record
from .answers import CORRUPT
from .compile import Arguments, destroy_if_owned
from .records import HOT, OWNER, STATIC, record_of
from .scripts import CONFIRM, DESTROY, ENLIST, STRIKE
from .servers import Reply, Request, plain, running

__all__ = ["SLACK", "Owners", "stay_of"]

SLACK = 3_600_000
"""Milliseconds that the server waits longer than a deadline, as in `lua/guard.lua`."""

_UNDER_WAY = 60_000
"""Milliseconds for which a login may be under way."""

_CONTENDERS = 10_000
"""How often a place is tried for, while others take it first."""

Ask: TypeAlias = Callable[[Sequence[Request]], Awaitable[list[Reply]]]


def stay_of(record: Record, now: Instant) -> int:
    """Return how many milliseconds *record* may live before a renewal, of which the list of its owner hears again."""
    return record.renew_at - now + record.idle_deadline - record.last_used


class _Entry(Struct, frozen=True):
    """A session in a list, and its record, None where there is none; *till* is its score in `lua/enlist.lua`."""

    id: str
    till: Instant
    record: Record | None

    def is_live(self, owner: str, now: Instant) -> bool:
        record = self.record
        return record is not None and record.owner == owner and not record.destroyed and not record.expired(now)

    def is_under_way(self, owner: str, now: Instant) -> bool:
        record = self.record
        over = record is not None and (record.destroyed or record.owner == owner)
        return now < self.till and not over

    def takes_a_place(self, owner: str, now: Instant) -> bool:
        gives_way = now < -self.till
        return self.is_live(owner, now) and not gives_way


class Owners:
    """The lists of all owners; *ask* makes a trip and raises what came of it."""

    def __init__(self, prefix: bytes, session_key: Callable[[str], bytes], ask: Ask) -> None:
        self._prefix = prefix
        self._session_key = session_key
        self._ask = ask

    async def live(self, owner: str, now: Instant) -> list[Record]:
        """Return *owner*'s live records, the latest used first."""
        _, entries = await self._read(owner)
        found = [entry.record for entry in entries if entry.record is not None and entry.is_live(owner, now)]
        lost = [entry.id for entry in entries if not entry.is_live(owner, now) and entry.till <= now]
        if lost:
            await self._try(running(STRIKE, self.key_of(owner), [now, *lost]))
        return sorted(found, key=lambda record: (record.last_used, record.id), reverse=True)

    async def bury(self, owner: str, ids: Sequence[str], now: Instant) -> int:
        """
        Destroy those sessions of *ids* that are *owner*'s, and say how many were.

        Raises:
            CorruptRecord: one of them is not ours; the others were destroyed.
        """
        arguments = destroy_if_owned(owner, now)
        replies = await self._ask([running(DESTROY, self._session_key(id), arguments) for id in ids])
        for id, reply in zip(ids, replies, strict=True):
            if reply[-1] == CORRUPT:
                raise CorruptRecord(id, "its own fields are not ours")
        return sum(reply[-1] == 0 for reply in replies)

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        """Destroy *owner*'s sessions but *keep*: all that the list names; who is whose is decided where it ends."""
        scores = await self._listed(owner)
        return await self.bury(owner, [id for id in scores if id not in ("", keep)], now)

    async def announce(self, owner: str, id: str, now: Instant, stay: int) -> None:
        """Write a session into the list before its login; without a limit there is always room."""
        await self._ask([running(ENLIST, self.key_of(owner), [id, now + _UNDER_WAY, stay + SLACK, b"", 0])])

    async def admit(self, owner: str, id: str, limit: OwnerLimit, now: Instant, stay: int) -> Sequence[str]:
        """
        Write a session into the list, if there is room or room is to be made; return who gives way.

        Raises:
            LimitExceeded: there is no room; nothing was written.
        """
        for _ in range(_CONTENDERS):
            number, entries = await self._read(owner)
            others = [entry for entry in entries if entry.id != id]
            used = {e.id: e.record.last_used for e in others if e.record is not None and e.takes_a_place(owner, now)}
            used |= {e.id: e.till - _UNDER_WAY for e in others if e.is_under_way(owner, now)}
            going = evicted(limit, sorted(used, key=lambda other: (used[other], other), reverse=True))
            over = [e.id for e in others if e.id not in used and e.till <= now and not e.is_live(owner, now)]
            arguments: Arguments = [id, now + _UNDER_WAY, stay + SLACK, number, len(going), *going, *over]
            (reply,) = await self._ask([running(ENLIST, self.key_of(owner), arguments)])
            if reply == 1:
                return going
        raise StoreUnavailable("too many logins of one owner at once")

    async def restore(self, owner: str, ids: Sequence[str], stay: int) -> None:
        """Say of those who were to give way to a login that it did not happen."""
        await self._try(*[self._confirm(owner, id, stay, back=1) for id in ids])

    async def settle(self, owner: str, id: str, stay: int) -> bool:
        """Say that a login is done, or failed; return whether nobody took its place in the meantime."""
        (reply,) = await self._ask([self._confirm(owner, id, stay, back=0)])
        return bool(reply == 1)

    async def refresh(self, record: Record, now: Instant) -> None:
        """Have the list of its owner name a record that was renewed, and stay as long as it."""
        if record.owner is not None:
            await self._try(self._confirm(record.owner, record.id, stay_of(record, now), back=1))

    def _confirm(self, owner: str, id: str, stay: int, *, back: int) -> Request:
        return running(CONFIRM, self.key_of(owner), [id, stay + SLACK, back])

    async def give_up(self, owner: str, id: str) -> None:
        """Say that a login failed."""
        await self._try(self._confirm(owner, id, 0, back=0))

    async def _try(self, *requests: Request) -> None:
        """Do what may as well be done the next time."""
        try:
            await self._ask(requests)
        except (StoreUnavailable, OutcomeUnknown):
            return

    async def _listed(self, owner: str) -> dict[str, bytes]:
        (flat,) = await self._ask([plain("ZRANGE", self.key_of(owner), 0, -1, "WITHSCORES")])
        return _scores(flat)

    async def _read(self, owner: str) -> tuple[bytes, list[_Entry]]:
        """Return the number and the entries of a list, with their records."""
        scores = await self._listed(owner)
        number = scores.pop("", b"0")
        looks = [plain("HMGET", self._session_key(id), HOT, STATIC, OWNER) for id in scores]
        replies = await self._ask(looks) if looks else []
        return number, [_entry(id, till, reply) for (id, till), reply in zip(scores.items(), replies, strict=True)]

    def key_of(self, owner: str) -> bytes:
        """Return the key of *owner*'s list."""
        return self._prefix + owner.encode()


def _scores(flat: Sequence[Any]) -> dict[str, bytes]:
    """Return scores by id, which come in turn or, in the newer protocol, in pairs of text and number."""
    pairs = flat if flat and isinstance(flat[0], list) else [flat[at : at + 2] for at in range(0, len(flat), 2)]
    return {id.decode(): b"%.17g" % score if isinstance(score, float) else score for id, score in pairs}


def _entry(id: str, till: bytes, fields: Sequence[bytes | None]) -> _Entry:
    try:
        record = None if fields[0] is None else record_of(id, *fields)
    except CorruptRecord:  # nobody can use it: to the others it is none
        record = None
    return _Entry(id, int(float(till)), record)
