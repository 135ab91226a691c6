"""The tables: made once whoever comes, step by step, in any schema, by whoever may."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.harnesses.postgresql import PostgreSQLHarness

from atomic_session.commands import Login, Outcome, OwnerLimit
from atomic_session.errors import StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.stores.postgresql.schema import migrate, migrations_in
from atomic_session.testing.holder import HOUR, NOW, ask, started

DOCUMENT = Path(__file__).parents[2] / "docs/postgresql.md"


@pytest.fixture
async def database(url: str) -> AsyncIterator[str]:
    """The URL of a database that is empty, and gone afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield url.rpartition("/")[0] + f"/{name}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def _works(url: str, owner: str = "alice") -> None:
    store = PostgreSQLStore.from_url(url, timeout=20)
    try:
        await store.open()
        holder = await started(store, {"n": 0}, owner=owner)
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
        login = Login(owner, OwnerLimit(1, evict_oldest=True))
        assert (await ask(store, holder.rotate(holder.renewed(), login=login))).outcome is Outcome.DONE
        assert [info.id for info in await store.sessions_of(owner, NOW)] == [holder.id]
        assert await store.destroy_all(owner, None, NOW) == 1
        assert await store.purge(NOW + 2 * HOUR, 10) >= 1
    finally:
        await store.close()


async def test_each_migration_is_a_step_of_its_own(database: str) -> None:
    connection = await asyncpg.connect(database)
    migrations = migrations_in("steps")
    for number in range(1, len(migrations) + 1):
        async with connection.transaction():
            await migrate(connection, "steps", migrations[:number])
        assert await connection.fetchval("SELECT max(version) FROM steps.migrations") == number
        async with connection.transaction():
            await migrate(connection, "steps", migrations[:number])  # nothing is left to do
        assert await connection.fetchval("SELECT count(*) FROM steps.migrations") == number
    await connection.close()
    await _works(f"{database}?schema=steps")


async def test_the_server_has_nothing_to_say_against_the_functions(database: str) -> None:
    """A database that is told to be strict refuses what it would otherwise warn of."""
    connection = await asyncpg.connect(database)
    await connection.execute("SET plpgsql.extra_errors = 'all'")
    async with connection.transaction():
        await migrate(connection, "strict", migrations_in("strict"))
    await connection.close()


async def test_a_migration_that_fails_changes_nothing(database: str) -> None:
    connection = await asyncpg.connect(database)
    broken = [*migrations_in("broken")[:1], 'CREATE TABLE "broken".more (id text); SELECT 1 / 0']
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with connection.transaction():
            await migrate(connection, "broken", broken)
    assert await connection.fetchval("SELECT to_regnamespace('broken')") is None
    await connection.close()


async def test_records_survive_a_later_migration(database: str) -> None:
    connection = await asyncpg.connect(database)
    store = PostgreSQLStore.from_url(database)
    holder = await started(store, {"n": 0})
    later = [*migrations_in("atomic_session"), 'ALTER TABLE "atomic_session".records ADD COLUMN later text']
    async with connection.transaction():
        await migrate(connection, "atomic_session", later)
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}  # an open store of the older release
    await store.close()
    with pytest.raises(StoreUnavailable, match="newer release"):
        await store.open()
    await store.close()
    await connection.close()


async def test_processes_that_start_at_once_make_the_tables_once(database: str) -> None:
    code = f"""if True:
        import asyncio
        from atomic_session.stores.postgresql import PostgreSQLStore
        async def main():
            store = PostgreSQLStore.from_url({database!r}, timeout=60)
            await store.open()
            await store.close()
        asyncio.run(main())
    """

    def open_once() -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr

    assert await asyncio.gather(*[asyncio.to_thread(open_once) for _ in range(8)]) == [""] * 8
    await _works(database)


@pytest.mark.parametrize(
    "schema",
    ["public", "Sessions", "of the shop", "o'clock", 'a"b', "select", "sitzungen_äöü", 'a"atomic_session"b', "$1;--"],
)
async def test_the_schema_is_the_users_choice(database: str, schema: str) -> None:
    store = PostgreSQLStore(database, schema=schema, timeout=20)
    await store.open()
    holder = await started(store, {"n": 0}, owner="alice")
    login = Login("alice", OwnerLimit(1, evict_oldest=True))
    assert (await ask(store, holder.rotate(holder.renewed(), login=login))).outcome is Outcome.DONE
    await store.close()
    connection = await asyncpg.connect(database)
    schemas = await connection.fetch("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'records'")
    assert [row[0] for row in schemas] == [schema]
    await connection.close()


async def test_two_schemas_share_nothing(database: str) -> None:
    first, second = PostgreSQLStore(database, schema="a"), PostgreSQLStore(database, schema="b")
    holder = await started(first, {"n": 0}, owner="alice")
    assert (await ask(second, holder.load())).outcome is Outcome.ABSENT
    assert await second.destroy_all("alice", None, NOW) == 0
    await first.close()
    await second.close()


def _documented_grants() -> str:
    documented: list[str] = re.findall(r"^```sql\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return next(block for block in documented if "GRANT" in block)


async def test_least_privileges_suffice_and_less_is_told(database: str) -> None:
    """The statements are those of the documentation."""
    grants = _documented_grants()
    app = database.replace("postgres@", "app@")
    connection = await asyncpg.connect(database)
    await connection.execute("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN")
    try:
        with pytest.raises(StoreUnavailable, match="may not"):
            await _works(app)
        await _works(database)  # the owner of the tables makes them
        with pytest.raises(StoreUnavailable):
            await _works(app)
        await connection.execute("GRANT USAGE ON SCHEMA atomic_session TO app")
        await connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA atomic_session TO app")
        with pytest.raises(StoreUnavailable, match="INSERT, UPDATE, DELETE"):
            await _works(app)
        await connection.execute(grants)
        await _works(app)
        await connection.execute("INSERT INTO atomic_session.migrations (version) VALUES (9999)")
        with pytest.raises(StoreUnavailable, match="newer release"):
            await _works(app)
        other = await asyncpg.connect(app)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.execute("DROP TABLE atomic_session.records")
        await other.close()
    finally:
        await connection.execute("DROP OWNED BY app; DROP ROLE app")
        await connection.close()


async def test_least_privileges_suffice_where_nothing_is_everybodys(database: str) -> None:
    """Default privileges may take from everybody what PostgreSQL gives to everybody."""
    app = database.replace("postgres@", "app@")
    connection = await asyncpg.connect(database)
    await connection.execute("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN")
    for kind in ("EXECUTE ON FUNCTIONS", "USAGE ON TYPES"):
        await connection.execute(f"ALTER DEFAULT PRIVILEGES REVOKE {kind} FROM PUBLIC")
    try:
        await _works(database)
        grants = _documented_grants().splitlines()
        await connection.execute("\n".join(grant for grant in grants if "FUNCTIONS" not in grant))
        with pytest.raises(StoreUnavailable, match="EXECUTE"):
            await _works(app)
        await connection.execute("\n".join(grants))
        await _works(app)
    finally:
        await connection.execute("DROP OWNED BY app; DROP ROLE app")
        await connection.close()


async def test_a_database_in_another_encoding_is_refused(url: str, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DROP DATABASE IF EXISTS latin")
    await connection.execute("CREATE DATABASE latin ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    store = PostgreSQLStore.from_url(url.rpartition("/")[0] + "/latin")
    with pytest.raises(StoreUnavailable, match="UTF8"):
        await store.open()
    await store.close()
    await connection.execute("DROP DATABASE latin WITH (FORCE)")
    await connection.close()


async def test_opening_twice_and_again_after_closing_works(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    await store.open()
    await store.close()
    await store.close()
    holder = await started(store, {"n": 0})
    assert (await ask(store, holder.load())).data == {"n": 0}
