"""
What a request holds: a dict that costs nothing until it is used.

Until the session is loaded its class is `_UnloadedSession`, whose readers raise instead of
answering as if it were empty.  Loading makes it a `_PristineSession`, in which nothing can have
changed.  With the first list, dict or change it becomes a `Session`, whose every dict method is the
built-in one, at its own speed, and which is compared with what it was before the response starts.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from .clock import to_datetime
from .commands import Answer, check_owner
from .cookies import CookieCodec
from .csrf_tokens import CSRFTokens
from .dispatcher import Dispatcher
from .durations import Duration, parse_duration, parse_max_age, parse_optional
from .errors import AtomicSessionError, LoginRequired, SessionGone, SessionNotLoaded
from .events import emit
from .exchange import Exchange
from .link import Link
from .metadata import Metadata
from .operators import Update
from .settings import Settings
from .snapshot import FIXED
from .updates import Operators, PendingUpdate, Result

__all__ = ["Session", "SessionContext", "new_session"]


class SessionContext(NamedTuple):
    """What all sessions of one middleware share."""

    settings: Settings
    dispatcher: Dispatcher
    codec: CookieCodec


class Session(dict[str, Any], Operators[bool], Metadata, CSRFTokens):
    """
    The session of one request or websocket.

    `await session()` loads it, once however many tasks ask; then it is read and changed as any
    dict, and what was changed is committed before the response starts.  The operators
    (`await session.inc("visits")`) are sent at once, and need no load before them.

    A session without a record is empty and new.  One that was destroyed, rotated away or has
    expired since this request loaded it is empty and `gone`: writing to it raises `SessionGone`.

    What comes back from the store replaces the fields that differ: after an await take a nested
    list or dict from the session again, one that was taken before may be part of it no more.

    Every awaited method raises `StoreUnavailable` when nothing happened, and `OutcomeUnknown`
    when that is not known.
    """

    __slots__ = ("_accessed", "_context", "_exchange", "_headers", "_modified", "_secure", "_started", "failed_with")

    def __init__(self, context: SessionContext, headers: Iterable[tuple[bytes, bytes]], secure: bool) -> None:
        self._context = context
        self._headers = headers
        self._secure = secure
        self._exchange: Exchange | None = None
        self._accessed = False
        self._modified = False
        self._started = False
        self.failed_with: int | None = None  # the HTTP status of what an awaited method raised last

    # Loading.

    async def load(self, *, fresh: bool = False) -> Session:
        """Load the session, again if *fresh*; changes that were not committed yet stay on top."""
        exchange = self._look()
        try:
            if not exchange.load_at_once(self, fresh):
                await exchange.load(self, fresh=fresh)
        except AtomicSessionError as error:
            self.failed_with = error.status
            raise
        finally:
            self._show()
        return self

    __call__ = load

    @property
    def loaded(self) -> bool:
        """Whether its data may be read without a trip."""
        readable = self._look().settle(self)
        self._show()
        return readable

    # Its life.

    async def touch(self, max_age: Duration | None = None) -> None:
        """Move the idle deadline; a *max_age* is this session's own from now on ("remember me")."""
        await self._do(self._look().touch(self, None if max_age is None else parse_max_age(max_age)))

    async def rotate(self, grace: Duration | None = None) -> None:
        """
        Give the session a new token; the data stays.

        The old token is dead when this returns, or opens the session for *grace* more.

        Raises:
            SessionGone: there is no session to rotate any more.
            ResponseStarted: the new cookie could not be sent.
        """
        await self._do(self._look().rotate(self, parse_optional(grace, "grace") or 0))

    async def login(self, owner: str) -> None:
        """
        Make the session *owner*'s, under a new token; the data stays, the old token is dead.

        It restarts the absolute deadline, and starts a fresh session where there is none, or
        where this one was destroyed.  After it the session is loaded.

        Raises:
            LimitExceeded: the owner has as many sessions as they may.
            SessionGone: the token was rotated away by another request.
            ResponseStarted: the new cookie could not be sent.
        """
        await self._do(self._look().login(self, check_owner(owner)))

    async def require_fresh(self, max_age: Duration) -> None:
        """
        Pass only where the owner logged in at most *max_age* ago (ASVS 7.5.1).

        Raises:
            LoginRequired: nobody is logged in, or it was longer ago.
        """
        longest = timedelta(milliseconds=parse_duration(max_age, "max_age"))
        if self._look().link.record is None:
            await self.load()
        at = self.authenticated_at
        if at is None or to_datetime(self._context.settings.clock()) - at > longest:
            self.failed_with = LoginRequired.status
            raise LoginRequired(at, longest)

    async def destroy(self) -> None:
        """
        End the session and delete its cookie; destroying it twice is no error.

        Raises:
            SessionGone: the token was rotated away: the session lives on under another.
        """
        await self._do(self._look().destroy(self))

    async def regenerate(self) -> Session:
        """
        Destroy the session and return a new, empty one, which gets its record at the first write.

        Raises:
            SessionGone: the token was rotated away: the session lives on under another.
            ResponseStarted: the cookie could not be changed.
        """
        await self._do(self._look().regenerate(self))
        return self

    # What the middleware asks.

    @property
    def pending(self) -> bool:
        """Whether there may be something to commit, or an update is under way."""
        exchange = self._exchange
        return exchange is not None and (
            self._modified or exchange.tracker.may_be_changed(self) or exchange.turn.locked()
        )

    async def commit(self) -> None:
        """
        Send what plain dict code changed.  The middleware does so before the response starts.

        Raises:
            SessionGone: the session ended meanwhile; the changes are dropped.
            ResponseStarted: there is no session yet, and its cookie could not be sent.
            InvalidPath, InvalidValue, LimitExceeded: a session cannot hold what was put into it; nothing was sent.
            OutcomeUnknown: that, or the changes went with an update of which nothing was heard.
        """
        exchange = self._exchange
        if exchange is not None:
            renew, self._modified = self._modified, False
            await exchange.commit(self, renew=renew)

    def discard(self) -> None:
        """Take back what plain dict code changed since it was last committed."""
        self._modified = False
        if self._exchange is not None:
            self._exchange.tracker.revert(self)

    def cookie_header(self) -> bytes | None:
        """Return the Set-Cookie that the response is to carry, if any; from now on none can be sent."""
        self._started = True
        exchange = self._exchange
        if exchange is None:
            return None
        link = exchange.link
        link.started = True
        change, link.cookie = link.cookie, None
        if change is None:
            return None
        codec = self._context.codec
        if change == "clear":
            return codec.clear_header(self._secure)
        token, max_age = link.offer()
        return None if token is None else codec.set_header(token, self._secure, max_age)

    def has_cookie(self, name: bytes) -> bool:
        """Say whether the cookie of this name is the session's."""
        return self._context.codec.name(self._secure) == name

    # Starlette's protocol for sessions.

    @property
    def accessed(self) -> bool:
        """Whether anything looked at the session: then the response depends on the cookie."""
        return self._accessed or self._exchange is not None

    @property
    def modified(self) -> bool:
        """Whether there is something to commit."""
        exchange = self._exchange
        return self._modified or (exchange is not None and exchange.tracker.is_changed(self))

    def mark_accessed(self) -> None:
        self._accessed = True

    def mark_modified(self) -> None:
        """Ask for a renewal with the response, even if nothing changed."""
        self._look()
        self._modified = True

    # A dict in all but these.

    def clear(self) -> None:
        """Empty the session, of what others have added meanwhile too."""
        exchange = self._exchange
        if exchange is not None and exchange.link.token is not None and exchange.link.gone is None:
            exchange.tracker.cleared += 1
        dict.clear(self)

    def copy(self) -> dict[str, Any]:
        return dict(self)

    __copy__ = copy

    def __reduce_ex__(self, protocol: Any) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Copy and pickle as a plain dict: a second session with the same token must not come about."""
        return dict, (dict(self),)

    # How it is done.

    def _pending(self) -> PendingUpdate[Any]:
        return PendingUpdate(self._send, self._context.settings.limits)

    def _send(self, update: Update) -> Coroutine[Any, Any, Answer]:
        return self._do(self._look().update(self, update))

    async def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return await work
        except AtomicSessionError as error:
            self.failed_with = error.status
            if isinstance(error, SessionGone):
                emit("write_after_destroy", error.session_id)
            raise
        finally:
            self._show()

    def _look(self) -> Exchange:
        """Read the cookie, once."""
        exchange = self._exchange
        if exchange is None:
            context = self._context
            found = context.codec.read(self._headers, self._secure)
            if found.problem is not None:
                emit(f"{found.problem}_cookie")
            link = Link(context.settings, context.dispatcher, found.token, found.resign, self._started)
            link.cookie_came = found.token is not None or found.problem is not None
            exchange = self._exchange = Exchange(link, context.settings.limits)
        return exchange

    def _show(self) -> None:
        """Be readable as soon as there is something to read."""
        exchange = self._exchange
        if exchange is not None and exchange.tracker.loaded:
            kind = _PristineSession if exchange.tracker.pristine else Session
            self.__class__ = kind  # pyright: ignore[reportAttributeAccessIssue]


_NOT_LOADED = object()
"""The one key of an unloaded session: encoders that read past our methods fail at it."""


def new_session(context: SessionContext, headers: Iterable[tuple[bytes, bytes]], secure: bool) -> Session:
    """Return the session of a request with these *headers*; nothing is parsed or loaded yet."""
    session = _UnloadedSession(context, headers, secure)
    dict.__setitem__(session, _NOT_LOADED, None)  # type: ignore[misc]
    return session


def _after(step: str, name: str) -> Callable[..., Any]:
    """Return a method that takes a *step* to another class of session first, and is what that one calls *name*."""

    def method(self: Session, *args: Any, **kwargs: Any) -> Any:
        getattr(self, step)()
        return getattr(type(self), name)(self, *args, **kwargs)

    method.__name__ = name
    return method


class _UnloadedSession(Session):
    """A session whose data nobody has asked for: each dict method needs it to be readable first."""

    __slots__ = ()

    __contains__ = _after("_become_readable", "__contains__")
    __delitem__ = _after("_become_readable", "__delitem__")
    __eq__ = _after("_become_readable", "__eq__")
    __getitem__ = _after("_become_readable", "__getitem__")
    __ior__ = _after("_become_readable", "__ior__")
    __iter__ = _after("_become_readable", "__iter__")
    __len__ = _after("_become_readable", "__len__")
    __ne__ = _after("_become_readable", "__ne__")
    __or__ = _after("_become_readable", "__or__")
    __reversed__ = _after("_become_readable", "__reversed__")
    __ror__ = _after("_become_readable", "__ror__")
    __setitem__ = _after("_become_readable", "__setitem__")
    clear = _after("_become_readable", "clear")
    get = _after("_become_readable", "get")
    items = _after("_become_readable", "items")
    keys = _after("_become_readable", "keys")
    pop = _after("_become_readable", "pop")
    popitem = _after("_become_readable", "popitem")
    setdefault = _after("_become_readable", "setdefault")
    update = _after("_become_readable", "update")
    values = _after("_become_readable", "values")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<session not loaded>"

    def _become_readable(self) -> None:
        if not self._look().settle(self):
            raise SessionNotLoaded
        self._show()


class _PristineSession(Session):
    """
    A loaded session that nobody has changed, nor can have: nobody holds a list or dict of it.

    Before the first is handed out, or anything is set, a copy is made to compare with.  Most requests
    only read a text or a number, and need none.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        value = dict.__getitem__(self, name)
        if type(value) not in FIXED:
            self._separate()
        return value

    def get(self, name: str, default: Any = None) -> Any:
        value = dict.get(self, name, default)
        if type(value) not in FIXED:
            self._separate()
        return value

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self)  # since it is here, `dict(session)` and `{**session}` ask for each value

    __delitem__ = _after("_separate", "__delitem__")
    __ior__ = _after("_separate", "__ior__")
    __or__ = _after("_separate", "__or__")
    __ror__ = _after("_separate", "__ror__")
    __setitem__ = _after("_separate", "__setitem__")
    clear = _after("_separate", "clear")
    items = _after("_separate", "items")
    pop = _after("_separate", "pop")
    popitem = _after("_separate", "popitem")
    setdefault = _after("_separate", "setdefault")
    update = _after("_separate", "update")
    values = _after("_separate", "values")

    def _separate(self) -> None:
        if self._exchange is not None:
            self._exchange.tracker.separate()
        self.__class__ = Session  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


for _kind in (_UnloadedSession, _PristineSession):
    _kind.__name__ = Session.__name__  # so error messages call it
