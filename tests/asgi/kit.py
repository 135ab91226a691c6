"""A server for one request: it calls an application as a server does, and keeps what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.session.kit import Clock, SpyStore

from atomic_session import SessionManager, SessionMiddleware
from atomic_session.asgi import App, Message, Receive, Scope, Send

Handler = Callable[[Any], Awaitable[object]]
Pair = tuple[bytes, bytes]


class Reply:
    """What an application sent in one request."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.error: BaseException | None = None

    @property
    def start(self) -> dict[str, Any]:
        (start,) = (message for message in self.messages if message["type"] in STARTS)
        return start

    @property
    def status(self) -> int:
        status: int = self.start["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages if message["type"].endswith(".body"))

    def header(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.start.get("headers", ()) if key.lower() == name]

    @property
    def cookie(self) -> bytes | None:
        """What the browser keeps of it."""
        kept = [value.partition(b";")[0] for value in self.header(b"set-cookie") if b"Max-Age=0" not in value]
        assert len(self.header(b"set-cookie")) <= 1
        return kept[0] if kept else None


STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")


class Server:
    """One application behind one middleware, its store and its clock."""

    def __init__(self, app: App, manager: SessionManager | None = None, **settings: Any) -> None:
        self.store = SpyStore()
        self.clock = Clock()
        if manager is None:
            mine = ("max_age", "max_lifetime", "touch_after", "timeout", "limits")
            asked = {name: settings.pop(name) for name in mine if name in settings}
            manager = SessionManager(self.store, clock=self.clock, **asked)
        self.manager = manager
        self.app = SessionMiddleware(app, manager=manager, **settings)

    async def get(self, *cookies: bytes | None, headers: Iterable[Pair] = (), **scope: Any) -> Reply:
        """Send one request, which may end by an error, and return the reply."""
        return await call(self.app, http(*cookies, headers=headers, **scope))

    async def talk(self, *received: dict[str, Any], cookie: bytes | None = None, **scope: Any) -> Reply:
        """Open a websocket, and send it these messages."""
        return await call(self.app, {**http(cookie, **scope), "type": "websocket"}, *received)


def http(*cookies: bytes | None, headers: Iterable[Pair] = (), **more: Any) -> dict[str, Any]:
    """Return the scope of a request with these cookies, each in a field of its own."""
    fields = [(b"host", b"testserver"), *headers, *((b"cookie", cookie) for cookie in cookies if cookie is not None)]
    return {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": fields, **more}


async def call(app: App, scope: Scope, *received: dict[str, Any]) -> Reply:
    """Run *app* once on *scope*."""
    reply = Reply()
    coming = list(received) or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if coming:
            return coming.pop(0)
        return {"type": "websocket.disconnect" if scope["type"] == "websocket" else "http.disconnect"}

    async def send(message: Message) -> None:
        reply.messages.append(dict(message))

    try:
        await app(scope, receive, send)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the server logs it
        reply.error = error
    return reply


def answering(handle: Handler | None = None, *, status: int = 200, headers: Iterable[Pair] = ()) -> App:
    """Return an application that hands its session to *handle*, then answers with what that returned."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        result = None if handle is None else await handle(scope["session"])
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": repr(result).encode()})

    return app


async def write(session: Any) -> None:
    """A handler that awaits one update."""
    await session.inc("n")


async def read(session: Any) -> Any:
    """A handler that loads, and returns the data."""
    return dict(await session())


async def edit(session: Any) -> None:
    """A handler of plain dict code."""
    await session()
    session["n"] = session.get("n", 0) + 1
