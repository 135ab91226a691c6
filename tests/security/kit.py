"""What the security tests share: a shop behind both middlewares, and browsers that say what a test wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.session.kit import Clock, SpyStore

from atomic_session import CSRFMiddleware, Session, SessionManager, SessionMiddleware
from atomic_session.store import Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Session], Awaitable[object]]
Headers = Sequence[tuple[bytes, bytes]]

HOST = (b"host", b"shop.example")


@dataclass
class Reply:
    """What came back."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    @property
    def cookie(self) -> bytes | None:
        """The pair that a browser would keep from now on."""
        given = self.all(b"set-cookie")
        assert len(given) <= 1
        return None if not given or b"Max-Age=0" in given[0] else given[0].partition(b";")[0]


def scope_of(method: str, path: str, headers: Headers, *, scheme: str = "https", **more: Any) -> Scope:
    websocket = scheme in ("ws", "wss")
    scope: Scope = {
        "type": "websocket" if websocket else "http",
        "scheme": scheme,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": list(headers),
        "extensions": {"websocket.http.response": {}} if websocket else {},
        **more,
    }
    if not websocket:
        scope["method"] = method
    return scope


async def call(
    app: App,
    method: str = "GET",
    headers: Headers = (HOST,),
    body: Iterable[bytes] = (b"",),
    *,
    path: str = "/",
    scheme: str = "https",
    **more: Any,
) -> Reply:
    """Send one request; the pieces of *body* are the messages that the application may receive."""
    pieces = list(body)
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": place + 1 < len(pieces)}
        for place, piece in enumerate(pieces)
    ]
    messages.reverse()
    reply = Reply()

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"].endswith("response.start"):
            reply.status, reply.headers = message["status"], list(message["headers"])
        elif message["type"] == "websocket.accept":
            reply.status, reply.headers = 101, list(message.get("headers", ()))
        elif message["type"] == "websocket.close":
            reply.status = message.get("code", 1000)
        else:
            reply.body += message.get("body", b"")

    await app(scope_of(method, path, headers, scheme=scheme, **more), receive, send)
    return reply


async def answer(send: Send, body: bytes = b"ok", headers: Headers = ()) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def handled_by(handler: Handler, headers: Headers = ()) -> App:
    """Return an application whose answer is what *handler* returns of the session."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        made = await handler(scope["session"])
        await answer(send, str(made).encode(), headers)

    return app


class Shop:
    """One application behind both middlewares, over a store that counts."""

    def __init__(
        self,
        handler: Handler,
        inner: Store | None = None,
        headers: Headers = (),
        *,
        secret_key: Any = None,
        **csrf: Any,
    ) -> None:
        self.clock = Clock()
        self.store = SpyStore(inner)
        self.events: list[tuple[str, str | None, dict[str, object]]] = []
        self.manager = SessionManager(self.store, clock=self.clock, on_event=self._hear)
        self.csrf = CSRFMiddleware(handled_by(handler, headers), **csrf)
        self.app = SessionMiddleware(self.csrf, secret_key, manager=self.manager)

    def _hear(self, event: str, session_id: str | None, facts: Any) -> None:
        self.events.append((event, session_id, dict(facts)))

    def heard(self, event: str) -> list[dict[str, object]]:
        return [facts for name, _, facts in self.events if name == event]

    async def visit(
        self, cookie: bytes | None = None, method: str = "GET", *more: tuple[bytes, bytes], **rest: Any
    ) -> Reply:
        headers = [HOST, *more] if cookie is None else [HOST, (b"cookie", cookie), *more]
        return await call(self.app, method, headers, **rest)


async def one_token(session: Session) -> str:
    return session.create_csrf()
