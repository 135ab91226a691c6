"""Every combination of what a request can say, sent through both middlewares and held against tables."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, NamedTuple

import pytest
from tests.security import oracle
from tests.security.kit import Scope, Shop, call
from tests.security.oracle import Case, Mode
from tests.session.kit import cookie_of

from atomic_session import Session
from atomic_session.session import new_session
from atomic_session.token import new_token

HOST = b"shop.example"
ORIGINS = {
    "own": b"https://shop.example",
    "own_http": b"http://shop.example",
    "own_port": b"https://shop.example:8443",
    "sibling": b"https://blog.shop.example",
    "foreign": b"https://evil.test",
    "prefixed": b"https://shop.example.evil.test",
    "null": b"null",
    "malformed": b"https://shop.example/",
    "trusted": b"https://pay.example",
}
SENT_TYPES = {
    "application/x-www-form-urlencoded": b"application/x-www-form-urlencoded; charset=UTF-8",
    "multipart/form-data": b"multipart/form-data; boundary=b",
}
REFUSALS = {"token_missing": "token", "token_wrong": "token"}  # the procedure has one word for both


class Given(NamedTuple):
    """What the browsers of all cases hold."""

    cookies: dict[str, bytes]
    good: bytes
    other_sessions: bytes
    previous: bytes


async def _prepare(shop: Shop) -> Given:
    def session(cookie: bytes | None) -> Session:
        headers = [] if cookie is None else [(b"cookie", cookie)]
        return new_session(shop.app._context, headers, secure=True)

    mine, other = session(None), session(None)
    await mine.set("n", 1)
    await other.set("n", 2)
    previous, other_sessions = mine.create_csrf(), other.create_csrf()
    await mine.rotate()
    good, issued = mine.create_csrf(), cookie_of(mine)
    assert issued is not None
    cookies = {
        "issued": b"theme=dark; " + issued,
        "malformed": b"__Host-sid=nonsense",
        "two": issued + b"; __Host-sid=" + new_token().value.encode(),
    }
    shop.store.commands.clear()
    return Given(cookies, good.encode(), other_sessions.encode(), previous.encode())


def _body(kind: str, fields: dict[bytes, bytes]) -> bytes:
    if kind != "multipart/form-data":
        return b"&".join(b"%b=%b" % field for field in fields.items())
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(part % field for field in fields.items()) + b"--b--\r\n"


def _request(case: Case, given: Given) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return what the browser of *case* sends."""
    headers = [(b"host", HOST)]
    if case.site != "absent":
        headers.append((b"sec-fetch-site", case.site.encode()))
    if case.origin != "absent":
        headers.append((b"origin", ORIGINS[case.origin]))
    if case.cookie != "absent":
        headers.append((b"cookie", given.cookies[case.cookie]))
    sent_in_header = {
        "good_header": given.good,
        "bad_header_good_field": b"A" * 64,
        "other_sessions_header": given.other_sessions,
        "previous_header": given.previous,
    }.get(case.token)
    if sent_in_header is not None:
        headers.append((b"x-csrf-token", sent_in_header))
    if case.content_type != "absent":
        headers.append((b"content-type", SENT_TYPES.get(case.content_type, case.content_type.encode())))
    if case.twice:
        name = case.twice.encode()
        headers = [(name, b"x"), (name, b"x"), *(pair for pair in headers if pair[0] != name)]
    fields = {b"color": b"red"} | ({b"_csrf": given.good} if case.token.endswith("good_field") else {})
    return headers, _body(case.content_type, fields)


def _path(case: Case) -> str:
    marks = ("require_token", "protect_safe", "exempt")
    return "/" + ".".join(mark for mark in marks if getattr(case, mark))


def _marked(mark: str) -> Callable[[Scope], bool]:
    return lambda scope: mark in scope["path"]


def _shop(mode: str) -> Shop:
    async def enter(_session: Session) -> str:
        return "in"

    marks: dict[str, Any] = {mark: _marked(mark) for mark in ("require_token", "protect_safe", "exempt")}
    return Shop(enter, mode=mode, trusted_origins=["https://pay.example"], **marks)


async def _found(shop: Shop, case: Case, given: Given) -> str:
    """Return what became of it, in the words of the tables."""
    headers, body = _request(case, given)
    shop.events.clear()
    reply = await call(shop.app, case.method, headers, [body], path=_path(case))
    reasons = [str(facts["reason"]) for facts in shop.heard("csrf_failed")]
    assert (reply.status, reply.body, len(reasons)) in ((200, b"in", 0), (403, b"The request was refused.", 1)), case
    return REFUSALS.get(reasons[0], reasons[0]) if reasons else "pass"


async def _compare(shop: Shop, cases: Iterable[Case]) -> Counter[str]:
    given = await _prepare(shop)
    counted: Counter[str] = Counter()
    for case in cases:
        found = await _found(shop, case, given)
        assert found == oracle.expected(case), case
        counted[found] += 1
    assert shop.store.trips == 0
    return counted


@pytest.fixture(autouse=True)
def _no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "atomic_session")  # tens of thousands of refusals are expected


@pytest.mark.parametrize("mode", oracle.MODES)
async def test_every_case_is_decided_as_the_tables_say(mode: Mode) -> None:
    said = product(oracle.METHODS, oracle.SITES, oracle.ORIGINS, oracle.COOKIES, oracle.TOKENS, oracle.TYPES)
    counted = await _compare(
        _shop(mode),
        (Case(method, site, origin, cookie, token, kind, mode) for method, site, origin, cookie, token, kind in said),
    )

    assert counted.total() == 6 * 7 * 10 * 4 * 6 * 5  # of each of three modes: 151,200 cases
    assert set(counted) == {"pass", "cross_origin", "null_origin", "no_evidence" if mode == "headers" else "token"}
    assert min(counted.values()) > 800


@pytest.mark.parametrize("mode", oracle.MODES)
async def test_the_marks_of_a_route_change_what_the_tables_say(mode: Mode) -> None:
    marks = product((False, True), repeat=3)
    said = product(oracle.METHODS, oracle.SITES, oracle.ORIGINS, ("absent", "issued"), ("none", "good_header"), marks)
    counted = await _compare(
        _shop(mode),
        (
            Case(method, site, origin, cookie, token, "absent", mode, *marked)
            for method, site, origin, cookie, token, marked in said
        ),
    )

    assert counted.total() == 6 * 7 * 10 * 2 * 2 * 8
    assert counted["token"] > 50  # where a route asks for one, "headers" mode does as well


@pytest.mark.parametrize("twice", ["origin", "sec-fetch-site", "host", "content-type"])
async def test_what_comes_twice_is_refused_whatever_else_is_said(twice: str) -> None:
    said = product(oracle.METHODS, oracle.ORIGINS, oracle.COOKIES, ("none", "good_header"), (False, True))
    counted = await _compare(
        _shop("auto"),
        (
            Case(method, "same-origin", origin, cookie, token, "absent", "auto", exempt=exempt, twice=twice)
            for method, origin, cookie, token, exempt in said
        ),
    )

    assert counted == {"malformed": 6 * 10 * 4 * 2 * 2}


@pytest.mark.parametrize("mode", oracle.MODES)
async def test_every_handshake_of_a_websocket_is_decided_as_the_tables_say(mode: Mode) -> None:
    shop = _shop(mode)
    given = await _prepare(shop)
    counted: Counter[str] = Counter()
    for site, origin, cookie, exempt in product(oracle.SITES, oracle.ORIGINS, oracle.COOKIES, (False, True)):
        case = Case("GET", site, origin, cookie, "none", "absent", mode, exempt=exempt)
        headers, _ = _request(case, given)
        shop.events.clear()
        reply = await call(shop.app, "GET", headers, scheme="wss", path=_path(case))
        reasons = [str(facts["reason"]) for facts in shop.heard("csrf_failed")]
        found = reasons[0] if reasons else "pass"

        assert found == oracle.expected_of_socket(site, origin, cookie, exempt=exempt), case
        assert reply.status == (403 if reasons else 101), case
        counted[found] += 1

    assert counted.total() == 7 * 10 * 4 * 2
    assert set(counted) == {"pass", "cross_origin", "null_origin", "no_evidence"}


@pytest.mark.parametrize("row", oracle.OWN)
async def test_an_origin_is_own_as_the_tables_say(row: oracle.Own) -> None:
    shop = _shop("auto")
    headers = [(b"origin", row.origin.encode())]
    if row.host is not None:
        headers.append((b"host", row.host.encode()))
    reply = await call(shop.app, "POST", headers, scheme=row.scheme)

    assert [facts["reason"] for facts in shop.heard("csrf_failed")] == ([] if row.own else ["cross_origin"])
    assert reply.status == (200 if row.own else 403)
