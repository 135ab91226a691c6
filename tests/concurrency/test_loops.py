"""One store, several event loops in threads of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from redis.asyncio import Redis

from atomic_session.stores.redis.link import Link
from atomic_session.stores.redis.links import Links


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


async def _link(links: Links) -> Link:
    return links.get()


def test_a_loop_may_come_while_another_one_looks_which_are_closed() -> None:
    links = Links(Redis, timeout=1.0)
    watched = Loop()
    one, other = asyncio.SelectorEventLoop(), asyncio.SelectorEventLoop()
    watched.run_until_complete(_link(links))
    found: list[Link] = []

    def come() -> None:
        thread = threading.Thread(target=lambda: found.append(other.run_until_complete(_link(links))))
        thread.start()
        thread.join()

    watched.first = come
    one.run_until_complete(_link(links))
    assert found == [other.run_until_complete(_link(links))]
    for loop in (watched, one, other):
        loop.run_until_complete(links.close())
        loop.close()
