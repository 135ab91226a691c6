"""
The one door for errors of the driver and of the server: what they say about what happened.

Rule 1: what certainly did not happen is `StoreUnavailable`; where nobody knows, `OutcomeUnknown`.
Rule 2: no text of the server's about a statement goes into a message, since it may show data; so an
error that holds such text is not chained either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from ...errors import CorruptRecord, OutcomeUnknown, StoreUnavailable

__all__ = ["LOST", "broken", "is_to_be_repeated", "leads_elsewhere", "no_connection", "nothing_is_unknown", "refused"]

LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What is raised where a connection cannot be had, breaks, or brings an error of the server's."""

_REPEATED = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: all of it was undone, and may be asked again."""

_STRANGE_VALUE = "22"
"""The class of errors about values, which only a record that is not ours can hold."""

_BREAKING = ("08", "57P")
"""Classes of errors that end the connection in the middle of whatever it does."""

_READ_ONLY = "25006"
_REASONS = {
    _READ_ONLY: "the server is a standby, or read-only",
    "42501": "the account may not do this",
    "53100": "the server's disk is full",
    "53200": "the server has no memory left",
    "53300": "the server has too many connections",
    "55P03": "a lock was not to be had in the server's time limit",
    "57014": "the server's time limit for statements has passed",
}
_MISSING = ("3F000", "42P01", "42883", "42704")


def leads_elsewhere(error: BaseException) -> bool:
    """Say whether another connection may find a server that can do what this one cannot: a new primary."""
    return isinstance(error, asyncpg.PostgresError) and _state(error) == _READ_ONLY


def no_connection(error: BaseException) -> StoreUnavailable:
    """Return what it means that no connection could be had: nothing was sent."""
    if isinstance(error, asyncpg.PostgresError):
        return StoreUnavailable(_reason(error))
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnavailable("the server is a standby, or read-only")
    reason = StoreUnavailable(str(error) or "no connection could be had in time")
    reason.__cause__ = error
    return reason


def broken(error: BaseException, *, committing: bool) -> StoreUnavailable | OutcomeUnknown:
    """
    Return what it means that a connection broke, or was silent for too long, after something was sent.

    What is not *committing* is undone when its connection is gone.
    """
    words = _reason(error) if isinstance(error, asyncpg.PostgresError) else str(error)
    kind = OutcomeUnknown if committing else StoreUnavailable
    reason = kind(words or "no answer in time")
    if not isinstance(error, asyncpg.PostgresError):
        reason.__cause__ = error
    return reason


@contextmanager
def nothing_is_unknown() -> Iterator[None]:
    """Say that nothing happened where nobody knows: what is inside only reads, or finds what it has done already."""
    try:
        yield
    except OutcomeUnknown as error:
        raise StoreUnavailable(error.reason) from error


def is_to_be_repeated(error: BaseException) -> bool:
    """Say whether the server has undone a statement that may succeed the next time."""
    return isinstance(error, asyncpg.PostgresError) and _state(error) in _REPEATED


def refused(error: BaseException, session_id: str) -> StoreUnavailable | CorruptRecord | None:
    """Return what an error of the server's says: the statement was undone.  None where that is not certain."""
    if not isinstance(error, asyncpg.PostgresError) or _state(error).startswith(_BREAKING):
        return None
    if _state(error).startswith(_STRANGE_VALUE):
        return CorruptRecord(session_id, f"the server cannot work with it, code {_state(error)}")
    return StoreUnavailable(_reason(error))


def _reason(error: asyncpg.PostgresError) -> str:
    state = _state(error)
    if state in _MISSING:
        return f"the tables are not there, or are others, code {state}"
    known = "the connection was lost" if state.startswith("08") else _REASONS.get(state)
    return f"the server answers {type(error).__name__}, code {state}" if known is None else f"{known}, code {state}"


def _state(error: asyncpg.PostgresError) -> str:
    return getattr(error, "sqlstate", None) or ""
