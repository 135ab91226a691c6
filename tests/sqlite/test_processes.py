"""Several processes on one file: they share it fairly, and one that is killed takes nothing with it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atomic_session.stores.sqlite import SQLiteStore

from .children import child, let_go, output, ran
from .commands import create, done, inc, load, put, stored
from .files import rows

EVERY = 300


COUNTING = """
import asyncio, sys, time
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.children import await_go
from tests.sqlite.commands import done, inc, stored

async def add(store, key, times):
    for _ in range(times):
        await done(store, inc("shared"))
        await done(store, inc(key))

async def main():
    path, key, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = SQLiteStore(path)
    await store.open()
    await_go()
    began = time.perf_counter()
    await asyncio.gather(*(add(store, key, times // 10) for _ in range(10)))
    print(time.perf_counter() - began)
    await store.close()

asyncio.run(main())
"""


async def test_four_processes_count_together(
    path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    keys = [f"process-{number}" for number in range(4)]
    store = SQLiteStore(path)
    for key in ("shared", *keys):
        await done(store, create(key))
    processes = [child(COUNTING, path, key, EVERY) for key in keys]
    let_go(processes)
    seconds = [float(output(process)[0]) for process in processes]
    record_testsuite_property("counting, fastest/slowest", f"{min(seconds) / max(seconds):.2f}")

    assert await stored(store, "shared") == {"n": 4 * EVERY}
    assert [await stored(store, key) for key in keys] == [{"n": EVERY}] * 4
    await store.close()


SHARING = """
import asyncio, sys
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.children import await_go
from tests.sqlite.commands import done, inc, stored

async def main():
    store = SQLiteStore(sys.argv[1], timeout=60)
    await store.open()
    await_go()
    while min((await stored(store, "shares")).values()) < int(sys.argv[3]):
        await done(store, inc("shares", sys.argv[2]))
    await store.close()

asyncio.run(main())
"""


async def test_no_process_is_starved(path: Path, record_testsuite_property: Callable[[str, object], None]) -> None:
    """All of them write until each has had its turn a hundred times."""
    names = [f"process-{number}" for number in range(4)]
    store = SQLiteStore(path)
    await done(store, create("shares", dict.fromkeys(names, 0)))
    processes = [child(SHARING, path, name, 100) for name in names]
    let_go(processes)
    for process in processes:
        output(process)
    shares = await stored(store, "shares")
    record_testsuite_property("turns, slowest/fastest", f"{min(shares.values()) / max(shares.values()):.2f}")

    assert min(shares.values()) >= 100
    await store.close()


OPENING = """
import asyncio, sys
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.children import await_go
from tests.sqlite.commands import create, done, stored

async def main():
    store = SQLiteStore(sys.argv[1], timeout=60)
    await_go()
    await done(store, create(sys.argv[2]))
    assert await stored(store, sys.argv[2]) == {"n": 0}
    await store.close()

asyncio.run(main())
"""


async def test_eight_processes_open_a_fresh_file_at_once(path: Path) -> None:
    keys = [f"process-{number}" for number in range(8)]
    processes = [child(OPENING, path, key) for key in keys]
    let_go(processes)
    for process in processes:
        output(process)

    assert rows(path) == 8
    assert rows(path, "SELECT count(*), max(version) FROM atomic_session_schema") == (1, 1)


PASSING_BY = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT data FROM atomic_session").fetchone()[0].decode())
connection.close()
"""


async def test_a_second_store_in_a_process_costs_the_first_no_protection(path: Path) -> None:
    """Whoever comes and goes must not take the log for abandoned, and remove it under the ones that stay."""
    first, second = SQLiteStore(path), SQLiteStore(path)
    await done(first, create("a"))
    await stored(first, "a")
    for store in (second, first):
        await store.close()
        await done(store, inc("a"))  # opens the file, beside the one that has it open
        assert ran(PASSING_BY, path) == [json.dumps(await stored(store, "a"), separators=(",", ":"))]
    await done(first, inc("a"))
    await done(second, inc("a"))
    assert await stored(first, "a") == await stored(second, "a") == {"n": 4}
    assert ran(PASSING_BY, path) == ['{"n":4}']

    await second.close()
    assert ran(PASSING_BY, path) == ['{"n":4}']
    await done(first, inc("a"))
    await first.close()
    assert ran(PASSING_BY, path) == ['{"n":5}']


WRITING = """
import asyncio, os, sys
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.children import await_go
from tests.sqlite.commands import done, put

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def write(store, name):
    number = 0
    while True:
        number += 1
        field = f"{name}-{number}"
        say("try", field)
        await done(store, put(sys.argv[2], field, number))
        say("did", field)

async def main():
    store = SQLiteStore(sys.argv[1], timeout=60)
    await store.open()
    await_go()
    await asyncio.gather(*(write(store, f"{sys.argv[3]}-{task}") for task in range(4)))

asyncio.run(main())
"""


@contextmanager
def _killed(processes: list[subprocess.Popen[str]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _words(text: str) -> tuple[set[str], set[str]]:
    """Return what was tried, and what was answered; a line that the kill cut short says nothing."""
    lines = [line.split() for line in text.split("\n")[:-1]]
    tried = {words[1] for words in lines if words[0] == "try"}
    return tried, {words[1] for words in lines if words[0] == "did"}


@pytest.mark.parametrize(("durability", "rounds"), [("full", 3), ("relaxed", 2)])
async def test_what_was_answered_survives_kills_of_the_writers(path: Path, durability: str, rounds: int) -> None:
    """Round after round: answered is a part of survived, survived is a part of tried."""
    code = WRITING.replace("timeout=60", f"timeout=60, durability={durability!r}")
    for number in range(rounds):
        key = f"round-{number}"
        store = SQLiteStore(path)
        await done(store, create(key, {}))
        await store.close()
        processes = [child(code, path, key, f"process-{place}") for place in range(3)]
        with _killed(processes):
            let_go(processes)
            begun = [_read_until(process, 40 + 30 * place) for place, process in enumerate(processes)]
        texts = [text + _rest(process) for text, process in zip(begun, processes, strict=True)]
        tried, answered = (set().union(*parts) for parts in zip(*map(_words, texts), strict=True))

        store = SQLiteStore(path)
        survived = set(await stored(store, key))
        assert sorted(answered - survived) == []
        assert sorted(survived - tried) == []
        await done(store, put(key, "after", 1))
        await store.close()
        assert rows(path, "PRAGMA integrity_check") == "ok"
        assert len(answered) >= 40 + 70 + 100


def _read_until(process: subprocess.Popen[str], answers: int) -> str:
    """Return what *process* says until it has so many answers."""
    assert process.stdout is not None
    text = ""
    while answers:
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        text += line
        answers -= line.startswith("did")
    return text


def _rest(process: subprocess.Popen[str]) -> str:
    with process:
        assert process.stdout is not None
        return process.stdout.read()


async def test_a_killed_writer_gives_up_its_turn(path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    holder = child(
        "import fcntl, os, sys; file = os.open(sys.argv[1], os.O_RDWR); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()",
        f"{path}-lock",
    )
    with _killed([holder]):
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        update = asyncio.create_task(done(store, inc("a")))
        await asyncio.sleep(0)
        assert (await done(store, load("a"))).data == {"n": 0}
    await update

    assert await stored(store, "a") == {"n": 1}
    await store.close()
    holder.communicate()


WITHOUT_LOCKING = """
import sys
sys.modules["fcntl"] = None  # as where there is no such module
"""


async def test_where_files_cannot_be_locked_the_engine_alone_keeps_writers_apart(path: Path) -> None:
    store = SQLiteStore(path)
    for key in ("shared", "process-0", "process-1"):
        await done(store, create(key))
    await store.close()
    os.unlink(f"{path}-lock")
    processes = [child(WITHOUT_LOCKING + COUNTING, path, f"process-{number}", 100) for number in range(2)]
    let_go(processes)
    for process in processes:
        output(process)

    assert f"{path.name}-lock" not in os.listdir(path.parent)
    assert await stored(store, "shared") == {"n": 200}
    await store.close()
