"""
Server-side sessions in which no update is ever lost.

The stores are in `atomic_session.stores`, the conformance suite in `atomic_session.testing`.
"""

from .csrf_middleware import CSRFMiddleware
from .errors import (
    AtomicSessionError,
    ConflictingUpdate,
    CorruptRecord,
    CSRFError,
    InvalidPath,
    InvalidValue,
    LimitExceeded,
    LoginRequired,
    OperatorError,
    OutcomeUnknown,
    ResponseStarted,
    SessionGone,
    SessionNotLoaded,
    StoreNotSet,
    StoreUnavailable,
)
from .limits import Limits
from .manager import SessionManager
from .middleware import SessionMiddleware
from .session import Session

__all__ = [
    "AtomicSessionError",
    "CSRFError",
    "CSRFMiddleware",
    "ConflictingUpdate",
    "CorruptRecord",
    "InvalidPath",
    "InvalidValue",
    "LimitExceeded",
    "Limits",
    "LoginRequired",
    "OperatorError",
    "OutcomeUnknown",
    "ResponseStarted",
    "Session",
    "SessionGone",
    "SessionManager",
    "SessionMiddleware",
    "SessionNotLoaded",
    "StoreNotSet",
    "StoreUnavailable",
]
