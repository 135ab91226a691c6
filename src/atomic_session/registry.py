"""From a URL to a store, whose driver is imported only when it is chosen."""

from __future__ import annotations

import importlib
from urllib.parse import urlsplit

from .limits import DEFAULT_LIMITS, Limits
from .store import Store

__all__ = ["open_url"]

_REDIS = ("atomic_session.stores.redis", "RedisStore")
_POSTGRESQL = ("atomic_session.stores.postgresql", "PostgreSQLStore")
_STORES = {
    "memory": ("atomic_session.stores.memory", "MemoryStore"),
    "mongodb": ("atomic_session.stores.mongodb", "MongoStore"),
    "mongodb+srv": ("atomic_session.stores.mongodb", "MongoStore"),
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "sqlite": ("atomic_session.stores.sqlite", "SQLiteStore"),
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
}


def open_url(url: str, limits: Limits = DEFAULT_LIMITS, timeout: float = 5.0) -> Store:
    """
    Build the store that *url* names, whose calls fail after *timeout* seconds.

    It is not opened yet: nothing is read or written.

    Raises:
        ValueError: no store of ours has this scheme, or the store refuses the rest.
        ImportError: the driver is not installed; the message says what to install.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _STORES:
        known = ", ".join(f"{name}://" for name in _STORES)
        raise ValueError(f"no store for the scheme {scheme!r}; a store URL starts with one of {known}")
    module, name = _STORES[scheme]
    try:
        factory = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        extra = module.rpartition(".")[2]
        raise ImportError(f"{error.name} is missing: pip install 'atomic-session[{extra}]'") from error
    store: Store = factory.from_url(url, limits=limits, timeout=timeout)
    return store
