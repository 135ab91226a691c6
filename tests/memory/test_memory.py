"""The memory store: bounded, and usable from several event loops."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.sqlite.commands import LIFETIMES, NOW, ask, create, destroy, done, inc, load, stored

from atomic_session.commands import Outcome
from atomic_session.registry import open_url
from atomic_session.stores.memory import MemoryStore


async def _held(store: MemoryStore, now: int, keys: list[str]) -> int:
    """Return how many of *keys* the store still holds, dead or alive: a key that is held cannot be created."""
    answers = [await ask(store, create(key, now=now)) for key in keys]
    return sum(answer.outcome is Outcome.EXISTS for answer in answers)


async def test_what_is_over_cannot_pile_up() -> None:
    store = MemoryStore()
    generation = [f"old-{number}" for number in range(1_000)]
    for key in generation:
        await done(store, create(key))
    later = NOW + LIFETIMES.max_age
    for number in range(500):
        await done(store, create(f"new-{number}", now=later))

    assert await _held(store, later, generation) == 0


async def test_the_living_are_kept_however_many_come() -> None:
    store = MemoryStore()
    keys = [f"session-{number}" for number in range(1_000)]
    for key in keys:
        await done(store, create(key))

    assert await _held(store, NOW, keys) == 1_000
    assert [await stored(store, key) for key in keys] == [{"n": 0}] * 1_000


async def test_a_purge_removes_no_more_than_it_may_and_says_how_many() -> None:
    store = MemoryStore()
    for number in range(25):
        await done(store, create(f"session-{number}"))
    later = NOW + LIFETIMES.max_age

    assert [await store.purge(later, 10) for _ in range(4)] == [10, 10, 5, 0]


def test_loops_one_after_the_other_see_the_same_records() -> None:
    store = MemoryStore()
    asyncio.run(_create(store))
    for _ in range(10):
        asyncio.run(_add(store, 1))

    assert asyncio.run(stored(store, "a")) == {"n": 10}


def test_loops_beside_each_other_lose_nothing() -> None:
    store = MemoryStore()
    asyncio.run(_create(store))
    ready = threading.Barrier(4)

    def work() -> None:
        ready.wait(60)
        asyncio.run(_add(store, 1_000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert asyncio.run(stored(store, "a")) == {"n": 4_000}


async def test_closing_keeps_the_records() -> None:
    store = MemoryStore()
    await store.open()
    await done(store, create("a"))
    await store.close()

    assert await stored(store, "a") == {"n": 0}


async def test_sessions_of_an_owner_come_the_latest_used_first() -> None:
    store = MemoryStore()
    for number, key in enumerate(["b", "a", "c", "gone"]):
        await done(store, create(key, now=NOW + number // 2, owner="u"))
    await done(store, destroy("gone", now=NOW + 1))
    await done(store, inc("b", now=NOW + 9))

    assert [info.id for info in await store.sessions_of("u", NOW + 9)] == ["b", "c", "a"]
    assert await store.sessions_of("nobody", NOW) == []
    assert await store.destroy_all("u", "b", NOW + 9) == 2
    assert (await ask(store, load("a", now=NOW + 9))).outcome is Outcome.DESTROYED


@pytest.mark.parametrize("url", ["memory://host", "memory:///path", "memory://?x=1"])
def test_a_url_that_says_more_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="memory://"):
        open_url(url)


def test_two_stores_share_nothing() -> None:
    async def use() -> None:
        first, second = open_url("memory://"), open_url("memory://")
        await done(first, create("a"))
        assert (await ask(second, load("a"))).outcome is Outcome.ABSENT

    asyncio.run(use())


async def _create(store: MemoryStore) -> None:
    await done(store, create("a"))


async def _add(store: MemoryStore, times: int) -> None:
    for _ in range(times):
        await done(store, inc("a"))
