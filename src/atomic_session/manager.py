"""One manager: the settings, the store, and what an application asks about all sessions."""

from __future__ import annotations

from collections.abc import Sequence

from . import clock as system_clock
from . import commands
from .clock import Clock
from .commands import Outcome, check_owner
from .cookies import CookieCodec
from .dispatcher import Dispatcher
from .durations import Duration
from .errors import OutcomeUnknown, StoreUnavailable
from .events import Listener, emit, heard_by
from .limits import DEFAULT_LIMITS, Limits
from .registry import open_url
from .session import SessionContext
from .settings import make_settings
from .store import SessionInfo, Store
from .token import is_session_id

__all__ = ["SessionManager"]

_MOST_AT_ONCE = 2**31 - 1
"""How many records one purge may remove: a number that every engine can hold."""


class SessionManager:
    """
    Keep sessions in one store under one set of settings.

    A middleware makes its own; make one yourself to ask about sessions outside of a request, or
    to set the store later.

    Args:
        store: a URL or a store; None to set `manager.store` before the first use.
        max_age: idle time after which a session ends; None for cookies that end with the
            browser, whose records idle out after 14 days.
        max_lifetime: time after creation or the last login at which a session ends in any case.
        touch_after: how old a renewal must be before a read makes the next one (a tenth of max_age).
        timeout: how long one call to the store may take.
        limits: what one session may hold.
        max_sessions_per_owner: how many sessions one owner may have at once.
        on_session_limit: "reject" a login past that, or "evict_oldest".
        clock: what tells the time, in whole milliseconds since the Unix epoch.
        on_event: called with the name of each event (`events.EVENTS`), the session's public id or
            None, and a dict of facts, when it happens; it must return at once.

    Raises:
        ValueError: a setting is nonsense; the message names it.
        TypeError: it is of no type that could say such a thing.
    """

    def __init__(
        self,
        store: str | Store | None = None,
        *,
        max_age: Duration | None = "14 days",
        max_lifetime: Duration | None = None,
        touch_after: Duration | None = None,
        timeout: Duration = 5,
        limits: Limits = DEFAULT_LIMITS,
        max_sessions_per_owner: int | None = None,
        on_session_limit: str = "reject",
        clock: Clock = system_clock.now,
        on_event: Listener | None = None,
    ) -> None:
        self.settings = make_settings(
            max_age=max_age,
            max_lifetime=max_lifetime,
            touch_after=touch_after,
            timeout=timeout,
            limits=limits,
            max_sessions_per_owner=max_sessions_per_owner,
            on_session_limit=on_session_limit,
            clock=clock,
            on_event=on_event,
        )
        self._dispatcher = Dispatcher(None, self.settings.timeout)
        if store is not None:
            self.store = store  # the setter takes a URL too

    @property
    def store(self) -> Store:
        """The store; set it, or its URL, before the first use."""
        return self._dispatcher.store

    @store.setter
    def store(self, store: str | Store) -> None:
        settings = self.settings
        if isinstance(store, str):
            store = open_url(store, settings.limits, settings.timeout)
        elif isinstance(store, type) or not hasattr(store, "execute"):
            raise TypeError(f"store must be a URL or a store, not {store!r}")
        self._dispatcher.store = store

    async def open(self) -> None:
        """
        Open the store: create what is missing, say what is wrong.

        Raises:
            StoreNotSet: there is none.
            StoreUnavailable: it cannot be opened.
        """
        await self._dispatcher.open()

    async def close(self) -> None:
        """Complete what was accepted, then close the store.  A later use opens it again."""
        await self._dispatcher.close()

    def context(self, codec: CookieCodec) -> SessionContext:
        """Return what the sessions of one middleware share."""
        return SessionContext(self.settings, self._dispatcher, codec)

    async def sessions_of(self, owner: str) -> Sequence[SessionInfo]:
        """
        Return the live sessions of *owner*, the latest used first; never a token or data.

        Raises:
            TypeError, InvalidValue: *owner* is what no login takes.
        """
        check_owner(owner)
        now = self.settings.clock()
        try:
            return await self._dispatcher.ask(lambda store: store.sessions_of(owner, now), StoreUnavailable)
        except OutcomeUnknown as error:  # reading has no outcome that could be unknown
            raise StoreUnavailable(error.reason) from error

    async def destroy(self, session_id: str) -> bool:
        """
        End the session with this public id; say whether there was one.

        Raises:
            TypeError: it is no text.
        """
        _check_id(session_id, "session_id")
        if not is_session_id(session_id):
            return False
        command = commands.Destroy(session_id, None, self.settings.clock())
        answer = await self._dispatcher.submit(command)
        if answer.outcome is Outcome.DONE:
            with heard_by(self.settings.on_event):
                emit("session_destroyed", session_id)
        return answer.outcome is Outcome.DONE

    async def destroy_all(self, owner: str, *, keep: str | None = None) -> int:
        """
        End the sessions of *owner* but for the one with the public id *keep*; say how many.

        Raises:
            TypeError, InvalidValue: *owner* is what no login takes, or *keep* is no text; nothing was ended.
        """
        check_owner(owner)
        if keep is not None:
            _check_id(keep, "keep")
            keep = keep if is_session_id(keep) else None  # no session has it, and not every engine can look for it
        now = self.settings.clock()
        ended = await self._dispatcher.ask(lambda store: store.destroy_all(owner, keep, now), OutcomeUnknown)
        with heard_by(self.settings.on_event):
            emit("owner_sessions_destroyed", keep, count=ended)
        return ended

    async def purge(self, limit: int = 1_000) -> int:
        """
        Remove up to *limit* records that are over; say how many.

        All stores do so by themselves; this is for who wants it done now: call it until it returns 0.

        Raises:
            ValueError: *limit* is no positive whole number.
        """
        if type(limit) is not int or limit < 1:
            raise ValueError(f"limit must be a positive whole number, not {limit!r}")
        now, most = self.settings.clock(), min(limit, _MOST_AT_ONCE)
        return await self._dispatcher.ask(lambda store: store.purge(now, most), OutcomeUnknown)


def _check_id(value: str, name: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is a session's public id, not {type(value).__name__}")
