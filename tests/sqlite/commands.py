"""What the tests ask of a store: short ways to say it."""

from __future__ import annotations

from typing import Any

from atomic_session.commands import Answer, Command, Create, Destroy, Load, Outcome, Update
from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.operators import Inc, Operator, Set, chain
from atomic_session.operators import Update as Operators
from atomic_session.record import Lifetimes, new_record
from atomic_session.store import Store

HOUR = 3_600_000
NOW = 1_750_000_000_000
LIFETIMES = Lifetimes(max_age=10 * HOUR)
DIGEST = b"d" * 32


def create(key: str, data: dict[str, Any] | None = None, now: int = NOW, **record: Any) -> Create:
    """Create the session *key*, with a counter `n` unless there is other *data*."""
    return Create(new_record(key, DIGEST, now, LIFETIMES, **record), {"n": 0} if data is None else data, now)


def load(key: str, now: int = NOW) -> Load:
    """Load *key*."""
    return Load(key, DIGEST, now, LIFETIMES)


def inc(key: str, path: str = "n", now: int = NOW) -> Update:
    """Add one to a counter."""
    return _update(key, Inc.of(path, 1, DEFAULT_LIMITS), now)


def put(key: str, path: str, value: Any, now: int = NOW) -> Update:
    """Set a field."""
    return _update(key, Set.of(path, value, DEFAULT_LIMITS), now)


def destroy(key: str, now: int = NOW) -> Destroy:
    """Destroy *key*."""
    return Destroy(key, DIGEST, now)


async def ask(store: Store, command: Command) -> Answer:
    """Return the answer to one command."""
    (answer,) = await store.execute((command,))
    return answer


async def done(store: Store, command: Command) -> Answer:
    """Return the answer to one command that must succeed."""
    answer = await ask(store, command)
    assert answer.outcome is Outcome.DONE, answer
    return answer


async def stored(store: Store, key: str, now: int = NOW) -> dict[str, Any]:
    """Return the data of *key*."""
    answer = await done(store, load(key, now))
    assert answer.data is not None
    return answer.data


def _update(key: str, operator: Operator, now: int) -> Update:
    return Update(key, DIGEST, now, LIFETIMES, chain(Operators(()), operator, DEFAULT_LIMITS))
