"""Whatever way a store ends: what was accepted is kept, and what was closed may be used again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from pathlib import Path

import pytest

from atomic_session.errors import StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore
from atomic_session.stores.sqlite.database import Stopped
from atomic_session.stores.sqlite.writer import Writer

from .children import ran
from .commands import NOW, ask, create, done, inc, put, stored
from .files import rows, turn_taken
from .loops import leap, run, started
from .threads import Writers

MANY = 500


@pytest.fixture
def writers() -> Writers:
    return Writers()


async def test_what_was_accepted_before_close_is_kept(writers: Writers, store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    with turn_taken(path):
        updates = [asyncio.create_task(done(store, inc("a"))) for _ in range(MANY)]
        await started()
        closing = asyncio.create_task(store.close())
        await started()
    await asyncio.gather(closing, *updates)

    assert rows(path, "SELECT data FROM atomic_session") == b'{"n":%d}' % MANY
    assert writers() == []


AT_EXIT = """
import asyncio, sys
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.commands import create, done, inc

store = SQLiteStore(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(done(store, create("a")))
updates = [loop.create_task(done(store, inc("a"))) for _ in range(int(sys.argv[2]))]
loop.run_until_complete(asyncio.sleep(0))  # they have asked, and nobody waits any more
"""


def test_what_was_accepted_before_the_interpreter_ends_is_kept(path: Path) -> None:
    ran(AT_EXIT, path, MANY)  # ends with a loop that is abandoned, and without close()

    assert rows(path, "SELECT data FROM atomic_session") == b'{"n":%d}' % MANY
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name, f"{path.name}-lock"]


AT_EXIT_OF_A_LOOP = """
import asyncio, sys
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.commands import create, done, inc

async def main():
    await done(store, create("a"))
    await asyncio.gather(*(done(store, inc("a")) for _ in range(int(sys.argv[2]))))
    print("answered", flush=True)

store = SQLiteStore(sys.argv[1])
asyncio.run(main())
"""


def test_an_application_that_never_closes_its_store_ends_at_once(path: Path) -> None:
    assert ran(AT_EXIT_OF_A_LOOP, path, 10) == ["answered"]


async def test_close_may_be_called_before_open_and_twice(writers: Writers, path: Path) -> None:
    store = SQLiteStore(path)
    await store.close()
    await store.open()
    await store.open()
    await store.close()
    await store.close()

    assert writers() == []


async def test_a_closed_store_opens_again_when_it_is_used(path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    for number in range(3):
        await store.close()
        await done(store, inc("a"))
        await store.close()
        assert await stored(store, "a") == {"n": number + 1}
        await store.close()
        assert await store.sessions_of("nobody", NOW) == []
    await store.close()


async def test_open_after_a_failure_works_once_the_cause_is_gone(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "later" / "s.db")
    with pytest.raises(StoreUnavailable):
        await store.open()
    (tmp_path / "later").mkdir()
    await done(store, create("a"))

    assert await stored(store, "a") == {"n": 0}
    await store.close()


async def test_closing_from_another_thread_again_and_again_loses_nothing(writers: Writers, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    stop = threading.Event()

    def close_often() -> None:
        while not stop.is_set():
            asyncio.run(store.close())

    async def add(times: int) -> None:
        for _ in range(times):
            await done(store, inc("a"))
            await stored(store, "a")

    closing = threading.Thread(target=close_often)
    closing.start()
    try:
        await asyncio.gather(*(add(25) for _ in range(8)))
    finally:
        stop.set()
        await asyncio.to_thread(closing.join)

    assert await stored(store, "a") == {"n": 200}
    await store.close()
    assert writers() == []


async def test_what_comes_while_the_writer_stops_is_done_and_what_comes_after_is_told(path: Path) -> None:
    writer = Writer(path, "full", 60, lambda: NOW)
    assert await writer.submit(lambda _: "opened", 0) == "opened"
    with turn_taken(path):
        first = writer.submit(lambda _: "first", 0)
        writer.stop()
        second = writer.submit(lambda _: "second", 0)
    assert [await first, await second] == ["first", "second"]
    await asyncio.to_thread(writer.join)

    with pytest.raises(Stopped):
        await writer.submit(lambda _: "third", 0)


async def test_a_store_that_nobody_holds_any_more_lets_go_of_its_files(writers: Writers, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    await stored(store, "a")
    (writer,) = writers()
    del store
    gc.collect()
    writer.join(60)

    assert not writer.is_alive()
    assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}-lock"]


def test_close_waits_no_longer_than_the_timeout_for_a_turn(path: Path) -> None:
    async def use() -> None:
        store = SQLiteStore(path, timeout=0.3)
        await patient.open()
        await _open_in_time(store)
        with turn_taken(path):
            update = asyncio.create_task(ask(store, put("a", "late", True)))
            await started()
            await store.close()
            leap(1)
            with pytest.raises(StoreUnavailable):
                await update
        await asyncio.to_thread(_wait_for, later())

    async def check() -> None:
        assert "late" not in await stored(patient, "a")
        await patient.close()

    patient = SQLiteStore(path)
    run(lambda: done(patient, create("a")))
    later = Writers()
    run(use)
    run(check)


async def _open_in_time(store: SQLiteStore) -> None:
    """Open a store that has little patience, on a machine that may be busy."""
    for _ in range(100):
        with contextlib.suppress(StoreUnavailable):
            return await store.open()
    raise AssertionError("it never opened in time")


def _wait_for(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
