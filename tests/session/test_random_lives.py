"""
Requests of one browser at once, each with tasks of its own, over a store that fails and tasks that are cancelled.

Each task changes what no other does, so that what is there in the end says who was heard.  `mess` is everybody's: what
is done to it often does not fit, and may take nothing along.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.session.kit import Site

from atomic_session import OperatorError, OutcomeUnknown, Session, StoreUnavailable
from atomic_session.commands import Answer, Command
from atomic_session.stores.memory import MemoryStore

FAILED = (StoreUnavailable, OutcomeUnknown)


class _MoodyStore(MemoryStore):
    """Takes some turns of the event loop for each batch, and fails now and then: before the work, or after it."""

    def __init__(self, moods: random.Random, failing: float) -> None:
        super().__init__()
        self._moods = moods
        self.failing = failing

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        mood = self._moods.random()
        await _turns(self._moods)
        if mood < self.failing / 3:
            raise StoreUnavailable("nothing happened")
        if mood < self.failing * 2 / 3:
            raise OutcomeUnknown("nothing happened, but who knows")
        answers = await super().execute(commands)
        await _turns(self._moods)
        if mood < self.failing:
            raise OutcomeUnknown("it happened, but who knows")
        return answers


async def _turns(moods: random.Random) -> None:
    for _ in range(moods.randrange(3)):
        await asyncio.sleep(0)


class _Life:
    """What was changed, and which of it was promised to be kept."""

    def __init__(self, seed: int, failing: float) -> None:
        self.dice = random.Random(seed)
        self.store = _MoodyStore(self.dice, 0)
        self.site = Site(self.store)
        self.failing = failing
        self.promised: list[str] = []
        self.counted = self.asked = 0

    async def run(self) -> dict[str, Any]:
        """Let some requests live at once, and return what is stored in the end."""
        cookie = await self.site.visitor(cart={"items": {}}, log=[], mess=0)
        self.store.failing = self.failing
        requests = [self._request(cookie, f"r{number}") for number in range(self.dice.randint(1, 3))]
        await asyncio.gather(*requests)
        self.store.failing = 0
        return await self.site.stored(cookie)

    async def _request(self, cookie: bytes, name: str) -> None:
        session = self.site.request(cookie)
        changed: list[str] = []
        tasks = [
            asyncio.ensure_future(self._task(session, changed, f"{name}t{number}"))
            for number in range(self.dice.randint(1, 3))
        ]
        for task in tasks:
            if self.dice.random() < 0.2:
                await _turns(self.dice)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await session.commit()
        except FAILED:
            return
        self.promised += changed

    async def _task(self, session: Session, changed: list[str], name: str) -> None:
        steps: list[Callable[[Session, list[str], str], Awaitable[None]]] = [
            self._edit, self._edit, self._edit, self._operate, self._operate, self._count, self._mess_up, self._look,
        ]  # fmt: skip
        for number in range(self.dice.randint(1, 4)):
            try:
                await self.dice.choice(steps)(session, changed, f"{name}_{number}")
            except (*FAILED, OperatorError):
                pass

    async def _edit(self, session: Session, changed: list[str], name: str) -> None:
        await session.load()
        match self.dice.randrange(3):
            case 0:
                session[name] = 1
            case 1:
                session["cart"]["items"][name] = {"n": 1}
            case _:
                session["log"].append(name)
        changed.append(name)

    async def _operate(self, session: Session, changed: list[str], name: str) -> None:
        match self.dice.randrange(4):
            case 0:
                await session.set(name, 1)
            case 1:
                await session.set(("cart", "items", name), 1).unset("nothing")
            case 2:
                await session.push("log", name)
            case _:
                if not await session.when("visited", None).set(name, 1):
                    return
        self.promised.append(name)

    async def _count(self, session: Session, changed: list[str], name: str) -> None:
        self.asked += 1
        await session.inc("count")
        self.counted += 1

    async def _mess_up(self, session: Session, changed: list[str], name: str) -> None:
        match self.dice.randrange(5):
            case 0:
                await session.load()
                session["mess"] = self.dice.choice([0, "text", {}, {"a": 1}, [], [1, 2]])
            case 1:
                await session.load()
                if isinstance(session.get("mess"), list):
                    session["mess"].append(3)
            case 2:
                await session.inc("mess")
            case 3:
                await session.push("mess", 1)
            case _:
                await session.set("mess.a", 1)

    async def _look(self, session: Session, changed: list[str], name: str) -> None:
        await session.load(fresh=self.dice.random() < 0.5)


def _where(name: str, data: dict[str, Any]) -> int:
    """Return how often *name* is in *data*."""
    times: int = (name in data) + (name in data["cart"]["items"]) + data["log"].count(name)
    return times


@given(seed=st.integers(0, 2**32), failing=st.sampled_from([0.0, 0.1, 0.3]))
def test_what_was_promised_is_kept_and_nothing_is_there_twice(seed: int, failing: float) -> None:
    life = _Life(seed, failing)
    data = asyncio.run(life.run())

    assert [name for name in life.promised if _where(name, data) != 1] == []
    assert [name for name in data["log"] if _where(name, data) != 1] == []
    assert life.counted <= data.get("count", 0) <= life.asked
