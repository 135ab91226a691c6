"""
What is asked of a store about one session, and what it answers: frozen values.

A command names its session by public id and shows a digest of the secret; the store matches it
in the same atomic step that does the work.  A command carries `now`: no store reads a clock.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

from .clock import Instant
from .errors import AtomicSessionError, CorruptRecord, InvalidValue
from .fields import decode_fields
from .operators import Update as Operators
from .record import Lifetimes, Record
from .values import MISSING, Missing, Value

__all__ = [
    "Answer",
    "Command",
    "Create",
    "Destroy",
    "Load",
    "Login",
    "Outcome",
    "OwnerLimit",
    "Rotate",
    "Touch",
    "Update",
    "check_owner",
]

_LONGEST_OWNER = 256


class OwnerLimit(msgspec.Struct, frozen=True):
    """How many live sessions one owner may have; past that the oldest go, or the login is refused."""

    maximum: int
    evict_oldest: bool


class Login(msgspec.Struct, frozen=True):
    """The session becomes *owner*'s, and its absolute deadline starts again."""

    owner: str
    limit: OwnerLimit | None = None


def check_owner(owner: str) -> str:
    """
    Return *owner*, which may be one.

    Raises:
        TypeError: it is no text: 42 and "42" are never two users, nor is the one taken for nobody.
        InvalidValue: it is empty, too long, or holds what cannot be printed.
    """
    if not isinstance(owner, str):
        raise TypeError(f"an owner is text, not {type(owner).__name__}: write str(user.id)")
    if not owner or len(owner) > _LONGEST_OWNER or not owner.isprintable():
        raise InvalidValue("owner", f"an owner is 1 to {_LONGEST_OWNER} printable characters")
    return owner


class Create(msgspec.Struct, frozen=True):
    """Keep a new session; never over one that is there."""

    record: Record
    data: dict[str, Value]
    now: Instant
    limit: OwnerLimit | None = None

    @property
    def id(self) -> str:
        return self.record.id


class Load(msgspec.Struct, frozen=True, gc=False):
    """Read a session whole, and renew it when that is due."""

    id: str
    digest: bytes
    now: Instant
    lifetimes: Lifetimes


class Update(msgspec.Struct, frozen=True):
    """
    Apply operators to a session, all or none, and renew it.

    *known_rev* is the `rev` whose data the caller holds, None when it holds none: the answer
    brings the touched fields where that is enough to be current, else all data.
    """

    id: str
    digest: bytes
    now: Instant
    lifetimes: Lifetimes
    update: Operators
    known_rev: int | None = None


class Touch(msgspec.Struct, frozen=True):
    """Renew a session; *max_age* (milliseconds), where given, is its own idle time from now on."""

    id: str
    digest: bytes
    now: Instant
    lifetimes: Lifetimes
    max_age: int | None = None


class Rotate(msgspec.Struct, frozen=True):
    """Renew a session under a new digest; the old one opens it for *grace* more milliseconds."""

    id: str
    digest: bytes
    now: Instant
    lifetimes: Lifetimes
    new_digest: bytes
    grace: int = 0
    login: Login | None = None


class Destroy(msgspec.Struct, frozen=True):
    """End a session.  Without a digest the application asks, by public id."""

    id: str
    digest: bytes | None
    now: Instant


Command: TypeAlias = Create | Load | Update | Touch | Rotate | Destroy


class Outcome(enum.Enum):
    """
    What became of a command.

    DONE: it happened.  UNMET: a `when` guard did not hold.  REFUSED: see the answer's error.
    ROTATED: the digest is one that was rotated away.  DESTROYED: there is a tombstone.
    ABSENT: there is no such live session, or never was with this digest.  EXISTS: the id of a
    new session is taken.  Nothing changed but for DONE.
    """

    DONE = "done"
    UNMET = "unmet"
    REFUSED = "refused"
    ROTATED = "rotated"
    DESTROYED = "destroyed"
    ABSENT = "absent"
    EXISTS = "exists"


class Answer(msgspec.Struct, frozen=True):
    """
    What a store says to one command.

    Attributes:
        outcome: what became of it.
        record: the record as it is now, where the session is live.
        data: all data where *whole*, else the fields that the update touched and that are
            present now; None when the command brings none back.  It is the receiver's own.
        whole: whether *data*, or *raw*, is all of it.
        raw: the text of all data, where the store has it at hand.  An update may leave it at that, with no *data*:
            who never looks at it need not pay for decoding it, and who does asks for the answer `opened`.
        taken: the value that a `Take` removed, MISSING where there was none.
        renewed: the deadline moved so far that the cookie is to be sent again.
        error: why the command was REFUSED.
    """

    outcome: Outcome
    record: Record | None = None
    data: dict[str, Value] | None = None
    whole: bool = False
    raw: bytes | None = None
    taken: Value | Missing = MISSING
    renewed: bool = False
    error: AtomicSessionError | None = None

    def opened(self) -> Answer:
        """
        Return the same answer with its data, where it is text so far.

        Raises:
            CorruptRecord: the text is not ours.
        """
        if self.raw is None or self.data is not None:
            return self
        try:
            return msgspec.structs.replace(self, data=decode_fields(self.raw))
        except ValueError as error:
            raise CorruptRecord("" if self.record is None else self.record.id, str(error)) from error
