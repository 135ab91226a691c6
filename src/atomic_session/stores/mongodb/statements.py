"""
From commands to statements: a filter that holds the guard, and an update document.

Rule 1: a filter names one document by `_id`, and lets through nothing that `record.standing` calls
other than live.  It may be too strict: it guesses that no renewal is due, for one.
Rule 2: a statement that matches nothing has done nothing.  The document is then read, `lifecycle`
says what becomes of the command, and where that changes something, it is put in the place of just
the version that was read.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ... import commands
from ...clock import Instant
from ...commands import Answer, Command, Outcome
from ...errors import CorruptRecord, LimitExceeded
from ...fields import decode_fields, encode_fields
from ...lifecycle import Stored, perform
from ...limits import Limits
from ...record import MEMORY, Lifetimes
from ...values import Value
from .compile import compile_update
from .documents import Document, data_of, fields_of, is_wide, record_of, stored_of, sweep_at, to_bson

__all__ = ["Statement", "answer_of", "conclude", "insertion", "is_live", "state", "tombstone"]


_LOOKS_AT_DATA = (commands.Load, commands.Update)
_NOT_READ = b""
"""The data of a record whose command has nothing to do with them: it may even be corrupt."""


class Statement(Struct, frozen=True):
    """
    What is sent about one document.

    Attributes:
        filter: which document, and what must hold for it; the document itself where it is new.
        update: what is done to it; None to insert it.
        answer: what a match is answered, where that is known before.
        takes: the answer needs the document as it was before.
    """

    filter: Document
    update: Document | None
    answer: Answer | None = None
    takes: bool = False


def state(command: Command, limits: Limits) -> Statement | None:
    """Return *command* as a statement that needs no look at the document; None where there is none."""
    if type(command) is commands.Update:
        return _state_update(command, limits)
    if type(command) is commands.Touch:
        return _state_touch(command)
    if type(command) is commands.Rotate:
        return _state_rotate(command)
    if type(command) is commands.Destroy:
        return Statement(_fresh(command.id, command.digest, command.now), tombstone(command.now), Answer(Outcome.DONE))
    return None


def insertion(create: commands.Create, limits: Limits) -> Statement | Answer:
    """Return the statement that keeps a new session, or why it is refused."""
    try:
        raw = encode_fields(create.data, limits)
    except LimitExceeded as error:
        return Answer(Outcome.REFUSED, error=error)
    fields = _with_data(fields_of(create.record), create.data, raw)
    document = {name: value for name, value in fields.items() if value is not None}
    answer = Answer(Outcome.DONE, create.record, decode_fields(raw), whole=True, raw=raw)
    return Statement({"_id": create.id, "version": 1, **document}, None, answer)


def conclude(command: Command, document: Document | None, limits: Limits) -> Answer | Statement:
    """
    Return what becomes of *command* at *document*: an answer, or a statement for exactly this version.

    Raises:
        CorruptRecord: the document is not ours.
    """
    stored = None if document is None else _stored(command, document)
    after, answer = perform(command, stored, limits)
    if after is stored or after is None or stored is None or document is None:
        return answer
    fields = fields_of(after.record)
    if after.raw is not stored.raw:
        fields = _with_data(fields, decode_fields(after.raw), after.raw)
    update: Document = {
        "$set": {name: value for name, value in fields.items() if value is not None},
        "$inc": {"version": 1},
    }
    absent = {name: "" for name, value in fields.items() if value is None}
    if absent:
        update["$unset"] = absent
    return Statement({"_id": command.id, "version": document.get("version")}, update, answer)


def answer_of(command: Command, statement: Statement, document: Document | None, limits: Limits) -> Answer:
    """
    Return what *command* is answered, whose *statement* matched and left *document*, or took from it.

    Raises:
        CorruptRecord: the document is not ours.
    """
    if statement.answer is not None:
        return statement.answer
    if document is None:  # another one ended it, and it was swept, before it could be read
        return Answer(Outcome.DONE, data={}, whole=True)
    if statement.takes:
        return perform(command, _stored(command, document), limits)[1]
    try:
        record = record_of(document)
        if type(command) is not commands.Update:
            renews = type(command) is not commands.Touch or command.max_age is not None
            return Answer(Outcome.DONE, record, renewed=renews)
        names = command.update.fields
        whole = names is None or command.known_rev != record.rev - 1
        return Answer(Outcome.DONE, record, data_of(document, None if whole else names), whole)
    except ValueError as error:
        raise CorruptRecord(command.id, str(error)) from None


def is_live(now: Instant) -> Document:
    """Return what holds for the documents of just those sessions that are live at *now*."""
    return {
        "destroyed": None,
        "absolute_deadline": {"$not": {"$lte": now}},
        "version": {"$type": "number"},
        "$expr": {"$gt": [{"$add": [_number("$last_used"), _number({"$ifNull": ["$max_age", "$idle"]})]}, now]},
    }


def _number(value: str | Document) -> Document:
    """Say *value*, and null where it is no number: one document that is not ours would end the search of all."""
    return {"$convert": {"input": value, "to": "long", "onError": None, "onNull": None}}


def tombstone(now: Instant) -> Document:
    """Return the update that leaves of a record what `lifecycle.tombstone` does."""
    return {
        "$set": {
            "destroyed": True,
            "last_used": now,
            "idle": MEMORY,
            "fresh_until": 0,
            "sweep_at": sweep_at(now + MEMORY),
            "weight": 2,
            "data": {},
        },
        "$unset": {"owner": "", "absolute_deadline": "", "max_age": "", "wide": ""},
        "$inc": {"version": 1},
    }


def _fresh(session_id: str, digest: bytes | None, now: Instant) -> Document:
    """Name a document that is live for sure: for a token in its grace that takes a look."""
    where: Document = {"_id": session_id, "fresh_until": {"$gt": now}}
    if digest is not None:
        where["digest"] = digest
    return where


def _state_update(command: commands.Update, limits: Limits) -> Statement | None:
    now, idle = command.now, command.lifetimes.max_age
    compiled = None if command.lifetimes.touch_after == 0 else compile_update(command.update, limits)
    if compiled is None:
        return None
    where = _fresh(command.id, command.digest, now)
    if compiled.conditions:
        where["$and"] = compiled.conditions
    update = compiled.update
    _add(update, "$set", last_used=now, idle=idle)
    _add(update, "$inc", rev=1, version=1)
    _add(update, "$min", fresh_until=now + idle)
    _add(update, "$max", sweep_at=sweep_at(now + idle))
    if compiled.growth:
        where["weight"] = {"$lte": min(limits.field, limits.record) - compiled.growth}
        _add(update, "$inc", weight=compiled.growth)
    return Statement(where, update, takes=command.update.take is not None)


def _state_touch(command: commands.Touch) -> Statement | None:
    now, lifetimes = command.now, command.lifetimes
    where = _fresh(command.id, command.digest, now)
    if command.max_age is not None:
        changes = {**_renewed(now, lifetimes, command.max_age), "max_age": command.max_age}
        where["absolute_deadline"] = {"$not": {"$lt": changes["fresh_until"]}}
        return Statement(where, {"$set": changes, "$inc": {"version": 1}})
    if lifetimes.touch_after == 0:
        return None
    idle = lifetimes.max_age
    update = {
        "$set": {"last_used": now, "idle": idle},
        "$inc": {"version": 1},
        "$min": {"fresh_until": now + idle},
        "$max": {"sweep_at": sweep_at(now + idle)},
    }
    return Statement(where, update)


def _state_rotate(command: commands.Rotate) -> Statement | None:
    if command.login is not None and command.login.limit is not None:
        return None
    now, lifetimes = command.now, command.lifetimes
    changes: Document = {
        **_renewed(now, lifetimes, None),
        "digest": command.new_digest,
        "previous_digest": command.digest,
        "previous_until": now + max(MEMORY, command.grace),
        "grace_until": now + command.grace,
    }
    where = {**_fresh(command.id, command.digest, now), "max_age": None}
    update: Document = {"$set": changes, "$inc": {"version": 1}}
    absolute = None if command.login is None else lifetimes.absolute_deadline(now)
    if command.login is None:
        where["absolute_deadline"] = {"$not": {"$lt": changes["fresh_until"]}}
    else:
        changes |= {"owner": command.login.owner, "authenticated_at": now}
        if absolute is None:
            update["$unset"] = {"absolute_deadline": ""}
        else:
            changes |= {"absolute_deadline": absolute, "fresh_until": min(changes["fresh_until"], absolute)}
    return Statement(where, update)


def _renewed(now: Instant, lifetimes: Lifetimes, max_age: int | None) -> Document:
    """Return the times of a record without an absolute deadline that is renewed at *now*."""
    idle, renew_at = lifetimes.idle(max_age), lifetimes.renew_at(now, max_age)
    return {
        "last_used": now,
        "idle": idle,
        "renew_at": renew_at,
        "fresh_until": min(renew_at, now + idle),
        "sweep_at": sweep_at(renew_at + idle),
    }


def _with_data(fields: Document, data: dict[str, Value], raw: bytes) -> Document:
    return {**fields, "weight": len(raw), "wide": is_wide(data) or None, "data": to_bson(data)}


def _stored(command: Command, document: Document) -> Stored:
    try:
        if isinstance(command, _LOOKS_AT_DATA):
            return stored_of(document)
        return Stored(record_of(document), _NOT_READ)
    except ValueError as error:
        raise CorruptRecord(command.id, str(error)) from None


def _add(update: Document, verb: str, **fields: Any) -> None:
    update.setdefault(verb, {}).update(fields)
