"""Each feature of the original, as it is here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.heritage.browser import Browser
from tests.session.kit import DAY, MINUTE, Clock, SpyStore

from atomic_session import CSRFError, OperatorError, Session, SessionManager, StoreNotSet
from atomic_session.stores.memory import MemoryStore
from atomic_session.token import new_token

WHEN = datetime(2031, 2, 3, 4, 5, 6, 789000, UTC)


async def _read(session: Session) -> dict[str, Any]:
    return dict(await session())


async def _write(session: Session) -> None:
    await session.set("a", 1)


async def test_a_session_is_loaded_once_however_many_ask(browser: Browser, store: SpyStore) -> None:
    await browser.get(_write)

    async def read(session: Session) -> list[Any]:
        store.commands.clear()
        loads = await asyncio.gather(*(session() for _ in range(5)))
        await session()
        return [one["a"] for one in loads]

    assert await browser.get(read) == [1] * 5
    assert store.trips == 1


async def test_every_operator_does_what_its_name_says(browser: Browser) -> None:
    async def work(session: Session) -> dict[str, Any]:
        await session.set("l", [3, 1, 2]).set("n", 5).set("x", 1).set("y", 1).set("old", "v")
        await (
            session.push("l", 7, 8, at=0, keep=4)
            .inc("n")
            .mul("m", 3)
            .min("low", 4)
            .max("high", 4)
            .unset("x", "y")
            .rename("old", "new")
            .set_default("d", "first")
            .add_to_set("s", "a", "b", "a")
        )
        await session.pop_first("l").inc("n", -3).min("low", 2).max("high", 9).set_default("d", "second").pull("s", "a")
        await session.pop_last("l").pull_all("s", ["b"])
        return dict(await session.load(fresh=True))

    expected = {"l": [3, 1], "n": 3, "m": 0, "low": 2, "high": 9, "new": "v", "d": "first", "s": []}
    assert await browser.get(work) == expected


async def test_a_chain_is_one_trip_and_lands_whole_or_not_at_all(browser: Browser, store: SpyStore) -> None:
    await browser.get(_write)

    async def work(session: Session) -> dict[str, Any]:
        store.commands.clear()
        await session.set("b", 2).inc("n").push("l", 1)
        assert store.trips == 1
        with pytest.raises(OperatorError):
            await session.set("b", 3).inc("n").inc("l")
        return dict(await session.load(fresh=True))

    assert await browser.get(work) == {"a": 1, "b": 2, "n": 1, "l": [1]}


async def test_paths_lead_into_dicts_and_lists(browser: Browser) -> None:
    async def work(session: Session) -> dict[str, Any]:
        await session.set("a.b", 1).set("l", [0, {"n": 1}]).set(("x.y", "z"), 2)
        await session.inc("l.1.n", 4).set("l.0", 9).unset("a.b")
        return dict(await session())

    assert await browser.get(work) == {"a": {}, "l": [9, {"n": 5}], "x.y": {"z": 2}}


async def test_an_update_applies_only_where_its_guard_holds(browser: Browser) -> None:
    async def work(session: Session) -> list[Any]:
        await session.set("n", 0)
        first = await session.when("n", 0).set("n", 1).set("by", "first")
        second = await session.when("n", 0).set("n", 1).set("by", "second")
        return [first, second, dict(await session())]

    assert await browser.get(work) == [True, False, {"n": 1, "by": "first"}]


async def test_the_new_state_comes_back_with_the_update_itself(browser: Browser, store: SpyStore) -> None:
    await browser.get(_write)

    async def work(session: Session) -> list[Any]:
        store.commands.clear()
        await session.inc("a")
        return [session["a"], store.trips]

    assert await browser.get(work) == [2, 1]


async def test_rich_values_come_back_as_they_went_in(browser: Browser) -> None:
    values = {"when": WHEN, "blob": b"\x00\xff", "none": None, "big": 2**62, "deep": [{"a": [1.0, {"b": True}]}]}

    async def write(session: Session) -> None:
        await session.set("values", values)

    async def read(session: Session) -> bool:
        found = (await session())["values"]
        kinds = (type(found["when"]), type(found["blob"]), type(found["big"]))
        return bool(found == values) and kinds == (datetime, bytes, int)

    await browser.get(write)
    assert await browser.get(read)


async def test_an_id_that_nobody_issued_is_never_adopted(browser: Browser) -> None:
    made_up = new_token().value
    response = await browser.visit(_write, {"sid": made_up})
    assert response.status_code == 200
    issued = browser.cookies["sid"]
    assert issued.partition(".")[0] != made_up.partition(".")[0]
    assert (await browser.visit(_read, {"sid": made_up})).json() == {}


async def test_a_session_may_live_longer_than_others_and_keeps_it(browser: Browser, clock: Clock) -> None:
    async def remember(session: Session) -> None:
        await session.set("a", 1)
        await session.touch(max_age="60 days")

    await browser.get(remember)
    cookies = browser.cookies
    for _ in range(3):  # far past the 14 days of all others
        clock.advance(50 * DAY)
        assert (await browser.visit(_read, cookies)).json() == {"a": 1}
    clock.advance(60 * DAY)
    assert (await browser.visit(_read, cookies)).json() == {}


async def test_the_cookie_has_the_name_that_was_chosen(store: SpyStore) -> None:
    async with Browser(SessionManager(store), session_cookie="shop") as one:
        assert (await one.visit(_write)).headers["set-cookie"].startswith("shop=")
        assert await one.get(_read) == {"a": 1}


async def test_the_store_may_come_later_and_until_then_the_error_says_so() -> None:
    manager = SessionManager()
    async with Browser(manager) as one:

        async def early(session: Session) -> str:
            with pytest.raises(StoreNotSet) as caught:
                await session.set("a", 1)
            return str(caught.value)

        assert "store" in await one.get(early)
        manager.store = MemoryStore()
        await one.get(_write)
        assert await one.get(_read) == {"a": 1}


async def test_touching_moves_the_deadline_alone(browser: Browser, clock: Clock) -> None:
    async def touch(session: Session) -> list[Any]:
        await session.touch()
        assert session.expires is not None
        return [dict(await session()), session.expires.timestamp() * 1000]

    await browser.get(_write)
    clock.advance(13 * DAY)
    assert await browser.get(touch) == [{"a": 1}, clock.now + 14 * DAY]
    clock.advance(13 * DAY)
    assert await browser.get(_read) == {"a": 1}


async def test_destroying_leaves_nothing_and_makes_no_successor(browser: Browser, store: SpyStore) -> None:
    async def destroy(session: Session) -> None:
        await session.destroy()

    await browser.get(_write)
    cookies = browser.cookies
    store.commands.clear()
    await browser.get(destroy)
    assert store.kinds == ["Destroy"]
    assert (await browser.visit(_read, cookies)).json() == {}


async def test_regenerating_ends_the_old_id_and_its_csrf_tokens(browser: Browser) -> None:
    async def before(session: Session) -> str:
        await session.set("a", 1)
        return session.create_csrf()

    async def regenerate(session: Session) -> str:
        session = await session.regenerate()
        await session.set("b", 2)
        return session.create_csrf()

    async def check(session: Session) -> list[bool]:
        return [_accepts(session, old), _accepts(session, new)]

    old = await browser.get(before)
    cookies = browser.cookies
    new = await browser.get(regenerate)
    assert await browser.get(check) == [False, True]
    assert await browser.get(_read) == {"b": 2}
    assert (await browser.visit(_read, cookies)).json() == {}


async def test_many_csrf_tokens_of_one_session_are_accepted_at_a_time(browser: Browser) -> None:
    async def make(session: Session) -> list[str]:
        await session.set("a", 1)
        return [session.create_csrf() for _ in range(5)]

    async def check(session: Session) -> list[bool]:
        return [_accepts(session, token) for token in (*tokens, tokens[0].swapcase(), "", "nonsense")]

    tokens = await browser.get(make)
    assert len(set(tokens)) == 5
    assert await browser.get(check) == [True] * 5 + [False] * 3


async def test_a_csrf_failure_is_an_answer_by_itself(browser: Browser) -> None:
    async def protected(session: Session) -> None:
        session.assert_csrf("nonsense")

    await browser.get(_write)
    assert (await browser.visit(protected)).status_code == 403


async def test_id_created_and_expires_are_readable_and_no_more(browser: Browser, clock: Clock) -> None:
    await browser.get(_write)
    born = clock.now
    clock.advance(MINUTE)

    async def read(session: Session) -> list[Any]:
        await session()
        assert session.created is not None
        assert session.expires is not None
        for name in ("id", "created", "expires"):
            with pytest.raises(AttributeError):
                setattr(session, name, None)
        return [session.id, session.created.timestamp() * 1000, session.expires.timestamp() * 1000]

    public = browser.cookies["sid"].partition(".")[0]
    assert await browser.get(read) == [public, born, born + 14 * DAY]


def _accepts(session: Session, token: str) -> bool:
    try:
        session.assert_csrf(token)
    except CSRFError:
        return False
    return True
