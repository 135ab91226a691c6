"""
What a store keeps about one session, its data apart, and who may still use it.

Rule 1: our clock decides who is alive; every instant is a whole number of milliseconds.
Rule 2: a guard looks at the digest first, then at the tombstone, then at the deadlines.
Rule 3: a destroyed session leaves a tombstone, a rotated one remembers its previous digest, both
for `MEMORY`: a request that comes late is told so, and does not start over.
"""

from __future__ import annotations

import enum
import hmac

import msgspec

from .clock import Instant

__all__ = ["MEMORY", "Lifetimes", "Record", "Standing", "new_record", "standing"]

MEMORY = 60_000
"""Milliseconds for which a tombstone, and a previous digest, are remembered."""


class Lifetimes(msgspec.Struct, frozen=True, gc=False):
    """
    How long sessions live, in milliseconds.

    Attributes:
        max_age: idle time after which a session ends, unless its record says otherwise.
        max_lifetime: time after creation, or after the last login, at which it ends in any case;
            None for no such end.
        touch_after: how old a renewal must be before a read makes the next one; None for a tenth
            of the idle time, as for a session whose own idle time is no longer than it.
    """

    max_age: int
    max_lifetime: int | None = None
    touch_after: int | None = None

    def idle(self, override: int | None) -> int:
        """Return the idle time of a record that asks for *override*."""
        return self.max_age if override is None else override

    def renew_at(self, now: Instant, override: int | None) -> Instant:
        """Return the instant from which a renewal made at *now* is due again."""
        idle = self.idle(override)
        wait = self.touch_after
        return now + (idle // 10 if wait is None or wait >= idle else wait)

    def absolute_deadline(self, now: Instant) -> Instant | None:
        """Return the absolute deadline of a session that begins at *now*."""
        return None if self.max_lifetime is None else now + self.max_lifetime


class Record(msgspec.Struct, frozen=True, gc=False):
    """
    One session as a store keeps it.

    Attributes:
        id: the public part of the token, and the store's key.
        digest: SHA-256 of the token's secret part.
        rev: one up at each change of the data; the first is 1.
        created: when it was created.
        last_used: when it was last updated, touched or renewed by a read.
        renew_at: from when a read moves the deadline, and the cookie is sent again.
        idle_deadline: when it ends if nobody uses it, never after *absolute_deadline*.
        absolute_deadline: when it ends in any case; None for never.
        max_age: the idle time it asked for itself (milliseconds); None for the settings' own.
        owner: the user it belongs to, None while nobody is logged in.
        authenticated_at: when that user last logged in.
        previous_digest: the digest before the last rotation.
        previous_until: until when that one is remembered.
        grace_until: until when that one still opens the session.
        destroyed: a tombstone, without data, that ends at *idle_deadline*.
    """

    id: str
    digest: bytes
    rev: int
    created: Instant
    last_used: Instant
    renew_at: Instant
    idle_deadline: Instant
    absolute_deadline: Instant | None = None
    max_age: int | None = None
    owner: str | None = None
    authenticated_at: Instant | None = None
    previous_digest: bytes | None = None
    previous_until: Instant = 0
    grace_until: Instant = 0
    destroyed: bool = False

    def expired(self, now: Instant) -> bool:
        """Say whether its time is over at *now*; a deadline is the first instant that is too late."""
        return now >= self.idle_deadline or (self.absolute_deadline is not None and now >= self.absolute_deadline)


class Standing(enum.Enum):
    """What a token is worth at a record."""

    LIVE = "live"
    DESTROYED = "destroyed"
    ROTATED = "rotated"
    ABSENT = "absent"


# by names of their own: on Python 3.11 to look a member up takes ten times as long
_LIVE, _DESTROYED, _ROTATED, _ABSENT = Standing


def standing(record: Record | None, digest: bytes | None, now: Instant) -> Standing:
    """
    Say what a token with *digest* is worth at *record* at *now*.

    An expired record, and a digest that was never the record's, are as absent as no record at
    all.  Without a digest the caller is the application itself, by public id.
    """
    if record is None:
        return _ABSENT
    if digest is not None and not hmac.compare_digest(digest, record.digest):
        previous = record.previous_digest
        if previous is None or not hmac.compare_digest(digest, previous) or now >= record.previous_until:
            return _ABSENT
        if now >= record.grace_until:
            return _ROTATED
    if record.expired(now):
        return _ABSENT
    return _DESTROYED if record.destroyed else _LIVE


def new_record(
    session_id: str,
    digest: bytes,
    now: Instant,
    lifetimes: Lifetimes,
    *,
    max_age: int | None = None,
    owner: str | None = None,
) -> Record:
    """Return the first record of a session that begins at *now*, logged in when it has an *owner*."""
    absolute = lifetimes.absolute_deadline(now)
    return Record(
        id=session_id,
        digest=digest,
        rev=1,
        created=now,
        last_used=now,
        renew_at=lifetimes.renew_at(now, max_age),
        idle_deadline=capped(now + lifetimes.idle(max_age), absolute),
        absolute_deadline=absolute,
        max_age=max_age,
        owner=owner,
        authenticated_at=None if owner is None else now,
    )


def capped(deadline: Instant, absolute: Instant | None) -> Instant:
    """Return *deadline*, or the absolute one where that comes first."""
    return deadline if absolute is None else min(deadline, absolute)
