"""The code of docs/csrf.md does what the text around it says; what browsers make of it is in tests/security."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import FastAPI
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from atomic_session import CSRFMiddleware, SessionMiddleware

TEXT = (Path(__file__).parents[2] / "docs" / "csrf.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


async def _enter(_request: Request) -> Response:
    return PlainTextResponse("in")


def test_another_site_is_refused_and_the_dependency_wants_its_token() -> None:
    app, api = Starlette(routes=[Route("/", _enter, methods=["POST"])]), FastAPI()
    names = {"app": app, "api": api, "templates": Jinja2Templates(env=Environment(autoescape=True))}
    for block in BLOCKS:
        exec(
            compile(block.replace("sqlite:///sessions.db", "memory://"), "docs/csrf.md", "exec", dont_inherit=True),
            names,
        )

    @api.get("/page")
    async def page(request: Request) -> str:
        return str(request.scope["session"].create_csrf("transfer"))

    api.add_middleware(SessionMiddleware, store="memory://")
    with TestClient(app) as client:
        assert client.post("/", headers={"Sec-Fetch-Site": "same-origin"}).text == "in"
        assert client.post("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    with TestClient(api) as client:
        header = {"X-Transfer-Token": client.get("/page").json()}

        assert client.post("/transfer?amount=5", headers=header).json() == 5
        assert client.post("/transfer?amount=5").status_code == 403
    assert len(BLOCKS) == 3


def test_a_client_that_says_what_a_browser_would_needs_no_token() -> None:
    async def begin(request: Request) -> Response:
        await request.scope["session"].set("a", 1)
        return PlainTextResponse("begun")

    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("in")

    (written,) = re.findall(r"`(TestClient\(app, .*?\))`", TEXT)
    app = Starlette(
        routes=[Route("/", begin), Route("/", _enter, methods=["POST"]), WebSocketRoute("/", greet)],
        middleware=[Middleware(SessionMiddleware, store="memory://"), Middleware(CSRFMiddleware)],
    )
    stranger, client = TestClient(app), eval(written, {"TestClient": TestClient, "app": app})
    stranger.get("/")
    client.get("/")

    assert stranger.post("/").status_code == 403
    assert client.post("/").text == "in"
    with client.websocket_connect("/") as socket:
        assert socket.receive_text() == "in"
