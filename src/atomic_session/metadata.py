"""What a session tells of itself, as far as its request knows."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime

from .clock import to_datetime
from .errors import SessionNotLoaded
from .exchange import Exchange
from .record import Record

__all__ = ["Metadata"]


class Metadata:
    """
    What is known of a session.

    Before the first trip that is what its cookie says: the public id.  The rest raises `SessionNotLoaded` then.
    """

    __slots__ = ()

    @abstractmethod
    def _look(self) -> Exchange:
        """Read the cookie, once."""

    @property
    def id(self) -> str | None:
        """The public id, safe to log and to show; None while there is no session."""
        token = self._look().link.token
        return None if token is None else token.id

    @property
    def is_new(self) -> bool:
        """Whether there is no record yet: nothing was written, or the cookie opens nothing."""
        return self._look().link.token is None

    @property
    def gone(self) -> bool:
        """Whether the session ended under this request."""
        return self._look().link.gone is not None

    @property
    def created(self) -> datetime | None:
        """When it was created; None while there is no session, or where it is gone."""
        record = self._record()
        return None if record is None else to_datetime(record.created)

    @property
    def expires(self) -> datetime | None:
        """When it ends if nobody uses it; None while there is no session, or where it is gone."""
        record = self._record()
        return None if record is None else to_datetime(record.idle_deadline)

    @property
    def owner(self) -> str | None:
        """The user who is logged in, None for nobody."""
        record = self._record()
        return None if record is None else record.owner

    @property
    def authenticated_at(self) -> datetime | None:
        """When the owner last logged in, None for never."""
        record = self._record()
        return None if record is None or record.authenticated_at is None else to_datetime(record.authenticated_at)

    def _record(self) -> Record | None:
        """
        Return the record as it was seen last, None where there is none.

        Raises:
            SessionNotLoaded: the store was not asked yet; "nobody" would be an answer to trust.
        """
        link = self._look().link
        if link.record is None and link.token is not None and link.gone is None:
            raise SessionNotLoaded
        return link.record
