"""
The ASGI edge: a session into the scope, a cookie out with the response.

A request that never looks at its session pays for one small object.  One that did has its changes
committed before the response starts, so that whoever reads the response can rely on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from .asgi import TEXTS, App, Message, Receive, Scope, Send, check_predicate, refuse, with_headers
from .cookies import CookieCodec, CookieSettings
from .durations import Duration
from .errors import AtomicSessionError, SessionGone, SessionNotLoaded, StoreNotSet
from .events import emit, tell, tell_no_more
from .manager import SessionManager
from .session import Session, new_session
from .store import Store
from .token import Signer

__all__ = ["SessionMiddleware"]

_STORE = "sqlite:///sessions.db"
_MAX_AGE = "14 days"

_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start", "websocket.close")
_SERVER_ERROR = 500
_STARLETTES = "user_middleware"  # an attribute of its applications


class SessionMiddleware:
    """
    Give each HTTP request and websocket of *app* its session, as `scope["session"]`.

    Inside another one with the same cookie, as around a mounted application, it leaves that one's
    session in place, whatever its own store is.

    Args:
        app: the application.
        secret_key: signs the cookie, so that a forged one costs no trip; of several keys the
            first signs and all verify.  Tokens are unguessable without it.
        session_cookie: the cookie's name; over https it is prefixed with `__Host-`.
        max_age: idle time after which a session ends; None for a cookie that ends with the browser.
        path, same_site, domain, partitioned: the cookie's attributes.
        https_only: True, False, or None to follow each request's scheme.
        store: a URL, or a store.
        max_lifetime: time after creation or the last login at which a session ends in any case.
        touch_after: how old a renewal must be before a read makes the next one.
        autoload: load before the application runs, if a cookie came: True, or a predicate on the
            scope.  For code that reads the session where it cannot await.
        manager: a manager that is shared or was made with more settings, in place of *store*,
            *max_age*, *max_lifetime* and *touch_after*.

    Raises:
        ValueError: a setting is nonsense, or two of them contradict each other.
        TypeError: it is of no type that could say such a thing.
    """

    def __init__(
        self,
        app: App,
        secret_key: str | bytes | Sequence[str | bytes] | None = None,
        session_cookie: str = "sid",
        max_age: Duration | None = _MAX_AGE,
        path: str = "/",
        same_site: str = "lax",
        https_only: bool | None = None,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        store: str | Store = _STORE,
        max_lifetime: Duration | None = None,
        touch_after: Duration | None = None,
        autoload: bool | Callable[[Scope], bool] = False,
        manager: SessionManager | None = None,
    ) -> None:
        if manager is None:
            manager = SessionManager(store, max_age=max_age, max_lifetime=max_lifetime, touch_after=touch_after)
        elif not isinstance(manager, SessionManager):
            raise TypeError(f"manager must be a SessionManager, not {type(manager).__name__}")
        elif (store, max_age, max_lifetime, touch_after) != (_STORE, _MAX_AGE, None, None):
            raise ValueError("store, max_age, max_lifetime and touch_after are the manager's: give them to it")
        if not isinstance(autoload, bool):
            if not callable(autoload):
                raise TypeError(f"autoload must be True, False or a predicate on the scope, not {autoload!r}")
            check_predicate("autoload", autoload)
        settings = CookieSettings(session_cookie, path, same_site, https_only, domain, partitioned)
        self.app = app
        self.manager = manager
        self._codec = CookieCodec(settings, None if secret_key is None else Signer(secret_key))
        self._context = manager.context(self._codec)
        self._autoload = autoload
        self._on_event = manager.settings.on_event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._lead(scope, receive, send)
            return
        secure = self._codec.is_secure(scope.get("scheme", "http"))
        if "session" in scope and self._is_inside_itself(scope, secure=secure):
            await self._autoloaded(scope)
            await self.app(scope, receive, send)
            return
        session = scope["session"] = new_session(self._context, scope["headers"], secure)
        response = _Response(scope, send, session)
        mark = None if self._on_event is None else tell(self._on_event)
        try:
            if self._autoload:
                await self._autoloaded(scope)
            await self.app(scope, receive, response.send)
        except (Exception, asyncio.CancelledError) as error:
            if not await response.end_by(error):
                raise
        else:
            if not response.is_over():
                await response.end()
        finally:
            if mark is not None:
                tell_no_more(mark)

    async def _autoloaded(self, scope: Scope) -> None:
        """Load the session where that is to be done before the application runs."""
        if self._autoload is True or (self._autoload is not False and self._autoload(scope)):
            await scope["session"].load()

    async def _lead(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application live, or do what else it is called for."""
        if scope["type"] == "lifespan":
            await _Life(self.manager, receive, send).lead(self.app, scope)
        else:
            await self.app(scope, receive, send)

    def _is_inside_itself(self, scope: Scope, *, secure: bool) -> bool:
        """Say whether a middleware around this one gave the request the session of the same cookie."""
        session = scope["session"]
        return isinstance(session, Session) and session.has_cookie(self._codec.name(secure))


class _Response:
    """What one application sends, with its session's share in it."""

    __slots__ = ("_failure", "_scope", "_send", "_session", "_started", "_status")

    def __init__(self, scope: Scope, send: Send, session: Session) -> None:
        self._scope = scope
        self._send = send
        self._session = session
        self._started = False
        self._failure: Exception | None = None  # of the commit: whatever the application makes of it
        self._status: int | None = None  # to answer with in the application's place

    def send(self, message: Message) -> Awaitable[None]:
        """Pass *message* on; before the first one of a response the session is committed."""
        if self._started:
            return self._send(message)
        if self._failure is not None or self._status is not None:
            return _nothing()
        if message["type"] not in _STARTS:
            return self._send(message)
        if self._session.accessed or self._is_replaced():
            return self._start(message) if self._can_start(message) else self._commit_and_start(message)
        self._started = True
        self._session.cookie_header()  # from now on none can be sent
        return self._send(message)

    def is_over(self) -> bool:
        """Say whether it began, and left nothing to do."""
        return self._started and not self._session.pending

    async def end(self) -> None:
        """Commit what was changed since the response began; or answer, if it could not begin."""
        if self._status is not None:
            await self._answer(self._status)
        elif self._failure is not None:
            raise self._failure
        elif self._started and self._session.pending:
            await self._commit()

    async def end_by(self, error: BaseException) -> bool:
        """
        End for an application that raised *error*, and say whether it was answered in its place.

        What a stream or a websocket changed before is kept: much of what ends one is the client's leaving.
        """
        if self._started:
            try:
                if self._session.pending:
                    await self._commit()
            except AtomicSessionError as late:
                error.add_note(f"and what the application changed since the response began was lost: {late}")
            return False
        if self._failure is None and self._status is None:
            self._status = _status_for(error)
        if self._status is None or isinstance(error, asyncio.CancelledError):
            self._leave()
            return False
        await self._answer(self._status)
        return True

    def _leave(self) -> None:
        """Leave the session to an error page that is made outside, without what is dropped and without a cookie."""
        self._discard()
        self._session.cookie_header()

    async def _answer(self, status: int) -> None:
        self._started = True
        await refuse(self._scope, self._send, status, self._session.cookie_header())

    def _can_start(self, message: Message) -> bool:
        """Say whether a response begins that needs nothing done before: nearly all do."""
        session = self._session
        return (
            message["type"] == "http.response.start"
            and message.get("status", 200) < _SERVER_ERROR
            and not self._is_replaced()
            and not session.pending
        )

    def _start(self, message: Message) -> Awaitable[None]:
        self._started = True
        session = self._session
        return self._send(with_headers(message, session.cookie_header(), session.has_shared))

    async def _commit_and_start(self, message: Message) -> None:
        session = self._session
        status = message.get("status", 200)
        if status == _SERVER_ERROR and session.failed_with in TEXTS:
            self._status = session.failed_with  # this is a framework's page for an error that nobody caught
            return
        closing = message["type"] == "websocket.close"
        if closing:
            session.cookie_header()  # a handshake that is refused so takes no cookie along
        try:
            if self._is_replaced():
                self._adopt_replacement()
            if status >= _SERVER_ERROR:
                self._discard()
            if session.pending:
                await self._commit()
        except Exception as error:
            self._failure = error
            self._status = _status_for(error)
            raise
        if closing or not session.accessed:
            self._started = True
            session.cookie_header()  # from now on none can be sent
            await self._send(message)
        else:
            await self._start(message)

    async def _commit(self) -> None:
        try:
            await self._session.commit()
        except SessionGone as error:
            emit("delta_dropped", error.session_id)

    def _discard(self) -> None:
        """Keep nothing that was not awaited, as when an error leaves the application."""
        session = self._session
        if session.modified:
            emit("delta_dropped", session.id)
            session.discard()

    def _is_replaced(self) -> bool:
        return self._scope.get("session", self._session) is not self._session

    def _adopt_replacement(self) -> None:
        """
        Take what an application put into the session's place for the session as it is to be.

        That is a plain dict, or a framework's sign for "no session": None, or a member of an enum.
        Anything else is another middleware's, and under Starlette a plain dict is, too: its requests
        put none there, its own middleware did so before 1.0.

        Raises:
            SessionNotLoaded: what it is to replace was not loaded; nothing was changed.
        """
        session = self._session
        current = self._scope["session"]
        if type(current) is dict:
            if hasattr(self._scope.get("app"), _STARLETTES):
                return
        elif not (current is None or isinstance(current, Enum)):
            return
        if not session.loaded:
            raise SessionNotLoaded
        if type(current) is dict:
            for name in [name for name in session if name not in current]:
                del session[name]
            session.update(current)
        else:
            session.clear()
        self._scope["session"] = session


def _status_for(error: BaseException) -> int | None:
    """
    Return the status that answers *error*, None where it is the program's, and the server's to tell.

    A group, as `asyncio.TaskGroup` raises it, is answered as its errors are where they agree.
    """
    if isinstance(error, BaseExceptionGroup):
        statuses = {_status_for(each) for each in error.exceptions}
        return statuses.pop() if len(statuses) == 1 else None
    if isinstance(error, AtomicSessionError) and error.status in TEXTS:
        return error.status
    return None


async def _nothing() -> None:
    """Send nothing: the response could not begin, so what was to follow has no place."""


class _Life:
    """The store's part in the life of a server process: open before the application starts up, closed after its end."""

    __slots__ = ("_failed", "_manager", "_open", "_receive", "_send")

    def __init__(self, manager: SessionManager, receive: Receive, send: Send) -> None:
        self._manager = manager
        self._receive = receive
        self._send = send
        self._open = False
        self._failed = False

    async def lead(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        finally:
            await self._close()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            await self._start()
        return message

    async def send(self, message: Message) -> None:
        if self._failed:  # which was announced
            return
        if message["type"] == "lifespan.startup.complete":
            await self._start()  # the application may have set the store while it started up
        elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            try:
                await self._close()
            except AtomicSessionError as error:
                message = {"type": "lifespan.shutdown.failed", "message": str(error)}
        await self._send(message)

    async def _start(self) -> None:
        if self._open:
            return
        try:
            await self._manager.open()
        except StoreNotSet:
            return  # whoever touches a session will be told
        except Exception as error:
            self._failed = True
            await self._send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        self._open = True

    async def _close(self) -> None:
        if self._open:
            self._open = False
            await self._manager.close()
