"""Handlers that raise, stores that fail, sessions that end, clients that leave: what is answered, and what stays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.asgi.kit import Handler, Server, answering, call, edit, http, read, write
from tests.session.kit import Gate, Hook, failing

from atomic_session import (
    CSRFError,
    InvalidValue,
    LimitExceeded,
    LoginRequired,
    OutcomeUnknown,
    ResponseStarted,
    Session,
    SessionGone,
    SessionMiddleware,
    SessionNotLoaded,
    StoreUnavailable,
)
from atomic_session.asgi import App, Message, Receive, Scope, Send
from atomic_session.commands import Command

DOWN = StoreUnavailable("the disk is on fire at /secret/place")
SILENT = OutcomeUnknown("no answer")


async def _visitor(server: Server) -> bytes:
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    assert cookie is not None
    server.store.commands.clear()
    return cookie


async def _data(server: Server, cookie: bytes | None) -> Any:
    return (await Server(answering(read), manager=server.manager).get(cookie)).body


# --- errors that nobody caught


def _raising(error: Exception) -> Any:
    async def handle(session: Session) -> None:
        await session.load()
        raise error

    return handle


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SessionGone("id"), 401),
        (LoginRequired(None, timedelta(minutes=5)), 401),
        (CSRFError("reason"), 403),
        (DOWN, 503),
        (SILENT, 503),
    ],
)
async def test_an_error_that_nobody_caught_is_answered(error: Exception, status: int) -> None:
    server = Server(answering(_raising(error)))
    reply = await server.get()

    assert reply.error is None
    assert reply.status == status
    assert reply.header(b"set-cookie") == []
    assert reply.header(b"cache-control") == [b"no-store"]
    assert reply.header(b"vary") == [b"Cookie"]
    assert reply.header(b"retry-after") == ([b"1"] if status == 503 else [])
    assert int(reply.header(b"content-length")[0]) == len(reply.body)
    assert b"secret" not in reply.body


@pytest.mark.parametrize(
    "error", [InvalidValue("a", "b"), LimitExceeded("field", 1, 2), SessionNotLoaded(), ValueError()]
)
async def test_an_error_of_the_program_is_the_servers_to_answer(error: Exception) -> None:
    reply = await Server(answering(_raising(error))).get()

    assert reply.error is error
    assert reply.messages == []


async def test_errors_that_a_task_group_gathers_are_answered_as_one() -> None:
    async def handle(session: Session) -> None:
        async def twice() -> None:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(write(session))
                inner.create_task(write(session))

        async with asyncio.TaskGroup() as outer:
            outer.create_task(write(session))
            outer.create_task(twice())

    server = Server(answering(handle))
    cookie = await _visitor(server)
    await Server(answering(lambda session: session.destroy()), manager=server.manager).get(cookie)
    reply = await server.get(cookie)

    assert (reply.status, reply.error) == (401, None)


@pytest.mark.parametrize("others", [[SessionGone("id")], [ValueError()], [InvalidValue("a", "b")]])
async def test_errors_that_do_not_agree_are_the_servers_to_answer(others: list[Exception]) -> None:
    group = ExceptionGroup("together", [DOWN, *others])
    reply = await Server(answering(_raising(group))).get()

    assert reply.error is group
    assert reply.messages == []


@pytest.mark.parametrize("end", ["destroy", "rotate"])
async def test_a_write_to_a_session_that_ended_is_answered_401(end: str) -> None:
    server = Server(answering(write))
    cookie = await _visitor(server)
    await Server(answering(lambda session: getattr(session, end)()), manager=server.manager).get(cookie)
    reply = await server.get(cookie)

    assert reply.status == 401
    assert reply.header(b"set-cookie") == []
    assert (await server.get(cookie)).status == 401


async def test_plain_changes_that_meet_an_ended_session_do_not_fail_the_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(session: Session) -> None:
        await session.load()
        session["flash"] = "hello"
        await Server(answering(lambda other: other.destroy()), manager=server.manager).get(cookie)

    server = Server(answering(handle))
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert (reply.status, reply.error) == (200, None)
    assert reply.header(b"set-cookie") == []
    assert [record.message for record in caplog.records].count(f"delta_dropped session={cookie[4:26].decode()}") == 1


async def test_a_destroy_and_a_flash_after_it_deletes_the_cookie() -> None:
    async def handle(session: Session) -> None:
        await session.destroy()
        session["flash"] = "bye"

    server = Server(answering(handle))
    reply = await server.get(await _visitor(server))

    assert reply.status == 200
    assert b"Max-Age=0" in reply.header(b"set-cookie")[0]


async def test_a_cookie_that_was_earned_goes_with_the_error(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(session: Session) -> None:
        await session.rotate()
        server.store.before = failing(DOWN)
        await session.set("a", 1)

    server = Server(answering(handle))
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert reply.status == 503
    assert reply.cookie not in (None, cookie)
    assert await _data(server, reply.cookie) == b"{'n': 1}"
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        f"store_unavailable session={cookie[4:26].decode()} reason={DOWN.reason!r}"
    ]


class _Framework:
    """One that makes a page of every error, raises it again or not, and so leaves none to the middleware."""

    def __init__(self, app: App, *, raising: bool) -> None:
        self.app = app
        self.raising = raising

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"framework's page"})
            if self.raising:
                raise


@pytest.mark.parametrize("raising", [True, False])
@pytest.mark.parametrize("name", ["own", "starlette"])
async def test_an_error_of_which_a_framework_made_a_page_is_answered_all_the_same(name: str, *, raising: bool) -> None:
    async def endpoint(request: Request) -> Response:
        await request.session.inc("n")  # type: ignore[attr-defined]
        return PlainTextResponse("done")

    inner: App = Starlette(routes=[Route("/", endpoint)]) if name == "starlette" else answering(write)
    server = Server(_Framework(inner, raising=raising))
    cookie = await _visitor(server)
    server.store.before = failing(DOWN)
    down = await server.get(cookie)
    await Server(answering(lambda session: session.destroy()), manager=server.manager).get(cookie)
    gone = await server.get(cookie)

    assert [(reply.error, reply.status) for reply in (down, gone)] == [(None, 503), (None, 401)]
    assert [reply.body for reply in (down, gone)] == [b"Please try again in a moment.", b"Please log in again."]
    assert (await server.get()).status == 200


async def test_a_load_that_failed_is_answered_through_a_framework_too() -> None:
    server = Server(_Framework(answering(read), raising=False))
    cookie = await _visitor(server)
    server.store.before = failing(DOWN)

    assert (await server.get(cookie)).status == 503


@pytest.mark.parametrize("raising", [True, False])
async def test_a_page_for_an_error_of_the_program_is_the_frameworks(*, raising: bool) -> None:
    error = ValueError("mine")
    reply = await Server(_Framework(answering(_raising(error)), raising=raising)).get()

    assert reply.error is (error if raising else None)
    assert (reply.status, reply.body) == (500, b"framework's page")


async def test_an_error_that_was_caught_leaves_the_answer_to_the_application() -> None:
    async def handle(session: Session) -> str:
        try:
            await session.inc("n")
        except StoreUnavailable:
            return "sorry"
        return "done"

    for status in (200, 404, 502, 503):
        server = Server(answering(handle, status=status))
        server.store.before = failing(DOWN)
        assert ((reply := await server.get()).status, reply.body) == (status, b"'sorry'")


async def test_require_fresh_is_answered_401_through_a_framework_too() -> None:
    reply = await Server(_Framework(answering(lambda session: session.require_fresh(60)), raising=True)).get()

    assert reply.status == 401


# --- handlers that raise


async def test_what_was_awaited_stays_and_what_was_not_is_dropped() -> None:
    async def handle(session: Session) -> None:
        await session.inc("n")
        session["draft"] = 1
        raise ValueError

    server = Server(answering(handle))
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert isinstance(reply.error, ValueError)
    assert await _data(server, cookie) == b"{'n': 2}"


# --- pages that are made of an error outside of the middleware, as Starlette makes its own


def _outside(server: Server, page: Callable[[Session], Awaitable[object]], handle: Handler | None = None) -> Server:
    """Have *page* use the session that an application of *server* left behind with an error."""

    async def endpoint(request: Request) -> Response:
        if handle is not None:
            await handle(request.scope["session"])
        raise ValueError

    async def handler(request: Request, error: Exception) -> Response:
        return PlainTextResponse(repr(await page(request.scope["session"])), 500)

    server.app = Starlette(  # type: ignore[assignment]
        routes=[Route("/", endpoint)],
        middleware=[Middleware(SessionMiddleware, manager=server.manager)],
        exception_handlers={Exception: handler},
    )
    return server


async def test_an_error_page_outside_neither_sees_nor_commits_what_was_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(session: Session) -> None:
        (await session())["draft"] = 1

    async def page(session: Session) -> object:
        await session.inc("errors")
        return dict(session)

    server = Server(answering())
    cookie = await _visitor(server)
    reply = await _outside(server, page, handle).get(cookie)

    assert (reply.status, reply.body) == (500, b"{'n': 1, 'errors': 1}")
    assert await _data(server, cookie) == b"{'n': 1, 'errors': 1}"
    assert "delta_dropped" in caplog.text


async def _make_csrf(session: Session) -> None:
    session.create_csrf()


@pytest.mark.parametrize(
    ("new", "act"),
    [
        (True, write),
        (True, _make_csrf),
        (True, lambda session: session.login("ann")),
        (False, lambda session: session.login("ann")),
        (False, lambda session: session.rotate()),
        (False, lambda session: session.regenerate()),
        (False, lambda session: session.touch(max_age="1 year")),
    ],
)
async def test_what_needs_a_cookie_raises_in_an_error_page_outside_and_does_nothing(act: Handler, *, new: bool) -> None:
    async def page(session: Session) -> None:
        with pytest.raises(ResponseStarted, match="outside of SessionMiddleware"):
            await act(session)

    server = Server(answering())
    cookie = await _visitor(server)
    reply = await _outside(server, page).get(None if new else cookie)

    assert (reply.status, reply.body, reply.header(b"set-cookie")) == (500, b"None", [])
    assert server.store.trips == 0
    assert await _data(server, cookie) == b"{'n': 1}"


async def test_around_the_whole_application_its_error_page_is_inside() -> None:
    async def endpoint(request: Request) -> Response:
        await request.scope["session"].login("ann")
        raise ValueError

    async def page(request: Request, error: Exception) -> Response:
        await request.scope["session"].inc("errors")
        return PlainTextResponse("sorry", 500)

    server = Server(Starlette(routes=[Route("/", endpoint)], exception_handlers={Exception: page}))
    reply = await server.get(await _visitor(server))

    assert (reply.status, reply.body) == (500, b"sorry")
    assert await _data(server, reply.cookie) == b"{'n': 1, 'errors': 1}"


# --- pages that tell of an error, inside of the middleware


@pytest.mark.parametrize("status", [500, 503])
async def test_a_response_that_tells_of_an_error_in_the_server_keeps_nothing_that_was_not_awaited(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(session: Session) -> None:
        await session.inc("n")
        session["draft"] = 1

    server = Server(answering(handle, status=status))
    cookie = await _visitor(server)
    reply = await server.get(cookie)
    fresh = await server.get()

    assert reply.status == status
    assert await _data(server, cookie) == b"{'n': 2}"
    assert fresh.cookie is not None
    assert await _data(server, fresh.cookie) == b"{'n': 1}"
    assert [record.message.partition(" ")[0] for record in caplog.records].count("delta_dropped") == 2


async def test_a_rotation_under_way_is_waited_for_by_an_error_page_too() -> None:
    async def handle(session: Session) -> None:
        rotations.append(asyncio.ensure_future(session.rotate()))
        await gate.reached.wait()
        asyncio.get_running_loop().call_soon(gate.open)

    rotations: list[asyncio.Future[None]] = []
    server = Server(answering(handle, status=500))
    cookie = await _visitor(server)
    gate = Gate()
    server.store.before = gate
    reply = await server.get(cookie)
    server.store.before = None

    assert reply.cookie not in (None, cookie)
    assert await _data(server, reply.cookie) == b"{'n': 1}"
    assert rotations[0].done()


@pytest.mark.parametrize("status", [200, 303, 400, 404, 422])
async def test_every_other_response_keeps_what_was_changed(status: int) -> None:
    server = Server(answering(edit, status=status))
    reply = await server.get()

    assert await _data(server, reply.cookie) == b"{'n': 1}"


# --- commits that fail


def _starlette(endpoint: Any, **settings: Any) -> Any:
    return Starlette(routes=[Route("/", endpoint)], **settings)


async def _endpoint(request: Request) -> Response:
    session = await request.session()  # type: ignore[operator]
    session["a"] = 1
    return PlainTextResponse("done")


async def _handled(request: Request, error: Exception) -> Response:
    return JSONResponse({"handled": type(error).__name__}, status_code=418)


class _Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response


class _Swallowing:
    """A framework that answers an error of its own response with an error page."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception:  # noqa: BLE001 - that is what it is about
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"framework's page"})


async def _deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that goes on though its response could not start."""
    session = await scope["session"]()
    session["a"] = 1
    for message in ({"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": b"done"}):
        try:
            await send(message)
        except (OutcomeUnknown, StoreUnavailable):
            continue


APPS: dict[str, Any] = {
    "plain": answering(edit),
    "starlette": _starlette(_endpoint),
    "a handler for the error": _starlette(_endpoint, exception_handlers={StoreUnavailable: _handled}),
    "a handler for every error": _starlette(_endpoint, exception_handlers={Exception: _handled}),
    "a handler for 500": _starlette(_endpoint, exception_handlers={500: _handled}),
    "debug": _starlette(_endpoint, debug=True),
    "another middleware": _starlette(_endpoint, middleware=[Middleware(_Passing)]),
    "a page of its own": _Swallowing(answering(edit)),
    "deaf": _deaf,
}


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("error", [DOWN, SILENT])
async def test_a_commit_that_fails_is_answered_503_and_never_half(name: str, error: Exception) -> None:
    server = Server(APPS[name])
    cookie = await _visitor(server)
    for sent in (cookie, None):
        server.store.before = _at("Update" if sent else "Create", error)
        reply = await server.get(sent)
        assert reply.error is None
        assert (reply.status, reply.body) == (503, b"Please try again in a moment.")
        assert len([message for message in reply.messages if message["type"] == "http.response.start"]) == 1
        assert reply.header(b"set-cookie") == []


@pytest.mark.parametrize("inner", [True, False])
async def test_a_commit_that_fails_inside_starlettes_own_stack_is_answered_503(*, inner: bool) -> None:
    server = Server(answering())
    middleware = Middleware(SessionMiddleware, manager=server.manager)
    others = [Middleware(_Passing), middleware] if inner else [middleware, Middleware(_Passing)]
    app = _starlette(_endpoint, middleware=others, exception_handlers={StoreUnavailable: _handled, Exception: _handled})
    server.store.before = _at("Create", DOWN)
    reply = await call(app, http())

    assert reply.status == 503
    assert reply.body == b"Please try again in a moment."
    assert (await call(app, http())).status == 200


def _at(kind: str, error: Exception) -> Hook:
    """Return a hook that raises *error* at the first command of this kind."""
    fail = failing(error)

    async def hook(command: Command) -> None:
        if type(command).__name__ == kind:
            await fail(command)

    return hook


@pytest.mark.parametrize("value", [object(), {1, 2}])
@pytest.mark.parametrize("name", ["plain", "starlette", "a page of its own", "another middleware"])
async def test_what_no_session_can_hold_is_never_answered_as_if_it_were_kept(name: str, value: object) -> None:
    async def plain(session: Session) -> None:
        await session()
        session["good"] = 1
        session["bad"] = value

    async def endpoint(request: Request) -> Response:
        await plain(request.session)  # type: ignore[arg-type]
        return PlainTextResponse("done")

    apps = {
        "plain": answering(plain),
        "starlette": _starlette(endpoint),
        "a page of its own": _Swallowing(answering(plain)),
        "another middleware": _starlette(endpoint, middleware=[Middleware(_Passing)]),
    }
    server = Server(apps[name])
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert isinstance(reply.error, InvalidValue)
    assert [message for message in reply.messages if message.get("status", 500) < 500] == []
    assert await _data(server, cookie) == b"{'n': 1}"


async def test_a_handler_may_commit_by_itself_and_catch() -> None:
    async def handle(session: Session) -> str:
        await session()
        session["a"] = 1
        try:
            await session.commit()
        except StoreUnavailable:
            session.discard()
            return "caught"
        return "kept"

    server = Server(answering(handle))
    server.store.before = failing(DOWN)

    assert (await server.get()).body == b"'caught'"
    assert (await server.get()).body == b"'kept'"


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("error", [DOWN, SILENT])
async def test_a_store_that_fails_at_any_step_is_never_taken_for_an_anonymous_visitor(
    step: int, error: Exception
) -> None:
    async def handle(session: Session) -> None:
        await session()
        assert session["n"] >= 1
        await session.inc("n")
        session["a"] = 1

    server = Server(answering(handle))
    cookie = await _visitor(server)
    count = 0

    async def hook(_command: Any) -> None:
        nonlocal count
        count += 1
        if count == step + 1:
            raise error

    server.store.before = hook
    reply = await server.get(cookie)

    assert (reply.status, reply.error) == (503 if step < 3 else 200, None)
    assert reply.header(b"set-cookie") == []


async def test_a_slow_store_is_a_503_within_its_time() -> None:
    server = Server(answering(write), timeout="50 ms")
    server.store.lanes = 1
    server.store.before = Gate()
    reply = await server.get()

    assert reply.status == 503


async def test_an_http_exception_is_a_response_like_any_other() -> None:
    async def endpoint(request: Request) -> Response:
        session = await request.session()  # type: ignore[operator]
        session["tries"] = 1
        raise HTTPException(403)

    server = Server(_starlette(endpoint))
    reply = await server.get()

    assert reply.status == 403
    assert await _data(server, reply.cookie) == b"{'tries': 1}"


async def test_an_application_may_answer_a_session_error_itself() -> None:
    async def endpoint(request: Request) -> Response:
        await request.session.inc("n")  # type: ignore[attr-defined]
        return PlainTextResponse("done")

    server = Server(_starlette(endpoint, exception_handlers={SessionGone: _handled}))
    cookie = await _visitor(server)
    await Server(answering(lambda session: session.destroy()), manager=server.manager).get(cookie)
    reply = await server.get(cookie)

    assert (reply.status, reply.body) == (418, b'{"handled":"SessionGone"}')


async def test_an_application_that_sends_nothing_keeps_what_was_awaited() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["session"].inc("n")
        scope["session"]["draft"] = 1

    server = Server(app)
    cookie = await _visitor(server)
    reply = await server.get(cookie)

    assert reply.messages == []
    assert await _data(server, cookie) == b"{'n': 2}"


# --- clients that leave


async def test_a_client_that_left_does_not_lose_what_was_changed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        session["before"] = 1
        await send({"type": "http.response.start", "status": 200})

    server = Server(app)
    cookie = await _visitor(server)

    async def gone(message: Message) -> None:
        raise OSError("the client is gone")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(OSError, match="the client is gone"):
        await server.app(http(cookie), receive, gone)
    assert await _data(server, cookie) == b"{'n': 1, 'before': 1}"


async def test_a_stream_that_ends_by_the_client_leaving_keeps_what_was_changed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        await send({"type": "http.response.start", "status": 200})
        session["sent"] = 1
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    server = Server(app)
    cookie = await _visitor(server)

    async def leaving(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("the client is gone")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(OSError, match="the client is gone"):
        await server.app(http(cookie), receive, leaving)
    assert await _data(server, cookie) == b"{'n': 1, 'sent': 1}"


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_request_that_is_cancelled_in_mid_update_disturbs_nobody(side: str) -> None:
    server = Server(answering(write))
    cookie = await _visitor(server)
    gate = Gate()
    setattr(server.store, side, gate)
    task = asyncio.ensure_future(server.app(http(cookie), None, None))  # type: ignore[arg-type]
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    setattr(server.store, side, None)

    assert await _data(server, cookie) == (b"{'n': 1}" if side == "before" else b"{'n': 2}")
    assert (await server.get(cookie)).status == 200


async def test_a_request_that_is_cancelled_while_it_commits_has_no_answer() -> None:
    server = Server(answering(edit))
    cookie = await _visitor(server)
    gate = Gate()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def at_the_update(command: Any) -> None:
        if type(command).__name__ == "Update":
            await gate(command)

    server.store.after = at_the_update
    task = asyncio.ensure_future(server.app(http(cookie), None, send))  # type: ignore[arg-type]
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.store.after = None

    assert sent == []
    assert await _data(server, cookie) == b"{'n': 2}"


async def test_a_request_that_is_cancelled_after_its_commit_failed_has_no_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await answering(edit)(scope, receive, send)
        except StoreUnavailable:
            raise asyncio.CancelledError from None

    server = Server(app)
    server.store.before = failing(DOWN)
    reply = await server.get()

    assert isinstance(reply.error, asyncio.CancelledError)
    assert reply.messages == []


async def test_an_error_after_the_start_is_told_and_a_late_commit_that_fails_beside_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        await send({"type": "http.response.start", "status": 200})
        session["late"] = object()
        raise ValueError("mine")

    server = Server(app)
    reply = await server.get(await _visitor(server))

    assert isinstance(reply.error, ValueError)
    assert "invalid value at 'late'" in reply.error.__notes__[0]


async def test_an_error_of_a_session_after_the_start_is_the_servers() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        await send({"type": "http.response.start", "status": 200})
        server.store.before = failing(DOWN)
        await session.inc("n")

    server = Server(app)
    reply = await server.get(await _visitor(server))

    assert reply.error is DOWN
    assert [message["type"] for message in reply.messages] == ["http.response.start"]
