"""
Between sessions and their store: what waits together leaves together.

There are no timers.  The first command that waits leaves at the next turn of the event loop,
with all that were asked in between; what arrives while a batch is under way forms the next one.
A lane stays busy for one turn after its results are delivered, so that the tasks they wake can
ask for more before it leaves again: without it, the first one woken would leave alone.

A store that queues by itself (`lanes == 0`) is given each command at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .commands import Answer, Command, Load
from .errors import CorruptRecord, OutcomeUnknown, StoreNotSet, StoreUnavailable
from .store import Store

__all__ = ["Dispatcher"]

_FATES = (CorruptRecord, OutcomeUnknown, StoreUnavailable)
"""What is raised to the one who asked, and is no answer."""


class Dispatcher:
    """
    Bring commands to *store*, each within *timeout* seconds of leaving.

    It may be used from several event loops at once.

    Attributes:
        load_at_once: answers a load without waiting, or returns None where that takes a wait: the shortest way for what
            is asked most.
    """

    def __init__(self, store: Store | None, timeout: float) -> None:
        self._store = store
        self._timeout = timeout
        self._ready = False
        self.load_at_once: Callable[[Load], Answer | None] = _takes_a_wait
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}

    @property
    def store(self) -> Store:
        """The store; setting another is possible until the first one was opened."""
        if self._store is None:
            raise StoreNotSet
        return self._store

    @store.setter
    def store(self, store: Store) -> None:
        if self._ready:
            raise RuntimeError("the store is in use already; set another one before the first use")
        self._store = store

    async def open(self) -> Store:
        """Open the store and return it.  It is done at the first command too, where nobody did."""
        store = self.store
        if not self._ready:
            await store.open()
            self.load_at_once = getattr(store, "load_at_once", _takes_a_wait)
            self._ready = True
        return store

    async def close(self) -> None:
        """Complete what was accepted, then close the store.  A later command opens it again."""
        queue = self._queues.get(asyncio.get_running_loop())
        if queue is not None:
            await queue.drained()
        if self._store is not None:
            self._forget_that_it_is_open()
            await self._store.close()
            self._forget_that_it_is_open()  # whoever opened it meanwhile found it open, and it is not any more

    async def submit(self, command: Command) -> Answer:
        """
        Carry out *command*.

        Raises:
            StoreUnavailable: it was not applied.
            OutcomeUnknown: it may have been.
        """
        store = self._store if self._ready else await self.open()
        if store is None:
            raise StoreNotSet
        if store.lanes:
            return await self._queue().put(command)
        try:
            (answer,) = await store.execute((command,))
        except OutcomeUnknown as error:
            raise _as_seen_by(command, error) from error
        if isinstance(answer.error, _FATES):
            raise _as_seen_by(command, answer.error)
        return answer

    def _forget_that_it_is_open(self) -> None:
        self._ready = False
        self.load_at_once = _takes_a_wait

    def _queue(self) -> _Queue:
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            for other in list(self._queues):
                if other.is_closed():
                    self._queues.pop(other, None)  # another thread may have done so
            queue = self._queues[loop] = _Queue(self.store, self._timeout)
        return queue


def _takes_a_wait(_: Load) -> None:
    """Answer for a store that is not open, or that cannot load at once."""


class _Waiting:
    __slots__ = ("answer", "command")

    def __init__(self, command: Command, answer: asyncio.Future[Answer]) -> None:
        self.command = command
        self.answer = answer


class _Queue:
    """What waits in one event loop, and the lanes that take it to the store."""

    def __init__(self, store: Store, timeout: float) -> None:
        self._store = store
        self._timeout = timeout
        self._waiting: deque[_Waiting] = deque()
        self._under_way: set[str] = set()
        self._lanes: set[asyncio.Task[Any]] = set()
        self._ready: set[asyncio.Task[Any]] = set()  # those lanes that take what waits in the next turn

    def put(self, command: Command) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(command, answer))
        self._start_lane()
        return answer

    async def drained(self) -> None:
        while self._lanes:
            await asyncio.wait(self._lanes)

    def _start_lane(self) -> None:
        """Start one for what those that are ready have no room for, if there may be another."""
        if len(self._waiting) > len(self._ready) * self._store.batch_size and len(self._lanes) < self._store.lanes:
            lane = asyncio.get_running_loop().create_task(self._run_lane())
            self._lanes.add(lane)
            self._ready.add(lane)

    async def _run_lane(self) -> None:
        lane: Any = asyncio.current_task()
        try:
            while batch := self._take(lane):
                ids = {item.command.id for item in batch}
                self._under_way |= ids
                try:
                    await self._carry_out(batch)
                finally:
                    self._under_way -= ids
                self._ready.add(lane)
                await asyncio.sleep(0)
        finally:  # in the very step that found nothing to take: what is put next needs a lane of its own
            self._lanes.discard(lane)
            if lane in self._ready:  # it was cancelled between two batches
                self._ready.discard(lane)
                self._start_lane()

    def _take(self, lane: asyncio.Task[Any]) -> list[_Waiting]:
        """Take what may leave now, the commands of one session beside each other and in order."""
        self._ready.discard(lane)
        groups: dict[str, list[_Waiting]] = {}
        stay: deque[_Waiting] = deque()
        room = self._store.batch_size
        while self._waiting:
            item = self._waiting.popleft()
            if item.answer.done():  # its task was cancelled before it left
                continue
            if room == 0 or item.command.id in self._under_way:
                stay.append(item)
                continue
            groups.setdefault(item.command.id, []).append(item)
            room -= 1
        self._waiting = stay
        return [item for group in groups.values() for item in group]

    async def _carry_out(self, batch: list[_Waiting]) -> None:
        try:
            answers = await self._execute([item.command for item in batch])
        except (StoreUnavailable, OutcomeUnknown) as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - the store says that one of them is the cause
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for item in batch:
                    await self._carry_out([item])
        else:
            for item, answer in zip(batch, answers, strict=True):
                if isinstance(answer.error, _FATES):
                    _fail([item], answer.error)
                elif not item.answer.done():
                    item.answer.set_result(answer)

    async def _execute(self, commands: list[Command]) -> Sequence[Answer]:
        try:
            async with asyncio.timeout(self._timeout):
                answers = await self._store.execute(commands)
        except TimeoutError as error:
            raise OutcomeUnknown(f"no answer within {self._timeout} s") from error
        except asyncio.CancelledError as error:
            lane = asyncio.current_task()
            if lane is None or lane.cancelling():
                raise
            raise OutcomeUnknown("the store cancelled its own work") from error
        if len(answers) != len(commands):
            raise OutcomeUnknown(f"the store gave {len(answers)} answers to {len(commands)} commands")
        return answers


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for item in batch:
        if not item.answer.done():
            item.answer.set_exception(_as_seen_by(item.command, error))


def _as_seen_by(command: Command, error: Exception) -> Exception:
    """Reading has no outcome that could be unknown; and no two tasks share one exception object."""
    if isinstance(error, OutcomeUnknown) and type(command) is Load:
        seen: Exception = StoreUnavailable(error.reason)
    elif isinstance(error, OutcomeUnknown | StoreUnavailable):
        seen = type(error)(error.reason)
    else:
        return error
    seen.__cause__ = error
    return seen
