"""Each bug and weakness that was observed in the original, and that ours does not have it: B1 to B35."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from tests.heritage.browser import Browser
from tests.session.kit import DAY, MINUTE, Clock, SpyStore, failing

from atomic_session import OperatorError, Session, SessionManager, SessionMiddleware, StoreUnavailable
from atomic_session.errors import CSRFError, LimitExceeded

SHADOWS = (
    "id",
    "maxAge",
    "max_age",
    "expires",
    "cookies",
    "context",
    "set",
    "touch",
    "toString",
    "_setSession",
    "secret",
)
ATTRIBUTES = ("name", "value", "path", "domain", "secure", "httpOnly", "signed", "overwrite", "maxage", "sameSite")


async def _write(session: Session) -> None:
    await session.set("a", 1)


async def _read(session: Session) -> dict[str, Any]:
    return dict(await session())


async def _destroy(session: Session) -> None:
    await session.destroy()


async def test_b1_push_and_every_other_command_do_what_they_say(browser: Browser) -> None:
    async def work(session: Session) -> dict[str, Any]:
        await session.set("l", [1, 2, 3]).set("n", 1).set("old", "x").set("gone", 1)
        await (
            session.push("log", "a", "b")
            .add_to_set("tags", "t")
            .pull("l", 2)
            .inc("n")
            .unset("gone")
            .rename("old", "new")
        )
        await session.add_to_set("tags", "t", "u").pull_all("log", ["b"]).pop_last("l").push("new_list", 1)
        return dict(session)

    expected = {"l": [1], "n": 2, "log": ["a"], "tags": ["t", "u"], "new": "x", "new_list": [1]}
    assert await browser.get(work) == expected
    assert await browser.get(_read) == expected


async def test_b2_data_never_become_attributes_of_the_cookie(browser: Browser) -> None:
    async def work(session: Session) -> None:
        for name in ATTRIBUTES:
            await session.set(name, "x; domain=evil.example")

    header = (await browser.visit(work)).headers["set-cookie"]
    assert "evil" not in header
    names = sorted(part.partition("=")[0].strip() for part in header.split(";"))
    assert names == ["HttpOnly", "Max-Age", "Path", "SameSite", "sid"]


async def test_b3_nothing_from_the_data_is_ever_signed(store: SpyStore) -> None:
    async with Browser(SessionManager(store), secret_key="k" * 32) as victim:
        await victim.visit(_write)
        stolen = victim.cookies["sid"].split(".")[0]

        async def plant(session: Session) -> None:
            await session.set("value", stolen).set("name", "sid").set("id", stolen)

        header = (await victim.visit(plant, cookies={"sid": "nonsense"})).headers["set-cookie"]
        assert stolen not in header


async def test_b4_no_name_of_a_field_breaks_the_session(browser: Browser) -> None:
    async def shadow(session: Session) -> None:
        for name in SHADOWS:
            await session.set(name, None)
        await session.set("maxAge", "1 month").set("id", 5)

    async def use(session: Session) -> list[Any]:
        await session.touch()
        await session.set("after", 1)
        return [session.id, session["id"], session["after"]]

    await browser.get(shadow)
    public, field, after = await browser.get(use)
    assert isinstance(public, str)
    assert (field, after) == (5, 1)


async def test_b5_every_update_renews_and_a_chain_keeps_all_of_its_sets(browser: Browser, clock: Clock) -> None:
    async def work(session: Session) -> list[Any]:
        await session.set("a", 1).set("b", 2)
        assert session.expires is not None
        return [dict(await session()), session.expires.timestamp()]

    before = await browser.get(work)
    clock.advance(MINUTE)
    after = await browser.get(work)
    assert after[0] == {"a": 1, "b": 2}
    assert after[1] - before[1] == 60


async def test_b6_a_write_to_a_session_that_is_gone_says_so(browser: Browser) -> None:
    await browser.get(_write)
    cookies = browser.cookies
    await browser.get(_destroy)
    assert (await browser.visit(_write, cookies)).status_code == 401


async def test_b7_a_late_response_never_brings_a_dead_id_back(browser: Browser) -> None:
    await browser.get(_write)
    cookies = browser.cookies
    await browser.get(_destroy)
    for work in (_write, _read):
        assert "set-cookie" not in (await browser.visit(work, cookies)).headers


async def test_b8_ids_cannot_be_guessed_and_the_store_never_sees_the_secret(store: SpyStore) -> None:
    seen = set()
    for _ in range(20):
        async with Browser(SessionManager(store)) as one:
            await one.visit(_write)
            seen.add(one.cookies["sid"])
    heads = {token[:4] for token in seen}
    assert len(heads) == 20
    assert all(len(token) >= 22 + 1 + 43 for token in seen)
    sent = repr(store.commands)
    assert not [token for token in seen if token.partition(".")[2] in sent]


async def test_b9_an_expired_session_is_neither_accepted_nor_revived(browser: Browser, clock: Clock) -> None:
    await browser.get(_write)
    cookies = browser.cookies
    clock.advance(14 * DAY)
    assert (await browser.visit(_read, cookies)).json() == {}

    async def other(session: Session) -> None:
        await session.set("b", 2)

    await browser.visit(other, cookies)
    assert browser.cookies["sid"] != cookies["sid"]
    assert await browser.get(_read) == {"b": 2}


async def test_b10_reading_creates_neither_a_record_nor_a_cookie(browser: Browser, store: SpyStore) -> None:
    response = await browser.visit(_read)
    assert response.json() == {}
    assert "set-cookie" not in response.headers
    assert store.trips == 0


async def test_b11_it_runs_on_a_mongodb_that_is_supported(server: str) -> None:
    from pymongo import AsyncMongoClient

    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(server)
    version = (await client.server_info())["versionArray"]
    await client.close()
    assert version[0] >= 6


def test_b13_the_durations_of_the_documents_mean_something() -> None:
    assert SessionManager("memory://", max_age="1 month").settings.lifetimes.max_age == 30 * DAY


async def test_b14_destroying_deletes_the_cookie(browser: Browser) -> None:
    await browser.get(_write)
    header = (await browser.visit(_destroy)).headers["set-cookie"]
    assert "Max-Age=0" in header
    assert browser.cookies == {}


async def test_b15_an_update_runs_once_and_one_that_is_never_awaited_warns(browser: Browser) -> None:
    async def twice(session: Session) -> int:
        update = session.inc("n")
        await update
        with pytest.raises(RuntimeError, match="awaited already"):
            await update
        with pytest.warns(RuntimeWarning, match="never awaited"):
            session.set("lost", 1)
        return int((await session())["n"])

    assert await browser.get(twice) == 1


async def test_b16_reading_renews_once_in_a_tenth_of_the_lifetime(browser: Browser, clock: Clock) -> None:
    await browser.get(_write)
    clock.advance(DAY)
    assert "set-cookie" not in (await browser.visit(_read)).headers
    clock.advance(DAY)
    assert "set-cookie" in (await browser.visit(_read)).headers
    assert "set-cookie" not in (await browser.visit(_read)).headers


async def test_b17_a_write_sends_no_cookie_that_the_browser_has(browser: Browser) -> None:
    await browser.get(_write)
    assert "set-cookie" not in (await browser.visit(_write)).headers


async def test_b18_no_chain_reaches_another_session(browser: Browser) -> None:
    async def work(session: Session) -> list[bool]:
        return [hasattr(session, name) for name in ("find", "findOne", "find_one", "upsert", "remove", "exec", "map")]

    assert not any(await browser.get(work))


async def test_b19_no_secret_is_in_what_a_handler_gets(browser: Browser, store: SpyStore) -> None:
    await browser.get(_write)
    secret = browser.cookies["sid"].partition(".")[2]

    async def everything(session: Session) -> list[str]:
        result = await session.set("b", 2)
        return [repr(result), repr(dict(await session())), str(session.id), repr(session)]

    assert secret not in json.dumps(await browser.get(everything))


async def test_b20_no_field_of_the_records_can_be_written_as_data(browser: Browser) -> None:
    async def work(session: Session) -> list[Any]:
        await session.set("owner", "admin").set("digest", "x").set("expires", 0).set("data", {"a": 1}).unset("rev")
        return [session.owner, dict(await session())]

    assert await browser.get(work) == [None, {"owner": "admin", "digest": "x", "expires": 0, "data": {"a": 1}}]


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
    assert CSRFError.status == 403


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
