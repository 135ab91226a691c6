"""A process that forks with an open store: SQLite must not be carried across."""

from __future__ import annotations

from pathlib import Path

import pytest

from .children import ran
from .files import rows

# Newer Pythons warn of any fork where there are threads; that is what is tested here.
QUIET = ("-W", "ignore::DeprecationWarning")

PROLOGUE = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.commands import create, done, inc, stored

path = sys.argv[1]
store = SQLiteStore(path)

def files():
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            names.append(os.readlink(entry).removesuffix(" (deleted)"))
        except FileNotFoundError:
            pass  # the one that listed them
    return sorted(Path(name).name for name in names if name.startswith(path))

def in_child(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    sys.exit(0)  # the orderly way, with everything that is registered for it

def ended(child):
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status

async def add(times):
    await asyncio.gather(*(done(store, inc("a")) for _ in range(times)))
"""

INHERITS_NOTHING = """
async def start():
    await done(store, create("a"))
    await stored(store, "a")

asyncio.run(start())
assert len(files()) > 3, files()

def work():
    assert files() == [], files()
    assert threading.active_count() == 1

ended(in_child(work))
asyncio.run(add(10))
assert asyncio.run(stored(store, "a")) == {"n": 10}
asyncio.run(store.close())
assert files() == [], files()
"""

BOTH_GO_ON = """
asyncio.run(done(store, create("a")))
asyncio.run(stored(store, "a"))

def work():
    asyncio.run(add(50))
    assert asyncio.run(stored(store, "a"))["n"] >= 50
    asyncio.run(store.close())

children = [in_child(work) for _ in range(3)]
asyncio.run(add(50))
for child in children:
    ended(child)
assert asyncio.run(stored(store, "a")) == {"n": 200}
asyncio.run(store.close())
"""

PARENT_CLOSES_FIRST = """
asyncio.run(done(store, create("a")))
asyncio.run(stored(store, "a"))
read, write = os.pipe()

def work():
    asyncio.run(add(20))
    os.read(read, 1)  # until the parent has closed its own
    asyncio.run(add(20))
    assert asyncio.run(stored(store, "a")) == {"n": 40}

child = in_child(work)
asyncio.run(store.close())
os.write(write, b"x")
ended(child)
assert asyncio.run(stored(store, "a")) == {"n": 40}
"""

AT_WORK = """
asyncio.run(done(store, create("a")))

def work():
    asyncio.run(add(5))

async def main():
    updates = [asyncio.create_task(add(20)) for _ in range(10)]
    children = []
    for _ in range(5):
        await asyncio.sleep(0)
        children.append(in_child_of_a_loop(work))
    await asyncio.gather(*updates)
    for child in children:
        await asyncio.to_thread(ended, child)

def in_child_of_a_loop(work):
    child = os.fork()
    if child:
        return child
    asyncio.events._set_running_loop(None)
    try:
        work()
    finally:
        os._exit(0)

asyncio.run(main())
assert asyncio.run(stored(store, "a")) == {"n": 225}
asyncio.run(store.close())
"""

ORPHAN = """
import fcntl
asyncio.run(done(store, create("a")))
read, write = os.pipe()

def parent_dies_in_its_turn():
    file = os.open(path + "-lock", os.O_RDWR)
    store._file.writer._turns.__enter__()  # a turn that is under way at the fork
    grandchild = os.fork()
    if grandchild == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)

child = os.fork()
if child == 0:
    asyncio.run(add(1))
    parent_dies_in_its_turn()
os.waitpid(child, 0)
asyncio.run(add(1))
assert asyncio.run(stored(store, "a")) == {"n": 2}
os.write(write, b"x")
"""

UNOPENED = """
def work():
    asyncio.run(done(store, create("a")))

ended(in_child(work))
assert asyncio.run(stored(store, "a")) == {"n": 0}
"""


@pytest.mark.parametrize(
    "code",
    [INHERITS_NOTHING, BOTH_GO_ON, PARENT_CLOSES_FIRST, AT_WORK, ORPHAN, UNOPENED],
    ids=["inherits nothing", "both go on", "the parent closes first", "at work", "orphan", "unopened"],
)
def test_a_fork(path: Path, code: str) -> None:
    ran(PROLOGUE + code, path, options=QUIET)

    assert rows(path) == 1
    assert rows(path, "PRAGMA integrity_check") == "ok"
