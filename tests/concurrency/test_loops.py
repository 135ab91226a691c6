"""What belongs to one event loop, where there are several, perhaps in threads of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from atomic_session.loops import PerLoop
from atomic_session.stores.redis.clients import Clients


class Loop(asyncio.SelectorEventLoop):
    """A loop that does something else first, once, when it is asked whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Callable[[], None] | None = None

    def is_closed(self) -> bool:
        first, self.first = self.first, None
        if first is not None:
            first()
        return super().is_closed()


class Kept:
    """What is closed with its loop."""

    def __init__(self) -> None:
        self.closed_in: list[asyncio.AbstractEventLoop] = []

    async def close(self) -> None:
        self.closed_in.append(asyncio.get_running_loop())


class RedisLinks(Clients):
    """They are had without waiting."""

    def __init__(self) -> None:
        super().__init__(Redis, timeout=1.0)

    async def had(self) -> object:
        return self.get()


class KeptPerLoop(PerLoop[Kept]):
    """They are had without waiting, and close by it."""

    def __init__(self) -> None:
        super().__init__(Kept, Kept.close)

    async def had(self) -> object:
        return self.get()


@pytest.mark.parametrize("kind", [RedisLinks, KeptPerLoop])
def test_a_loop_may_come_while_another_one_looks_which_are_closed(kind: type[RedisLinks | KeptPerLoop]) -> None:
    shared = kind()
    watched = Loop()
    one, other = asyncio.SelectorEventLoop(), asyncio.SelectorEventLoop()
    watched.run_until_complete(shared.had())
    found: list[object] = []

    def come() -> None:
        thread = threading.Thread(target=lambda: found.append(other.run_until_complete(shared.had())))
        thread.start()
        thread.join()

    watched.first = come
    one.run_until_complete(shared.had())
    assert found == [other.run_until_complete(shared.had())]
    for loop in (watched, one, other):
        loop.run_until_complete(shared.close())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_what_a_loop_has_is_closed_in_it_at_its_end_or_before() -> None:
    shared = KeptPerLoop()

    async def ask(*, early: bool) -> tuple[object, asyncio.AbstractEventLoop]:
        kept = await shared.had()
        assert kept is await shared.had()
        if early:
            await shared.close()
            await shared.close()
        return kept, asyncio.get_running_loop()

    for early in (True, False):
        kept, loop = asyncio.run(ask(early=early))
        assert isinstance(kept, Kept)
        assert kept.closed_in == [loop]
