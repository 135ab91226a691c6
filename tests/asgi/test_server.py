"""Behind uvicorn, in processes of their own: many requests, clients that hang up, servers that are ended or killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import connect

ROOT = Path(__file__).parents[2]
TIMES = 50


class Running(NamedTuple):
    """A server, and where it answers."""

    process: subprocess.Popen[str]
    host: str


Start = Callable[[], Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers that share one file; all are ended with the test, and none may have broken down before."""
    running: list[Running] = []

    def run() -> Running:
        command = [sys.executable, "-m", "tests.asgi.shop", str(tmp_path / "sessions.db")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        running.append(Running(process, process.stdout.readline().strip()))
        assert running[-1].host, "the server did not start"
        return running[-1]

    yield run
    for server in running:
        server.process.terminate()
        with server.process:
            assert server.process.wait(timeout=20) in (0, -signal.SIGTERM, -signal.SIGKILL)


def _client(*servers: Running, cookie: str | None = None) -> httpx.AsyncClient:
    headers = {} if cookie is None else {"cookie": cookie}
    limits = httpx.Limits(max_connections=TIMES)
    return httpx.AsyncClient(base_url=f"http://{servers[0].host}", headers=headers, limits=limits, timeout=30)


async def _visitor(server: Running) -> str:
    """Return the cookie of a new session."""
    async with _client(server) as client:
        answer = await client.post("/add", params={"name": "first"})
        return f"sid={answer.cookies['sid']}"


async def _state(server: Running, cookie: str) -> dict[str, Any]:
    async with _client(server, cookie=cookie) as client:
        state: dict[str, Any] = (await client.get("/state")).json()
    return state


async def _post(client: httpx.AsyncClient, path: str, **query: object) -> bool:
    """Say whether the request was answered with success."""
    try:
        answer = await client.post(path, params={name: str(value) for name, value in query.items()})
    except httpx.TransportError:
        return False
    return answer.status_code == 204


async def test_two_servers_lose_nothing_of_what_one_browser_sends_at_once(start: Start) -> None:
    servers = [start(), start()]
    cookie = await _visitor(servers[0])
    names = [f"n{number}" for number in range(TIMES)]
    async with _client(servers[0], cookie=cookie) as one, _client(servers[1], cookie=cookie) as other:
        sides = [one, other] * (TIMES // 2)
        added = [_post(client, "/add", name=name) for client, name in zip(sides, names, strict=True)]
        assert all(await asyncio.gather(*added, *(_post(client, "/count") for client in sides)))

    state = await _state(servers[1], cookie)
    assert state["count"] == TIMES
    assert sorted(state["log"]) == sorted(["first", *names])
    assert sorted(state["cart"]["items"]) == sorted(["first", *names])
    assert all(name in state for name in names)


async def test_what_a_server_had_answered_when_it_was_killed_is_there(start: Start) -> None:
    doomed, other = start(), start()
    cookie = await _visitor(doomed)
    answered: list[str] = []

    async def add(client: httpx.AsyncClient, name: str) -> None:
        if await _post(client, "/add", name=name):
            answered.append(name)
            if len(answered) == TIMES:
                doomed.process.kill()

    async with _client(doomed, cookie=cookie) as client:
        await asyncio.gather(*(add(client, f"n{number}") for number in range(4 * TIMES)))
    assert doomed.process.wait(timeout=20) == -signal.SIGKILL

    state = await _state(other, cookie)
    assert len(answered) >= TIMES
    assert [name for name in answered if name not in state or name not in state["cart"]["items"]] == []
    assert len(state["log"]) == len(set(state["log"]))


async def test_a_server_that_is_told_to_end_keeps_what_its_last_requests_change(start: Start) -> None:
    ending, other = start(), start()
    cookie = await _visitor(ending)
    async with _client(ending, cookie=cookie) as client:
        last = [asyncio.ensure_future(_post(client, "/hold_to_the_end", name=f"n{number}")) for number in range(10)]
        await client.get("/begun", params={"path": "/hold_to_the_end", "times": 10})
        ending.process.send_signal(signal.SIGTERM)
        assert all(await asyncio.gather(*last))
    assert ending.process.wait(timeout=20) in (0, -signal.SIGTERM)

    state = await _state(other, cookie)
    assert state["count"] == 10
    assert all(f"n{number}" in state for number in range(10))


@pytest.mark.parametrize(
    ("request_line", "path", "changed"),
    [("POST /hold", "/hold", {"held": [True]}), ("GET /stream", "/stream", {"parts": [1, 2]})],
)
async def test_what_a_request_changes_is_kept_though_its_client_hangs_up(
    start: Start, request_line: str, path: str, changed: dict[str, list[object]]
) -> None:
    server = start()
    cookie = await _visitor(server)
    _, writer = await asyncio.open_connection(*server.host.split(":"))
    writer.write(f"{request_line} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n".encode())
    async with _client(server) as client:
        await client.get("/begun", params={"path": path, "times": 1})
        writer.close()
        await writer.wait_closed()
        await client.post("/open")
        await client.get("/ended", params={"path": path, "times": 1})

    state = await _state(server, cookie)
    assert {name: state.get(name) in values for name, values in changed.items()} == dict.fromkeys(changed, True)


async def test_a_websocket_keeps_what_was_said_when_it_is_closed(start: Start) -> None:
    server = start()
    cookie = await _visitor(server)
    async with connect(f"ws://{server.host}/talk", additional_headers={"Cookie": cookie}) as websocket:
        for number, text in enumerate(["hello", "again"], start=1):
            await websocket.send(text)
            assert await websocket.recv() == str(number)
    async with _client(server) as client:
        await client.get("/ended", params={"path": "/talk", "times": 1})

    state = await _state(server, cookie)
    assert state["said"] == ["hello", "again"]
    assert state["count"] == 2
    assert state["left"] is True
