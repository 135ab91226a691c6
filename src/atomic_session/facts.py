"""What a session tells of itself, as far as its request knows."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime

from .clock import Instant
from .exchange import Exchange

__all__ = ["Facts"]


class Facts:
    """What is known of a session: before the first trip, what its cookie says."""

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
        """When it was created; None before the first trip."""
        record = self._look().link.record
        return None if record is None else _datetime(record.created)

    @property
    def expires(self) -> datetime | None:
        """When it ends if nobody uses it; None before the first trip."""
        record = self._look().link.record
        return None if record is None else _datetime(record.idle_deadline)

    @property
    def owner(self) -> str | None:
        """The user who is logged in; None for nobody, and before the first trip."""
        record = self._look().link.record
        return None if record is None else record.owner

    @property
    def authenticated_at(self) -> datetime | None:
        """When the owner last logged in; None for never, and before the first trip."""
        record = self._look().link.record
        return None if record is None or record.authenticated_at is None else _datetime(record.authenticated_at)


def _datetime(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant / 1000, UTC)
