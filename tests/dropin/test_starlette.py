"""Starlette as people use it: `request.session` in endpoints of every kind, and its test client."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from atomic_session import SessionMiddleware


def view(request: Request) -> JSONResponse:
    return JSONResponse({"session": request.session})


async def update(request: Request) -> JSONResponse:
    request.session.update(await request.json())
    return JSONResponse({"session": request.session})


async def clear(request: Request) -> JSONResponse:
    request.session.clear()
    return JSONResponse({"session": request.session})


async def nested(request: Request) -> JSONResponse:
    request.session.setdefault("flash", []).append("hello")
    return JSONResponse({"session": request.session})


def in_a_thread(request: Request) -> JSONResponse:
    request.session["thread"] = threading.current_thread() is not threading.main_thread()
    request.session.setdefault("counts", {}).setdefault("thread", 0)
    request.session["counts"]["thread"] += 1
    return JSONResponse(dict(request.session))


async def awaited(request: Request) -> JSONResponse:
    session: Any = request.session
    await session.inc("n").push("log", "x")
    return JSONResponse(session)


async def redirecting(request: Request) -> Response:
    request.session["redirected"] = True
    return RedirectResponse("/view")


async def socket(websocket: WebSocket) -> None:
    session: Any = websocket.session
    await session.inc("sockets")
    await websocket.accept()
    await websocket.send_json(dict(session))
    await websocket.close()


ROUTES = [
    Route("/view", view),
    Route("/update", update, methods=["POST"]),
    Route("/clear", clear, methods=["POST"]),
    Route("/nested", nested),
    Route("/thread", in_a_thread),
    Route("/awaited", awaited),
    Route("/redirect", redirecting),
    WebSocketRoute("/socket", socket),
]


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        request.session["passed"] = request.session.get("passed", 0) + 1
        response: Response = await call_next(request)
        return response


@pytest.fixture(params=["memory", "sqlite"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Starlette:
    store = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/sessions.db?durability=relaxed"
    return Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, store=store, autoload=True)])


@pytest.mark.parametrize("lifespan", [True, False])
def test_what_starlettes_own_sessions_do_ours_do_too(app: Starlette, *, lifespan: bool) -> None:
    """With the test client's context manager there is one event loop, without it one for each request."""
    client = TestClient(app)
    if lifespan:
        client.__enter__()
    assert client.get("/view").json() == {"session": {}}
    assert client.cookies == {}
    assert client.post("/update", json={"some": "data"}).json() == {"session": {"some": "data"}}
    assert client.get("/view").json() == {"session": {"some": "data"}}
    assert client.post("/clear").json() == {"session": {}}
    assert client.get("/view").json() == {"session": {}}
    if lifespan:
        client.__exit__()


def test_one_process_may_have_many_event_loops(app: Starlette) -> None:
    client = TestClient(app)
    for number in range(1, 6):
        assert client.get("/awaited").json() == {"n": number, "log": ["x"] * number}
    with TestClient(app, cookies=dict(client.cookies)) as other:
        assert other.get("/awaited").json()["n"] == 6
        assert client.get("/awaited").json()["n"] == 7
        assert other.get("/awaited").json()["n"] == 8
    assert client.get("/awaited").json()["n"] == 9


def test_threads_with_loops_of_their_own_lose_nothing(app: Starlette) -> None:
    client = TestClient(app)
    client.get("/awaited")
    cookies = dict(client.cookies)
    statuses: list[int] = []

    def work() -> None:
        mine = TestClient(app, cookies=cookies)
        statuses.extend(mine.get("/awaited").status_code for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 20
    assert client.get("/view").json()["session"]["n"] == 21


def test_a_nested_change_is_kept(app: Starlette) -> None:
    client = TestClient(app)
    client.get("/nested")
    client.get("/nested")

    assert client.get("/view").json() == {"session": {"flash": ["hello", "hello"]}}


def test_an_endpoint_in_a_worker_thread_uses_it_as_any_dict(app: Starlette) -> None:
    client = TestClient(app)
    client.get("/thread")

    assert client.get("/thread").json() == {"thread": True, "counts": {"thread": 2}}


def test_a_redirect_carries_the_cookie(app: Starlette) -> None:
    client = TestClient(app)

    assert client.get("/redirect").json() == {"session": {"redirected": True}}


def test_a_websocket_shares_the_session(app: Starlette) -> None:
    client = TestClient(app)
    client.get("/awaited")
    with client.websocket_connect("/socket") as first:
        assert first.receive_json() == {"n": 1, "log": ["x"], "sockets": 1}
    assert client.get("/view").json()["session"]["sockets"] == 1


def test_a_websocket_may_begin_a_session(app: Starlette) -> None:
    client = TestClient(app)
    with client.websocket_connect("/socket") as first:
        assert first.receive_json() == {"sockets": 1}
        headers: Any = first.extra_headers
        (header,) = (value for name, value in headers if name == b"set-cookie")
    cookie = header.decode().partition(";")[0].partition("=")
    client.cookies.set(cookie[0], cookie[2])

    assert client.get("/view").json() == {"session": {"sockets": 1}}


def test_https_has_a_cookie_of_its_own_and_a_stricter_one(app: Starlette) -> None:
    client = TestClient(app, base_url="https://testserver")
    header = client.post("/update", json={"a": 1}).headers["set-cookie"]

    assert header.startswith("__Host-sid=")
    assert "; Secure" in header
    assert client.get("/view").json() == {"session": {"a": 1}}


def test_a_cookie_that_is_for_https_only_is_not_sent_over_http() -> None:
    middleware = [Middleware(SessionMiddleware, store="memory://", autoload=True, https_only=True)]
    app = Starlette(routes=ROUTES, middleware=middleware)
    secure = TestClient(app, base_url="https://testserver")
    secure.post("/update", json={"a": 1})
    assert secure.get("/view").json() == {"session": {"a": 1}}
    insecure = TestClient(app)
    insecure.post("/update", json={"a": 1})

    assert insecure.get("/view").json() == {"session": {}}


def test_a_cookie_with_a_path_belongs_to_a_mounted_application() -> None:
    inner = Starlette(
        routes=ROUTES, middleware=[Middleware(SessionMiddleware, store="memory://", autoload=True, path="/second")]
    )
    client = TestClient(Starlette(routes=[Mount("/second", app=inner), Mount("/first", app=inner)]))
    header = client.post("/second/update", json={"a": 1}).headers["set-cookie"]

    assert "; Path=/second" in header
    assert client.get("/second/view").json() == {"session": {"a": 1}}
    assert client.get("/first/view").json() == {"session": {}}


def test_starlettes_arguments_are_taken_in_its_order() -> None:
    app = SessionMiddleware(Starlette(routes=ROUTES), "secret", "shop", None, "/", "strict", False, store="memory://")
    header = TestClient(app).get("/awaited").headers["set-cookie"]

    assert header.startswith("shop=")
    assert "Max-Age" not in header
    assert "SameSite=Strict" in header


def test_beneath_a_base_http_middleware_that_uses_the_session(app: Starlette) -> None:
    app.add_middleware(Passing)
    app.user_middleware.reverse()  # ours outside
    client = TestClient(app)
    client.get("/awaited")

    assert client.get("/awaited").json() == {"passed": 2, "n": 2, "log": ["x", "x"]}


async def test_httpx_without_a_lifespan(app: Starlette) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        await client.post("/update", json={"a": 1})
        assert (await client.get("/view")).json() == {"session": {"a": 1}}
        assert (await client.get("/awaited")).json() == {"a": 1, "n": 1, "log": ["x"]}


def test_the_protocol_of_starlette_1_is_kept() -> None:
    seen: list[tuple[bool, bool]] = []

    async def endpoint(request: Request) -> Response:
        session: Any = request.scope["session"]
        seen.append((session.accessed, session.modified))
        request.session.get("a")
        seen.append((session.accessed, session.modified))
        await session()
        session["a"] = {"b": 1}
        seen.append((session.accessed, session.modified))
        await session.commit()
        seen.append((session.accessed, session.modified))
        session["a"]["b"] = 2
        seen.append((session.accessed, session.modified))
        session.mark_modified()
        return JSONResponse(session)

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(SessionMiddleware, store="memory://")])
    response = TestClient(app).get("/")

    assert response.json() == {"a": {"b": 2}}
    assert seen == [(False, False), (True, False), (True, True), (True, False), (True, True)]


def test_what_comes_back_from_json_is_what_the_session_holds(app: Starlette) -> None:
    data = {"text": 'é"\\', "list": [1, 2.5, None, True], "deep": {"er": {"": {}}}}
    client = TestClient(app)
    client.post("/update", json=data)

    assert json.loads(client.get("/view").content) == {"session": data}
