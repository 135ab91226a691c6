"""Files as applications give them: good ones, wrong ones, broken ones, and those that may not be written."""

# ruff: noqa: ASYNC240 - nothing else runs in these loops

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from atomic_session.errors import StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore

from .children import ran
from .commands import ask, create, done, inc, load, stored
from .files import rows, turn_taken
from .loops import started

NOBODY = 65_534


async def _refused(path: Path) -> str:
    """Return why *path* cannot be opened, twice: asking again must not make it worse."""
    store = SQLiteStore(path)
    with pytest.raises(StoreUnavailable) as first:
        await store.open()
    with pytest.raises(StoreUnavailable) as second:
        await ask(store, create("a"))
    await store.close()
    assert first.value.reason == second.value.reason
    return first.value.reason


# --- what is created


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_every_file_is_for_its_owner_alone(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        store = SQLiteStore(path)
        await done(store, create("a"))
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    finally:
        os.umask(before)
    await store.close()

    names = ["sessions.db", "sessions.db-lock", "sessions.db-shm", "sessions.db-wal"]
    assert modes == dict.fromkeys(names, 0o600)


async def test_a_file_that_a_group_shares_keeps_its_mode_and_the_lock_gets_it_too(path: Path) -> None:
    path.touch()
    path.chmod(0o660)
    store = SQLiteStore(path)
    await done(store, create("a"))

    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o660}
    await store.close()


async def test_an_orderly_end_leaves_the_database_and_the_lock(path: Path) -> None:
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()

    assert sorted(entry.name for entry in path.parent.iterdir()) == ["sessions.db", "sessions.db-lock"]


async def test_a_name_with_anything_in_it_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "ünï ?mode=memory&x#y%41 'q\".db"
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()

    assert path.read_bytes().startswith(b"SQLite format 3")


async def test_a_link_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path, link = tmp_path / "data" / "s.db", tmp_path / "link.db"
    link.symlink_to(path)
    by_link, by_name = SQLiteStore(link), SQLiteStore(path)
    await done(by_link, create("a"))

    assert await stored(by_name, "a") == {"n": 0}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "link.db"]
    with turn_taken(path):
        pass
    await by_link.close()
    await by_name.close()


async def test_a_relative_name_stays_the_same_file_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("s.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    await done(store, create("a"))
    await store.close()

    assert (tmp_path / "s.db").is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []


# --- what is no file of ours


@pytest.mark.parametrize("content", [b"hello", b"not a database\n" * 1_000, b"\0" * 5_000])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert await _refused(path) == f"{path}: it is not an SQLite database"
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()

    assert rows(path) == 1


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "s.db"

    assert await _refused(path) == f"{path}: there is no directory {path.parent}"
    path.parent.mkdir()
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert await _refused(tmp_path) == f"{tmp_path}: it is a directory"
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_no_directory(path: Path) -> None:
    path.touch()

    assert "there is no directory" in await _refused(path / "s.db")


async def test_tables_of_somebody_else_with_our_name_are_refused_and_left_alone(path: Path) -> None:
    rows_before = rows(_database(path, "CREATE TABLE atomic_session (x); INSERT INTO atomic_session VALUES (7)"))

    assert "already exists" in await _refused(path)
    assert rows(path) == rows_before == 1


async def test_other_tables_in_the_file_stay(path: Path) -> None:
    _database(path, "CREATE TABLE mine (x); INSERT INTO mine VALUES (7)")
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()

    assert rows(path, "SELECT x FROM mine") == 7


def _database(path: Path, script: str) -> Path:
    connection = apsw.Connection(str(path))
    connection.execute(script)
    connection.close()
    return path


# --- what was damaged


PAGE = 4_096


def _page_of(path: Path, text: bytes) -> int:
    content = path.read_bytes()
    return content.index(text) // PAGE


async def test_a_damaged_page_costs_its_session_and_no_other(path: Path) -> None:
    keys = [f"session-{number}" for number in range(20)]
    store = SQLiteStore(path)
    for key in keys:
        await done(store, create(key, {"n": 0, "text": f"<{key}>" * 250}))  # one page each
    await store.close()
    with path.open("r+b") as file:
        file.seek(_page_of(path, b"<session-7><session-7>") * PAGE)
        file.write(b"\xff" * PAGE)

    store = SQLiteStore(path)
    await store.open()
    with pytest.raises(StoreUnavailable, match="it is damaged"):
        await ask(store, load("session-7"))
    with turn_taken(path):
        updates = [asyncio.create_task(ask(store, inc(f"session-{number}"))) for number in (3, 7, 12)]
        await started()
    results = await asyncio.gather(*updates, return_exceptions=True)

    assert isinstance(results[1], StoreUnavailable)
    assert [(await stored(store, key))["n"] for key in keys if key != "session-7"] == [
        int(key in {"session-3", "session-12"}) for key in keys if key != "session-7"
    ]
    await store.close()


async def test_a_file_that_was_cut_short_is_an_error_and_not_an_empty_store(path: Path) -> None:
    store = SQLiteStore(path)
    for number in range(50):
        await done(store, create(f"session-{number}", {"text": "x" * 3_000}))
    await store.close()
    os.truncate(path, PAGE)

    store = SQLiteStore(path)
    with pytest.raises(StoreUnavailable):
        await ask(store, load("session-40"))
    await store.close()


# --- what may not be written


AS_NOBODY = f"""
import asyncio, os, sys, traceback
from pathlib import Path
from atomic_session.errors import StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.commands import ask, create, done, inc, load, put, stored
from atomic_session.errors import OutcomeUnknown
import encodings.idna, concurrent.futures.thread  # what is imported late cannot be read any more

async def main():
    path = Path(sys.argv[1])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid({NOBODY})
        os.setuid({NOBODY})
    store = SQLiteStore(path)
    try:
        await store.open()
    except StoreUnavailable as error:
        print(error.reason)
    else:
        try:
            await done(store, inc("a"))
        except StoreUnavailable as error:
            print(error.reason)
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that another user can reach; those of pytest are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="atomic-session-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


async def test_a_read_only_file_is_unavailable(reachable: Path) -> None:
    path = reachable / "s.db"
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()
    path.chmod(0o444)
    before = path.read_bytes()

    (reason,) = ran(AS_NOBODY, path)
    assert reason == f"{path}: it is read-only"
    assert path.read_bytes() == before


async def test_a_read_only_directory_is_unavailable(reachable: Path) -> None:
    reachable.chmod(0o555)

    (reason,) = ran(AS_NOBODY, reachable / "s.db")
    assert reason == f"{reachable / 's.db'}: Permission denied"
    assert list(reachable.iterdir()) == []


async def test_a_file_of_somebody_else_is_unavailable(reachable: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a file that belongs to somebody else")
    path = reachable / "s.db"
    store = SQLiteStore(path)
    await done(store, create("a"))
    await store.close()

    (reason,) = ran(AS_NOBODY, path)
    assert reason == f"{path}: it cannot be opened"


async def test_what_root_opened_first_does_not_lock_its_owner_out(reachable: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can open a file of somebody else first")
    os.chown(reachable, NOBODY, NOBODY)
    path = reachable / "s.db"
    path.touch(0o600)
    os.chown(path, NOBODY, NOBODY)
    store = SQLiteStore(path)
    await done(store, create("a"))  # as root would from a command line

    assert ran(AS_NOBODY, path) == []
    assert await stored(store, "a") == {"n": 1}
    await store.close()


FULL = """
import asyncio, resource, sys
from pathlib import Path
from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.commands import create, done, inc, put, stored

async def main():
    path = Path(sys.argv[1])
    store = SQLiteStore(path)
    await done(store, create("counter"))
    kept, refused = [], []
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    for number in range(40):
        key = f"session-{number}"
        try:
            await done(store, create(key, {"text": "x" * 20_000}))
        except StoreUnavailable:
            refused.append(key)
        else:
            kept.append(key)
    assert kept and refused, (kept, refused)
    assert (await stored(store, "counter")) == {"n": 0}
    for key in kept:
        assert len((await stored(store, key))["text"]) == 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for key in refused:
        await done(store, create(key, {"text": "y"}))
    await done(store, inc("counter"))
    await store.close()
    print(len(kept) + len(refused))

asyncio.run(main())
"""


async def test_files_that_may_not_grow_refuse_what_is_new_and_keep_what_is_there(path: Path) -> None:
    assert ran(FULL, path) == ["40"]
    assert rows(path) == 41
    assert rows(path, "PRAGMA integrity_check") == "ok"


NO_SPACE = """
import asyncio, os, sys
from pathlib import Path
from atomic_session.errors import StoreUnavailable
from atomic_session.stores.sqlite import SQLiteStore
from tests.sqlite.commands import create, done, stored

async def refused(work):
    try:
        await work
    except StoreUnavailable as error:
        return True

async def main():
    disk = Path(sys.argv[1])
    (disk / "other").write_bytes(bytes(400_000))
    store = SQLiteStore(disk / "s.db")
    await done(store, create("counter"))
    kept = []
    while not await refused(done(store, create(f"session-{len(kept)}", {"text": "x" * 20_000}))):
        kept.append(f"session-{len(kept)}")
    assert len(kept) > 5
    await store.close()
    for key in kept:
        assert len((await stored(store, key))["text"]) == 20_000
    fresh = SQLiteStore(disk / "fresh.db")
    assert await refused(fresh.open())

    os.unlink(disk / "other")
    await done(fresh, create("a"))
    await fresh.close()
    await done(store, create(f"session-{len(kept)}", {"text": "x" * 20_000}))
    assert await stored(store, "counter") == {"n": 0}
    await store.close()
    print("served again")

asyncio.run(main())
"""


def test_a_full_disk_refuses_what_is_new_and_serves_again_when_there_is_space(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mounted, "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("a small disk cannot be mounted here: it takes the rights of root")

    assert ran(NO_SPACE, tmp_path, prefix=prefix) == ["served again"]
