"""The decision, branch by branch; test_csrf_oracle.py holds every combination against a second opinion."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from tests.security.kit import Scope, Shop, call

from atomic_session import Session
from atomic_session.csrf import MODES, Origin, Policy, RequestFacts, decide

OWN = Origin("https", "shop.example", None)
TRUSTED = Origin("https", "pay.example", None)


async def _nobody(session: Session) -> str:
    return "in"


# --- the pure function alone


def _facts(**said: object) -> RequestFacts:
    return RequestFacts("POST", host="shop.example", secure=True, has_cookie=True)._replace(**said)  # type: ignore[arg-type]


def _verdict(policy: Policy | None = None, **said: object) -> tuple[str, str]:
    return tuple(decide(_facts(**said), policy or Policy()))  # type: ignore[return-value]


@pytest.mark.parametrize("method", ["get", "Get", "TRACE", "CONNECT", "PUT", "PATCH", "PROPFIND", "", "GET "])
def test_a_method_that_is_not_known_to_be_safe_is_not(method: str) -> None:
    assert _verdict(method=method, site="cross-site") == ("reject", "cross_origin")


def test_a_repeated_header_is_refused_even_where_all_else_is_let_in() -> None:
    assert _verdict(method="GET", repeated=True, exempt=True) == ("reject", "malformed")


def test_an_exempt_route_lets_everything_in() -> None:
    assert _verdict(site="cross-site", exempt=True) == ("pass", "exempt")
    assert _verdict(method="GET", exempt=True) == ("pass", "safe")


def test_a_guarded_route_protects_safe_methods() -> None:
    assert _verdict(method="GET", site="cross-site") == ("pass", "safe")
    assert _verdict(method="GET", site="cross-site", guarded=True) == ("reject", "cross_origin")


@pytest.mark.parametrize(
    ("mode", "site", "has_cookie", "expected"),
    [
        ("auto", None, False, ("check", "no_evidence")),
        ("auto", "same-origin", False, ("pass", "same_origin")),
        ("headers", None, False, ("check", "no_evidence")),
        ("headers", None, True, ("reject", "no_evidence")),
        ("strict", "same-origin", False, ("check", "same_origin")),
        ("strict", None, False, ("check", "no_evidence")),
    ],
)
def test_a_route_that_requires_a_token_wants_it_without_a_cookie_too(
    mode: str, site: str | None, has_cookie: bool, expected: tuple[str, str]
) -> None:
    assert _verdict(Policy(mode), site=site, has_cookie=has_cookie, required=True) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("origin", "host", "secure", "expected"),
    [
        ("https://shop.example", "shop.example", True, "same_origin"),
        ("https://SHOP.example", "shop.EXAMPLE", True, "same_origin"),
        ("https://shop.example", "shop.example:443", True, "same_origin"),
        ("https://shop.example:443", "shop.example", True, "same_origin"),
        ("https://shop.example:8443", "shop.example:8443", True, "same_origin"),
        ("https://shop.example:8443", "shop.example", True, "cross_origin"),
        ("https://shop.example", "shop.example:80", True, "cross_origin"),
        ("https://shop.example", "shop.example", False, "same_origin"),  # a proxy that ends TLS and does not say so
        ("http://shop.example", "shop.example", False, "same_origin"),
        ("http://shop.example", "shop.example:80", False, "same_origin"),
        ("http://shop.example", "shop.example:443", False, "cross_origin"),
        ("http://shop.example", "shop.example", True, "cross_origin"),
        ("http://localhost:8000", "localhost:8000", True, "same_origin"),
        ("http://app.localhost", "app.localhost", True, "same_origin"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True, "same_origin"),
        ("http://[::1]:8000", "[::1]:8000", True, "same_origin"),
        ("http://evillocalhost", "evillocalhost", True, "cross_origin"),
        ("http://127.0.0.11", "127.0.0.11", True, "cross_origin"),
        ("ftp://shop.example", "shop.example", True, "cross_origin"),
        ("https://shop.example", None, True, "cross_origin"),
        ("https://shop.example", "", True, "cross_origin"),
        ("https://shop.example", "shop.example/", True, "cross_origin"),
        ("https://shop.example", "evil@shop.example", True, "cross_origin"),
        ("https://shop.example", "shop.example:", True, "cross_origin"),
        ("https://shop.example:", "shop.example", True, "cross_origin"),
        ("https://shop.example:0443", "shop.example", True, "cross_origin"),
        ("https://user@shop.example", "shop.example", True, "cross_origin"),
        ("https://shop.example#", "shop.example", True, "cross_origin"),
        ("https://shop.example?", "shop.example", True, "cross_origin"),
        ("https:\\\\shop.example", "shop.example", True, "cross_origin"),
        ("https://shop.example https://evil.test", "shop.example", True, "cross_origin"),
        (" https://shop.example", "shop.example", True, "cross_origin"),
        ("https://shop.example\n", "shop.example", True, "cross_origin"),
        ("shop.example", "shop.example", True, "cross_origin"),
        ("https://\u017fhop.example", "shop.example", True, "cross_origin"),  # a long s, whose upper case is S
        ("https://shop.example", "\u017fhop.example", True, "cross_origin"),
        ("", "shop.example", True, "cross_origin"),
        ("null", "null", True, "null_origin"),
        ("NULL", "shop.example", True, "cross_origin"),
    ],
)
def test_an_origin_is_own_only_if_scheme_host_and_port_are(
    origin: str, host: str | None, secure: bool, expected: str
) -> None:
    verdict = "pass" if expected == "same_origin" else "reject"

    assert _verdict(origin=origin, host=host, secure=secure) == (verdict, expected)


def test_own_origins_that_are_configured_replace_the_host_header() -> None:
    policy = Policy(own=frozenset([OWN]))

    assert _verdict(policy, origin="https://shop.example", host="internal:8000") == ("pass", "same_origin")
    assert _verdict(policy, origin="https://evil.test", host="evil.test") == ("reject", "cross_origin")


@pytest.mark.parametrize("site", [None, "none", "cross-site", "same-site", "future"])
def test_a_trusted_origin_may_come_in_whatever_the_browser_calls_it(site: str | None) -> None:
    policy = Policy(trusted=frozenset([TRUSTED]))

    assert _verdict(policy, site=site, origin="https://pay.example") == ("pass", "trusted")
    assert _verdict(policy, site=site, origin="http://pay.example") == ("reject", "cross_origin")
    assert _verdict(replace(policy, mode="strict"), site=site, origin="https://pay.example") == ("check", "trusted")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("site", "origin", "has_cookie", "expected"),
    [
        (None, "https://shop.example", True, ("pass", "same_origin")),
        (None, "https://pay.example", True, ("pass", "trusted")),
        (None, "https://evil.test", False, ("reject", "cross_origin")),
        (None, "null", True, ("reject", "null_origin")),
        (None, None, True, ("reject", "no_evidence")),
        (None, None, False, ("pass", "no_evidence")),
        ("same-origin", None, True, ("reject", "no_evidence")),
        ("same-origin", "https://evil.test", True, ("reject", "cross_origin")),
        ("cross-site", None, False, ("reject", "cross_origin")),
        ("cross-site", "https://pay.example", True, ("pass", "trusted")),
    ],
)
def test_a_websocket_goes_by_its_origin_in_every_mode(
    mode: str, site: str | None, origin: str | None, has_cookie: bool, expected: tuple[str, str]
) -> None:
    policy = Policy(mode, trusted=frozenset([TRUSTED]))  # type: ignore[arg-type]
    said = _verdict(policy, method="GET", websocket=True, site=site, origin=origin, has_cookie=has_cookie)

    assert said == expected


def test_a_websocket_of_no_browser_may_be_let_in() -> None:
    said = {"method": "GET", "websocket": True}

    assert _verdict(Policy(lone_sockets=True), **said) == ("pass", "no_evidence")
    assert _verdict(Policy(lone_sockets=True), **said, origin="https://evil.test") == ("reject", "cross_origin")


def test_a_cookie_only_ever_asks_for_more() -> None:
    """The middleware relies on it: what passes with our cookie passes without a look whether it came."""
    sites, origins = (
        (None, "same-origin", "cross-site", "none"),
        (None, "https://shop.example", "null", "https://x.test"),
    )
    flags = [*product((False, True), repeat=4)]
    for mode, method, site, origin, (websocket, guarded, required, exempt) in product(
        MODES, ("GET", "POST"), sites, origins, flags
    ):
        said = {"method": method, "site": site, "origin": origin, "websocket": websocket}
        marks = {"guarded": guarded, "required": required, "exempt": exempt}
        with_cookie = _verdict(Policy(mode), **said, **marks)
        if with_cookie[0] == "pass":
            assert _verdict(Policy(mode), **said, **marks, has_cookie=False) == with_cookie


def test_nothing_at_all_is_no_evidence() -> None:
    assert decide(RequestFacts("POST"), Policy()) == ("pass", "no_evidence")


# --- how the middleware gathers what it decides upon


@pytest.mark.parametrize("name", [b"Origin", b"sec-fetch-site", b"Host", b"Content-Type"])
async def test_a_header_that_decides_may_come_once_only(name: bytes) -> None:
    shop = Shop(_nobody)
    twice = [(name, b"shop.example")] * 2
    headers = [*twice] if name == b"Host" else [(b"host", b"shop.example"), *twice]
    reply = await call(shop.app, "GET", headers)

    assert (reply.status, shop.heard("csrf_failed")[0]["reason"]) == (403, "malformed")


async def test_the_method_is_the_one_that_came() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        seen.append(scope)

    shop = Shop(_nobody)
    shop.csrf.app = app
    headers = [(b"host", b"shop.example"), (b"x-http-method-override", b"GET"), (b"sec-fetch-site", b"cross-site")]
    reply = await call(shop.app, "POST", headers, [b"_method=GET"])

    assert reply.status == 403
    assert seen == []
