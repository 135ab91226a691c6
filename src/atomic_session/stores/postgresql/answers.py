"""From the rows that `run` returns to answers: pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ... import commands, operators
from ...commands import Answer, Command, Outcome, Update
from ...errors import AtomicSessionError, CorruptRecord, LimitExceeded, OperatorError, OutcomeUnknown
from ...fields import decode_fields
from ...lifecycle import Stored
from ...paths import show_path
from ...record import Record
from ...values import MISSING, Value, decode, decode_name, encode

__all__ = ["AGAIN", "UNTRIED", "Row", "answer_of", "answer_of_plain", "outcome_of", "place_of", "stored_of"]

Row: TypeAlias = Any
"""The columns of a result, by number."""

AGAIN = 7
"""The server leaves this update to the slow path."""

UNTRIED = 8
"""The command comes after such an update of the same session: nothing was done."""

_CORRUPT = 9
_DONE, _UNMET, _REFUSED = 0, 1, 2
_NOT_LIVE = {
    3: Answer(Outcome.ROTATED),
    4: Answer(Outcome.DESTROYED),
    5: Answer(Outcome.ABSENT),
    6: Answer(Outcome.EXISTS),
}
_CODE, _RENEWED, _DATA, _WHOLE, _TAKEN, _NUMBER, _REASON, _RECORD = range(8)

_REV, _PLACE = 2, 14
"""Of a plain update: where the rev stands, and behind it the record; and at the end, which of its batch it is."""

_AS_ASKED = Outcome.DONE  # by a name of its own: on Python 3.11 to look a member up takes ten times as long
_DAMAGED_BESIDE = "applied, but a text beside it is not ours"
_from_columns: Callable[..., Record] = Record
_OWNER = 8
"""Where the owner stands in a record, counted behind its id."""


def outcome_of(row: Row) -> int:
    """Return the number of what became of the command."""
    code: int = row[_CODE]
    return code


def place_of(row: Row) -> int:
    """Return which of plain updates *row* is about, counted from 0."""
    place: int = row[_PLACE] - 1
    return place


def answer_of_plain(command: Update, row: Row) -> Answer:
    """
    Return the answer to a plain update that was carried out, and brought *row*.

    Raises:
        OutcomeUnknown: a text beside it is not ours.
    """
    text, is_renewed, rev = row[: _REV + 1]
    is_whole = rev - 1 != command.known_rev
    try:
        record = _record_of(command.id, (command.digest, *row[_REV:_PLACE]))
        data = decode_fields(text.encode()) if is_whole else _touched(command.update, text)
    except (CorruptRecord, ValueError) as error:
        raise OutcomeUnknown(_DAMAGED_BESIDE) from error
    return Answer(_AS_ASKED, record, data, is_whole, None, MISSING, is_renewed)


def answer_of(command: Command, row: Row) -> Answer:
    """
    Return the answer that *row* says to *command*, which is no `Create` that was done.

    Raises:
        CorruptRecord: what is stored is not ours; nothing was changed.
        OutcomeUnknown: that was noticed after an update was applied: the server looks at tags, and not behind them.
    """
    code = row[_CODE]
    if code in _NOT_LIVE:
        return _NOT_LIVE[code]
    if code == _CORRUPT:
        raise CorruptRecord(command.id, "a text in it is not ours")
    if type(command) is commands.Destroy:
        return Answer(_AS_ASKED)
    record = _record_of(command.id, row[_RECORD:])
    if code == _REFUSED and type(command) is Update:
        return Answer(Outcome.REFUSED, record, error=_refusal(command, row))
    if row[_DATA] is None:
        return Answer(_AS_ASKED, record, renewed=row[_RENEWED])
    try:
        data = decode_fields(row[_DATA].encode())
        taken = MISSING if row[_TAKEN] is None else decode(row[_TAKEN].encode())
    except ValueError as error:
        corrupt = CorruptRecord(command.id, str(error))
        if type(command) is Update and code == _DONE:
            raise OutcomeUnknown(_DAMAGED_BESIDE) from corrupt
        raise corrupt from error
    outcome = Outcome.UNMET if code == _UNMET else _AS_ASKED
    return Answer(outcome, record, data, row[_WHOLE], None, taken, row[_RENEWED])


def stored_of(session_id: str, row: Row) -> Stored:
    """
    Return the record and all its data, from a row that has them.

    Raises:
        CorruptRecord: it is not ours.
    """
    try:
        raw = encode(decode_fields(row[_DATA].encode()))
    except ValueError as error:
        raise CorruptRecord(session_id, str(error)) from error
    return Stored(_record_of(session_id, row[_RECORD:]), raw)


def _record_of(session_id: str, columns: Sequence[Any]) -> Record:
    owner = columns[_OWNER]
    if owner is None:
        return _from_columns(session_id, *columns)
    try:
        name = decode_name(owner)
    except ValueError as error:
        raise CorruptRecord(session_id, "its owner is no text of ours") from error
    return _from_columns(session_id, *columns[:_OWNER], name, *columns[_OWNER + 1 :])


def _touched(update: operators.Update, total: str) -> dict[str, Value]:
    """Return the fields that a plain *update* touches, as it has left them."""
    touched: dict[str, Value] = {}
    for operator in update.operators:
        if type(operator) is operators.Set and (value := operator.change(MISSING)) is not MISSING:  # a copy
            touched[operator.path[0]] = value
        elif type(operator) is operators.Inc:
            touched[operator.path[0]] = int(total)
    return touched


def _refusal(command: Update, row: Row) -> AtomicSessionError:
    number, reason = row[_NUMBER], row[_REASON]
    if number is None:
        limit, maximum, actual = reason.split()
        return LimitExceeded(limit, int(maximum), int(actual))
    operator = command.update.operators[number - len(command.update.guards)]
    path = show_path(()) if isinstance(operator, operators.Replace) else show_path(operator.path)
    return OperatorError(operator.verb, path, reason)
