"""The PostgreSQL store: a row per session, one statement per batch."""

from importlib.util import find_spec

if find_spec("asyncpg") is None:
    raise ImportError("the PostgreSQL store needs asyncpg: pip install 'atomic-session[postgresql]'")

from .store import PostgreSQLStore

__all__ = ["PostgreSQLStore"]
