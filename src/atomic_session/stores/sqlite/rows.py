"""Between records and rows: what one job does inside the writer's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import apsw

from ...clock import Instant
from ...commands import Answer, Command, Create, Outcome, Update
from ...errors import CorruptRecord, LimitExceeded
from ...fields import EMPTY
from ...lifecycle import Stored, making_room, perform, tombstone
from ...limits import Limits
from ...record import Record
from ...resources import read_queries

__all__ = ["Executor", "carry_out", "destroy_all", "live_of", "purge", "read"]

Executor: TypeAlias = apsw.Connection | apsw.Cursor
"""What a statement is executed on; who only reads keeps a cursor, to save making one each time."""

_HOUR = 3_600_000
_QUERIES = read_queries(__name__.rpartition(".")[0])
_READ = _QUERIES["read"]
_from_columns: Callable[..., Record] = Record


def read(reader: Executor, session_id: str) -> Stored | None:
    """
    Return what is kept under *session_id*.

    Raises:
        CorruptRecord: a row that is not ours.
    """
    try:
        row: Any = reader.execute(_READ, (session_id,)).get
    except UnicodeDecodeError as error:
        raise CorruptRecord(session_id, "text that is not UTF-8") from error
    return None if row is None else Stored(_record(row), row[15])


def carry_out(connection: apsw.Connection, commands: Sequence[Command], limits: Limits) -> list[Answer]:
    """
    Carry out *commands* in order, inside the caller's transaction, which undoes them if one fails.

    Raises:
        CorruptRecord: one of them met a row that is not ours.
    """
    return [_carry_out(connection, command, limits) for command in commands]


def live_of(reader: Executor, owner: str, now: Instant) -> list[Record]:
    """Return *owner*'s live records, the latest used first."""
    return [_record(row) for row in reader.execute(_QUERIES["live_of_owner"], (owner, now))]


def destroy_all(connection: apsw.Connection, owner: str, keep: str | None, now: Instant) -> int:
    """Bury *owner*'s live records but for *keep*, and say how many they were."""
    ended = [record for record in live_of(connection, owner, now) if record.id != keep]
    for record in ended:
        _rewrite(connection, Stored(tombstone(record, now), EMPTY))
    return len(ended)


def purge(connection: apsw.Connection, now: Instant, limit: int) -> int:
    """Delete up to *limit* rows that are over, and say how many they were."""
    connection.execute(_QUERIES["purge"], (now, limit))
    return connection.changes()


def _carry_out(connection: apsw.Connection, command: Command, limits: Limits) -> Answer:
    before = read(connection, command.id)
    after, answer = perform(command, before, limits)
    if after is before or after is None:
        return answer
    try:
        for record in making_room(command, partial(live_of, connection, now=command.now)):
            _rewrite(connection, Stored(tombstone(record, command.now), EMPTY))
    except LimitExceeded as error:
        return Answer(Outcome.REFUSED, error=error)
    _write(connection, command, before, after)
    return answer


def _write(connection: apsw.Connection, command: Command, before: Stored | None, after: Stored) -> None:
    record = after.record
    if type(command) is Create:
        connection.execute(_QUERIES["insert"], (*_columns(record), _purge_at(record), after.raw))
    elif type(command) is Update and before is not None and _purge_at(before.record) == _purge_at(record):
        changed = (record.rev, record.last_used, record.renew_at, record.idle_deadline, after.raw, record.id)
        connection.execute(_QUERIES["update"], changed)
    else:
        _rewrite(connection, after)


def _rewrite(connection: apsw.Connection, stored: Stored) -> None:
    record = stored.record
    connection.execute(_QUERIES["rewrite"], (*_columns(record)[1:], _purge_at(record), stored.raw, record.id))


def _purge_at(record: Record) -> Instant:
    return -(-record.idle_deadline // _HOUR) * _HOUR


def _record(row: Any) -> Record:
    return _from_columns(*row[:14], row[14] != 0)


def _columns(record: Record) -> tuple[Any, ...]:
    return (
        record.id,
        record.digest,
        record.rev,
        record.created,
        record.last_used,
        record.renew_at,
        record.idle_deadline,
        record.absolute_deadline,
        record.max_age,
        record.owner,
        record.authenticated_at,
        record.previous_digest,
        record.previous_until,
        record.grace_until,
        record.destroyed,
    )
