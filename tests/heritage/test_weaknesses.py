"""The graver bugs and weaknesses that were observed in the original, and that ours does not have them: B1 to B20."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from tests.heritage.browser import Browser, Work
from tests.session.kit import DAY, MINUTE, Clock, SpyStore

from atomic_session import Session, SessionGone, SessionManager

SHADOWS = (
    *("id", "maxAge", "expires", "cookies", "context", "toString", "_setSession", "secret", "__class__", "__dict__"),
    *(name for name in dir(Session) if not name.startswith("_")),
)
"""What the original stumbles over, and all that a session of ours has."""

ATTRIBUTES = (
    *("name", "value", "path", "domain", "secure", "httpOnly", "signed", "overwrite", "maxage", "secureProxy"),
    *("sameSite", "priority", "partitioned", "toString", "toHeader"),
)


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


@pytest.mark.parametrize("value", ["x; domain=evil.example", True, False, "Bob"])
async def test_b2_data_never_become_attributes_of_the_cookie(browser: Browser, value: Any) -> None:
    async def work(session: Session) -> None:
        for name in ATTRIBUTES:
            await session.set(name, value)

    (header,) = (await browser.visit(work)).headers.get_list("set-cookie")
    names = sorted(part.partition("=")[0].strip() for part in header.split(";"))
    assert names == ["HttpOnly", "Max-Age", "Path", "SameSite", "sid"]
    assert "evil" not in header
    assert (await browser.visit(work)).headers.get_list("set-cookie") == []
    assert list(browser.cookies) == ["sid"]
    assert await browser.get(_read) == dict.fromkeys(ATTRIBUTES, value)


async def test_b3_nothing_from_the_data_is_ever_signed(store: SpyStore) -> None:
    async with Browser(SessionManager(store), secret_key="k" * 32) as site:
        await site.visit(_write)
        victim = site.cookies["sid"]
        token = victim.rpartition(".")[0]

        async def plant(session: Session) -> None:
            await session.set("value", token).set("name", "sid").set("id", token)

        header = (await site.visit(plant, cookies={"sid": "nonsense"})).headers["set-cookie"]
        assert token.partition(".")[0] not in header
        signature = header.partition(";")[0].rpartition(".")[2]
        assert (await site.visit(_read, {"sid": f"{token}.{signature}"})).json() == {}
        assert (await site.visit(_read, {"sid": victim})).json() == {"a": 1}


async def test_b4_no_name_of_a_field_breaks_the_session(browser: Browser) -> None:
    async def shadow(session: Session) -> None:
        for name in SHADOWS:
            await session.set((name,), None)
        await session.set("maxAge", "1 month").set("id", 5)

    async def use(session: Session) -> list[Any]:
        await session()
        await session.touch()
        await session.set("after", 1).inc("n").push("l", 1).unset("context")
        return [session.id, session["id"], session["after"], session["set"], "context" in session]

    await browser.get(shadow)
    public, *fields = await browser.get(use)
    assert public == browser.cookies["sid"].partition(".")[0]
    assert fields == [5, 1, None, False]


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

    async def overtaken(session: Session) -> str:
        assert session.id is not None
        await session()
        await browser.manager.destroy(session.id)
        with pytest.raises(SessionGone) as caught:
            await session.inc("n")
        return type(caught.value).__name__

    await browser.get(_write)
    assert await browser.get(overtaken) == "SessionGone"


async def _regenerate(session: Session) -> None:
    await (await session.regenerate()).set("b", 2)


async def _rotate(session: Session) -> None:
    await session.rotate()


@pytest.mark.parametrize("end", [_destroy, _regenerate, _rotate])
async def test_b7_a_late_response_never_brings_a_dead_id_back(browser: Browser, end: Work) -> None:
    await browser.get(_write)
    cookies = browser.cookies
    await browser.get(end)
    after = browser.cookies
    for work in (_write, _read):
        assert "set-cookie" not in (await browser.visit(work, cookies)).headers
    assert browser.cookies == after


async def test_b7_a_response_that_is_overtaken_never_brings_a_dead_id_back(browser: Browser) -> None:
    """The session ends while the request that loaded it is under way, which then changes it."""
    await browser.get(_write)

    async def slow(session: Session) -> None:
        await session()
        session["late"] = True
        assert session.id is not None
        await browser.manager.destroy(session.id)

    response = await browser.visit(slow)
    assert "set-cookie" not in response.headers
    assert await browser.get(_read) == {}


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


async def test_b11_it_runs_on_a_mongodb_that_is_supported(url: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    version = (await client.server_info())["versionArray"]
    await client.close()
    async with Browser(SessionManager(url, timeout=20)) as one:
        await one.visit(_write)
        assert await one.get(_read) == {"a": 1}
    assert version[0] >= 6


@pytest.mark.parametrize(
    ("words", "milliseconds"),
    [
        ("1 month", 30 * DAY),
        ("14 days", 14 * DAY),
        ("1 year", 365 * DAY),
        ("1.5 hours", 90 * MINUTE),
        ("2h", 120 * MINUTE),
        ("90s", 90_000),
        (timedelta(days=2), 2 * DAY),
        (3600, 60 * MINUTE),
    ],
    ids=str,
)
def test_b13_the_durations_of_the_documents_mean_something(words: Any, milliseconds: int) -> None:
    assert SessionManager("memory://", max_age=words).settings.lifetimes.max_age == milliseconds


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


async def test_b17_a_write_moves_no_index(url: str) -> None:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    documents = client.get_default_database()["sessions"]
    async with Browser(SessionManager(url, timeout=20)) as one:
        await one.visit(_write)
        before = await documents.find_one({}, {"sweep_at": True, "owner": True})
        await one.visit(_write)
        assert await documents.find_one({}, {"sweep_at": True, "owner": True}) == before
    indexed = {name for index in (await documents.index_information()).values() for name, _ in index["key"]}
    await client.close()
    assert indexed == {"_id", "sweep_at", "owner"}


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
