"""
Whoever looks before and after, and says whether anything changed.

A store believes the `now` of a command, so a look can be taken at any instant; one that is taken
before a renewal is due leaves no trace.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..commands import Answer, Load, Outcome
from ..store import Store
from ..values import Value
from .checks import check_data, check_equal
from .holder import ask

__all__ = ["Witness", "look"]


class Witness:
    """What some looks at a store showed."""

    def __init__(self, store: Store, looks: Sequence[Load], answers: Sequence[Answer]) -> None:
        self._store = store
        self._looks = looks
        self._answers = answers

    @classmethod
    async def of(cls, store: Store, *looks: Load) -> Witness:
        """Take these looks for the first time."""
        return cls(store, looks, [await ask(store, look) for look in looks])

    async def check_unchanged(self, what: str, *, may_be_swept: bool = False) -> None:
        """Take the looks again; what is over *may be swept*, then nothing is there at all."""
        for look, before in zip(self._looks, self._answers, strict=True):
            after = await ask(self._store, look)
            if may_be_swept and after.outcome is Outcome.ABSENT:
                continue
            check_equal(after.outcome, before.outcome, f"{what}: what a look is answered")
            check_equal(after.record, before.record, f"{what}: the record")
            check_data(_data(after), _data(before), f"{what}: the data")


async def look(store: Store, load: Load) -> dict[str, Value]:
    """Return the data of a session that must be alive."""
    answer = await ask(store, load)
    if answer.data is None or not answer.whole:
        raise AssertionError(f"a look at a live session is answered {answer.outcome.name}, without all data")
    return answer.data


def _data(answer: Answer) -> Value:
    return [answer.data] if answer.data is not None else None
