"""FastAPI: dependencies, models, endpoints in threads, websockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from anyio import from_thread
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from tests.session.kit import SpyStore, failing

from atomic_session import Session, SessionGone, SessionManager, SessionMiddleware, StoreUnavailable


async def loaded(request: Request) -> Session:
    session: Session = request.session  # type: ignore[assignment]
    return await session()


def unloaded(request: Request) -> Session:
    session: Session = request.session  # type: ignore[assignment]
    return session


async def cleaning_up(session: Annotated[Session, Depends(loaded)]) -> AsyncIterator[Session]:
    session["entered"] = session.get("entered", 0) + 1
    yield session
    session["left"] = session.get("left", 0) + 1


Loaded = Annotated[Session, Depends(loaded)]
Unloaded = Annotated[Session, Depends(unloaded)]
CleaningUp = Annotated[Session, Depends(cleaning_up)]


def _application(store: SpyStore) -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=SessionManager(store))
    app.include_router(router)
    return app


router = APIRouter()


@router.get("/async")
async def asynchronous(session: Loaded) -> dict[str, Any]:
    session["visits"] = session.get("visits", 0) + 1
    return session


@router.get("/thread")
def in_a_thread(session: Loaded) -> dict[str, Any]:
    session.setdefault("log", []).append("thread")
    return {**session}


@router.post("/thread/login")
def login_in_a_thread(session: Unloaded) -> None:
    from_thread.run(session.login, "ann")
    session["greeted"] = True


@router.post("/thread/logout")
def logout_in_a_thread(session: Unloaded) -> None:
    from_thread.run(session.destroy)


@router.get("/blind")
async def blind(session: Unloaded) -> bool:
    return await session.inc("visits")


@router.get("/twice")
async def twice(first: Loaded, second: Unloaded, request: Request) -> bool:
    return first is second is request.session


@router.get("/cleaning-up")
async def with_cleaning_up(session: CleaningUp) -> dict[str, Any]:
    return dict(session)


@router.get("/background")
async def background(session: Loaded, tasks: BackgroundTasks) -> None:
    async def later() -> None:
        await session.inc("later")

    tasks.add_task(later)


@router.get("/stream")
async def stream(session: Loaded) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        for number in range(3):
            session["streamed"] = number
            yield str(number)

    return StreamingResponse(body())


@router.get("/refused")
async def refused(session: Loaded) -> None:
    session["tries"] = session.get("tries", 0) + 1
    raise HTTPException(403, "no")


@router.get("/broken")
async def broken(session: Loaded) -> None:
    session["carried"] = 1
    await session.inc("awaited")
    session["draft"] = 1
    raise ValueError("mine")


@router.post("/logout")
async def logout(session: Unloaded) -> None:
    await session.destroy()


@router.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    session: Any = websocket.session
    await session()
    await websocket.accept()
    async for text in websocket.iter_text():
        session["said"] = text
        await websocket.send_json(dict(session))


@pytest.fixture
def store() -> SpyStore:
    return SpyStore()


@pytest.fixture
def client(store: SpyStore) -> Iterator[TestClient]:
    with TestClient(_application(store), raise_server_exceptions=False) as client:
        yield client


def _seen(client: TestClient) -> Any:
    return client.get("/cleaning-up").json()


def test_a_session_is_returned_as_the_dict_that_it_is(client: TestClient) -> None:
    assert client.get("/async").json() == {"visits": 1}
    assert client.get("/async").json() == {"visits": 2}


def test_an_endpoint_in_a_thread_uses_what_a_dependency_loaded(client: TestClient) -> None:
    client.get("/thread")

    assert client.get("/thread").json() == {"log": ["thread", "thread"]}


def test_an_endpoint_in_a_thread_awaits_through_its_event_loop(client: TestClient) -> None:
    client.get("/blind")
    client.post("/thread/login")
    assert client.get("/async").json() == {"visits": 2, "greeted": True}
    client.post("/thread/logout")

    assert dict(client.cookies) == {}


def test_a_blind_update_takes_one_trip(client: TestClient, store: SpyStore) -> None:
    client.get("/blind")
    store.commands.clear()

    assert client.get("/blind").json() is True
    assert store.kinds == ["Update"]


def test_dependencies_share_one_session_and_one_load(client: TestClient, store: SpyStore) -> None:
    client.get("/blind")
    store.commands.clear()

    assert client.get("/twice").json() is True
    assert store.kinds == ["Load"]


def test_what_a_dependency_changes_as_it_leaves_is_kept(client: TestClient) -> None:
    client.get("/blind")
    _seen(client)

    assert _seen(client) == {"visits": 1, "entered": 2, "left": 1}


def test_background_tasks_and_streams_may_change_the_session(client: TestClient) -> None:
    client.get("/blind")
    client.get("/background")
    assert client.get("/stream").text == "012"

    assert _seen(client) == {"visits": 1, "later": 1, "streamed": 2, "entered": 1}


def test_an_http_exception_keeps_what_was_changed(client: TestClient) -> None:
    assert client.get("/refused").status_code == 403
    assert client.get("/refused").status_code == 403

    assert _seen(client)["tries"] == 2


def test_an_error_of_the_program_keeps_what_was_awaited_only(client: TestClient) -> None:
    client.get("/blind")
    assert client.get("/broken").status_code == 500

    assert _seen(client) == {"visits": 1, "carried": 1, "awaited": 1, "entered": 1}


def test_a_logout_ends_the_session_and_its_cookie(client: TestClient) -> None:
    client.get("/blind")
    old = dict(client.cookies)
    client.post("/logout")
    assert dict(client.cookies) == {}

    client.cookies.update(old)
    assert client.get("/blind").status_code == 401


def test_a_store_that_fails_is_503(client: TestClient, store: SpyStore) -> None:
    store.before = failing(StoreUnavailable("down"))

    assert client.get("/blind").status_code == 503
    assert client.get("/blind").status_code == 200


def test_the_applications_own_handler_comes_first(store: SpyStore) -> None:
    app = _application(store)

    @app.exception_handler(SessionGone)
    async def relogin(request: Request, error: SessionGone) -> Any:
        return StreamingResponse(iter(["please log in"]), status_code=403)

    client = TestClient(app)
    client.get("/blind")
    old = dict(client.cookies)
    client.post("/logout")
    client.cookies.update(old)

    assert (client.get("/blind").status_code, client.get("/blind").text) == (403, "please log in")


def test_a_websocket_commits_when_it_ends(client: TestClient) -> None:
    client.get("/blind")
    with client.websocket_connect("/socket") as socket:
        socket.send_text("hello")
        assert socket.receive_json() == {"visits": 1, "said": "hello"}

    assert _seen(client)["said"] == "hello"
