"""Applications inside applications, several middlewares, and what else may stand in the session's place."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as CookieMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from tests.asgi.kit import Server, answering, call, http, read, write
from tests.session.kit import SpyStore

from atomic_session import Session, SessionManager, SessionMiddleware, SessionNotLoaded
from atomic_session.asgi import App, Receive, Scope, Send
from atomic_session.stores.memory import MemoryStore


async def _endpoint(request: Request) -> Response:
    await request.session.inc("n")  # type: ignore[attr-defined]
    return JSONResponse({"n": request.session["n"], "path": request.url.path})


@pytest.mark.parametrize("shared", ["manager", "store", "nothing"])
async def test_a_mounted_application_with_its_own_middleware_shares_the_session(shared: str) -> None:
    outer_store, inner_store = SpyStore(), SpyStore()
    manager = SessionManager(outer_store)
    settings: dict[str, dict[str, Any]] = {
        "manager": {"manager": manager},
        "store": {"store": outer_store},
        "nothing": {"store": inner_store},
    }
    mounted = Starlette(routes=[Route("/", _endpoint)], middleware=[Middleware(SessionMiddleware, **settings[shared])])
    app = Starlette(
        routes=[Mount("/inner", mounted), Route("/", _endpoint)],
        middleware=[Middleware(SessionMiddleware, manager=manager)],
    )
    reply = await call(app, http(path="/"))
    again = await call(app, http(reply.cookie, path="/inner/"))

    assert again.body == b'{"n":2,"path":"/inner/"}'
    assert again.header(b"set-cookie") == []
    assert again.header(b"vary") == [b"Cookie"]
    assert outer_store.kinds == ["Create", "Update"]
    assert inner_store.trips == 0
    first = await call(app, http(path="/inner/"))
    assert len(first.header(b"set-cookie")) == 1


async def test_two_middlewares_with_different_cookies_keep_apart() -> None:
    stores = [SpyStore(), SpyStore()]
    seen: list[Any] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        inner, outer = scope["session"], scope["outer"]
        assert inner is not outer
        await inner.inc("inner")
        session = await outer()
        session["outer"] = session.get("outer", 0) + 1
        seen.append((dict(inner), dict(outer)))
        await answering()(scope, receive, send)

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        scope["outer"] = scope["session"]
        await admin(scope, receive, send)

    admin = SessionMiddleware(inside, session_cookie="admin", store=stores[1])
    app = SessionMiddleware(between, session_cookie="site", store=stores[0])
    reply = await call(app, http())
    cookies = [value.partition(b";")[0] for value in reply.start["headers"] and _cookies(reply)]
    assert sorted(cookie.partition(b"=")[0] for cookie in cookies) == [b"admin", b"site"]
    await call(app, http(b"; ".join(cookies)))

    assert seen == [({"inner": 1}, {"outer": 1}), ({"inner": 2}, {"outer": 2})]
    assert [store.kinds for store in stores] == [["Create", "Load", "Update"], ["Create", "Update"]]


def _cookies(reply: Any) -> list[bytes]:
    return [value for name, value in reply.start["headers"] if name == b"set-cookie"]


async def test_two_sites_behind_each_other_may_use_the_same_cookie_for_different_schemes() -> None:
    names: list[bool] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        names.append(scope["session"] is scope["outer"])
        await answering()(scope, receive, send)

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        scope["outer"] = scope["session"]
        await SessionMiddleware(inside, store="memory://", https_only=True)(scope, receive, send)

    await call(SessionMiddleware(between, store="memory://"), http(scheme="http"))
    await call(SessionMiddleware(between, store="memory://"), http(scheme="https"))
    assert names == [False, True]


@pytest.mark.parametrize("ours_outside", [True, False])
async def test_beside_starlettes_own_middleware_each_keeps_its_own(*, ours_outside: bool) -> None:
    """The inner one has `request.session`; the outer one neither takes over its data nor loses its own."""

    async def endpoint(request: Request) -> Response:
        request.session["n"] = request.session.get("n", 0) + 1
        return JSONResponse(dict(request.session))

    store = SpyStore()
    ours = Middleware(SessionMiddleware, store=store, autoload=True)
    theirs = Middleware(CookieMiddleware, secret_key="key")
    app = Starlette(routes=[Route("/", endpoint)], middleware=[ours, theirs] if ours_outside else [theirs, ours])
    mine = (await call(SessionMiddleware(answering(write), store=store), http())).cookie
    store.commands.clear()
    reply = await call(app, http(mine))

    if ours_outside:
        assert reply.body == b'{"n":1}'
        assert b"session=" in reply.header(b"set-cookie")[0]
        assert store.kinds == ["Load"]
    else:
        assert reply.body == b'{"n":2}'
        assert reply.header(b"set-cookie") == []
    stored = (await call(SessionMiddleware(answering(read), store=store), http(mine))).body
    assert stored == (b"{'n': 1}" if ours_outside else b"{'n': 2}")


@pytest.mark.parametrize("autoload", [True, False])
async def test_an_older_starlettes_own_middleware_in_a_mounted_application_keeps_its_own(*, autoload: bool) -> None:
    """Before 1.0 it put a plain dict into the session's place; admin pages bring it along."""

    def older(app: App) -> App:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            scope["session"] = {}
            await app(scope, receive, send)

        return middleware

    async def endpoint(request: Request) -> Response:
        request.session["admin"] = True
        return JSONResponse(dict(request.session))

    store = SpyStore()
    admin = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(older)])
    ours = Middleware(SessionMiddleware, store=store, autoload=autoload)
    app = Starlette(routes=[Mount("/admin", app=admin)], middleware=[ours])
    mine = (await call(SessionMiddleware(answering(write), store=store), http())).cookie

    assert (await call(app, http(mine, path="/admin/"))).body == b'{"admin":true}'
    assert (await call(app, http(path="/admin/"))).header(b"set-cookie") == []
    assert (await call(SessionMiddleware(answering(read), store=store), http(mine))).body == b"{'n': 1}"


# --- something else in the session's place


async def test_a_plain_dict_in_the_place_of_a_loaded_session_is_the_session_as_it_is_to_be() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope["session"]()
        await Server(answering(lambda other: other.set("theirs", 1)), manager=server.manager).get(cookie)
        scope["session"] = {**session, "user_id": 7}
        del scope["session"]["n"]
        await answering()(scope, receive, send)

    server = Server(app)
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    reply = await server.get(cookie)

    assert reply.header(b"vary") == [b"Cookie"]
    stored = await Server(answering(read), manager=server.manager).get(cookie)
    assert eval(stored.body) == {"theirs": 1, "user_id": 7}


async def test_a_plain_dict_works_with_autoload_and_without_a_cookie_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = {**scope["session"], "user_id": 7}
        await answering()(scope, receive, send)

    server = Server(app, autoload=True)
    reply = await server.get()
    stored = await Server(answering(read), manager=server.manager).get(reply.cookie)

    assert stored.body == b"{'user_id': 7}"


class Sign(Enum):
    """How a framework says that there is no session."""

    EMPTY = 0


@pytest.mark.parametrize("sign", [None, Sign.EMPTY])
async def test_a_sign_for_no_session_empties_it(sign: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Server(answering(lambda other: other.set("theirs", 1)), manager=server.manager).get(cookie)
        scope["session"] = sign
        await answering()(scope, receive, send)

    server = Server(app, autoload=True)
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    await server.get(cookie)

    assert (await Server(answering(read), manager=server.manager).get(cookie)).body == b"{}"


@pytest.mark.parametrize("other", [[], object(), OrderedDict(a=1)])
async def test_what_another_middleware_puts_there_is_its_own(other: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = other
        await answering()(scope, receive, send)

    server = Server(app, autoload=True)
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    await server.get(cookie)

    assert (await Server(answering(read), manager=server.manager).get(cookie)).body == b"{'n': 1}"


@pytest.mark.parametrize("other", [None, Sign.EMPTY, {}, {"a": 1}])
@pytest.mark.parametrize("looked", [True, False])
async def test_a_session_that_nobody_loaded_is_not_replaced_in_silence(other: object, *, looked: bool) -> None:
    """A logout that does nothing would be taken for one."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if looked:
            scope["session"].mark_accessed()
        scope["session"] = other
        await answering()(scope, receive, send)

    server = Server(app)
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    reply = await server.get(cookie)

    assert isinstance(reply.error, SessionNotLoaded)
    assert reply.messages == []
    assert (await Server(answering(read), manager=server.manager).get(cookie)).body == b"{'n': 1}"


async def test_a_visitor_without_a_session_gets_what_takes_its_place() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = {"user_id": 7}
        await answering()(scope, receive, send)

    server = Server(app)
    reply = await server.get()

    assert (await Server(answering(read), manager=server.manager).get(reply.cookie)).body == b"{'user_id': 7}"


@pytest.mark.parametrize("other", [[], OrderedDict(a=1), object()])
@pytest.mark.parametrize("looked", [True, False])
async def test_what_takes_the_place_of_a_session_that_nobody_loaded_is_not_ours(other: object, *, looked: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if looked:
            scope["session"].mark_accessed()
        scope["session"] = other
        await answering()(scope, receive, send)

    server = Server(app)
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    reply = await server.get(cookie)

    assert reply.start["headers"] == ([(b"vary", b"Cookie")] if looked else [])
    assert (await Server(answering(read), manager=server.manager).get(cookie)).body == b"{'n': 1}"


async def test_a_scope_from_which_the_session_was_taken_does_not_harm_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = await scope.pop("session")()
        session["a"] = 1
        await answering()(scope, receive, send)

    server = Server(app)
    reply = await server.get()

    assert (await Server(answering(read), manager=server.manager).get(reply.cookie)).body == b"{'a': 1}"


async def test_a_copied_scope_has_the_same_session() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["session"].inc("n")
        await answering()(scope, receive, send)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(dict(scope), receive, send)

    server = Server(app)
    reply = await server.get()

    assert (await Server(answering(read), manager=server.manager).get(reply.cookie)).body == b"{'n': 1}"


# --- autoload


@pytest.mark.parametrize("wanted", [True, False])
async def test_autoload_may_depend_on_the_scope(*, wanted: bool) -> None:
    async def handle(session: Session) -> bool:
        return session.loaded

    server = Server(answering(handle), autoload=lambda scope: bool(scope["path"] == "/yes"))
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    server.store.commands.clear()
    reply = await server.get(cookie, path="/yes" if wanted else "/no")

    assert reply.body == repr(wanted).encode()
    assert server.store.kinds == (["Load"] if wanted else [])


async def test_a_mounted_application_may_ask_for_autoload_by_itself() -> None:
    async def handle(session: Session) -> dict[str, Any]:
        return dict(session)

    server = Server(SessionMiddleware(answering(handle), autoload=True))
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie

    assert (await server.get(cookie)).body == b"{'n': 1}"


def test_autoload_is_no_function_that_would_have_to_be_awaited() -> None:
    async def wanted(_: Scope) -> bool:
        return False

    with pytest.raises(TypeError, match="autoload"):
        SessionMiddleware(answering(), autoload=wanted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_autoload_takes_no_trip_without_a_cookie_of_ours() -> None:
    server = Server(answering(), autoload=True)
    for cookie in (None, b"a=b", b"sid=nonsense"):
        assert (await server.get(cookie)).header(b"vary") == [b"Cookie"]

    assert server.store.trips == 0


async def test_autoload_keeps_plain_code_without_any_await() -> None:
    async def handle(session: Any) -> Any:
        session["n"] = session.get("n", 0) + 1
        session.setdefault("log", []).append(session["n"])
        return dict(session)

    server = Server(answering(handle), autoload=True)
    cookie = None
    for number in range(1, 4):
        reply = await server.get(cookie)
        cookie = cookie or reply.cookie
        assert eval(reply.body) == {"n": number, "log": list(range(1, number + 1))}


async def test_the_store_may_be_any_object_that_keeps_the_promise() -> None:
    assert (await call(SessionMiddleware(answering(write), store=MemoryStore()), http())).cookie is not None
