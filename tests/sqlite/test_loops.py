"""One store, several event loops: as a TestClient makes them, one after the other or beside each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore
from atomic_session.stores.sqlite.reader import Reader

from .commands import NOW, create, destroy, done, inc, load, stored
from .disk import Disk
from .files import busy_readers, turn_taken
from .loops import leap, run, started
from .threads import Writers


def _in_threads(number: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def guarded(place: int) -> None:
        try:
            work(place)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert errors == []


def test_a_loop_for_each_request(path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_create(store))
    for _ in range(50):
        asyncio.run(_add(store, 1))

    assert asyncio.run(_count(store)) == 50
    asyncio.run(store.close())


def test_loops_beside_each_other(path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_create(store))

    def work(_: int) -> None:
        async def many() -> None:
            await asyncio.gather(*(_add(store, 5) for _ in range(10)))

        asyncio.run(many())

    _in_threads(6, work)

    assert asyncio.run(_count(store)) == 300
    asyncio.run(store.close())


def test_loops_that_are_first_at_the_same_time_open_the_store_once(path: Path) -> None:
    store = SQLiteStore(path)
    writers = Writers()
    ready = threading.Barrier(8)

    def work(place: int) -> None:
        ready.wait(60)
        asyncio.run(_create(store, f"session-{place}"))

    _in_threads(8, work)

    assert len(writers()) == 1
    assert [asyncio.run(_count(store, f"session-{place}")) for place in range(8)] == [0] * 8
    asyncio.run(store.close())


def test_one_loop_may_close_what_another_one_uses(path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_create(store))
    first = asyncio.new_event_loop()
    with turn_taken(path):
        updates = [first.create_task(done(store, inc("a"))) for _ in range(100)]
        first.run_until_complete(started())
        closing = threading.Thread(target=lambda: asyncio.run(store.close()))
        closing.start()
    first.run_until_complete(asyncio.gather(*updates))
    closing.join(60)

    assert first.run_until_complete(_count(store)) == 100
    first.run_until_complete(store.close())
    first.run_until_complete(first.shutdown_default_executor())
    first.close()


def test_a_loop_that_is_closed_while_its_update_waits_has_withdrawn_it(path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_create(store))
    closed = asyncio.new_event_loop()
    with turn_taken(path):
        lost = closed.create_task(done(store, inc("a")))
        closed.run_until_complete(started())
        lost.cancel()
        closed.close()
    asyncio.run(_add(store, 1))

    assert asyncio.run(_count(store)) == 1
    asyncio.run(store.close())


def test_a_loop_that_is_closed_before_its_answer_comes_harms_nobody(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_create(store))
    disk.holding.clear()
    closed, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    lost = closed.create_task(done(store, inc("a")))
    closed.run_until_complete(started())
    assert disk.held.wait(60)  # it is under way
    closed.close()
    kept = other.create_task(done(store, inc("a")))
    other.run_until_complete(started())
    disk.holding.set()
    other.run_until_complete(kept)
    counted = other.run_until_complete(_count(store))
    other.run_until_complete(store.close())
    other.run_until_complete(other.shutdown_default_executor())
    other.close()

    assert not lost.done()
    assert counted == 2


def test_readers_in_threads_see_each_commit(path: Path) -> None:
    store = SQLiteStore(path)
    asyncio.run(_create(store))
    stop = threading.Event()
    seen: list[list[int]] = []

    async def watch(counts: list[int]) -> None:
        while not stop.is_set():
            counts.append(await _count(store))

    def work(place: int) -> None:
        if place:
            seen.append([])
            asyncio.run(watch(seen[-1]))
        else:
            asyncio.run(_add(store, 50))
            stop.set()

    _in_threads(4, work)

    assert all(counts == sorted(counts) for counts in seen)
    asyncio.run(store.close())


def test_readers_in_threads_do_not_meet_in_the_engine(path: Path) -> None:
    reader = Reader(path)
    ready = threading.Barrier(4)
    slow = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000) SELECT max(n) FROM c"
    results = []

    def work(_: int) -> None:
        ready.wait(60)
        results.append(reader.run(lambda cursor, query: cursor.execute(query).get, slow))

    _in_threads(4, work)
    reader.stop()

    assert results == [100_000] * 4


async def test_a_read_sees_what_was_answered_before_it(store: SQLiteStore) -> None:
    await done(store, create("a", owner="u"))
    for number in range(50):
        await done(store, inc("a"))
        assert await stored(store, "a") == {"n": number + 1}
    assert len(await store.sessions_of("u", NOW)) == 1
    await done(store, destroy("a"))
    assert await store.sessions_of("u", NOW) == []


async def test_a_read_that_would_have_to_wait_waits_on_the_other_thread(store: SQLiteStore) -> None:
    await done(store, create("a", owner="u"))
    with busy_readers() as asked:
        assert await stored(store, "a") == {"n": 0}
        assert len(await store.sessions_of("u", NOW)) == 1
    assert asked == [threading.main_thread()] * 2


def test_a_read_that_waits_too_long_has_no_unknown_outcome(disk: Disk, path: Path) -> None:
    async def use() -> None:
        store = SQLiteStore(path, timeout=5)
        await done(store, create("a"))
        with busy_readers():
            with turn_taken(path):
                update = asyncio.create_task(done(store, inc("a")))
                read = asyncio.create_task(done(store, load("a")))
                await started()
                disk.holding.clear()
            assert await asyncio.to_thread(disk.held.wait, 60)
            leap(6)
            with pytest.raises(OutcomeUnknown):
                await update
            with pytest.raises(StoreUnavailable):
                await read
        disk.holding.set()
        assert await stored(store, "a") == {"n": 1}
        await store.close()

    run(use)


async def _create(store: SQLiteStore, key: str = "a") -> None:
    await done(store, create(key))


async def _add(store: SQLiteStore, times: int) -> None:
    for _ in range(times):
        await done(store, inc("a"))


async def _count(store: SQLiteStore, key: str = "a") -> int:
    count = (await stored(store, key))["n"]
    assert isinstance(count, int)
    return count
