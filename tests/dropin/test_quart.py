"""Quart inside of the middleware: beside its own session, and with its own answers to errors."""

from __future__ import annotations

from typing import Any

from quart import Quart, request
from quart import session as quarts_own

from atomic_session import Session, SessionMiddleware


def _session_in(scope: Any) -> Session:
    session: Session = scope["session"]
    return session


def _app() -> Any:
    app = Quart(__name__)
    app.secret_key = "quart's"

    @app.post("/plain")
    async def plain() -> dict[str, Any]:
        session = await _session_in(request.scope)()
        session.setdefault("log", []).append("plain")
        return dict(session)

    @app.post("/operators")
    async def operators() -> dict[str, Any]:
        session = _session_in(request.scope)
        await session.inc("visits")
        quarts_own["own"] = True
        return {"visits": session["visits"], "own": quarts_own["own"]}

    @app.post("/late")
    async def late() -> str:
        session = _session_in(request.scope)
        await session.destroy()
        await session.set("a", 1)
        return "never"

    served: Any = app
    served.asgi_app = SessionMiddleware(served.asgi_app, store="memory://")
    return served


async def test_a_session_is_read_and_changed_beside_quarts_own() -> None:
    async with _app().test_app() as running:
        browser = running.test_client()
        assert await (await browser.post("/plain")).json == {"log": ["plain"]}
        assert [await (await browser.post("/operators")).json for _ in range(2)] == [
            {"visits": 1, "own": True},
            {"visits": 2, "own": True},
        ]
        assert await (await browser.post("/plain")).json == {"log": ["plain", "plain"], "visits": 2}


async def test_a_write_to_a_session_that_is_gone_is_answered_though_quart_catches_the_error() -> None:
    async with _app().test_app() as running:
        browser = running.test_client()
        await browser.post("/operators")
        assert (await browser.post("/late")).status_code == 401
        assert await (await browser.post("/plain")).json == {"log": ["plain"]}
