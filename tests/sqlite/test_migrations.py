"""The tables: made step by step, brought up to date in place, and left alone by an older release."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from atomic_session.errors import StoreUnavailable
from atomic_session.resources import read_migrations
from atomic_session.stores.sqlite import SQLiteStore
from atomic_session.stores.sqlite.database import migrate

from .commands import ask, create, done, inc
from .files import rows

MIGRATIONS = read_migrations("atomic_session.stores.sqlite")
NEXT = [
    *MIGRATIONS,
    "ALTER TABLE atomic_session ADD COLUMN label TEXT; UPDATE atomic_session SET label = 'kept ' || id;",
    "CREATE INDEX atomic_session_label ON atomic_session (label);",
]
SCHEMA = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"


def _connected(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path))


def _schema(connection: apsw.Connection) -> list[tuple[str, str, str]]:
    return list(connection.execute(SCHEMA))


@pytest.mark.parametrize("migrations", [MIGRATIONS, NEXT], ids=["ours", "with later ones"])
def test_step_by_step_leads_to_the_same_tables_as_all_at_once(tmp_path: Path, migrations: list[str]) -> None:
    at_once, by_steps = _connected(tmp_path / "a.db"), _connected(tmp_path / "b.db")
    migrate(tmp_path, at_once, migrations)
    for number in range(1, len(migrations) + 1):
        migrate(tmp_path, by_steps, migrations[:number])

    assert _schema(by_steps) == _schema(at_once)
    versions = list(by_steps.execute("SELECT version FROM atomic_session_schema ORDER BY version"))
    assert versions == [(number + 1,) for number in range(len(migrations))]


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    connection = _connected(tmp_path / "a.db")
    migrate(tmp_path, connection, NEXT)
    before, changes = _schema(connection), connection.total_changes()
    migrate(tmp_path, connection, NEXT)

    assert (_schema(connection), connection.total_changes()) == (before, changes)


async def test_an_older_file_is_brought_up_to_date_with_all_it_holds(store: SQLiteStore, path: Path) -> None:
    for key in ("a", "b"):
        await done(store, create(key, {"n": 1, "text": key}))
    await store.close()
    connection = _connected(path)
    migrate(path, connection, NEXT)

    assert list(connection.execute("SELECT id, label FROM atomic_session ORDER BY id")) == [
        ("a", "kept a"),
        ("b", "kept b"),
    ]
    assert list(connection.execute("SELECT data FROM atomic_session ORDER BY id")) == [
        (b'{"n":1,"text":"a"}',),
        (b'{"n":1,"text":"b"}',),
    ]
    connection.close()


async def test_a_newer_file_is_refused_and_left_alone(store: SQLiteStore, path: Path) -> None:
    await done(store, create("a"))
    await store.close()
    connection = _connected(path)
    migrate(path, connection, NEXT)
    before = _schema(connection)
    with pytest.raises(StoreUnavailable, match=r"version 3.*newer release"):
        await store.open()
    with pytest.raises(StoreUnavailable, match="newer release"):
        await ask(store, inc("a"))

    assert _schema(connection) == before
    assert connection.execute("SELECT data FROM atomic_session").get == b'{"n":0}'
    connection.close()


def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    connection = _connected(tmp_path / "a.db")
    migrate(tmp_path, connection, MIGRATIONS)
    before = _schema(connection)
    with pytest.raises(apsw.SQLError, match="no such table"):
        migrate(tmp_path, connection, [*NEXT, "INSERT INTO missing VALUES (1);"])

    assert not connection.in_transaction
    assert _schema(connection) == before
    assert connection.execute("SELECT max(version) FROM atomic_session_schema").get == len(MIGRATIONS)


async def test_the_store_makes_what_the_migrations_say(store: SQLiteStore, path: Path, tmp_path: Path) -> None:
    connection = _connected(tmp_path / "other.db")
    migrate(tmp_path, connection, MIGRATIONS)
    made = _schema(connection)

    assert [tuple(row) for row in rows(path, SCHEMA)] == made
