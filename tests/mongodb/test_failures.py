"""
Servers that are down, frozen, killed and demoted: what was acknowledged stays, once; the rest is said.

Each loss is bounded in time, has a type, leaves the cookie alone, and passes by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest
from pymongo.errors import NotPrimaryError, OperationFailure, PyMongoError, WaitQueueTimeoutError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.servers.mongodb import ReplicaSet, replica_set

from atomic_session import SessionManager, SessionMiddleware
from atomic_session.commands import Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Push
from atomic_session.session import Session
from atomic_session.stores.mongodb import MongoStore
from atomic_session.stores.mongodb.failures import door
from atomic_session.testing.holder import ask, started

BUDGET = 2.0
"""Seconds that a call may take, by the settings of these tests."""

SLACK = 2.0
"""What a busy machine may add."""


@pytest.fixture
def single() -> Iterator[ReplicaSet]:
    with replica_set(1) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def three() -> Iterator[ReplicaSet]:
    with replica_set(3) as nodes:
        yield nodes


async def _write(request: Request) -> JSONResponse:
    session: Session = request.scope["session"]
    await session.inc("n")
    return JSONResponse((await session())["n"])


async def _read(request: Request) -> JSONResponse:
    session: Session = request.scope["session"]
    return JSONResponse((await session()).get("n"))


def _browser(manager: SessionManager) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/write", _write), Route("/read", _read)])
    app.add_middleware(SessionMiddleware, manager=manager)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=60)


async def _answer(browser: httpx.AsyncClient, path: str) -> tuple[int, float, bool]:
    """Return status, seconds, and whether a cookie came."""
    start = time.monotonic()
    response = await browser.get(path)
    return response.status_code, time.monotonic() - start, "set-cookie" in response.headers


async def _recovered(browser: httpx.AsyncClient) -> int:
    """Return what a write gives once it succeeds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        response = await browser.get("/write")
        if response.status_code == 200:
            return int(response.json())
    raise AssertionError("the service does not come back")


async def test_a_server_that_is_down_at_the_start_is_503_in_time_and_served_when_it_is_there(
    single: ReplicaSet,
) -> None:
    (node,) = single.nodes
    node.kill()
    manager = SessionManager(single.url(), timeout=BUDGET)
    async with _browser(manager) as browser:
        for path in ("/write", "/read"):
            status, seconds, _ = await _answer(browser, path)
            # Without a cookie there is nothing to read, and no trip.
            assert status == (503 if path == "/write" else 200)
            assert seconds < BUDGET + SLACK
        assert not browser.cookies
        node.start()
        single.primary()
        assert await _recovered(browser) == 1
    await manager.close()


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_server_that_fails_in_mid_run_is_503_in_time_and_served_again(single: ReplicaSet, fault: str) -> None:
    (node,) = single.nodes
    manager = SessionManager(single.url(), timeout=BUDGET)
    async with _browser(manager) as browser:
        assert (await _answer(browser, "/write"))[0] == 200
        before = dict(browser.cookies)
        (node.kill if fault == "killed" else node.freeze)()
        for path in ("/write", "/read", "/write"):
            status, seconds, changed = await _answer(browser, path)
            assert (status, changed) == (503, False)
            assert seconds < BUDGET + SLACK
        assert dict(browser.cookies) == before
        if fault == "killed":
            node.start()
            single.primary()
        else:
            node.thaw()
        count = await _recovered(browser)
        assert dict(browser.cookies) == before
        # What was told to be unknown may have been applied after the thaw; never more often than it was asked.
        assert 2 <= count <= 4
    await manager.close()


async def test_a_server_that_cannot_be_reached_says_that_nothing_happened() -> None:
    store = MongoStore("mongodb://127.0.0.1:1/none", timeout=1)
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    assert caught.value.__cause__ is not None
    await store.close()


def _kill(nodes: ReplicaSet) -> Callable[[], None]:
    primary = nodes.primary()
    primary.kill()
    return primary.start


def _step_down(nodes: ReplicaSet) -> Callable[[], None]:
    nodes.primary().command("replSetStepDown", 2, secondaryCatchUpPeriodSecs=1)
    return lambda: None


@pytest.mark.parametrize("fail", [_kill, _step_down], ids=["kill -9 of the primary", "step-down"])
@pytest.mark.timeout(180)
async def test_a_failover_under_load_loses_nothing_and_doubles_nothing(
    three: ReplicaSet, fail: Callable[[ReplicaSet], Callable[[], None]]
) -> None:
    store = MongoStore(three.url(), timeout=5)
    await store.open()
    dispatcher = Dispatcher(store, 5)
    holders = [await started(store, {"log": []}) for _ in range(8)]
    sent: dict[str, str] = {}
    stop = asyncio.Event()
    longest = 0.0

    async def work(place: int) -> None:
        nonlocal longest
        turn = 0
        while not stop.is_set():
            mark = f"{place}:{turn}"
            turn += 1
            start = time.monotonic()
            try:
                answer = await dispatcher.submit(holders[place % 8].update(Push.of("log", [mark])))
                sent[mark] = "done" if answer.outcome is Outcome.DONE else "refused"
            except OutcomeUnknown:
                sent[mark] = "unknown"
            except StoreUnavailable:
                sent[mark] = "not done"
            longest = max(longest, time.monotonic() - start)

    tasks = [asyncio.create_task(work(place)) for place in range(16)]
    await _until(lambda: len(sent) > 200)
    restart = await asyncio.to_thread(fail, three)
    await asyncio.to_thread(three.primary)
    count = len(sent)
    await _until(lambda: list(sent.values())[count:].count("done") > 200)
    stop.set()
    await asyncio.gather(*tasks)

    found: Counter[str] = Counter()
    for holder in holders:
        data = (await ask(store, holder.load())).data
        assert data is not None
        found.update(data["log"])  # type: ignore[arg-type]
    await dispatcher.close()
    await asyncio.to_thread(restart)
    assert set(sent.values()) <= {"done", "unknown", "not done"}
    assert [mark for mark, fate in sent.items() if fate == "done" and found[mark] != 1] == []
    assert [mark for mark, fate in sent.items() if fate == "not done" and found[mark] != 0] == []
    assert [mark for mark, count in found.items() if count > 1] == []
    assert longest < 5 + SLACK


@pytest.mark.parametrize(
    "error",
    [
        *(NotPrimaryError("no primary", {"code": code}) for code in (10107, 13435, 189)),
        *(OperationFailure("lost", code, {"errorLabels": ["RetryableWriteError"]}) for code in (6, 89, 9001)),
        WaitQueueTimeoutError("busy"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_ends_a_second_try_says_nothing_of_the_first(error: PyMongoError) -> None:
    """The driver tries a write twice, and tells how the second try ended: the first may have been carried out."""
    with pytest.raises(OutcomeUnknown), door(writing=True):
        raise error
    with pytest.raises(StoreUnavailable), door(writing=False):
        raise error


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # of real servers, which tell nobody when
            await asyncio.sleep(0.01)
