"""One call that several tasks wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Generic, TypeVar

__all__ = ["SharedCall"]

Result = TypeVar("Result")


class SharedCall(Generic[Result]):
    """
    Make *call* in a task of its own, for all that wait for it in this event loop.

    It goes on when one of them is cancelled, and is cancelled with the last one.
    """

    def __init__(self, call: Coroutine[Any, Any, Result]) -> None:
        # not by the loop's factory, which may begin it at once; nor with the variables of whoever asks first
        self._task = asyncio.Task(call, context=Context())
        self._waiting = 0

    def is_over(self) -> bool:
        """Say whether its result is there, or it is to have none any more."""
        return self._task.done() or self._task.cancelling() > 0

    async def result(self) -> Result:
        """
        Wait for the result.

        Raises:
            Exception: what the call raised; one object for all that wait.
        """
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.wait((self._task,))
