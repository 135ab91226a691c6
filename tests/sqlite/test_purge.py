"""What is over goes by and by, a little after each batch; what is alive by any clock stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from atomic_session.commands import Outcome
from atomic_session.record import MEMORY
from atomic_session.stores.sqlite import SQLiteStore

from .commands import HOUR, LIFETIMES, NOW, ask, create, destroy, done, inc, load
from .files import rows

MANY = 450
LATER = NOW + LIFETIMES.max_age + HOUR


class _Deleted:
    """How many rows each transaction deleted, on every connection."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.changed = threading.Condition()
        self._under_way = 0

    def hook(self, connection: apsw.Connection) -> None:
        connection.set_update_hook(self._update)
        connection.set_commit_hook(self._commit)

    def total(self, expected: int) -> bool:
        """Wait until so many rows are gone."""
        with self.changed:
            return self.changed.wait_for(lambda: sum(self.steps) >= expected, 60)

    def _update(self, operation: int, _database: str, table: str, _row: int) -> None:
        if operation == apsw.SQLITE_DELETE and table == "atomic_session":
            self._under_way += 1

    def _commit(self) -> bool:
        with self.changed:
            if self._under_way:
                self.steps.append(self._under_way)
                self.changed.notify_all()
            self._under_way = 0
        return False


@pytest.fixture
def deleted() -> Iterator[_Deleted]:
    watcher = _Deleted()
    apsw.connection_hooks.append(watcher.hook)
    yield watcher
    apsw.connection_hooks.remove(watcher.hook)


class _Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


async def _filled(path: Path, clock: _Clock, number: int) -> SQLiteStore:
    store = SQLiteStore(path, clock=clock)
    await asyncio.gather(*(done(store, create(f"session-{place}")) for place in range(number)))
    return store


async def test_what_is_over_goes_in_small_steps_after_another_write(path: Path, deleted: _Deleted) -> None:
    clock = _Clock()
    store = await _filled(path, clock, MANY)
    clock.now = LATER
    await done(store, create("new", now=LATER))
    assert await asyncio.to_thread(deleted.total, MANY)

    await store.close()

    assert deleted.steps == [200, 200, 50]
    assert rows(path, "SELECT id FROM atomic_session") == "new"


async def test_a_write_waits_for_one_step_and_not_for_all(path: Path, deleted: _Deleted) -> None:
    clock = _Clock()
    store = await _filled(path, clock, MANY)
    clock.now = LATER
    await done(store, create("new", now=LATER))
    await done(store, inc("new", now=LATER))

    assert 1 <= len(deleted.steps) <= 3
    assert deleted.steps[0] == 200
    await store.close()


async def test_nothing_goes_before_it_is_over(path: Path, deleted: _Deleted) -> None:
    clock = _Clock()
    store = await _filled(path, clock, 10)
    clock.now = NOW + LIFETIMES.max_age - 1
    for number in range(3):
        await done(store, create(f"new-{number}", now=clock.now))

    assert deleted.steps == []
    assert rows(path) == 13
    await store.close()


@pytest.mark.parametrize(("ours", "theirs"), [(LATER, NOW), (NOW, LATER)], ids=["the store's", "the commands'"])
async def test_what_is_over_by_one_clock_only_stays(path: Path, deleted: _Deleted, ours: int, theirs: int) -> None:
    clock = _Clock()
    store = await _filled(path, clock, 10)
    clock.now = ours
    for number in range(3):
        await done(store, create(f"new-{number}", now=theirs))

    assert deleted.steps == []
    await store.close()


async def test_a_clock_that_fails_costs_no_write_and_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> int:
        raise ValueError("no time")

    store = SQLiteStore(path, clock=broken)
    await done(store, create("a"))
    for _ in range(3):
        await done(store, inc("a"))
    await store.close()

    assert caplog.messages[0] == f"purge_failed reason='{path}: no time'"


async def test_tombstones_go_too(path: Path, deleted: _Deleted) -> None:
    clock = _Clock()
    store = await _filled(path, clock, 3)
    for place in range(3):
        await done(store, destroy(f"session-{place}"))
    assert (await ask(store, load("session-0"))).outcome is Outcome.DESTROYED
    clock.now = NOW + MEMORY + HOUR
    await done(store, create("new", now=clock.now))
    assert await asyncio.to_thread(deleted.total, 3)
    await store.close()

    assert rows(path) == 1


async def test_a_purge_on_request_removes_no_more_than_it_may_and_says_how_many(store: SQLiteStore, path: Path) -> None:
    await asyncio.gather(*(done(store, create(f"session-{place}")) for place in range(25)))
    removed = [await store.purge(LATER, 10) for _ in range(4)]

    assert removed == [10, 10, 5, 0]
    assert rows(path) == 0


async def test_a_renewed_session_outlives_its_first_deadline(path: Path, deleted: _Deleted) -> None:
    clock = _Clock()
    store = await _filled(path, clock, 2)
    renewal = NOW + LIFETIMES.max_age - 1
    await done(store, inc("session-0", now=renewal))
    clock.now = LATER
    await done(store, create("new", now=LATER))
    assert await asyncio.to_thread(deleted.total, 1)
    await done(store, load("session-0", now=LATER))

    assert deleted.steps == [1]
    await store.close()
