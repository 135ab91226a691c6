"""The code of docs/sessions.md runs as written, and its tables name what there is."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from atomic_session import Limits, Session, SessionGone, SessionManager, SessionMiddleware
from atomic_session.updates import Operators

PAGE = Path(__file__).parents[2] / "docs" / "sessions.md"
TEXT = PAGE.read_text("utf-8")


@pytest.fixture(autouse=True)
def _logging_stays_as_it_is() -> Iterator[None]:
    """Litestar sets up the logging of the whole process when an application is made."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def page() -> dict[str, Any]:
    """Run every Python block of the page, one after the other, as one module."""
    names: dict[str, Any] = {
        "__name__": __name__,
        "JSONResponse": JSONResponse,
        "Request": Request,
        "Route": Route,
        "SessionGone": SessionGone,
        "SessionManager": SessionManager,
        "SessionMiddleware": SessionMiddleware,
        "Starlette": Starlette,
        "TestClient": TestClient,
        "WebSocket": WebSocket,
    }
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    return names


def test_the_fastapi_dependency_loads_for_any_endpoint(page: dict[str, Any]) -> None:
    with TestClient(page["shop"]) as client:
        assert client.post("/cart/A1").status_code == 401
        client.post("/login/ann")
        assert client.post("/cart/A1").json() == {"A1": 1}
        assert client.post("/cart/B2").json() == {"A1": 1, "B2": 1}


def test_other_frameworks_are_inside_of_the_middleware(page: dict[str, Any]) -> None:
    for app in (page["in_litestar"], page["in_quart"]):
        with TestClient(app) as client:
            assert [client.post("/visits").json() for _ in range(2)] == [{"visits": 1}, {"visits": 2}]


async def _logout(request: Request) -> JSONResponse:
    await request.scope["session"].destroy()
    return JSONResponse(None)


def test_the_handlers_do_what_the_text_says(page: dict[str, Any]) -> None:
    paths = [Route(f"/{name}", page[name]) for name in ("account", "order", "visit")]
    app = Starlette(routes=[*paths, Route("/logout", _logout), WebSocketRoute("/chat", page["chat"])])
    app.add_middleware(SessionMiddleware, store="memory://")
    with TestClient(app) as client:
        assert client.get("/account").json() == {"user": None, "visits": 0}
        assert client.get("/visit").json() == 1
        assert client.get("/order").json() == []
        assert client.get("/account").json() == {"user": None, "visits": 1}
        with client.websocket_connect("/chat") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
            client.get("/logout")
            socket.send_text("still there?")
            with pytest.raises(WebSocketDisconnect) as caught:
                socket.receive_text()
    assert caught.value.code == 1008


def test_the_example_of_a_test_passes(page: dict[str, Any]) -> None:
    page["test_a_session_ends_after_two_idle_weeks"]()


def test_every_operator_is_in_the_table() -> None:
    table = TEXT.partition("| operator |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)\(path", table))

    assert named == {name for name in vars(Operators) if not name.startswith("_")}


@pytest.mark.parametrize("signature", [SessionMiddleware, SessionManager, Limits])
def test_every_setting_is_in_the_tables_with_its_default(signature: Any) -> None:
    settings = inspect.signature(signature).parameters
    section = TEXT.partition("## Settings")[2].partition("\n## ")[0]
    missing = [name for name in settings if name != "app" and not re.search(rf"\b{name}\b", section)]

    assert missing == []


def test_the_limits_are_as_written() -> None:
    (written,) = re.findall(r"`(Limits\(record.*?\))`", TEXT)

    assert eval(written, {"Limits": Limits}) == Limits()
    assert written.count("=") == len(fields(Limits))


def test_every_public_name_of_a_session_is_on_the_page_or_is_the_middlewares() -> None:
    own = {name for kind in Session.__mro__[:-1] if kind is not dict for name in vars(kind) if not name.startswith("_")}
    csrf = {"create_csrf", "check_csrf", "assert_csrf"}  # in docs/csrf.md
    inside = {
        "accessed",
        "cookie_came",
        "cookie_header",
        "discard",
        "failed_with",
        "has_cookie",
        "has_shared",
        "mark_accessed",
        "mark_modified",
        "modified",
        "pending",
        "secure",
    }
    dicts = {"clear", "copy"}

    unnamed = [name for name in own - csrf - inside - dicts if not re.search(rf"\b{name}\b", TEXT)]

    assert unnamed == []
