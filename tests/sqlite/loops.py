"""Event loops that tests can look into and hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

__all__ = ["Loop", "leap", "run", "started", "woken"]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time can be put forward, and that counts how often another thread wakes it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self.woken = 0

    def time(self) -> float:
        return super().time() + self.ahead

    def call_soon_threadsafe(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        self.woken += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def run(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run *main* in such a loop."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main())


async def started() -> None:
    """Let every task that exists ask its store."""
    for _ in range(3):
        await asyncio.sleep(0)


def leap(seconds: float) -> None:
    """Put the running loop's time forward: what was to happen by then happens at once."""
    _running().ahead += seconds


def woken() -> int:
    """Return how often another thread woke the running loop."""
    return _running().woken


def _running() -> Loop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    return loop
