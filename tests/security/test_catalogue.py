"""Rows of the catalogue of what happened to others (docs/security.md) that no other test tries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing

import apsw
import pytest
from redis import Redis
from tests.harnesses.own import SQLiteHarness
from tests.servers import valkey
from tests.session.kit import DAY, MINUTE, Site, cookie_of
from tests.stores import AnyHarness

from atomic_session import SessionGone, StoreUnavailable
from atomic_session.stores.redis import RedisStore

PASSWORD = "correct horse battery staple"


# --- V-18: two applications on one store


async def test_two_applications_on_one_server_know_nothing_of_each_other(any_harness: AnyHarness) -> None:
    shop, forum = Site(await any_harness.make()), Site(await any_harness.make())
    session = shop.request()
    await session.login("ada")
    cookie = cookie_of(session)
    there = forum.request()
    await there.login("ada")
    there_cookie = cookie_of(there)
    assert cookie is not None
    assert there_cookie is not None

    assert (await forum.request(cookie)()).is_new
    await forum.request(cookie).set("n", 1)
    assert [listed.id for listed in await shop.manager.sessions_of("ada")] == [session.id]
    assert [listed.id for listed in await forum.manager.sessions_of("ada")] == [there.id]
    await forum.request(cookie).destroy()
    assert await forum.manager.destroy_all("ada") == 1
    forum.clock.advance(100 * DAY)
    await forum.manager.purge()

    assert await shop.request(cookie)() == {}
    assert (await shop.request(cookie)()).owner == "ada"
    assert (await forum.request(there_cookie)()).is_new
    await shop.manager.close()
    await forum.manager.close()


async def test_two_applications_that_share_a_store_are_kept_apart_by_their_keys(any_harness: AnyHarness) -> None:
    store = await any_harness.make()
    shop, forum = Site(store, keys=["the shop's key"]), Site(store, keys=["the forum's key"])
    cookie = await shop.visitor(n=1)
    forged = forum.request(cookie)

    assert (await forged()).is_new
    assert forum.store.trips == 0
    await forged.set("n", 2)
    assert cookie_of(forged) != cookie
    assert await shop.stored(cookie) == {"n": 1}
    await store.close()


# --- V-19: secret data kept in sessions


async def _readable(harness: AnyHarness) -> bytes:
    """Return what can be read out of the engine; what a file keeps of freed space is no engine's promise."""
    if not isinstance(harness, SQLiteHarness):
        return await harness.dump()
    with closing(apsw.Connection(str(harness.path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return repr(connection.execute("SELECT * FROM atomic_session").fetchall()).encode()


@pytest.mark.parametrize("way", ["take", "unset", "del", "destroy"])
async def test_what_was_taken_out_of_a_session_cannot_be_read_out_of_its_store(
    any_harness: AnyHarness, way: str
) -> None:
    site = Site(await any_harness.make())
    cookie = await site.visitor(kept="kept", password=PASSWORD)
    assert PASSWORD.encode() in await _readable(any_harness)
    session = await site.request(cookie)()
    session_id = str(session.id)
    if way == "del":
        del session["password"]
        await session.commit()
    elif way == "destroy":
        await session.destroy()
    else:
        await getattr(session, way)("password")
    left = await _readable(any_harness)

    assert PASSWORD.encode() not in left
    assert session_id.encode() in left
    await site.manager.close()


async def test_a_secret_can_be_given_a_short_life_with_its_session(any_harness: AnyHarness) -> None:
    """One field has no time to live of its own; a session has, and what it holds goes with it."""
    site = Site(await any_harness.make())
    cookie = await site.visitor(code=PASSWORD)
    await site.request(cookie).touch("10 minutes")
    site.clock.advance(10 * MINUTE - 1)
    reading = site.request(cookie)
    assert await reading.take("code") == PASSWORD
    await reading.set("code", PASSWORD)
    site.clock.advance(10 * MINUTE)

    assert (await site.request(cookie)()).is_new
    assert await site.stored(cookie) == {}
    with pytest.raises(SessionGone):
        await reading.take("code")
    await site.manager.close()


# --- V-25: eviction as a logout, or as a help for fixation


async def _fill(site: Site, until: Callable[[], Awaitable[bool]]) -> None:
    """Make sessions of 100 KB until the server has had enough; 400 are more than it can hold."""
    for _ in range(400):
        session = site.request()
        await session.set("filler", "x" * 100_000)
        if await until():
            return
    raise AssertionError("the server takes everything")


async def test_a_full_redis_refuses_loudly_and_ends_nobodys_session() -> None:
    with valkey.server("--maxmemory", "16mb", "--maxmemory-policy", "noeviction") as server:
        site = Site(RedisStore.from_url(server.url))
        cookie, leaving = await site.visitor(n=1), await site.visitor(n=2)

        async def never() -> bool:
            return False

        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await _fill(site, never)
        with Redis.from_url(server.url) as client:
            client.config_set("maxmemory", "1mb")  # so that not even the smallest write finds room
        late = site.request()
        for refused in (site.request(cookie), late):
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                await refused.set("n", 3)

        assert late.cookie_header() is None
        assert await site.stored(cookie) == {"n": 1}
        await site.request(leaving).destroy()
        assert (await site.request(leaving)()).gone
        await site.manager.close()


async def test_a_session_that_redis_evicts_is_over_and_its_cookie_never_comes_to_life_again() -> None:
    with valkey.server("--maxmemory", "16mb", "--maxmemory-policy", "allkeys-lru") as server:
        site = Site(RedisStore.from_url(server.url))
        with pytest.warns(RuntimeWarning, match="maxmemory-policy is allkeys-lru"):
            cookie = await site.visitor(n=1)

        async def is_evicted() -> bool:
            with Redis.from_url(server.url) as client:
                return not list(client.scan_iter(match=f"*{cookie.partition(b'=')[2].decode().partition('.')[0]}*"))

        await _fill(site, is_evicted)
        session = await site.request(cookie)()
        assert session.is_new
        await session.set("n", 2)

        kept = cookie_of(session)
        assert kept is not None
        assert kept != cookie
        assert await site.stored(kept) == {"n": 2}
        assert (await site.request(cookie)()).is_new
        await site.manager.close()
