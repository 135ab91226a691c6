"""
What the library tells the operator: one structured log line for each thing worth knowing.

Every event is in the table below with its level, so a list of them is a list of the keys.  A line
carries the session's public id; never a token, never session data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import TypeAlias

__all__ = ["EVENTS", "Listener", "Mark", "emit", "heard_by", "tell", "tell_no_more"]

Listener: TypeAlias = Callable[[str, str | None, Mapping[str, object]], None]
"""What is called with an event, the session's public id and the facts."""

EVENTS = MappingProxyType(
    {
        # the cookie that came
        "malformed_cookie": logging.INFO,
        "duplicate_cookie": logging.WARNING,
        "forged_cookie": logging.WARNING,
        "oversized_cookie": logging.WARNING,
        "unknown_token": logging.INFO,
        # the life of a session
        "session_created": logging.INFO,
        "session_login": logging.INFO,
        "session_rotated": logging.INFO,
        "session_regenerated": logging.INFO,
        "session_renewed": logging.DEBUG,
        "session_destroyed": logging.INFO,
        "owner_sessions_destroyed": logging.INFO,
        # what could not be done
        "write_after_destroy": logging.WARNING,
        "delta_dropped": logging.WARNING,
        "csrf_failed": logging.WARNING,
        "csrf_outdated": logging.WARNING,
        "cacheable_response": logging.WARNING,
        "store_unavailable": logging.ERROR,
        "outcome_unknown": logging.ERROR,
        "corrupt_record": logging.ERROR,
        "purge_failed": logging.WARNING,
    }
)
"""Every event and its level."""

_logger = logging.getLogger("atomic_session")
Mark: TypeAlias = "Token[Listener | None]"
_listener: ContextVar[Listener | None] = ContextVar("atomic_session_listener", default=None)


def tell(listener: Listener) -> Mark:
    """Tell *listener* what happens from now on in this task, whatever the logger listens to."""
    return _listener.set(listener)


def tell_no_more(mark: Mark) -> None:
    """Take back what `tell` has returned *mark* for."""
    _listener.reset(mark)


@contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Tell *listener* what happens inside; None changes nothing."""
    mark = None if listener is None else tell(listener)
    try:
        yield
    finally:
        if mark is not None:
            tell_no_more(mark)


def emit(event: str, session_id: str | None = None, **facts: object) -> None:
    """
    Log one event under the logger "atomic_session".

    The message holds the event, the session's id and the facts.  The log record carries both as attributes
    `event` and `session_id`, and the rest as a dict `facts`.  Nothing is built when the logger
    does not listen.  The manager's `on_event` is told as well; what it raises is logged, and goes
    no further.

    Raises:
        ValueError: the event is not in the table, or a whole token was given for the id.
    """
    level = EVENTS.get(event)
    if level is None:
        raise ValueError(f"unknown event {event!r}: add it to EVENTS with its level")
    if session_id is not None and "." in session_id:
        raise ValueError("session_id must be the public id, not a token")  # not shown: it holds a secret
    listener = _listener.get()
    if listener is not None:
        _call(listener, event, session_id, facts)
    if not _logger.isEnabledFor(level):
        return
    extra = {"event": event, "session_id": session_id, "facts": facts}
    session = "" if session_id is None else f" session={session_id}"
    told = "".join([f" {name}={value!r}" for name, value in facts.items()])
    _logger.log(level, "%s%s%s", event, session, told, extra=extra, stacklevel=2)


def _call(listener: Listener, event: str, session_id: str | None, facts: Mapping[str, object]) -> None:
    try:
        listener(event, session_id, facts)
    except Exception:
        _logger.exception("on_event failed at %s", event)
