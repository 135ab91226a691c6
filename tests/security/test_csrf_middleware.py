"""The middleware around an application: what it reads, what it passes on, whom it lets in."""

from __future__ import annotations

import asyncio
import inspect
from itertools import pairwise
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from tests.security.kit import HOST, Message, Receive, Reply, Scope, Send, Shop, answer, call, one_token, scope_of

from atomic_session import CSRFMiddleware, Session, SessionMiddleware
from atomic_session.csrf_middleware import csrf_exempt

FORM = (b"content-type", b"application/x-www-form-urlencoded")
PARTS = (b"content-type", b"multipart/form-data; boundary=xyz")
CROSS = (b"sec-fetch-site", b"cross-site")
SAME = (b"sec-fetch-site", b"same-origin")


async def _in(_session: Session) -> str:
    return "in"


def _header(made: bytes, name: bytes = b"x-csrf-token") -> tuple[bytes, bytes]:
    return name, made


async def _visitor(**csrf: Any) -> tuple[Shop, bytes, bytes]:
    """Return a shop, the cookie of a visitor, and a token of it."""
    shop = Shop(one_token, **csrf)
    page = await shop.visit()
    assert page.cookie is not None
    return shop, page.cookie, page.body


# --- the token


@pytest.mark.parametrize("mode", ["auto", "strict"])
async def test_a_visitor_without_a_session_sends_a_form_with_the_token_of_the_page(mode: str) -> None:
    shop, cookie, made = await _visitor(mode=mode)

    assert (await shop.visit(cookie, "POST", FORM, body=[b"_csrf=" + made])).status == 200
    assert (await shop.visit(cookie, "POST", FORM, body=[b"_csrf=" + made.swapcase()])).status == 403
    assert (await shop.visit(cookie, "POST", FORM)).status == 403
    assert shop.store.trips == 0


async def test_several_headers_may_hold_the_token_and_only_headers_are_judged_then() -> None:
    shop, cookie, made = await _visitor(header_names=["X-CSRF-Token", "X-XSRF-Token"])
    body = [b"_csrf=" + made]
    wrong = b"A" * 64

    assert (await shop.visit(cookie, "POST", _header(made, b"X-XSRF-Token"))).status == 200
    assert (await shop.visit(cookie, "POST", FORM, _header(wrong), body=body)).status == 403
    assert (await shop.visit(cookie, "POST", FORM, _header(b""), body=body)).status == 403
    assert (await shop.visit(cookie, "POST", _header(made), _header(made))).status == 403
    assert (await shop.visit(cookie, "POST", _header(made), _header(made, b"x-xsrf-token"))).status == 403
    assert (await shop.visit(cookie, "POST", body=body)).status == 403
    reasons = [facts["reason"] for facts in shop.heard("csrf_failed")]
    assert reasons == ["token_wrong", "token_wrong", "malformed", "malformed", "token_missing"]


async def test_a_token_is_never_taken_from_the_query_or_from_a_cookie() -> None:
    shop, cookie, made = await _visitor()
    with_both = cookie + b"; _csrf=" + made + b"; x-csrf-token=" + made
    reply = await shop.visit(with_both, "POST", FORM, body=[b""], query_string=b"_csrf=" + made)

    assert reply.status == 403


async def test_the_field_may_have_another_name() -> None:
    shop, cookie, made = await _visitor(field="authenticity_token")

    assert (await shop.visit(cookie, "POST", FORM, body=[b"authenticity_token=" + made])).status == 200
    assert (await shop.visit(cookie, "POST", FORM, body=[b"_csrf=" + made])).status == 403


async def test_tokens_may_be_bound_to_what_they_are_for() -> None:
    def purpose(scope: Scope) -> str:
        return f"{scope['method']} {scope['path']}"

    async def for_transfer(session: Session) -> str:
        return session.create_csrf("POST /transfer")

    shop = Shop(for_transfer, mode="strict", purpose=purpose)
    page = await shop.visit()
    sent = (page.cookie, "POST", SAME, _header(page.body))

    assert (await shop.visit(*sent, path="/transfer")).status == 200
    assert (await shop.visit(*sent, path="/delete")).status == 403
    assert (await Shop(for_transfer, mode="strict", purpose="POST /transfer").visit(*sent)).status == 200
    assert (await Shop(for_transfer, mode="strict").visit(*sent)).status == 403


async def test_a_signed_cookie_has_the_same_tokens() -> None:
    shop, cookie, made = await _visitor(secret_key="key")

    assert (await shop.visit(cookie, "POST", _header(made))).status == 200
    assert (await shop.visit(cookie[:-1] + b"_", "POST", _header(made))).status == 403


# --- the body


def _pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


class _Wire:
    """The messages of one request, and what the application saw of them."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.sent: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": place + 1 < len(pieces)}
            for place, piece in enumerate(pieces)
        ]
        self.left = list(self.sent)
        self.seen: list[Message] = []
        self.taken_before_the_application = -1
        self.status = 0

    async def receive(self) -> Message:
        return self.left.pop(0) if self.left else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.taken_before_the_application = len(self.sent) - len(self.left)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            self.seen.append(message)
        await answer(send)


async def _pass(shop: Shop, wire: _Wire, cookie: bytes, *headers: tuple[bytes, bytes]) -> _Wire:
    shop.csrf.app = wire.app
    scope = scope_of("POST", "/", [HOST, (b"cookie", cookie), *headers])
    await shop.app(scope, wire.receive, wire.send)
    return wire


@given(cuts=st.lists(st.integers(0, 400), max_size=12), multipart=st.booleans())
async def test_the_application_receives_what_was_sent_piece_by_piece(cuts: list[int], multipart: bool) -> None:
    shop, cookie, made = await _visitor()
    part = b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    parts = part % (b"a", b"1") + part % (b"_csrf", made) + part % (b"b", b"2") * 3 + b"--xyz--\r\n"
    body = parts if multipart else b"a=1&_csrf=" + made + b"&b=2" * 20
    wire = await _pass(shop, _Wire(_pieces(body, cuts)), cookie, PARTS if multipart else FORM)

    assert wire.status == 200
    assert wire.seen == wire.sent


async def test_behind_the_token_everything_still_streams() -> None:
    shop, cookie, made = await _visitor()
    pieces = [b"_csrf=" + made + b"&file=", *[b"x" * 10_000] * 500]
    wire = await _pass(shop, _Wire(pieces), cookie, FORM)

    assert wire.taken_before_the_application == 1
    assert wire.seen == wire.sent


@pytest.mark.parametrize(
    ("headers", "mode"),
    [([SAME], "auto"), ([(b"origin", b"https://shop.example")], "auto"), ([SAME], "headers")],
)
async def test_with_a_browser_of_today_no_byte_is_read(headers: list[tuple[bytes, bytes]], mode: str) -> None:
    shop, cookie, _ = await _visitor(mode=mode)
    wire = await _pass(shop, _Wire([b"a=1"]), cookie, FORM, *headers)

    assert wire.taken_before_the_application == 0


async def test_with_the_token_in_a_header_no_byte_is_read() -> None:
    shop, cookie, made = await _visitor(mode="strict")
    wire = await _pass(shop, _Wire([b"a=1"]), cookie, FORM, SAME, _header(made))

    assert wire.taken_before_the_application == 0


async def test_a_request_that_is_refused_by_its_headers_is_not_read() -> None:
    shop, cookie, _ = await _visitor()
    wire = await _pass(shop, _Wire([b"a=1"]), cookie, FORM, CROSS)

    assert (wire.status, len(wire.left), wire.taken_before_the_application) == (403, 1, -1)


async def test_of_a_form_that_never_comes_to_its_token_64_kib_are_read() -> None:
    shop, cookie, made = await _visitor()
    wire = await _pass(shop, _Wire([b"x" * 16_384] * 1_000 + [b"&_csrf=" + made]), cookie, FORM)

    assert wire.status == 403
    assert len(wire.sent) - len(wire.left) == 5
    assert shop.heard("csrf_failed")[0]["reason"] == "token_too_late"


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 403)])
async def test_the_token_may_end_with_the_64th_kibibyte(more: int, status: int) -> None:
    shop, cookie, made = await _visitor()
    ours = b"&_csrf=" + made + b"&"
    body = b"x" * (65_536 + more - len(ours)) + ours
    wire = await _pass(shop, _Wire([body, b"more"]), cookie, FORM)

    assert wire.status == status


async def test_a_message_may_leave_out_what_is_nothing() -> None:
    shop, cookie, made = await _visitor()
    wire = _Wire([])
    wire.left = [
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"_csrf=" + made},
    ]
    wire.sent = list(wire.left)
    await _pass(shop, wire, cookie, FORM)

    assert (wire.status, wire.seen) == (200, wire.sent)


async def test_a_client_that_leaves_in_its_form_is_not_answered() -> None:
    shop, cookie, _ = await _visitor()
    wire = _Wire([b"a=1", b"b=2"])
    wire.left.pop()
    await _pass(shop, wire, cookie, FORM)

    assert (wire.status, wire.taken_before_the_application) == (0, -1)


async def test_a_form_that_comes_too_slowly_is_refused() -> None:
    shop, cookie, _ = await _visitor(body_timeout=0.01)
    wire = _Wire([])

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    wire.receive = never  # type: ignore[method-assign]
    await _pass(shop, wire, cookie, FORM)

    assert wire.status == 403
    assert shop.heard("csrf_failed")[0]["reason"] == "form_too_slow"


# --- who is let in, and what is said


async def test_a_refusal_is_constant_stored_by_nobody_and_told_without_any_secret() -> None:
    shop, cookie, made = await _visitor()
    replies: list[Reply] = [
        await shop.visit(cookie, "POST", CROSS),
        await shop.visit(cookie, "POST", FORM, body=[b"_csrf=" + made[::-1]]),
        await shop.visit(cookie, "POST", (b"origin", b"null")),
    ]

    assert {(reply.status, reply.body, *reply.all(b"cache-control")) for reply in replies} == {
        (403, b"The request was refused.", b"no-store")
    }
    assert [facts["reason"] for facts in shop.heard("csrf_failed")] == ["cross_origin", "token_wrong", "null_origin"]
    secret = cookie.partition(b".")[2].decode()
    assert secret not in repr(shop.events)
    assert made.decode() not in repr(shop.events)
    assert shop.store.trips == 0


async def test_report_only_lets_everything_in_and_tells() -> None:
    shop, cookie, _ = await _visitor(report_only=True)
    assert (await shop.visit(cookie, "POST", CROSS)).status == 200
    wire = await _pass(shop, _Wire([b"a=1&", b"b=2"]), cookie, FORM)

    assert (wire.status, wire.seen) == (200, wire.sent)
    assert [(facts["reason"], facts["report_only"]) for facts in shop.heard("csrf_failed")] == [
        ("cross_origin", True),
        ("token_missing", True),
    ]


async def test_exempt_paths_are_exact() -> None:
    shop, cookie, _ = await _visitor(exempt=["/hook"])
    found = {
        path: (await shop.visit(cookie, "POST", CROSS, path=path)).status
        for path in ("/hook", "/hook/", "/hook/more", "/Hook", "//hook", "/x/hook", "/hook?x")
    }

    assert [path for path, status in found.items() if status == 200] == ["/hook"]


@pytest.mark.parametrize(
    ("path", "root"), [("/hook", ""), ("/api/hook", "/api"), ("/hook", "/api"), ("/a/b/hook", "/a/b")]
)
async def test_paths_are_those_of_the_applications_own_routes(path: str, root: str) -> None:
    """A server that is told of a `root_path`, and a mount, put it before the path."""
    shop, cookie, _ = await _visitor(exempt=["/hook"], protect_safe=["/out"], require_token=["/in"])
    out, into = (path.replace("hook", name) for name in ("out", "in"))

    assert (await shop.visit(cookie, "POST", CROSS, path=path, root_path=root)).status == 200
    assert (await shop.visit(cookie, "GET", CROSS, path=out, root_path=root)).status == 403
    assert (await shop.visit(None, "POST", path=into, root_path=root)).status == 403
    assert (await shop.visit(cookie, "POST", CROSS, path="/apihook", root_path="/api")).status == 403


@pytest.mark.parametrize("setting", ["exempt", "protect_safe", "require_token"])
def test_a_predicate_is_no_function_that_would_have_to_be_awaited(setting: str) -> None:
    async def always(_: Scope) -> bool:
        return False

    settings: dict[str, Any] = {setting: always}
    with pytest.raises(TypeError, match=setting):
        Shop(one_token, **settings)


async def test_a_predicate_may_say_what_is_exempt_guarded_and_required() -> None:
    shop, cookie, made = await _visitor(
        exempt=lambda scope: scope["path"].startswith("/hooks/"),
        protect_safe=lambda scope: scope["path"] == "/logout",
        require_token=["/login"],
    )

    assert (await shop.visit(cookie, "POST", CROSS, path="/hooks/1")).status == 200
    assert (await shop.visit(cookie, "GET", CROSS, path="/logout")).status == 403
    assert (await shop.visit(cookie, "GET", SAME, path="/logout")).status == 200
    assert (await shop.visit(cookie, "GET", path="/logout")).status == 403
    assert (await shop.visit(cookie, "GET", CROSS)).status == 200
    assert (await shop.visit(None, "POST")).status == 200
    assert (await shop.visit(None, "POST", path="/login")).status == 403
    assert (await shop.visit(cookie, "POST", _header(made), path="/login")).status == 200


async def test_who_is_exempt_is_asked_where_something_would_be_refused_only() -> None:
    asked: list[str] = []

    def exempt(scope: Scope) -> bool:
        asked.append(scope["method"])
        return False

    shop, cookie, _ = await _visitor(exempt=exempt)
    await shop.visit(cookie, "POST", SAME)
    await shop.visit(cookie, "GET", CROSS)
    assert asked == []

    assert (await shop.visit(cookie, "POST", CROSS)).status == 403
    assert asked == ["POST"]


@pytest.mark.parametrize(
    ("method", "header"), [("GET", CROSS), ("POST", SAME), ("POST", (b"origin", b"https://shop.example"))]
)
async def test_what_comes_in_by_its_headers_does_not_come_to_depend_on_the_cookie(
    method: str, header: tuple[bytes, bytes]
) -> None:
    shop = Shop(_in)
    shop.csrf.app = lambda scope, receive, send: answer(send)
    reply = await shop.visit(b"__Host-sid=nonsense", method, header)

    assert (reply.status, reply.all(b"vary")) == (200, [])
    assert shop.events == []


async def test_what_comes_in_for_want_of_our_cookie_depends_on_it() -> None:
    shop = Shop(_in)
    shop.csrf.app = lambda scope, receive, send: answer(send)

    assert (await shop.visit(None, "POST")).all(b"vary") == [b"Cookie"]


# --- routes that are marked


@csrf_exempt
async def hook(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hook")


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("plain")


@csrf_exempt
class Hooks(HTTPEndpoint):
    async def post(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("hooks")


def _starlette() -> Starlette:
    inner = Starlette(routes=[Route("/hook", hook, methods=["POST"]), Route("/plain", plain, methods=["POST"])])
    app = Starlette(
        routes=[
            Route("/hook", hook, methods=["POST"]),
            Route("/shadow", plain, methods=["POST"]),
            Route("/{name}", hook, methods=["PUT"]),
            Route("/shadow", hook, methods=["POST"]),
            Route("/hooks", Hooks),
            Route("/plain", plain, methods=["POST"]),
            Mount("/routes", routes=[Route("/hook", hook, methods=["POST"]), Route("/plain", plain, methods=["POST"])]),
            Mount("/app", app=inner),
        ]
    )
    app.add_middleware(CSRFMiddleware)
    app.add_middleware(SessionMiddleware, store="memory://")
    return app


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/hook", 200),
        ("POST", "/hooks", 200),
        ("PUT", "/anything", 200),
        ("POST", "/routes/hook", 200),
        ("POST", "/app/hook", 200),
        ("POST", "/plain", 403),
        ("POST", "/shadow", 403),
        ("POST", "/anything", 403),
        ("DELETE", "/hook", 403),
        ("POST", "/routes/plain", 403),
        ("POST", "/app/plain", 403),
        ("POST", "/hook/", 403),
        ("POST", "/nothing/hook", 403),
    ],
)
def test_a_marked_route_is_found_as_the_router_finds_it(method: str, path: str, status: int) -> None:
    with TestClient(_starlette()) as client:
        assert client.request(method, path, headers={"sec-fetch-site": "cross-site"}).status_code == status


def test_a_marked_route_of_fastapi_is_found_too() -> None:
    async def marked(number: int) -> int:
        return number

    async def other(number: int) -> int:
        return number

    app, router = FastAPI(), APIRouter(prefix="/api")
    router.post("/hook/{number}")(csrf_exempt(marked))
    router.post("/plain/{number}")(other)
    app.include_router(router)
    app.add_middleware(CSRFMiddleware)
    app.add_middleware(SessionMiddleware, store="memory://")
    with TestClient(app) as client:
        cross = {"sec-fetch-site": "cross-site"}

        assert client.post("/api/hook/7", headers=cross).json() == 7
        assert client.post("/api/plain/7", headers=cross).status_code == 403
        assert client.post("/api/plain/7", headers={"sec-fetch-site": "same-origin"}).json() == 7


# --- websockets


@pytest.mark.parametrize(
    ("origin", "with_cookie", "status"),
    [
        (b"https://shop.example", True, 101),
        (b"https://pay.example", True, 101),
        (b"https://evil.test", True, 403),
        (b"https://evil.test", False, 403),
        (b"null", True, 403),
        (b"http://shop.example", True, 403),
        (None, True, 403),
        (None, False, 101),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "headers", "strict"])
async def test_a_websocket_is_let_in_by_its_origin(
    origin: bytes | None, with_cookie: bool, status: int, mode: str
) -> None:
    shop, cookie, _ = await _visitor(mode=mode, trusted_origins=["https://pay.example"])
    headers = [] if origin is None else [(b"origin", origin)]
    reply = await shop.visit(cookie if with_cookie else None, "", *headers, scheme="wss")

    assert reply.status == status


async def test_a_websocket_of_no_browser_can_be_let_in() -> None:
    shop, cookie, _ = await _visitor(allow_websocket_without_origin=True)

    assert (await shop.visit(cookie, "", scheme="wss")).status == 101


async def test_a_server_that_cannot_answer_a_handshake_closes_it() -> None:
    shop, cookie, _ = await _visitor()
    reply = await shop.visit(cookie, "", (b"origin", b"https://evil.test"), scheme="wss", extensions={})

    assert reply.status == 1008


# --- how it is set up


@pytest.mark.parametrize(
    "setting",
    [
        {"mode": "off"},
        {"mode": ""},
        {"trusted_origins": "https://pay.example"},
        {"trusted_origins": ["pay.example"]},
        {"trusted_origins": ["https://pay.example/"]},
        {"trusted_origins": ["https://*.example"]},
        {"trusted_origins": ["null"]},
        {"trusted_origins": ["*"]},
        {"own_origins": ["https://shop.example/path"]},
        {"exempt": "/hook"},
        {"exempt": ["hook"]},
        {"protect_safe": ["https://shop.example/logout"]},
        {"require_token": ["*"]},
        {"header_names": "X-CSRF-Token"},
        {"header_names": ["X-CSRF-Token", "X CSRF"]},
        {"header_names": ["X-CSRF-T\u00f6ken"]},
        {"header_names": [""]},
        {"header_names": ["Cookie"]},
        {"header_names": ["Origin"]},
        {"field": ""},
        {"field": b"_csrf"},
        {"body_limit": 0},
        {"body_limit": True},
        {"body_limit": "64 KiB"},
        {"body_timeout": "soon"},
    ],
)
def test_a_setting_that_is_nonsense_is_refused_by_its_name(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(setting))}\b"):
        CSRFMiddleware(Shop(_in).app, **setting)


def test_what_is_not_set_is_as_the_documentation_says() -> None:
    defaults = inspect.signature(CSRFMiddleware).parameters

    assert (defaults["body_limit"].default, defaults["body_timeout"].default) == (65_536, 30)
    assert CSRFMiddleware(Shop(_in).app, body_timeout="1 minute")._timeout == 60
    assert CSRFMiddleware(Shop(_in).app, body_limit=1)._limit == 1


async def test_without_a_session_it_says_where_it_belongs() -> None:
    message = "^CSRFMiddleware belongs inside of SessionMiddleware: add SessionMiddleware after it$"
    with pytest.raises(RuntimeError, match=message):
        await call(CSRFMiddleware(Shop(_in).app), "GET")


async def test_the_life_of_the_server_is_none_of_its_business() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> Message:
        return {}

    await CSRFMiddleware(app)({"type": "lifespan"}, nothing, nothing)  # type: ignore[arg-type]

    assert seen == ["lifespan"]
