"""
The one door that the driver's errors pass.

Rule 1: what certainly did not happen is `StoreUnavailable`; where nobody knows, `OutcomeUnknown`.
Rule 2: no text of the server's goes into a message, since it may show data; so an error that holds
such text is not chained either.
"""

from __future__ import annotations

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from ...errors import OutcomeUnknown, StoreUnavailable

__all__ = ["DUPLICATE", "MISSED", "REFUSALS", "door"]

REFUSALS = frozenset({2, 14, 28, 40})
"""BadValue, TypeMismatch, PathNotViable, ConflictingUpdateOperators: an operator does not fit."""

MISSED = frozenset({54, 66})
"""
What the server answers to our upserts where nothing matched, for they never insert anything: ImmutableField; and, where
the filter asks twice about one place, NotSingleValueField.
"""

DUPLICATE = 11000

_NEVER_SENT = (ServerSelectionTimeoutError, ConfigurationError, InvalidOperation)
_HARMLESS = (*_NEVER_SENT, AutoReconnect, WaitQueueTimeoutError)
"""Errors whose text is about addresses only."""

_TRIED_AGAIN = "RetryableWriteError"
"""What a server calls an error after which the write may have been done; here it has ended the driver's second try."""

_INTERRUPTED = frozenset({50, 91, 262, 11600, 11601, 11602, 189, 64, 75})


class door:  # noqa: N801  # it reads as the function that it could be, at a tenth of the time
    """
    Let the driver's errors out as ours; *writing* says whether something may have been applied.

    Raises:
        StoreUnavailable, OutcomeUnknown
        OperationFailure, BulkWriteError: what the server says about single statements, for the caller to read.
    """

    __slots__ = ("_writing",)

    def __init__(self, *, writing: bool) -> None:
        self._writing = writing

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, PyMongoError):
            ours = _translated(error, writing=self._writing)
            if ours is not None:
                raise ours from (error if isinstance(error, _HARMLESS) else None)


def _translated(error: PyMongoError, *, writing: bool) -> StoreUnavailable | OutcomeUnknown | None:
    unknown = OutcomeUnknown if writing else StoreUnavailable
    if isinstance(error, DuplicateKeyError | BulkWriteError):
        return None
    if isinstance(error, OperationFailure):
        if error.code in REFUSALS and writing:
            return None
        again = error.has_error_label(_TRIED_AGAIN)
        maybe = again or isinstance(error, WriteConcernError | ExecutionTimeout) or error.code in _INTERRUPTED
        reason = f"the server answers {type(error).__name__}, code {error.code}"
        return unknown(reason) if maybe else StoreUnavailable(reason)
    if isinstance(error, _NEVER_SENT):
        return StoreUnavailable(type(error).__name__)
    # "Not primary" and a wait for a connection too may end the driver's second try, when the first was carried out.
    return unknown(type(error).__name__)
