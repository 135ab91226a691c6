"""
The ASGI edge: a session into the scope, a cookie out with the response.

A request that never looks at its session pays for one small object.  One that did has its changes
committed before the response starts, so that whoever reads the response can rely on them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias

from .cookies import CookieCodec, CookieSettings
from .durations import Duration
from .errors import AtomicSessionError
from .manager import SessionManager
from .session import Session, new_session
from .store import Store
from .token import Signer

__all__ = ["SessionMiddleware"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

_STORE = "sqlite:///sessions.db"
_MAX_AGE = "14 days"

_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
_UNAVAILABLE = 503
_GOING_AWAY = {401: 1008, 403: 1008, 503: 1013}
"""HTTP statuses as close codes of a websocket: policy violation, try again later."""


class SessionMiddleware:
    """
    Give each HTTP request and websocket of *app* its session, as `scope["session"]`.

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
        elif (store, max_age, max_lifetime, touch_after) != (_STORE, _MAX_AGE, None, None):
            raise ValueError("store, max_age, max_lifetime and touch_after are the manager's: give them to it")
        settings = CookieSettings(session_cookie, path, same_site, https_only, domain, partitioned)
        self.app = app
        self.manager = manager
        self._codec = CookieCodec(settings, None if secret_key is None else Signer(secret_key))
        self._context = manager.context(self._codec)
        self._autoload = autoload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(scope, receive, send)
        elif kind not in ("http", "websocket") or self._is_inside_itself(scope):
            await self.app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def _is_inside_itself(self, scope: Scope) -> bool:
        """Say whether a middleware around this one already gave the request the same session."""
        session = scope.get("session")
        return isinstance(session, Session) and session.is_of(self._context)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        secure = self._codec.is_secure(scope.get("scheme", "http"))
        session = scope["session"] = new_session(self._context, scope["headers"], secure=secure)
        started = False

        def send_with_session(message: Message) -> Awaitable[None]:
            nonlocal started
            if started or message["type"] not in _STARTS:
                return send(message)
            if session.accessed:
                return commit_and_start(message)
            started = True
            session.cookie_header()
            return send(message)

        async def commit_and_start(message: Message) -> None:
            nonlocal started
            await session.commit()
            started = True
            _add_headers(message, session.cookie_header())
            await send(message)

        try:
            if self._autoload and (self._autoload is True or self._autoload(scope)):
                await session.load()
            await self.app(scope, receive, send_with_session)
        except AtomicSessionError as error:
            if started or error.status == AtomicSessionError.status:
                raise
            await _refuse(scope, send, error.status)
        finally:
            if started:
                await session.commit()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the store before the application starts up, and close it after it has shut down."""

        async def receive_after_opening() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.manager.open()
                except AtomicSessionError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
            return message

        async def send_after_closing(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self.manager.close()
            await send(message)

        await self.app(scope, receive_after_opening, send_after_closing)


def _add_headers(message: Message, cookie: bytes | None) -> None:
    headers: Headers = list(message.get("headers", ()))
    if message["type"] != "websocket.accept":
        _add_vary(headers)
    if cookie is not None:
        headers.append((b"set-cookie", cookie))
        _forbid_storing(headers)
    message["headers"] = headers


def _add_vary(headers: Headers) -> None:
    """Say that the response depends on the cookie (RFC 9110, section 12.5.5)."""
    for name, value in headers:
        if name.lower() == b"vary":
            members = [member.strip().lower() for member in value.split(b",")]
            if b"cookie" in members or b"*" in members:
                return
    headers.append((b"vary", b"Cookie"))


def _forbid_storing(headers: Headers) -> None:
    """Keep a response with a session cookie out of every cache (RFC 9111, section 5.2.2.5)."""
    headers[:] = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
    headers.append((b"cache-control", b"no-store"))


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    """Answer for an application that did not catch the error; the cookie stays as it is."""
    headers: Headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"vary", b"Cookie"),
    ]
    if status == _UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    prefix = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _GOING_AWAY[status]})
            return
        prefix = "websocket.http"
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": _TEXTS[status]})


_TEXTS = {
    401: b"The session has ended.",
    403: b"The request was refused.",
    503: b"The session store is unavailable.",
}
