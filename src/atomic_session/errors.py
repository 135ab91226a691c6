"""
Every error of the library, in one tree.

Rule 1: an error says what happened to the store: nothing, or unknown.
Rule 2: an error carries evidence as attributes, never a token and never session data.
Rule 3: `status` is the HTTP status that the middleware answers when nobody catches it.
"""

from __future__ import annotations

import reprlib
from datetime import datetime, timedelta
from typing import ClassVar

__all__ = [
    "AtomicSessionError",
    "CSRFError",
    "ConflictingUpdate",
    "CorruptRecord",
    "InvalidPath",
    "InvalidValue",
    "LimitExceeded",
    "LoginRequired",
    "OperatorError",
    "OutcomeUnknown",
    "ResponseStarted",
    "SessionGone",
    "SessionNotLoaded",
    "StoreNotSet",
    "StoreUnavailable",
]

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel = 1  # what is inside a name that is no text may be data
_BRIEF.maxtuple = 40
_BRIEF.maxstring = _BRIEF.maxother = 100

_LIMITED = {
    "operators": " (operators in one update)",
    "depth": " (containers inside each other)",
    "name": " (bytes of one field's name)",
    "field": " (bytes of one top-level field)",
    "record": " (bytes of all fields together)",
}


class AtomicSessionError(Exception):
    """The root of the tree: catch it, never raise it."""

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        if type(self) is AtomicSessionError:
            raise TypeError("AtomicSessionError is never raised itself; raise one of its children")
        super().__init__(message)


class InvalidPath(AtomicSessionError):
    """A path that can name no field.  Raised before any trip to the store."""

    def __init__(self, path: object, reason: str) -> None:
        shown = _BRIEF.repr(path) if isinstance(path, str | tuple) else f"of type {type(path).__name__}"
        super().__init__(f"invalid path {shown}: {reason}")
        self.path = path
        self.reason = reason


class InvalidValue(AtomicSessionError):
    """A value that a session cannot hold.  Raised before any trip to the store."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"invalid value at {path!r}: {reason}")
        self.path = path
        self.reason = reason


class LimitExceeded(AtomicSessionError):
    """A limit of the settings, in the units that they state, would be passed; nothing was applied."""

    def __init__(self, limit: str, maximum: int, actual: int) -> None:
        what = _LIMITED.get(limit, "")
        super().__init__(f"limit {limit!r}{what} exceeded: {actual} is more than {maximum}")
        self.limit = limit
        self.maximum = maximum
        self.actual = actual


class ConflictingUpdate(AtomicSessionError):
    """Two operators of one update touch the same path, or one inside the other."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{second} conflicts with {first} in the same update; await the first one before the second")
        self.first = first
        self.second = second


class OperatorError(AtomicSessionError):
    """An operator does not fit what is stored; the whole update was refused, nothing changed."""

    def __init__(self, operator: str, path: str, reason: str) -> None:
        super().__init__(f"{operator} refused at {path!r}: {reason}")
        self.operator = operator
        self.path = path
        self.reason = reason


class SessionNotLoaded(AtomicSessionError):
    """Plain dict access before the session was loaded; nothing was read."""

    def __init__(self) -> None:
        super().__init__(
            "the session is not loaded: write `session = await request.session()` first, "
            "or give the middleware autoload=True"
        )


class SessionGone(AtomicSessionError):
    """The session was destroyed, rotated away or expired; nothing was written."""

    status = 401

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} is gone")
        self.session_id = session_id


class LoginRequired(AtomicSessionError):
    """The session has no login, or its last one, *authenticated_at*, is longer ago than *max_age*."""

    status = 401

    def __init__(self, authenticated_at: datetime | None, max_age: timedelta) -> None:
        super().__init__("a recent login is required")
        self.authenticated_at = authenticated_at
        self.max_age = max_age


class ResponseStarted(AtomicSessionError):
    """The change needs a new cookie, and the response has begun, or the middleware is left; nothing was written."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"cannot {action}: it needs a new cookie, "
            "and the response has started, or is made outside of SessionMiddleware"
        )
        self.action = action


class StoreNotSet(AtomicSessionError):
    """The manager has no store yet; set `manager.store` before the first use."""

    def __init__(self) -> None:
        super().__init__("no store is set: give SessionManager a store, or set manager.store before the first use")


class StoreUnavailable(AtomicSessionError):
    """The store cannot be reached, or cannot work; nothing was applied."""

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(f"the session store is unavailable: {reason}")
        self.reason = reason


class OutcomeUnknown(AtomicSessionError):
    """The command may have been applied, may not have been, or may be applied later."""

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(f"the outcome of a session command is unknown: {reason}")
        self.reason = reason


class CorruptRecord(AtomicSessionError):
    """What the store holds is no record of ours; it was left as it is."""

    def __init__(self, session_id: str, reason: str) -> None:
        super().__init__(f"the record of session {session_id} is corrupt: {reason}")
        self.session_id = session_id
        self.reason = reason


class CSRFError(AtomicSessionError):
    """The request could not prove that it comes from a page of this application."""

    status = 403

    def __init__(self, reason: str) -> None:
        super().__init__(f"CSRF check failed: {reason}")
        self.reason = reason
