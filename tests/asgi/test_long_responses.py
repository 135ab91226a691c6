"""Streams, background tasks and websockets: what is changed after the response began."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.asgi.kit import Server, answering, read, write
from tests.session.kit import failing

from atomic_session import ResponseStarted, Session, SessionGone, StoreUnavailable
from atomic_session.asgi import App, Receive, Scope, Send

CONNECT = {"type": "websocket.connect"}
HELLO = {"type": "websocket.receive", "text": "hello"}
DISCONNECT = {"type": "websocket.disconnect", "code": 1000}
DENIAL: dict[str, Any] = {"websocket.http.response": {}}


async def _visitor(server: Server) -> bytes:
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    assert cookie is not None
    server.store.commands.clear()
    return cookie


async def _data(server: Server, cookie: bytes | None) -> Any:
    return (await Server(answering(read), manager=server.manager).get(cookie)).body


# --- streams and background tasks


async def test_changes_made_in_a_stream_are_committed_at_its_end() -> None:
    async def endpoint(request: Request) -> Response:
        session = await request.session()  # type: ignore[operator]
        session["before"] = 1

        async def body() -> Any:
            session["streamed"] = 1
            yield b"a"
            await session.inc("n")
            yield b"b"
            session["log"] = ["end"]

        return StreamingResponse(body())

    server = Server(Starlette(routes=[Route("/", endpoint)]))
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert (reply.body, reply.error) == (b"ab", None)
    assert await _data(server, cookie) == b"{'n': 2, 'before': 1, 'streamed': 1, 'log': ['end']}"
    assert server.store.kinds[:4] == ["Load", "Update", "Update", "Update"]


async def test_a_background_task_may_use_the_session() -> None:
    async def endpoint(request: Request) -> Response:
        session = await request.session()  # type: ignore[operator]

        async def later() -> None:
            session["later"] = session["n"]
            await session.inc("n")
            session["last"] = True

        return PlainTextResponse("done", background=BackgroundTask(later))

    server = Server(Starlette(routes=[Route("/", endpoint)]))
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert (reply.body, reply.error) == (b"done", None)
    assert await _data(server, cookie) == b"{'n': 2, 'later': 1, 'last': True}"


async def test_a_background_task_that_loads_for_the_first_time_may_write_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        session = await scope["session"]()
        session["late"] = 1

    server = Server(app)
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert reply.start["headers"] == []
    assert await _data(server, cookie) == b"{'n': 1, 'late': 1}"


async def _start(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize("look", [True, False])
@pytest.mark.parametrize("action", ["create", "login", "rotate", "regenerate", "commit"])
async def test_what_needs_a_cookie_after_the_start_raises_and_does_nothing(action: str, *, look: bool) -> None:
    async def act(session: Session) -> None:
        if action == "create":
            await session.set("a", 1)
        elif action == "commit":
            session["a"] = 1
        elif action == "login":
            await session.login("ann")
        else:
            await getattr(session, action)()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if look:
            await scope["session"].load()
        await _start(send)
        await act(scope["session"])

    server = Server(app)
    reply = await server.get()

    assert isinstance(reply.error, ResponseStarted)
    assert reply.header(b"set-cookie") == []
    assert server.store.trips == 0


async def test_destroying_after_the_start_ends_the_session_all_the_same() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _start(send)
        await scope["session"].destroy()

    server = Server(app)
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert reply.error is None
    assert await _data(server, cookie) == b"{}"


async def test_a_late_commit_that_fails_is_told_to_the_server() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        await _start(send)
        session["late"] = 1
        server.store.before = failing(StoreUnavailable("down"))

    server = Server(app)
    reply = await server.get(await _visitor(server))

    assert isinstance(reply.error, StoreUnavailable)


async def test_a_late_change_to_a_session_that_ended_is_dropped() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        await _start(send)
        await Server(answering(lambda other: other.destroy()), manager=server.manager).get(cookie)
        session["late"] = 1

    server = Server(app)
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert reply.error is None
    assert await _data(server, cookie) == b"{}"


# --- websockets


def _socket(handle: Any, *, first: Any = None) -> App:
    """Return an application that hands its session to *first*, accepts, and to *handle* for each message."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["session"]
        assert (await receive())["type"] == "websocket.connect"
        if first is not None:
            await first(session)
        await send({"type": "websocket.accept", "headers": [(b"x", b"1")]})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": repr(await handle(session))})

    return app


async def test_a_websocket_reads_and_writes_and_commits_at_its_end() -> None:
    async def handle(session: Session) -> Any:
        session["seen"] = session.get("seen", 0) + 1
        await session.inc("n")
        session["last"] = session["seen"]
        return dict(session)

    server = Server(_socket(handle, first=lambda session: session.load()))
    cookie = await _visitor(server)
    reply = await server.talk(CONNECT, HELLO, HELLO, DISCONNECT, cookie=cookie)

    assert reply.error is None
    assert reply.start == {"type": "websocket.accept", "headers": [(b"x", b"1")]}
    assert await _data(server, cookie) == b"{'n': 3, 'seen': 2, 'last': 2}"


async def test_the_headers_of_an_accept_carry_the_cookie_of_a_new_session() -> None:
    async def first(session: Session) -> None:
        await session.set("a", 1)

    server = Server(_socket(read, first=first))
    reply = await server.talk(CONNECT, HELLO, DISCONNECT)

    assert reply.header(b"vary") == reply.header(b"cache-control") == []
    assert reply.header(b"x") == [b"1"]
    assert await _data(server, reply.cookie) == b"{'a': 1}"


async def test_after_the_accept_a_new_session_cannot_come_about() -> None:
    server = Server(_socket(write))
    reply = await server.talk(CONNECT, HELLO, DISCONNECT)

    assert isinstance(reply.error, ResponseStarted)
    assert server.store.rows == 0


async def test_a_websocket_learns_that_its_session_was_destroyed() -> None:
    async def handle(session: Session) -> Any:
        session["draft"] = 1
        await Server(answering(lambda other: other.destroy()), manager=server.manager).get(cookie)
        await session.load(fresh=True)
        with pytest.raises(SessionGone):
            await session.inc("n")
        return session.gone, session.owner, dict(session)

    server = Server(_socket(handle, first=lambda session: session.load()))
    cookie = await _visitor(server)
    reply = await server.talk(CONNECT, HELLO, DISCONNECT, cookie=cookie)

    assert reply.error is None
    assert reply.messages[-1]["text"] == "(True, None, {})"
    assert await _data(server, cookie) == b"{}"


async def test_a_websocket_does_not_bring_back_what_a_login_has_rotated_away() -> None:
    async def handle(session: Session) -> Any:
        session["draft"] = 1
        return (await Server(answering(lambda other: other.login("ann")), manager=server.manager).get(cookie)).cookie

    server = Server(_socket(handle, first=lambda session: session.load()))
    cookie = await _visitor(server)
    reply = await server.talk(CONNECT, HELLO, DISCONNECT, cookie=cookie)

    assert reply.error is None
    assert await _data(server, eval(reply.messages[-1]["text"])) == b"{'n': 1}"


async def test_a_denied_handshake_answers_with_the_cookie_and_varies() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["session"].inc("tries")
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    server = Server(app)
    reply = await server.talk(CONNECT, extensions=DENIAL)

    assert reply.status == 403
    assert reply.header(b"vary") == [b"Cookie"]
    assert await _data(server, reply.cookie) == b"{'tries': 1}"


async def test_a_handshake_that_is_closed_commits_without_a_cookie() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        session["tries"] = 1
        await send({"type": "websocket.close", "code": 1008})

    server = Server(app)
    cookie = await _visitor(server)
    reply = await server.talk(CONNECT, cookie=cookie)
    assert reply.messages == [{"type": "websocket.close", "code": 1008}]
    assert await _data(server, cookie) == b"{'n': 1, 'tries': 1}"

    server.store.commands.clear()
    reply = await server.talk(CONNECT)
    assert isinstance(reply.error, ResponseStarted)
    assert server.store.rows == 0


@pytest.mark.parametrize(
    ("error", "code", "status"), [(SessionGone("id"), 1008, 401), (StoreUnavailable("x"), 1013, 503)]
)
async def test_a_handshake_whose_error_nobody_caught_is_refused(error: Exception, code: int, status: int) -> None:
    async def first(session: Session) -> None:
        raise error

    server = Server(_socket(read, first=first))
    closed = await server.talk(CONNECT)
    denied = await server.talk(CONNECT, extensions=DENIAL)

    assert closed.error is denied.error is None
    assert closed.messages == [{"type": "websocket.close", "code": code}]
    assert denied.start["type"] == "websocket.http.response.start"
    assert denied.status == status


async def test_a_commit_that_fails_at_the_accept_refuses_the_handshake() -> None:
    async def first(session: Session) -> None:
        await session()
        session["a"] = 1
        server.store.before = failing(StoreUnavailable("down"))

    server = Server(_socket(read, first=first))
    reply = await server.talk(CONNECT, HELLO, DISCONNECT, cookie=await _visitor(server))

    assert reply.error is None
    assert reply.messages == [{"type": "websocket.close", "code": 1013}]


async def test_an_error_after_the_accept_is_the_servers() -> None:
    server = Server(_socket(write, first=lambda session: session.load()))
    cookie = await _visitor(server)

    async def destroyed(session: Session) -> None:
        await Server(answering(lambda other: other.destroy()), manager=server.manager).get(cookie)
        await session.inc("n")

    server = Server(_socket(destroyed, first=lambda session: session.load()), manager=server.manager)
    reply = await server.talk(CONNECT, HELLO, DISCONNECT, cookie=cookie)

    assert isinstance(reply.error, SessionGone)
    assert [message["type"] for message in reply.messages] == ["websocket.accept"]


async def test_starlettes_websocket_sees_the_session_of_its_requests() -> None:
    async def endpoint(socket: WebSocket) -> None:
        session = await socket.session()  # type: ignore[operator]
        await socket.accept()
        async for text in socket.iter_text():
            session.setdefault("said", []).append(text)
            await socket.send_json(dict(session))

    server = Server(Starlette(routes=[WebSocketRoute("/", endpoint)]))
    cookie = await _visitor(server)
    reply = await server.talk(
        CONNECT, HELLO, HELLO, DISCONNECT, cookie=cookie, query_string=b"", headers=[(b"cookie", cookie)]
    )

    assert reply.error is None
    assert await _data(server, cookie) == b"{'n': 1, 'said': ['hello', 'hello']}"


async def test_a_websocket_that_never_looks_is_passed_on_untouched() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    server = Server(app)
    reply = await server.talk(CONNECT, cookie=await _visitor(server))

    assert reply.messages == [{"type": "websocket.accept"}]
    assert server.store.trips == 0
