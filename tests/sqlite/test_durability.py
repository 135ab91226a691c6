"""What a commit costs the disk, and what is true after the disk failed."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import apsw
import pytest

from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore

from .commands import HOUR, LIFETIMES, NOW, ask, create, destroy, done, inc, load, put, stored
from .disk import Disk
from .files import turn_taken
from .loops import started

MANY = 50
NO_SPACE = apsw.SQLITE_FULL
NO_QUOTA = apsw.SQLITE_IOERR_WRITE
NOT_SYNCED = apsw.SQLITE_IOERR_FSYNC


async def test_every_durable_answer_has_its_own_sync(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    for number in range(MANY):
        before = disk.syncs["wal"]
        await done(store, inc("a"))
        assert disk.syncs["wal"] == before + 1, number
    await store.close()


async def test_a_batch_shares_one_sync(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    before = disk.syncs["wal"]
    with turn_taken(path):
        updates = [asyncio.create_task(done(store, inc("a"))) for _ in range(MANY)]
        await started()
    await asyncio.gather(*updates)

    assert disk.syncs["wal"] == before + 1
    await store.close()


async def test_relaxed_answers_wait_for_no_sync(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path, durability="relaxed")
    await done(store, create("a"))
    before = disk.syncs.total()
    for _ in range(MANY):
        await done(store, inc("a"))
    at_work = disk.syncs.total() - before
    await store.close()

    assert at_work == 0
    assert disk.syncs["database"] > 0  # an orderly end makes all of it durable


async def test_reads_neither_write_nor_sync(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.purge(0, 1)
    before = (disk.writes.total(), disk.syncs.total())
    for _ in range(MANY):
        await done(store, load("a"))

    assert (disk.writes.total(), disk.syncs.total()) == before
    await store.close()


async def _update_on_a_failing_disk(
    disk: Disk, path: Path, what: str, after: int, error: int, *, read_before: bool = True
) -> tuple[Exception | None, int, int]:
    """Return how an update ends when the disk fails, and what counts afterwards: for us, and after a crash."""
    store = SQLiteStore(path)
    await done(store, create("a", {"n": 0, "pages": "x" * 9_000}))
    if read_before:
        await stored(store, "a")
    disk.fail(what, after, error)
    outcome: Exception | None = None
    try:
        await done(store, inc("a"))
    except (StoreUnavailable, OutcomeUnknown) as raised:
        outcome = raised
    crashed = shutil.copytree(path.parent, path.parent.with_name(f"{path.parent.name}-crashed"))
    disk.heal()
    copy = SQLiteStore(crashed / path.name)
    counts = (await stored(store, "a"))["n"], (await stored(copy, "a"))["n"]
    await done(store, put("a", "after", True))  # it works again
    await copy.close()
    await store.close()
    return outcome, *counts


@pytest.mark.parametrize("error", [NO_SPACE, NO_QUOTA])
async def test_an_update_whose_log_cannot_be_written_was_not_applied(disk: Disk, tmp_path: Path, error: int) -> None:
    ends = []
    for after in range(100):  # the first write fails, the second, and so on, until none does
        folder = tmp_path / f"{after}"
        folder.mkdir()
        outcome, alive, crashed = await _update_on_a_failing_disk(disk, folder / "s.db", "write", after, error)
        ends.append((type(outcome), alive, crashed))
        if outcome is None:
            break

    assert len(ends) > 5
    assert ends == [(StoreUnavailable, 0, 0)] * (len(ends) - 1) + [(type(None), 1, 1)]


@pytest.mark.parametrize(("read_before", "alive"), [(True, 0), (False, 1)], ids=["held open", "opened again"])
async def test_an_update_whose_log_cannot_be_synced_has_an_unknown_outcome(
    disk: Disk, path: Path, read_before: bool, alive: int
) -> None:
    """It reached the log: whoever had the file open does not count it, whoever opens it later does."""
    ended = await _update_on_a_failing_disk(disk, path, "sync", 0, NOT_SYNCED, read_before=read_before)

    assert isinstance(ended[0], OutcomeUnknown)
    assert isinstance(ended[0].__cause__, Exception)
    assert ended[1:] == (alive, 1)


async def test_a_full_disk_fails_a_whole_batch_with_an_error_for_each(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    disk.fail("write", 0, NO_SPACE)
    with turn_taken(path):
        updates = [asyncio.create_task(ask(store, inc("a"))) for _ in range(8)]
        await started()
    errors = await asyncio.gather(*updates, return_exceptions=True)

    assert [str(error) for error in errors] == [f"the session store is unavailable: {path}: the disk is full"] * 8
    assert len({id(error) for error in errors}) == 8
    assert await stored(store, "a") == {"n": 0}  # a full disk can be read
    disk.heal()
    await done(store, inc("a"))
    assert await stored(store, "a") == {"n": 1}
    await store.close()


@pytest.mark.parametrize("end", ["destroyed", "purged", "overwritten"])
async def test_what_is_over_is_not_left_in_the_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "sessions.db"
    store = SQLiteStore(path)
    keys = [f"key{number}" for number in range(9)]
    for key in keys:
        await done(store, create(key, {"field": "do-not-leave-this"}))
    if end == "purged":
        assert await store.purge(NOW + LIFETIMES.max_age + HOUR, 100) == len(keys)
    else:
        for key in keys:
            await done(store, destroy(key) if end == "destroyed" else put(key, "field", ""))
    await store.close()
    assert not path.with_name("sessions.db-wal").exists()
    assert b"do-not-leave-this" not in path.read_bytes()
