"""Litestar inside of the middleware: its requests, its threads, and its own answers to errors."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, WebSocket, get, post, websocket
from starlette.testclient import TestClient

from atomic_session import Session, SessionMiddleware


def _session_in(scope: Any) -> Session:
    session: Session = scope["session"]
    return session


@get("/view", sync_to_thread=True)
def view(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return dict(request.session)


@post("/plain")
async def plain(request: Request[Any, Any, Any]) -> dict[str, Any]:
    session = await _session_in(request.scope)()
    session.setdefault("log", []).append("plain")
    return dict(session)


@post("/operators")
async def operators(request: Request[Any, Any, Any]) -> int:
    session = _session_in(request.scope)
    await session.inc("visits")
    visits: int = session["visits"]
    return visits


@post("/late")
async def late(request: Request[Any, Any, Any]) -> None:
    session = _session_in(request.scope)
    await session.destroy()
    await session.set("a", 1)


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    session = _session_in(socket.scope)
    await session.inc("visits")
    await socket.send_json(dict(socket.session))
    await socket.close()


def _app() -> SessionMiddleware:
    litestar = Litestar([view, plain, operators, late, socket], logging_config=None)
    return SessionMiddleware(litestar, store="memory://", autoload=True)


def test_a_session_is_read_and_changed_in_every_kind_of_handler() -> None:
    with TestClient(_app()) as browser:
        assert browser.get("/view").json() == {}
        assert browser.post("/plain").json() == {"log": ["plain"]}
        assert [browser.post("/operators").json() for _ in range(2)] == [1, 2]
        with browser.websocket_connect("/socket") as connection:
            assert connection.receive_json() == {"log": ["plain"], "visits": 3}
        assert browser.get("/view").json() == {"log": ["plain"], "visits": 3}


def test_a_write_to_a_session_that_is_gone_is_answered_though_litestar_catches_the_error() -> None:
    with TestClient(_app()) as browser:
        browser.post("/operators")
        assert browser.post("/late").status_code == 401
        assert browser.get("/view").json() == {}
