"""The lesser weaknesses that were observed in the original, and that ours does not have them: B21 to B35."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from tests.heritage.browser import Browser
from tests.session.kit import MINUTE, Clock, SpyStore, failing

from atomic_session import OperatorError, Session, SessionManager, SessionMiddleware, StoreUnavailable
from atomic_session.commands import Create
from atomic_session.errors import LimitExceeded
from atomic_session.token import parse_token


async def _write(session: Session) -> None:
    await session.set("a", 1)


async def _read(session: Session) -> dict[str, Any]:
    return dict(await session())


async def test_b21_a_value_is_never_an_operator(browser: Browser) -> None:
    async def work(session: Session) -> Any:
        await session.set("l", [1, 2, {"$gte": 0}])
        await session.pull("l", {"$gte": 0})
        assert not await session.when("l", {"$exists": True}).set("x", 1)
        return (await session())["l"]

    assert await browser.get(work) == [1, 2]


async def test_b22_the_cookie_has_a_policy(store: SpyStore) -> None:
    async with Browser(SessionManager(store), scheme="https") as one:
        header = (await one.visit(_write)).headers["set-cookie"]
    assert header.startswith("__Host-sid=")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in header.split(";")}


async def test_b23_an_error_of_the_application_keeps_the_cookie(browser: Browser) -> None:
    async def fail(session: Session) -> None:
        await session.set("tries", 1)
        raise HTTPException(422)

    response = await browser.visit(fail)
    assert response.status_code == 422
    assert "sid=" in response.headers["set-cookie"]


async def test_b24_rotating_keeps_the_data_and_the_old_id_is_known_to_be_gone(browser: Browser) -> None:
    await browser.get(_write)
    cookies = browser.cookies

    async def rotate(session: Session) -> None:
        await session.rotate()

    await browser.get(rotate)
    assert await browser.get(_read) == {"a": 1}
    assert (await browser.visit(_write, cookies)).status_code == 401


async def test_b25_an_error_is_not_remembered_within_the_request(browser: Browser, store: SpyStore) -> None:
    await browser.get(_write)
    store.before = failing(StoreUnavailable("a hiccup"))

    async def retry(session: Session) -> dict[str, Any]:
        with pytest.raises(StoreUnavailable):
            await session()
        return dict(await session())

    assert await browser.get(retry) == {"a": 1}


async def test_b26_no_cookie_is_sent_for_a_record_that_is_not_there(browser: Browser, store: SpyStore) -> None:
    store.before = failing(StoreUnavailable("down"))

    async def swallow(session: Session) -> str:
        with pytest.raises(StoreUnavailable):
            await session.set("a", 1)
        return "done"

    response = await browser.visit(swallow)
    assert response.status_code == 200
    assert "set-cookie" not in response.headers


async def test_b27_a_shorter_lifetime_reaches_the_sessions_that_are_there(store: SpyStore, clock: Clock) -> None:
    async with Browser(SessionManager(store, clock=clock)) as before:
        await before.visit(_write)
        cookies = before.cookies
        async with Browser(SessionManager(store, clock=clock, max_age="1 hour")) as after:
            await after.visit(_write, cookies)
            clock.advance(60 * MINUTE)
            assert (await after.visit(_read, cookies)).json() == {}


async def test_b28_a_cookie_that_an_older_key_signed_is_signed_again_with_its_lifetime(store: SpyStore) -> None:
    old, new = "o" * 32, "n" * 32
    async with Browser(SessionManager(store), secret_key=old) as before:
        await before.visit(_write)
        cookies = before.cookies
    async with Browser(SessionManager(store), secret_key=[new, old]) as after:
        response = await after.visit(_read, cookies)
        assert response.json() == {"a": 1}
        assert "Max-Age=" in response.headers["set-cookie"]
        assert after.cookies["sid"] != cookies["sid"]


async def test_b29_what_is_kept_of_a_secret_is_sha_256_and_chance_is_chance(browser: Browser, store: SpyStore) -> None:
    await browser.visit(_write)
    token = parse_token(browser.cookies["sid"].encode())
    assert token is not None
    (created,) = (command for command in store.commands if isinstance(command, Create))
    assert created.record.digest == hashlib.sha256(token.value.partition(".")[2].encode()).digest()

    async def salts(session: Session) -> int:
        await session()
        return len({session.create_csrf()[:20] for _ in range(100)})

    assert await browser.get(salts) == 100


async def test_b29_a_forged_signature_costs_no_trip(store: SpyStore) -> None:
    async with Browser(SessionManager(store), secret_key="k" * 32) as one:
        await one.visit(_write)
        forged = one.cookies["sid"][:-2] + ("AA" if not one.cookies["sid"].endswith("AA") else "BB")
        trips = store.trips
        assert (await one.visit(_read, {"sid": forged})).json() == {}
        assert store.trips == trips


async def test_b30_what_depends_on_the_cookie_says_so_to_caches(browser: Browser) -> None:
    first = await browser.visit(_write)
    assert "no-store" in first.headers["cache-control"]
    assert "cookie" in (await browser.visit(_read)).headers["vary"].lower()

    async def protected(session: Session) -> None:
        session.assert_csrf("nonsense")

    async def token(session: Session) -> str:
        await session()
        return session.create_csrf()

    assert (await browser.visit(protected)).status_code == 403
    assert "no-store" in (await browser.visit(token)).headers["cache-control"]


@pytest.mark.parametrize("max_age", [0, -1, math.nan, math.inf, True, "", "1 fortnight", {}, "nonsense"])
def test_b32_a_lifetime_that_is_nonsense_is_refused_at_once(max_age: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        SessionManager("memory://", max_age=max_age)


def test_b32_a_cookie_name_that_is_nonsense_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="s id"):
        SessionMiddleware(lambda *_: None, session_cookie="s id")  # type: ignore[arg-type,return-value,unused-ignore]


async def test_b33_several_values_are_pushed_by_push(browser: Browser) -> None:
    async def work(session: Session) -> Any:
        assert not hasattr(session, "push_all")
        await session.push("l", 1, 2, 3)
        return (await session())["l"]

    assert await browser.get(work) == [1, 2, 3]


async def test_b34_a_session_is_a_dict_and_prints_as_one(browser: Browser) -> None:
    async def work(session: Session) -> JSONResponse:
        await session.set("__proto__", {"admin": True}).set("n", 1)
        return JSONResponse(json.loads(json.dumps(await session())))

    assert await browser.get(work) == {"__proto__": {"admin": True}, "n": 1}


async def test_b35_an_owner_logs_out_everywhere(store: SpyStore) -> None:
    async def login(session: Session) -> None:
        await session.login("alice")

    manager = SessionManager(store)
    async with Browser(manager) as one, Browser(manager) as two:
        await one.visit(login)
        await two.visit(login)
        assert len(await manager.sessions_of("alice")) == 2
        assert await manager.destroy_all("alice") == 2
        assert (await one.visit(_read)).json() == {}


async def test_b35_a_session_has_limits(browser: Browser) -> None:
    async def fill(session: Session) -> None:
        await session.set("n", "text")
        with pytest.raises(LimitExceeded):
            await session.set("x", "y" * 300_000)
        with pytest.raises(OperatorError):
            await session.push("n", 1)

    await browser.get(fill)
    assert await browser.get(_read) == {"n": "text"}
