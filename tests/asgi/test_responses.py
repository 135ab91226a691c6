"""What a session adds to a response: one cookie at most, and what caches must know."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.asgi.kit import Server, answering, call, edit, http, read, write
from tests.session.kit import DAY

from atomic_session import AtomicSessionError, Session, SessionMiddleware
from atomic_session.asgi import Receive, Scope, Send
from atomic_session.stores.memory import MemoryStore
from atomic_session.token import new_token

# --- cookies


@pytest.mark.parametrize("handle", [write, edit])
async def test_a_session_that_comes_about_brings_one_cookie(handle: Any) -> None:
    server = Server(answering(handle))
    reply = await server.get()

    assert reply.status == 200
    assert len(reply.header(b"set-cookie")) == 1
    again = await server.get(reply.cookie)
    assert again.header(b"set-cookie") == []
    assert server.store.rows == 1


async def test_a_response_that_never_looked_is_passed_on_untouched() -> None:
    server = Server(answering(headers=[(b"x", b"1")]))
    reply = await server.get((await Server(answering(write)).get()).cookie)

    assert reply.start["headers"] == [(b"x", b"1")]
    assert server.store.trips == 0


async def test_a_hundred_reads_send_no_cookie() -> None:
    server = Server(answering(write))
    cookie = (await server.get()).cookie
    reader = Server(answering(read), manager=server.manager)

    for _ in range(100):
        reply = await reader.get(cookie)
        assert reply.body == b"{'n': 1}"
        assert reply.header(b"set-cookie") == []
        server.clock.advance(1_000)
    assert server.store.kinds == ["Create"] + ["Load"] * 100


async def test_a_session_in_use_renews_its_cookie_now_and_then() -> None:
    server = Server(answering(read), manager=(maker := Server(answering(write))).manager)
    cookie = (await maker.get()).cookie
    renewals = 0
    for _ in range(60):
        maker.clock.advance(DAY // 2)
        reply = await server.get(cookie)
        assert reply.body == b"{'n': 1}"
        renewals += len(reply.header(b"set-cookie"))

    assert 15 <= renewals <= 21
    assert maker.store.trips == 61


async def test_create_rotate_and_destroy_in_one_request_send_the_last_word_only() -> None:
    async def everything(session: Session) -> None:
        await session.set("a", 1)
        await session.rotate()
        await session.login("ann")
        await session.destroy()

    reply = await Server(answering(everything)).get()
    (cookie,) = reply.header(b"set-cookie")

    assert cookie.startswith(b"sid=; ")
    assert b"Max-Age=0" in cookie
    assert b"Expires=Thu, 01 Jan 1970 00:00:00 GMT" in cookie


@pytest.mark.parametrize(
    ("https_only", "scheme", "secure"),
    [
        (None, "https", True),
        (None, "wss", True),
        (None, "http", False),
        (None, "ws", False),
        (True, "http", True),
        (True, "https", True),
        (False, "https", False),
    ],
)
async def test_the_cookie_follows_the_scheme(https_only: bool | None, scheme: str, *, secure: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["session"].set("a", 1)
        kind = "websocket.accept" if scope["type"] == "websocket" else "http.response.start"
        await send({"type": kind, "status": 200})

    server = Server(app, https_only=https_only)
    kind = "websocket" if scheme.startswith("ws") else "http"
    reply = await call(server.app, {**http(scheme=scheme), "type": kind})
    (cookie,) = reply.header(b"set-cookie")

    assert cookie.startswith(b"__Host-sid=" if secure else b"sid=")
    assert (b"; Secure" in cookie) == secure
    assert b"; Path=/" in cookie
    assert b"; HttpOnly" in cookie
    assert b"; SameSite=Lax" in cookie


async def test_the_names_over_http_and_https_never_mix() -> None:
    server = Server(answering(write))
    plain = (await server.get()).cookie
    assert plain is not None
    reader = Server(answering(read), manager=server.manager)

    assert (await reader.get(plain, scheme="https")).body == b"{}"
    assert (await reader.get(b"__Host-" + plain, scheme="http")).body == b"{}"
    assert (await reader.get(b"__Host-" + plain, scheme="https")).body == b"{'n': 1}"


async def test_the_attributes_are_the_settings() -> None:
    server = Server(
        answering(write),
        session_cookie="shop",
        path="/app",
        same_site="strict",
        https_only=True,
        domain="example.org",
        partitioned=True,
    )
    (cookie,) = (await server.get()).header(b"set-cookie")

    assert cookie.startswith(b"__Secure-shop=")
    assert cookie.partition(b"; ")[2].split(b"; ") == [
        b"Max-Age=1209600",
        b"Path=/app",
        b"Secure",
        b"HttpOnly",
        b"SameSite=Strict",
        b"Domain=example.org",
        b"Partitioned",
    ]


async def test_a_message_of_the_application_is_never_changed() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"1")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await scope["session"].inc("n")
        await send(start)
        await send({"type": "http.response.body"})

    server = Server(app)
    cookies = {(await server.get()).cookie for _ in range(3)}

    assert len(cookies) == 3
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"x", b"1")]}


async def test_headers_may_be_lists_a_tuple_or_missing() -> None:
    for headers in ([[b"x", b"1"]], ((b"x", b"1"),), iter([(b"x", b"1")]), None):

        async def app(scope: Scope, receive: Receive, send: Send, headers: Any = headers) -> None:
            await scope["session"].inc("n")
            start = {"type": "http.response.start", "status": 200}
            await send(start if headers is None else {**start, "headers": headers})
            await send({"type": "http.response.body"})

        reply = await Server(app).get()
        assert reply.error is None
        assert reply.cookie is not None
        assert reply.header(b"x") == ([] if headers is None else [b"1"])


# --- caches


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [b"Cookie"]),
        ([b"Accept"], [b"Accept, Cookie"]),
        ([b"accept-encoding, cookie"], [b"accept-encoding, cookie"]),
        ([b"COOKIE"], [b"COOKIE"]),
        ([b"*"], [b"*"]),
        ([b"Accept", b"Origin"], [b"Accept, Cookie", b"Origin"]),
        ([b"Accept", b"Cookie"], [b"Accept", b"Cookie"]),
        ([b""], [b"Cookie"]),
        ([b"Cookie-Policy"], [b"Cookie-Policy, Cookie"]),
    ],
)
async def test_vary_is_merged(before: list[bytes], after: list[bytes]) -> None:
    headers = [(b"x", b"1"), *((b"Vary", value) for value in before)]
    reply = await Server(answering(read, headers=headers)).get()

    assert reply.header(b"vary") == after
    assert reply.header(b"x") == [b"1"]


@pytest.mark.parametrize("before", [[], [b"no-cache"], [b"max-age=60", b"private"], [b"no-store"]])
async def test_a_response_with_a_cookie_is_never_stored(before: list[bytes]) -> None:
    headers = [(b"Cache-Control", value) for value in before]
    server = Server(answering(write, headers=headers))
    first = await server.get()
    second = await server.get(first.cookie)

    assert first.header(b"cache-control") == [b"no-store"]
    assert second.header(b"cache-control") == before


@pytest.mark.parametrize("said", [b"public, max-age=60", b"s-maxage=60", b"PUBLIC"])
async def test_a_response_that_caches_may_share_is_reported_when_it_gets_a_cookie(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(answering(write, headers=[(b"cache-control", said)]))
    reply = await server.get()
    await server.get(reply.cookie)

    assert reply.header(b"cache-control") == [b"no-store"]
    assert [record.message for record in caplog.records].count("cacheable_response") == 1


class SharedCache:
    """A cache that many users share, and that obeys `Vary`, `no-store` and `private` (RFC 9111)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stored: list[tuple[tuple[bytes, ...], bytes | None, Any]] = []

    async def get(self, cookie: bytes | None) -> Any:
        for vary, key, reply in self._stored:
            if b"cookie" not in vary or key == cookie:
                return reply
        reply = await self._server.get(cookie)
        control = b",".join(reply.header(b"cache-control"))
        vary = tuple(name.strip().lower() for value in reply.header(b"vary") for name in value.split(b","))
        if b"no-store" not in control and b"private" not in control and b"*" not in vary:
            self._stored.append((vary, cookie, reply))
        return reply


async def test_through_a_shared_cache_nobody_gets_another_ones_cookie_or_page() -> None:
    async def page(session: Session) -> Any:
        await session()
        if not session:
            session["name"] = new_token().id
        return session["name"]

    cache = SharedCache(Server(answering(page, headers=[(b"cache-control", b"max-age=60")])))
    users = [await cache.get(None) for _ in range(5)]

    assert len({reply.cookie for reply in users}) == 5
    for reply in users:
        for _ in range(2):
            assert (await cache.get(reply.cookie)).body == reply.body


# Every way to look at a session: all public methods, properties and special methods that Python has for it.

_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "assert_csrf": ("A" * 64,),
    "check_csrf": ("A" * 64,),
    "__contains__": ("a",),
    "__copy__": (),
    "__delitem__": ("a",),
    "__eq__": ({},),
    "__ge__": ({},),
    "__getitem__": ("a",),
    "__gt__": ({},),
    "__ior__": ({"b": 1},),
    "__le__": ({},),
    "__lt__": ({},),
    "__ne__": ({},),
    "__or__": ({},),
    "__reduce_ex__": (2,),
    "__ror__": ({},),
    "__setitem__": ("b", 1),
    "add_to_set": ("l", 1),
    "get": ("a",),
    "inc": ("n",),
    "login": ("ann",),
    "max": ("n", 1),
    "min": ("n", 1),
    "mul": ("n", 2),
    "pop": ("a", None),
    "pop_first": ("l",),
    "pop_last": ("l",),
    "pull": ("l", 1),
    "pull_all": ("l", [1]),
    "push": ("l", 1),
    "rename": ("a", "b"),
    "require_fresh": (60,),
    "set": ("b", 1),
    "set_default": ("b", 1),
    "setdefault": ("b", 1),
    "take": ("a",),
    "touch": (),
    "unset": ("a",),
    "update": ({"b": 1},),
    "when": ("a", 1),
}
_BLIND = {
    # what asks about the type, or the object, and not about the data
    "__class__", "__class_getitem__", "__delattr__", "__dir__", "__doc__", "__format__", "__ge__", "__getattribute__",
    "__getstate__", "__gt__", "__hash__", "__init__", "__init_subclass__", "__le__", "__lt__", "__module__", "__new__",
    "__orig_bases__", "__parameters__", "__reduce__", "__repr__", "__setattr__", "__sizeof__", "__slots__", "__str__",
    "__subclasshook__", "__abstractmethods__", "__annotations__", "__dict__", "__weakref__", "__static_attributes__",
    "__firstlineno__", "fromkeys",
    # what the middleware asks, and what tells whether anybody looked
    "accessed", "commit", "cookie_header", "discard", "failed_with", "has_cookie", "has_shared", "modified",
    "pending", "secure",
}  # fmt: skip


def _ways() -> list[str]:
    return sorted(
        name for name in dir(Session) if name not in _BLIND and (not name.startswith("_") or name.endswith("__"))
    )


def test_the_list_of_ways_to_look_at_a_session_is_whole() -> None:
    assert len(_ways()) > 50
    assert {"__getitem__", "__len__", "__contains__", "get", "id", "owner", "inc", "touch", "load"} <= set(_ways())
    assert set(_ARGUMENTS) - set(_ways()) <= _BLIND


async def _look(session: Session, name: str) -> None:
    value = getattr(session, name)
    if not callable(value):
        return
    result = value(*_ARGUMENTS.get(name, ()))
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("name", _ways())
@pytest.mark.parametrize("cookie", ["none", "live", "unknown"])
@pytest.mark.parametrize("loaded", [False, True])
async def test_every_look_at_a_session_makes_the_response_vary(name: str, cookie: str, *, loaded: bool) -> None:
    maker = Server(answering(write))
    live = (await maker.get()).cookie
    raised: list[BaseException] = []

    async def handle(session: Session) -> None:
        if loaded:
            await session.load()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                await _look(session, name)
            except (AtomicSessionError, KeyError) as error:
                raised.append(error)

    server = Server(answering(handle), manager=maker.manager)
    reply = await server.get({"none": None, "live": live, "unknown": b"sid=" + new_token().value.encode()}[cookie])

    assert reply.error is None, (reply.error, raised)
    assert reply.header(b"vary") == [b"Cookie"]


_OTHER_LOOKS: dict[str, Callable[[Any], Awaitable[object] | object]] = {
    "len": len,
    "bool": bool,
    "in": lambda session: "a" in session,
    "dict": dict,
    "unpack": lambda session: {**session},
    "mark_accessed": lambda session: session.mark_accessed(),
}


@pytest.mark.parametrize("name", _OTHER_LOOKS)
async def test_a_look_from_outside_makes_the_response_vary(name: str) -> None:
    async def handle(session: Session) -> None:
        _OTHER_LOOKS[name](session)

    assert (await Server(answering(handle)).get()).header(b"vary") == [b"Cookie"]


async def test_a_load_that_failed_makes_the_response_vary() -> None:
    async def handle(session: Session) -> None:
        with pytest.raises(AtomicSessionError):
            len(session)

    server = Server(answering(handle))
    assert (await server.get(b"sid=" + new_token().value.encode())).header(b"vary") == [b"Cookie"]


# --- settings


@pytest.mark.parametrize("extra", [{"store": MemoryStore()}, {"max_age": 5}, {"max_lifetime": 5}, {"touch_after": 5}])
def test_what_is_the_managers_is_not_given_twice(extra: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="manager"):
        SessionMiddleware(answering(), manager=Server(answering()).manager, **extra)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_age": "nonsense"},
        {"max_age": 0},
        {"max_age": -1},
        {"max_age": float("nan")},
        {"max_age": "1 day", "touch_after": "1 day"},
        {"max_lifetime": "0 days"},
        {"store": "nonsense"},
        {"store": "mysql://host/db"},
        {"store": "sqlite://sessions.db"},
        {"store": "memory://x"},
        {"session_cookie": "a b"},
        {"session_cookie": ""},
        {"path": "no-slash"},
        {"path": "/a\r\nSet-Cookie: x=1"},
        {"same_site": "maybe"},
        {"same_site": "none", "https_only": False},
        {"domain": "a;b"},
        {"secret_key": ""},
        {"secret_key": []},
        {"https_only": "yes"},
        {"autoload": "yes"},
        {"autoload": 1},
        {"autoload": None},
        {"secret_key": 5},
        {"store": 5},
    ],
)
def test_nonsense_raises_when_the_middleware_is_made(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        SessionMiddleware(answering(), **({"store": "memory://"} | settings))


def test_what_is_no_manager_is_refused_by_name() -> None:
    nonsense: Any = "sqlite:///sessions.db"
    with pytest.raises(TypeError, match="manager"):
        SessionMiddleware(answering(), manager=nonsense)
