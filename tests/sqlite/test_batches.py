"""What waits together is written together, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import apsw
import pytest

from atomic_session.commands import Outcome
from atomic_session.errors import CorruptRecord, OutcomeUnknown, StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore

from .commands import NOW, ask, create, destroy, done, inc, load, put, stored
from .disk import Disk
from .files import rows, transactions, turn_taken, written_elsewhere
from .loops import leap, run, started, woken

Held: TypeAlias = Callable[[Path], AbstractContextManager[Any]]

KEYS = [f"session-{number:02}" for number in range(64)]


async def test_64_updates_that_wait_together_are_one_transaction(store: SQLiteStore, path: Path) -> None:
    await asyncio.gather(*(done(store, create(key)) for key in KEYS))
    before = transactions(path)
    with turn_taken(path):
        updates = [asyncio.create_task(done(store, inc(key))) for key in KEYS]
        await started()
    await asyncio.gather(*updates)

    assert transactions(path) == before + 1
    assert [(await stored(store, key))["n"] for key in KEYS] == [1] * 64


async def test_updates_one_after_the_other_are_a_transaction_each(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    before = transactions(path)
    for _ in range(10):
        await done(store, inc("a"))

    assert transactions(path) == before + 10


async def test_64_updates_of_one_session_that_wait_together_all_count(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    with turn_taken(path):
        updates = [asyncio.create_task(done(store, inc("a"))) for _ in range(64)]
        await started()
    answers = await asyncio.gather(*updates)

    assert [answer.record.rev for answer in answers if answer.record] == list(range(2, 66))
    assert await stored(store, "a") == {"n": 64}


async def test_a_batch_has_a_bound(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    before = transactions(path)
    with turn_taken(path):
        updates = [asyncio.create_task(done(store, inc("a"))) for _ in range(1_100)]
        await started()
    await asyncio.gather(*updates)

    assert transactions(path) == before + 3
    assert await stored(store, "a") == {"n": 1_100}


def test_a_batch_wakes_its_loop_once(path: Path) -> None:
    async def use() -> int:
        store = SQLiteStore(path)
        await asyncio.gather(*(done(store, create(key)) for key in KEYS))
        with turn_taken(path):
            updates = [asyncio.create_task(done(store, inc(key))) for key in KEYS]
            await started()
            before = woken()
        await asyncio.gather(*updates)
        times = woken() - before
        await store.close()
        return times

    assert run(use) == 1


async def test_refused_and_gone_commands_do_not_disturb_their_neighbours(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    await done(store, create("text", {"n": "no number"}))
    await done(store, create("gone"))
    await done(store, destroy("gone"))
    with turn_taken(path):
        keys = ["a", "text", "gone", "never", "a"]
        updates = [asyncio.create_task(ask(store, inc(key))) for key in keys]
        await started()
    answers = await asyncio.gather(*updates)

    assert [answer.outcome for answer in answers] == [
        Outcome.DONE,
        Outcome.REFUSED,
        Outcome.DESTROYED,
        Outcome.ABSENT,
        Outcome.DONE,
    ]
    assert await stored(store, "a") == {"n": 2}


@pytest.mark.parametrize(
    "change",
    [
        "data = CAST('[]' AS BLOB)",
        "data = CAST('no json' AS BLOB)",
        "data = x'ff'",
        "data = CAST('{\"n\":' || replace(hex(zeroblob(50000)), '0', '[') || '}' AS BLOB)",
        "owner = CAST(x'ff' AS TEXT)",
    ],
    ids=["no object", "no JSON", "no UTF-8", "too deep", "an owner that is no UTF-8"],
)
async def test_a_row_that_is_not_ours_fails_its_own_session_only(store: SQLiteStore, path: Path, change: str) -> None:
    for key in ("a", "broken", "b"):
        await done(store, create(key))
    rows(path, f"UPDATE atomic_session SET {change} WHERE id = 'broken'")
    with turn_taken(path):
        updates = [asyncio.create_task(ask(store, inc(key))) for key in ("a", "broken", "b")]
        await started()
    results = await asyncio.gather(*updates, return_exceptions=True)

    with pytest.raises(CorruptRecord, match="broken"):
        await ask(store, load("broken"))
    assert isinstance(results[1], CorruptRecord)
    assert [await stored(store, "a"), await stored(store, "b")] == [{"n": 1}, {"n": 1}]


async def test_a_row_that_could_not_be_read_keeps_nobody_from_emptying_the_log(store: SQLiteStore, path: Path) -> None:
    await done(store, create("broken"))
    rows(path, "UPDATE atomic_session SET owner = CAST(x'ff' AS TEXT)")
    with pytest.raises(CorruptRecord):
        await ask(store, load("broken"))
    rows(path, "UPDATE atomic_session SET rev = 2")

    busy, _, _ = rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert busy == 0


async def test_a_batch_of_one_call_that_meets_a_broken_row_is_not_applied(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    await done(store, create("broken"))
    rows(path, "UPDATE atomic_session SET data = x'ff' WHERE id = 'broken'")

    with pytest.raises(CorruptRecord):
        await store.execute((inc("a"), inc("broken")))
    assert await stored(store, "a") == {"n": 0}


async def test_an_update_cancelled_while_it_waits_is_never_applied(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    with turn_taken(path):
        kept, dropped, last = (
            asyncio.create_task(done(store, put("a", name, True))) for name in ("kept", "dropped", "last")
        )
        await started()
        dropped.cancel()
        await started()
    await asyncio.gather(kept, last)

    assert dropped.cancelled()
    assert await stored(store, "a") == {"n": 0, "kept": True, "last": True}


async def test_an_update_cancelled_under_way_lands_and_harms_nobody(disk: Disk, path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    disk.holding.clear()
    first = asyncio.create_task(done(store, inc("a")))
    await asyncio.to_thread(disk.held.wait, 60)
    second = asyncio.create_task(done(store, inc("a")))
    await started()
    first.cancel()
    await started()
    disk.holding.set()
    await second

    assert first.cancelled()
    assert await stored(store, "a") == {"n": 2}
    await store.close()


@pytest.fixture
def begun() -> Iterator[threading.Event]:
    """Set when a writer begins a transaction, which may then have to wait."""
    event = threading.Event()

    def watch(connection: apsw.Connection) -> None:
        def trace(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
            if statement.startswith("BEGIN"):
                event.set()
            return True

        if threading.current_thread() is not threading.main_thread():
            connection.exec_trace = trace

    apsw.connection_hooks.append(watch)
    yield event
    apsw.connection_hooks.remove(watch)


@pytest.mark.parametrize("held", [turn_taken, written_elsewhere])
def test_what_waits_too_long_for_another_process_is_unavailable_and_never_applied(
    path: Path, begun: threading.Event, held: Held
) -> None:
    async def use() -> list[Any]:
        store = SQLiteStore(path, timeout=5)
        await done(store, create("a"))
        await done(store, put("a", "n", 0))  # by its answer the purge that followed the first has ended
        with held(path):
            begun.clear()
            updates = [asyncio.create_task(ask(store, inc("a"))) for _ in range(5)]
            await started()
            if held is written_elsewhere:
                assert await asyncio.to_thread(begun.wait, 60)
            leap(6)
            results = await asyncio.gather(*updates, return_exceptions=True)
        await done(store, put("a", "after", True))
        data = await stored(store, "a")
        await store.close()
        return [*results, data]

    *results, data = run(use)
    assert [type(result) for result in results] == [StoreUnavailable] * 5
    assert data == {"n": 0, "after": True}


async def test_reads_do_not_wait_for_writers(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    with turn_taken(path), written_elsewhere(path):
        assert await stored(store, "a") == {"n": 0}
        assert await store.sessions_of("nobody", NOW) == []


def test_an_update_that_takes_too_long_under_way_has_an_unknown_outcome(disk: Disk, path: Path) -> None:
    async def use() -> Any:
        store = SQLiteStore(path, timeout=5)
        await done(store, create("a"))
        disk.holding.clear()
        update = asyncio.create_task(ask(store, inc("a")))
        await asyncio.to_thread(disk.held.wait, 60)
        leap(6)
        with pytest.raises(OutcomeUnknown):
            await update
        disk.holding.set()
        await done(store, put("a", "after", True))
        data = await stored(store, "a")
        await store.close()
        return data

    assert run(use) == {"n": 1, "after": True}


def test_a_read_is_answered_though_its_renewal_cannot_be_kept(path: Path) -> None:
    async def use() -> None:
        store = SQLiteStore(path, timeout=5)
        created = await done(store, create("a"))
        assert created.record is not None
        due = load("a", created.record.renew_at)
        with turn_taken(path):
            read = asyncio.create_task(done(store, due))
            await started()
            leap(6)
            answer = await read
        assert (answer.record, answer.renewed, answer.data) == (created.record, False, {"n": 0})

        later = await done(store, due)
        assert later.renewed
        await store.close()

    run(use)


def test_opening_gives_up_where_another_process_never_ends(path: Path) -> None:
    async def use() -> None:
        first, second = SQLiteStore(path), SQLiteStore(path, timeout=5)
        await first.open()
        with turn_taken(path):
            opening = asyncio.create_task(second.open())
            await started()
            leap(6)
            with pytest.raises(StoreUnavailable):
                await opening
        await second.open()
        await done(second, create("a"))
        await first.close()
        await second.close()

    run(use)
