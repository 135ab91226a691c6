"""From what scripts say to answers: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import commands, operators
from ...commands import Answer, Command, Load, Outcome, Update
from ...errors import AtomicSessionError, CorruptRecord, LimitExceeded, OperatorError, OutcomeUnknown
from ...fields import decode_fields
from ...paths import show_path
from ...record import Record
from ...values import MISSING, decode
from .records import record_of

__all__ = ["AGAIN", "CORRUPT", "OUTCOMES", "answer_of"]

AGAIN = 7
"""The script leaves this update to the slow path."""

CORRUPT = 8
"""What is stored is not ours."""

_DONE, _UNMET, _REFUSED = 0, 1, 2
OUTCOMES = (
    Outcome.DONE,
    Outcome.UNMET,
    Outcome.REFUSED,
    Outcome.ROTATED,
    Outcome.DESTROYED,
    Outcome.ABSENT,
    Outcome.EXISTS,
)
"""What the scripts answer, by its number."""

_NOT_LIVE = {code: Answer(outcome) for code, outcome in enumerate(OUTCOMES) if code > _REFUSED}


def answer_of(command: Command, reply: Sequence[Any]) -> Answer:
    """
    Return the answer that the script's *reply* to *command* says.

    Raises:
        CorruptRecord: what is stored is not ours; nothing was changed.
        OutcomeUnknown: that was noticed after an update was applied, for the server does not read what it
            does not touch.
    """
    code = reply[-1]
    if code in _NOT_LIVE:
        return _NOT_LIVE[code]
    if code == CORRUPT:
        raise CorruptRecord(command.id, "a text in it is not ours")
    if type(command) is commands.Destroy:
        return Answer(Outcome.DONE)
    hot, static, owner, raw, text, renewed, _ = reply
    record = record_of(command.id, hot, static, owner)
    if code == _REFUSED and type(command) is Update:
        return Answer(Outcome.REFUSED, record, error=_refusal(command, *raw))
    if type(command) is not Load and type(command) is not Update:
        return Answer(Outcome.DONE, record, renewed=renewed == 1)
    whole = type(command) is not Update or _is_whole(command, record, done=code == _DONE)
    try:
        data = None if whole and type(command) is Update else decode_fields(raw)
        taken = MISSING if text is None else decode(text)
    except ValueError as error:
        corrupt = CorruptRecord(command.id, str(error))
        if type(command) is Update and code == _DONE:
            raise OutcomeUnknown("applied, but a text beside it is not ours") from corrupt
        raise corrupt from error
    return Answer(OUTCOMES[code], record, data, whole, raw if whole else None, taken, renewed == 1)


def _is_whole(command: Update, record: Record, *, done: bool) -> bool:
    before = record.rev - 1 if done else record.rev
    return command.known_rev != before or (done and command.update.fields is None)


def _refusal(command: Update, number: int, *why: bytes | int) -> AtomicSessionError:
    words = [part.decode() if isinstance(part, bytes) else part for part in why]
    if len(words) > 1:
        limit, maximum, actual = words
        return LimitExceeded(str(limit), int(maximum), int(actual))
    operator = command.update.operators[number - 1 - len(command.update.guards)]
    path = show_path(()) if isinstance(operator, operators.Replace) else show_path(operator.path)
    return OperatorError(operator.verb, path, str(words[0]))
