"""
Time limits for what is asked often.

To start a timer for each call, and to stop it again, takes longer than the rest of what the dispatcher does for a
command that is alone.  Calls that have the same time are due in the order in which they began: so one timer looks
after all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from types import TracebackType
from typing import Protocol

__all__ = ["TimeLimit", "Watch"]


class Timed(Protocol):
    """What a watch looks after."""

    deadline: float

    def is_over(self) -> bool: ...

    def expire(self) -> None:
        """Put an end to it: its time is over, and it is not."""
        ...


class Watch:
    """Expire what is not over *seconds* after it was added, in one event loop."""

    __slots__ = ("_loop", "_seconds", "_timed", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._timed: deque[Timed] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Timed) -> None:
        timed = self._timed
        while timed and timed[0].is_over():
            timed.popleft()
        item.deadline = self._loop.time() + self._seconds
        timed.append(item)
        if self._timer is None:
            self._look_at(item.deadline)

    def _look_at(self, when: float) -> None:
        """Look then: with no variables of the task that asks, which may be over long before the last timer is."""
        self._timer = self._loop.call_at(when, self._look, context=Context())

    def _look(self) -> None:
        now = self._loop.time()
        self._timer = None
        timed = self._timed
        while timed:
            item = timed[0]
            if not item.is_over():
                if item.deadline > now:
                    self._look_at(item.deadline)
                    return
                item.expire()
            timed.popleft()


class TimeLimit:
    """
    What `asyncio.timeout` is, without a timer of its own: `with TimeLimit(watch): await ...`, in a task.

    Raises, at its end:
        TimeoutError: the time was over, and the task was cancelled for nothing else.
    """

    __slots__ = ("_cancelling", "_expired", "_task", "deadline")

    def __init__(self, watch: Watch) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task to cancel")
        self._task: asyncio.Task[object] | None = task
        self._cancelling = task.cancelling()
        self._expired: asyncio.Task[object] | None = None
        self.deadline = 0.0
        watch.add(self)

    def is_over(self) -> bool:
        return self._task is None

    def expire(self) -> None:
        self._expired = self._task
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task, self._task = self._expired, None
        if task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
