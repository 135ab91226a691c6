"""Cookies that are malformed, oversized, duplicated, forged, foreign or unknown: no session, no row, no harm."""

from __future__ import annotations

from typing import Any

import pytest
from tests.asgi.kit import Server, answering, edit, read, write
from tests.session.kit import SpyStore

from atomic_session.token import new_token


async def _visitor(server: Server) -> bytes:
    cookie = (await Server(answering(write), manager=server.manager).get()).cookie
    assert cookie is not None
    server.store.commands.clear()
    return cookie


def _unknown() -> bytes:
    return b"sid=" + new_token().value.encode()


FOREIGN = [
    b"sid=eyJ1c2VyIjogMX0=.aRZ1Yw.abcdefghijklmnopqrstuvwxyz",  # what Starlette's own middleware writes
    b"sid=0123456789abcdef0123456789abcdef",
    b'sid="quoted"',
    b"sid=",
    b"sid",
    b"=sid",
    b"sid==",
    b"sid=\xff\xfe\x00",
    b"sid=" + b"A" * 66,
    b"sid=" + b"A" * 60_000,
    b"sid=../../etc/passwd",
    b"sid=1; sid=2",
    b"sid=%00",
    b"; ; ;",
    b"SID=" + new_token().value.encode(),
    b"xsid=" + new_token().value.encode(),
    b"__Host-sid=" + new_token().value.encode(),
    b"sid =" + new_token().value[:-1].encode(),
    b'sid="' + new_token().value.encode() + b'"',
    b"sid=" + new_token().value.encode() + b"x",
    b"sid=\xa0" + new_token().value.encode(),
]


@pytest.mark.parametrize("cookie", FOREIGN)
async def test_what_is_not_ours_is_no_session_and_takes_no_trip(cookie: bytes) -> None:
    server = Server(answering(read))
    reply = await server.get(cookie)

    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.header(b"set-cookie") == []
    assert reply.header(b"vary") == [b"Cookie"]
    assert server.store.trips == 0


@pytest.mark.parametrize("cookie", FOREIGN)
async def test_over_what_is_not_ours_a_write_starts_a_session(cookie: bytes) -> None:
    server = Server(answering(edit))
    reply = await server.get(cookie)

    assert reply.cookie is not None
    assert server.store.kinds == ["Create"]


async def test_cookie_headers_of_64_kib_are_searched_and_larger_ones_not_at_all() -> None:
    server = Server(answering(read))
    cookie = await _visitor(server)
    for filler in (b"a=b; ", b"sid; ", b"sid=x;", b"sid" * 100 + b"=; ", b";" * 99 + b"s"):
        padding = filler * (64_000 // len(filler))
        replies = [await server.get(padding + b"; " + cookie), await server.get(cookie + b"; " + padding)]
        for reply in replies:
            assert reply.body in (b"{'n': 1}", b"{}")
            assert (reply.body == b"{}") == (filler == b"sid=x;")
    assert (await server.get(b"a=" + b"b" * 70_000, cookie)).body == b"{}"


async def test_a_cookie_in_any_of_several_fields_is_found() -> None:
    server = Server(answering(read))
    cookie = await _visitor(server)

    for fields in ([cookie, b"a=b"], [b"a=b", cookie], [b"a=b; c=d", b" " + cookie + b" ; e=f"], [cookie, cookie]):
        assert (await server.get(*fields)).body == b"{'n': 1}"


@pytest.mark.parametrize("together", [True, False])
async def test_two_cookies_that_differ_are_neither(caplog: pytest.LogCaptureFixture, *, together: bool) -> None:
    server = Server(answering(read))
    mine, other = await _visitor(server), _unknown()
    for pair in ([mine, other], [other, mine]):
        reply = await server.get(*([b"; ".join(pair)] if together else pair))
        assert reply.body == b"{}"
    assert server.store.trips == 0
    assert [record.message for record in caplog.records].count("duplicate_cookie") == 2


@pytest.mark.parametrize(
    ("cookie", "event"),
    [
        (b"sid=nonsense", "malformed_cookie"),
        (b"a=" + b"b" * 66_000, "oversized_cookie"),
        (_unknown(), "forged_cookie"),
    ],
)
async def test_a_bad_cookie_is_one_event_without_what_it_held(
    cookie: bytes, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server = Server(answering(read), secret_key="key")
    await server.get(cookie)

    assert [record.message for record in caplog.records] == [event]


async def test_a_signed_cookie_survives_a_change_of_keys() -> None:
    old = Server(answering(write), secret_key="old")
    cookie = (await old.get()).cookie
    both = Server(answering(write), manager=old.manager, secret_key=["new", "old"])
    renewed = (await both.get(cookie)).cookie
    new = Server(answering(read), manager=old.manager, secret_key=["new"])

    assert renewed not in (None, cookie)
    assert (await both.get(renewed)).cookie is None
    assert (await new.get(renewed)).body == b"{'n': 3}"
    assert (await new.get(cookie)).body == b"{}"


async def test_ten_thousand_strangers_leave_no_row() -> None:
    async def handle(session: Any) -> None:
        await session.load()
        session.get("a")
        await session.pull("list", 1)
        await session.destroy()

    store = SpyStore()
    server = Server(answering(handle))
    server.store = store
    server.manager.store = store
    cookies = [None, _unknown(), b"sid=nonsense", b"other=1"]
    for number in range(10_000):
        reply = await server.get(cookies[number % 4])
        assert reply.status == 200
        assert reply.cookie is None

    assert store.rows == 0
    assert len(store.inner._records) == 0  # type: ignore[attr-defined]
    assert set(store.kinds) == {"Load"}
    assert store.trips == 2_500
