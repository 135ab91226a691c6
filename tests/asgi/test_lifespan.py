"""The life of a server process: the store is open before the application starts up, and closed after its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.asgi.kit import Server, answering, call, http, write
from tests.session.kit import SpyStore

from atomic_session import SessionManager, SessionMiddleware, StoreNotSet, StoreUnavailable
from atomic_session.asgi import App, Message, Receive, Scope, Send

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


class FailingStore(SpyStore):
    def __init__(self, error: Exception, *, at: str = "open") -> None:
        super().__init__()
        self.error = error
        self.at = at

    async def open(self) -> None:
        if self.at == "open":
            raise self.error
        await super().open()

    async def close(self) -> None:
        if self.at == "close":
            raise self.error
        await super().close()


async def _live(app: App) -> tuple[list[Message], BaseException | None]:
    """Start *app* up and shut it down as a server does; return what it said, and by what error it ended."""
    said: list[Message] = []
    answered = asyncio.Event()
    coming = [STARTUP, SHUTDOWN]

    async def receive() -> Message:
        if len(coming) == 1:
            await answered.wait()
        return coming.pop(0)

    async def send(message: Message) -> None:
        said.append(message)
        answered.set()

    try:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    except Exception as error:  # noqa: BLE001 - the server logs it
        return said, error
    return said, None


def _kinds(said: list[Message]) -> list[str]:
    return [message["type"].removeprefix("lifespan.") for message in said]


async def _plain(scope: Scope, receive: Receive, send: Send) -> None:
    """An application of the protocol's own making."""
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def test_the_store_is_open_while_the_application_lives() -> None:
    states: list[tuple[int, int]] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        states.append((store.opened, store.closed))
        yield
        states.append((store.opened, store.closed))

    store = SpyStore()
    app = SessionMiddleware(Starlette(lifespan=lifespan), store=store)
    said, error = await _live(app)

    assert error is None
    assert _kinds(said) == ["startup.complete", "shutdown.complete"]
    assert states == [(1, 0), (1, 0)]
    assert (store.opened, store.closed) == (1, 1)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("no such place"), PermissionError("not yours"), RuntimeError("bug")]
)
@pytest.mark.parametrize("name", ["starlette", "plain", "catching"])
async def test_a_store_that_cannot_be_opened_is_announced_once(error: Exception, name: str) -> None:
    async def catching(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _plain(scope, receive, send)
        except Exception as failure:
            await send({"type": "lifespan.startup.failed", "message": str(failure)})
            raise

    apps: dict[str, App] = {"starlette": Starlette(), "plain": _plain, "catching": catching}
    said, ended = await _live(SessionMiddleware(apps[name], store=FailingStore(error)))

    assert type(ended) is type(error)
    assert error in (ended, ended.__cause__)  # what several may wait for is told to each as its own
    assert said == [{"type": "lifespan.startup.failed", "message": str(error)}]


async def test_a_store_that_cannot_be_closed_is_announced() -> None:
    error = StoreUnavailable("stuck")
    said, ended = await _live(SessionMiddleware(_plain, store=FailingStore(error, at="close")))

    assert ended is None
    assert _kinds(said) == ["startup.complete", "shutdown.failed"]
    assert said[1]["message"] == str(error)


async def test_the_application_may_set_the_store_while_it_starts_up() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        manager.store = store
        yield

    store = SpyStore()
    manager = SessionManager()
    said, error = await _live(SessionMiddleware(Starlette(lifespan=lifespan), manager=manager))

    assert (_kinds(said), error) == (["startup.complete", "shutdown.complete"], None)
    assert (store.opened, store.closed) == (1, 1)


async def test_a_store_that_is_set_while_the_application_starts_up_and_fails_is_announced_once() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        manager.store = FailingStore(StoreUnavailable("down"))
        yield

    manager = SessionManager()
    said, error = await _live(SessionMiddleware(Starlette(lifespan=lifespan), manager=manager))

    assert isinstance(error, StoreUnavailable)
    assert _kinds(said) == ["startup.failed"]


async def test_without_any_store_the_application_starts_and_whoever_touches_a_session_is_told() -> None:
    app = SessionMiddleware(Starlette(), manager=SessionManager())
    said, error = await _live(app)
    assert (_kinds(said), error) == (["startup.complete", "shutdown.complete"], None)

    reply = await call(SessionMiddleware(answering(write), manager=SessionManager()), http())
    assert isinstance(reply.error, StoreNotSet)


async def test_an_application_that_fails_to_start_leaves_no_store_open() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        if app is not None:
            raise ValueError("mine")
        yield

    store = SpyStore()
    said, error = await _live(SessionMiddleware(Starlette(lifespan=lifespan), store=store))

    assert isinstance(error, ValueError)
    assert _kinds(said) == ["startup.failed"]
    assert (store.opened, store.closed) == (1, 1)


async def test_an_application_without_a_lifespan_opens_its_store_at_the_first_use() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan here"
        await answering(write)(scope, receive, send)

    server = Server(app)
    said, error = await _live(server.app)
    assert isinstance(error, AssertionError)
    assert said == []
    assert server.store.opened == 0

    assert (await server.get()).cookie is not None
    await server.get()
    assert server.store.opened == 1


async def test_an_application_that_ignores_the_lifespan_is_left_alone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    store = SpyStore()
    assert await _live(SessionMiddleware(app, store=store)) == ([], None)
    assert (store.opened, store.closed) == (0, 0)


async def test_a_process_may_live_twice(tmp_path: Path) -> None:
    app = SessionMiddleware(_both, store=f"sqlite:///{tmp_path}/sessions.db")
    cookie = None
    for _ in range(2):
        said, error = await _live(app)
        assert (_kinds(said), error) == (["startup.complete", "shutdown.complete"], None)
        reply = await call(app, http(cookie))
        cookie = cookie or reply.cookie
    await app.manager.close()


async def _both(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _plain(scope, receive, send)
    else:
        await answering(write)(scope, receive, send)


async def test_other_kinds_of_scope_are_passed_on() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        assert "session" not in scope

    await call(SessionMiddleware(app, store="memory://"), {"type": "future"})
    assert seen == ["future"]


async def _endpoint(request: Request) -> Response:
    return PlainTextResponse("done")


def test_the_store_of_a_url_is_opened_at_startup_and_no_sooner(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    app = SessionMiddleware(Starlette(routes=[Route("/", _endpoint)]), store=f"sqlite:///{path}")
    assert not path.exists()
    said, error = asyncio.run(_live(app))

    assert (_kinds(said), error) == (["startup.complete", "shutdown.complete"], None)
    assert path.exists()


def test_a_place_that_cannot_be_is_announced(tmp_path: Path) -> None:
    app = SessionMiddleware(Starlette(), store=f"sqlite:///{tmp_path}/nowhere/sessions.db")
    said, error = asyncio.run(_live(app))

    assert isinstance(error, StoreUnavailable)
    assert _kinds(said) == ["startup.failed"]
    assert "nowhere" in said[0]["message"]
