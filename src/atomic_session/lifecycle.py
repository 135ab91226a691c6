"""
What each command does to a record: the one meaning, pure.

A store that holds a lock calls `perform` between its read and its write.  A store whose engine
does the work itself is proved equal to it by the conformance suite.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from . import commands, operators
from .clock import Instant
from .commands import Answer, Login, Outcome, OwnerLimit
from .errors import (
    AtomicSessionError,
    CorruptRecord,
    LimitExceeded,
    OperatorError,
    OutcomeUnknown,
    StoreUnavailable,
)
from .fields import EMPTY, decode_fields, encode_fields, pick, replace, texts_of
from .limits import Limits
from .record import MEMORY, Lifetimes, Record, Standing, capped, standing

__all__ = ["Fate", "Stored", "answers_of", "evicted", "is_limited", "login_of", "making_room", "perform", "tombstone"]

Fate: TypeAlias = Answer | AtomicSessionError
"""An answer; or what is to be raised to whoever asked."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A record, and its data as canonical text."""

    record: Record
    raw: bytes


Step: TypeAlias = tuple[Stored | None, Answer]
"""What the store keeps from now on (the very object it gave, where nothing changed), and what it answers."""

# by names of their own: on Python 3.11 to look a member up takes ten times as long
_DONE = Outcome.DONE
_LIVE = Standing.LIVE

_NOT_LIVE = {
    Standing.ABSENT: Answer(Outcome.ABSENT),
    Standing.DESTROYED: Answer(Outcome.DESTROYED),
    Standing.ROTATED: Answer(Outcome.ROTATED),
}


def perform(command: commands.Command, stored: Stored | None, limits: Limits) -> Step:
    """
    Carry out *command* on what is *stored* under its id.

    Raises:
        CorruptRecord: the stored text is not ours; it is left as it is.
    """
    if type(command) is commands.Create:
        return _create(command, stored, limits)
    record = None if stored is None else stored.record
    found = standing(record, command.digest, command.now)  # type: ignore[union-attr]  # Create is gone by now
    if stored is None or found is not _LIVE:
        return stored, _NOT_LIVE[found]
    try:
        return _PERFORM[type(command)](command, stored, limits)
    except ValueError as error:
        raise CorruptRecord(command.id, str(error)) from error


def tombstone(record: Record, now: Instant) -> Record:
    """Return what is left of *record* when it is destroyed at *now*."""
    deadline = now + MEMORY
    return msgspec.structs.replace(
        record, destroyed=True, owner=None, idle_deadline=deadline, absolute_deadline=None, last_used=now
    )


def login_of(command: commands.Command) -> Login | None:
    """Return the login that *command* brings about, if any."""
    if type(command) is commands.Create and command.record.owner is not None:
        return Login(command.record.owner, command.limit)
    return command.login if type(command) is commands.Rotate else None


def is_limited(command: commands.Command) -> bool:
    """Say whether *command* is a login of an owner who may have so many sessions only: it looks at the others."""
    login = login_of(command)
    return login is not None and login.limit is not None


def answers_of(fates: Sequence[Fate]) -> list[Answer]:
    """
    Return the answers to a batch whose commands had *fates*: what failed beside others is told by its answer.

    Raises:
        AtomicSessionError: it had but one command, which failed, or an outage has kept all of them.
    """
    answers = [fate for fate in fates if isinstance(fate, Answer)]
    if len(answers) == len(fates):
        return answers
    failures = [fate for fate in fates if isinstance(fate, AtomicSessionError)]
    if not answers and (len(failures) == 1 or all(map(_is_outage, failures))):
        raise next((error for error in failures if isinstance(error, OutcomeUnknown)), failures[0])
    return [Answer(Outcome.REFUSED, error=fate) if isinstance(fate, AtomicSessionError) else fate for fate in fates]


def _is_outage(error: AtomicSessionError) -> bool:
    return isinstance(error, StoreUnavailable | OutcomeUnknown)


def evicted(limit: OwnerLimit, others: Sequence[str]) -> Sequence[str]:
    """
    Return which of an owner's *other* live sessions, the latest used first, give way to one more.

    Raises:
        LimitExceeded: there is no room, and none is to be made.
    """
    excess = len(others) + 1 - limit.maximum
    if excess <= 0:
        return ()
    if not limit.evict_oldest:
        raise LimitExceeded("max_sessions_per_owner", limit.maximum, len(others) + 1)
    return others[len(others) - excess :]


def making_room(command: commands.Command, live_of: Callable[[str], Sequence[Record]]) -> Sequence[Record]:
    """
    Return those sessions of an owner that give way to *command*, of those that *live_of* finds, the latest used first.

    Raises:
        LimitExceeded: there is no room, and none is to be made.
    """
    login = login_of(command)
    if login is None or login.limit is None:
        return ()
    others = {record.id: record for record in live_of(login.owner) if record.id != command.id}
    return [others[session_id] for session_id in evicted(login.limit, list(others))]


def renewed(record: Record, now: Instant, lifetimes: Lifetimes) -> tuple[Record, bool]:
    """Return *record* used at *now*, and whether its cookie is to be sent again."""
    due = now >= record.renew_at
    idle_deadline = capped(now + lifetimes.idle(record.max_age), record.absolute_deadline)
    renew_at = lifetimes.renew_at(now, record.max_age) if due else record.renew_at
    fresh = msgspec.structs.replace(record, last_used=now, idle_deadline=idle_deadline, renew_at=renew_at)
    return fresh, due


def _create(command: commands.Create, stored: Stored | None, limits: Limits) -> Step:
    if stored is not None:
        return stored, Answer(Outcome.EXISTS)
    try:
        raw = encode_fields(command.data, limits)
    except LimitExceeded as error:
        return stored, Answer(Outcome.REFUSED, error=error)
    return Stored(command.record, raw), Answer(_DONE, command.record, decode_fields(raw), whole=True, raw=raw)


def _load(command: commands.Load, stored: Stored, _limits: Limits) -> Step:
    record, raw = stored.record, stored.raw
    data = decode_fields(raw)
    if command.now < record.renew_at:
        return stored, Answer(_DONE, record, data, True, raw)
    record, _ = renewed(record, command.now, command.lifetimes)
    return Stored(record, raw), Answer(_DONE, record, data, whole=True, raw=raw, renewed=True)


def _update(command: commands.Update, stored: Stored, limits: Limits) -> Step:
    names = command.update.fields
    texts = {} if names is None else texts_of(stored.raw)
    before = decode_fields(stored.raw) if names is None else pick(texts, names)
    known = command.known_rev == stored.record.rev
    try:
        applied = operators.apply(before, command.update, limits)
        if applied is None:
            found = (before, False, None) if known else (None, True, stored.raw)
            return stored, Answer(Outcome.UNMET, stored.record, *found)
        raw = replace(texts, applied.data if names is None else names, applied.data, limits)
    except (OperatorError, LimitExceeded) as error:
        return stored, Answer(Outcome.REFUSED, stored.record, error=error)
    record, due = renewed(stored.record, command.now, command.lifetimes)
    record = msgspec.structs.replace(record, rev=record.rev + 1)
    whole = names is None or not known
    data = applied.data if names is None or known else None
    return Stored(record, raw), Answer(_DONE, record, data, whole, raw if whole else None, applied.taken, due)


def _touch(command: commands.Touch, stored: Stored, _limits: Limits) -> Step:
    record = stored.record
    if command.max_age is not None:
        record = msgspec.structs.replace(record, max_age=command.max_age, renew_at=command.now)
    record, due = renewed(record, command.now, command.lifetimes)
    return Stored(record, stored.raw), Answer(_DONE, record, renewed=due)


def _rotate(command: commands.Rotate, stored: Stored, _limits: Limits) -> Step:
    now = command.now
    record = stored.record
    if not hmac.compare_digest(
        command.digest, record.digest
    ):  # a token in its grace opens the session, and rotates it no more
        return stored, _NOT_LIVE[Standing.ROTATED]
    if command.login is not None:
        absolute = command.lifetimes.absolute_deadline(now)
        record = msgspec.structs.replace(
            record, owner=command.login.owner, authenticated_at=now, absolute_deadline=absolute
        )
    record, _ = renewed(msgspec.structs.replace(record, renew_at=now), now, command.lifetimes)
    record = msgspec.structs.replace(
        record,
        digest=command.new_digest,
        previous_digest=record.digest,
        previous_until=now + max(MEMORY, command.grace),
        grace_until=now + command.grace,
    )
    return Stored(record, stored.raw), Answer(_DONE, record, renewed=True)


def _destroy(command: commands.Destroy, stored: Stored, _limits: Limits) -> Step:
    return Stored(tombstone(stored.record, command.now), EMPTY), Answer(_DONE)


_PERFORM: dict[type, Callable[[Any, Stored, Limits], Step]] = {
    commands.Load: _load,
    commands.Update: _update,
    commands.Touch: _touch,
    commands.Rotate: _rotate,
    commands.Destroy: _destroy,
}
