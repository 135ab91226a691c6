"""What `open` does: look at the server, bring the tables up to date, and see what the account may do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from ...errors import StoreUnavailable
from ...resources import read_migrations, read_queries
from .trips import Connection, Trips

__all__ = ["Queries", "migrations_in", "prepare", "queries_in"]

Queries: TypeAlias = dict[str, str]

_PACKAGE = __name__.rpartition(".")[0]
_PLACEHOLDER = '"atomic_session"'
_PLACES = re.compile(f"'?{_PLACEHOLDER}")
_LONGEST_NAME = 63
_OLDEST = 130_000


def queries_in(schema: str) -> Queries:
    """
    Return the statements for *schema*, by name.

    Raises:
        ValueError: it can be no name of a schema.
    """
    return {name: _placed(text, schema) for name, text in read_queries(_PACKAGE).items()}


def migrations_in(schema: str) -> list[str]:
    """Return the migrations for *schema* in order: the first one leads to version 1."""
    return [_placed(text, schema) for text in read_migrations(_PACKAGE)]


async def prepare(trips: Trips, schema: str) -> None:
    """
    Make the tables ready in *schema*, which is created where it is missing.

    Raises:
        StoreUnavailable: the server is not fit, a newer release made the tables, or the account may not do enough.
    """
    queries = queries_in(schema)
    ((encoding, release),) = await trips.fetch(queries["server"])
    if encoding != "UTF8":
        raise StoreUnavailable(f"the database's encoding must be UTF8, not {encoding}")
    if release < _OLDEST:
        raise StoreUnavailable(f"the server must be PostgreSQL 13 or newer, not {release // 10_000}")
    migrations = migrations_in(schema)
    version = await _version(trips, queries)
    _check_version(version, migrations)  # an account that may not migrate is told so, too
    if version < len(migrations):
        await trips.transact(lambda connection: migrate(connection, schema, migrations))
    missing = [row[0] for row in await trips.fetch(queries["rights"])]
    if missing:
        raise StoreUnavailable(f"the account needs the right to {', '.join(missing)} in the schema {schema}")


async def migrate(connection: Connection, schema: str, migrations: Sequence[str]) -> None:
    """
    Bring the tables to the version that *migrations* lead to, inside the caller's transaction.

    Raises:
        StoreUnavailable: a newer release made them.
    """
    queries = queries_in(schema)
    await connection.execute(queries["lock"])
    if not await connection.fetchval(queries["has_schema"], _quoted(schema)):
        await connection.execute(f"CREATE SCHEMA {_quoted(schema)}")
    await connection.execute(queries["begin_migrations"])
    version = await connection.fetchval(queries["version"])
    _check_version(version, migrations)
    for number, migration in enumerate(migrations[version:], start=version + 1):
        await connection.execute(migration)
        await connection.execute(queries["note"], number)


def _check_version(version: int, migrations: Sequence[str]) -> None:
    if version > len(migrations):
        raise StoreUnavailable(f"the tables (version {version}) were made by a newer release")


async def _version(trips: Trips, queries: Queries) -> int:
    ((exists,),) = await trips.fetch(queries["is_migrated"])
    if not exists:
        return 0
    ((version,),) = await trips.fetch(queries["version"])
    return int(version)


def _placed(text: str, schema: str) -> str:
    """Put *schema* in its place, in one go: its own name may look like the placeholder."""
    quoted = _quoted(schema)
    in_text = "'" + quoted.replace("'", "''")
    return _PLACES.sub(lambda place: in_text if place[0].startswith("'") else quoted, text)


def _quoted(schema: str) -> str:
    if not 0 < len(schema.encode()) <= _LONGEST_NAME or not schema.isprintable():
        raise ValueError(f"a schema's name has 1 to {_LONGEST_NAME} bytes that can be printed, not {schema!r}")
    if "$$" in schema:
        raise ValueError(f"a schema's name must be without '$$', which ends the text of a function, not {schema!r}")
    return '"' + schema.replace('"', '""') + '"'
