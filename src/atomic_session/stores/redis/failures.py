"""The one door for errors of the driver and of the server: what they say about what happened."""

from __future__ import annotations

import asyncio
import re

from redis import exceptions

from ...errors import CorruptRecord, OutcomeUnknown, StoreUnavailable

__all__ = ["LOST", "lost", "refused"]

LOST = (exceptions.RedisError, OSError, TimeoutError)
"""What is raised where a connection cannot be had, or breaks."""

_LONGEST = 300
_TELLING = re.compile(
    r"[,:]? with args beginning with.*|[,:]? script: (?=[0-9a-f]{40}|on @).*|, on @user_script.*", re.DOTALL
)
"""Where a server's words begin to repeat what it was sent, or to tell where in a script it was."""


def lost(error: BaseException, *, sent: bool) -> StoreUnavailable | OutcomeUnknown:
    """Return what became of a command whose connection could not be had, or broke after it was *sent*."""
    kind = OutcomeUnknown if sent else StoreUnavailable
    reason = kind(_words(error) or type(error).__name__)
    reason.__cause__ = error
    return reason


def refused(error: Exception, session_id: str) -> StoreUnavailable | CorruptRecord:
    """
    Return what an error says that the server answered to one command: nothing happened.

    No script of ours fails after its first write, which is the one that a server refuses that is
    read-only or has no memory left.
    """
    words = _words(error)
    if "WRONGTYPE" in words:
        reason: StoreUnavailable | CorruptRecord = CorruptRecord(session_id, "it is no hash")
    elif isinstance(error, exceptions.ReadOnlyError) or "READONLY" in words:
        reason = StoreUnavailable("the server is a replica, or read-only")
    elif isinstance(error, exceptions.OutOfMemoryError) or "OOM" in words:
        reason = StoreUnavailable("the server has reached its maxmemory")
    else:
        reason = StoreUnavailable(words or type(error).__name__)
    reason.__cause__ = error
    return reason


def _words(error: BaseException) -> str:
    return _TELLING.sub("", str(error) or _meanwhile(error))[:_LONGEST]


def _meanwhile(error: BaseException) -> str:
    """Return why the driver was about to connect once more when the time was over, as a client may be told to."""
    cancelled = error.__cause__
    return str(cancelled.__context__ or "") if isinstance(cancelled, asyncio.CancelledError) else ""
