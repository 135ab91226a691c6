"""What a request costs, in trips to the store, counted exactly."""

from __future__ import annotations

import asyncio

import pytest
from tests.session.kit import DAY, Site, cookie_of

from atomic_session.commands import Update
from atomic_session.token import new_token


async def test_an_untouched_session_takes_no_trip(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    await session.commit()

    assert session.cookie_header() is None
    assert site.store.trips == 0


async def test_a_read_takes_one_trip_however_often_it_is_asked_for(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    for _ in range(3):
        await session()
        await session.load()
    assert session["a"] == 1
    await session.commit()

    assert site.store.kinds == ["Load"]


async def test_twenty_tasks_share_one_load(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session.load()) for _ in range(20)]

    assert all(task.result() is session for task in tasks)
    assert session == {"a": 1}
    assert site.store.kinds == ["Load"]


async def test_a_blind_update_takes_one_trip_and_loads_too(site: Site) -> None:
    cookie = await site.visitor(a=1, b={"c": 2})
    session = site.request(cookie)
    await session.inc("a").set("b.d", 3)

    assert dict(session) == {"a": 2, "b": {"c": 2, "d": 3}}
    await session.load()
    await session.commit()
    assert site.store.kinds == ["Update"]


async def test_an_update_after_a_read_is_one_trip_more(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = await site.request(cookie)()
    await session.inc("a")
    await session.inc("a")
    await session.commit()

    assert site.store.kinds == ["Load", "Update", "Update"]


async def test_an_update_asks_for_what_it_touched_only_where_the_rest_is_known(site: Site) -> None:
    cookie = await site.visitor(a=1, big="x" * 1_000)
    session = site.request(cookie)
    for _ in range(3):
        await session.inc("a")
    await site.request(cookie).inc("a")
    await session.inc("a")
    revs = [command.known_rev for command in site.store.commands if isinstance(command, Update)]

    first = revs[1]
    assert first is not None
    assert revs == [None, first, first + 1, None, first + 2]


async def test_plain_changes_are_one_update(site: Site) -> None:
    cookie = await site.visitor(a=1, cart={"x": 1})
    session = await site.request(cookie)()
    session["a"] = 2
    session["cart"]["y"] = 2
    session["log"] = ["z"]
    await session.commit()
    await session.commit()

    assert site.store.kinds == ["Load", "Update"]


async def test_plain_changes_travel_with_the_next_awaited_update(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = await site.request(cookie)()
    session["b"] = 2
    await session.inc("a")
    await session.commit()

    assert site.store.kinds == ["Load", "Update"]
    assert await site.stored(cookie) == {"a": 2, "b": 2}


async def test_changes_that_are_taken_back_cost_nothing(site: Site) -> None:
    cookie = await site.visitor(a={"b": [1]})
    session = await site.request(cookie)()
    session["a"]["b"].append(2)
    session["c"] = 1
    session["a"]["b"].pop()
    del session["c"]
    await session.commit()

    assert site.store.kinds == ["Load"]


async def test_a_new_session_is_created_in_one_trip_with_all_that_was_changed(site: Site) -> None:
    session = site.request(None)
    session["a"] = 1
    await session.inc("n")
    session["b"] = 2
    await session.commit()

    assert site.store.kinds == ["Create", "Update"]
    kept = cookie_of(session)
    assert await site.stored(kept or b"") == {"a": 1, "n": 1, "b": 2}


async def test_an_update_that_makes_nothing_of_nothing_creates_nothing(site: Site) -> None:
    session = site.request(None)
    await session.unset("a")
    await session.pull("a", 1)
    assert await session.take("a") is None
    assert not await session.when("a", 1).set("a", 2)
    session["b"] = 1
    assert await session.take("b") == 1
    await session.touch(max_age="1 year")
    await session.rotate()
    await session.destroy()
    await session.commit()

    assert session == {}
    assert session.cookie_header() is None
    assert site.store.trips == 0


async def test_touching_on_read_takes_no_trip_more(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    any_site.clock.advance(2 * DAY)
    session = await any_site.request(cookie)()
    await session.commit()

    assert any_site.store.kinds == ["Load"]
    header = session.cookie_header()
    assert header is not None
    assert b"Max-Age=1209600" in header
    any_site.clock.advance(13 * DAY)
    assert await any_site.request(cookie)() == {"a": 1}


async def test_a_login_with_changes_is_two_trips_and_without_one(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = await site.request(cookie)()
    await session.login("ann")
    assert site.store.kinds == ["Load", "Rotate"]

    session["b"] = 2
    await session.login("bob")
    assert site.store.kinds == ["Load", "Rotate", "Update", "Rotate"]


@pytest.mark.parametrize("visitor", [True, False])
async def test_after_a_login_the_session_may_be_read_and_changed_whoever_logs_in(site: Site, *, visitor: bool) -> None:
    """What works for whoever has no session yet, as in most tests of an application, works for whoever has one."""
    session = site.request(await site.visitor(a=1) if visitor else None)
    await session.login("ann")
    session["name"] = "Ann"
    await session.commit()

    assert session == ({"a": 1, "name": "Ann"} if visitor else {"name": "Ann"})
    assert site.store.kinds == (["Load", "Rotate", "Update"] if visitor else ["Create", "Update"])


async def test_a_fresh_login_is_one_trip(site: Site) -> None:
    session = site.request(None)
    session["a"] = 1
    await session.login("ann")

    assert site.store.kinds == ["Create"]
    assert session.owner == "ann"


async def test_an_unknown_token_is_looked_up_once(site: Site) -> None:
    session = await site.request(b"sid=" + new_token().value.encode())()
    await session.load()
    session["a"] = 1
    await session.commit()
    await session.commit()

    assert site.store.kinds == ["Load", "Create"]


async def test_a_load_waits_for_what_is_under_way_even_where_it_could_be_answered_at_once(any_site: Site) -> None:
    session = await any_site.request(await any_site.visitor(a=1))()
    assert session._exchange is not None
    async with session._exchange.turn:
        load = asyncio.ensure_future(session.load(fresh=True))
        for _ in range(3):
            await asyncio.sleep(0)
        assert any_site.store.kinds == ["Load"]

    await load
    assert any_site.store.kinds == ["Load", "Load"]
