"""
What a store author gives the suite, and how the suite finds its cases.

A case is an async function of a harness.  It fails by raising, and skips by raising
`unittest.SkipTest`, which every test runner knows.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any, Protocol, TypeAlias, runtime_checkable
from unittest import SkipTest

from ..limits import Limits
from ..store import Store

__all__ = ["Case", "Corrupting", "Harness", "Sharing", "case", "cases_of", "corrupt", "pairs"]


class Harness(Protocol):
    """
    How to make the store under test.

    It inherits from nothing.  Where it also has the methods of `Sharing` or `Corrupting`, more is
    tested.  Closing what it made is its own affair: do it where the test runner cleans up.

    Attributes:
        limits: what the stores that it makes let one session hold.
    """

    @property
    def limits(self) -> Limits: ...

    async def make(self) -> Store:
        """Return a store that is open, empty, and shares nothing with those made before."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """A harness of a store that several processes or machines can share."""

    async def another(self) -> Store:
        """Return a second open store on the records of the one made last, as another process would have it."""
        ...


@runtime_checkable
class Corrupting(Protocol):
    """A harness that can reach behind the store."""

    async def corrupt(self, session_id: str) -> None:
        """Make the data of this record in the store made last something that the store never wrote."""
        ...


Case: TypeAlias = Callable[[Harness], Coroutine[Any, Any, None]]

_CASES: list[Case] = []


def case(function: Case) -> Case:
    """Mark *function* as a case of the suite."""
    _CASES.append(function)
    return function


def cases_of(*modules: ModuleType) -> tuple[Case, ...]:
    """Return the cases of *modules*, in their order."""
    return tuple(case for module in modules for case in _CASES if case.__module__ == module.__name__)


async def pairs(harness: Harness) -> list[tuple[Store, Store]]:
    """Return one store twice, and two stores on the same records where there can be two."""
    store = await harness.make()
    alone = [(store, store)]
    return [*alone, (store, await harness.another())] if isinstance(harness, Sharing) else alone


async def corrupt(harness: Harness, session_id: str) -> None:
    """Spoil a record, or skip the case where the harness cannot."""
    if not isinstance(harness, Corrupting):
        raise SkipTest("the harness has no corrupt(session_id)")
    await harness.corrupt(session_id)
