"""
Between sessions and their store: what waits together leaves together.

Nothing waits for a timer.  A command that finds nothing under way leaves at once, in the task that asks.
The first one that has to wait leaves at the next turn of the event loop, with all that were asked in
between; what arrives while a batch is under way forms the next one.  A lane stays busy for one turn
after its results are delivered, so that the tasks they wake can ask for more before it leaves again:
without it, the first one woken would leave alone.

A store that queues by itself (`lanes == 0`) is given each command at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, TypeAlias, TypeVar

import msgspec

from .commands import Answer, Command, Load
from .errors import CorruptRecord, OutcomeUnknown, StoreNotSet, StoreUnavailable
from .shared import SharedCall
from .store import Store
from .timelimits import TimeLimit, Watch

__all__ = ["Dispatcher"]

Result = TypeVar("Result")
Question: TypeAlias = Callable[[Store], Awaitable[Result]]

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
        self._openings: dict[asyncio.AbstractEventLoop, SharedCall[None]] = {}
        self._closing: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}  # set where it is done

    @property
    def store(self) -> Store:
        """The store; setting another is possible where none is open."""
        if self._store is None:
            raise StoreNotSet
        return self._store

    @store.setter
    def store(self, store: Store) -> None:
        if self._ready:
            raise RuntimeError("the store is in use already; set another one before the first use")
        self._store = store
        self._queues = {}  # whose lanes lead to the store before
        self._openings = {}

    async def open(self) -> Store:
        """Open the store and return it.  It is done at the first command too, where nobody did."""
        while not self._ready:
            if (closed := self._closing_here()) is not None:
                await closed.wait()
                continue
            store = self.store
            await self._open_together(store)
            if store is self._store and self._closing_here() is None:
                self.load_at_once = getattr(store, "load_at_once", _takes_a_wait)
                self._ready = True
        return self.store

    async def close(self) -> None:
        """
        Complete what was accepted, then close the store.

        What is asked meanwhile waits, and opens it again.
        """
        loop = asyncio.get_running_loop()
        while (closed := self._closing_here()) is not None:
            await closed.wait()
        closed = self._closing[loop] = asyncio.Event()
        store = self._store
        try:
            self._forget_that_it_is_open()
            if loop in self._queues:
                await self._queues[loop].drained()
            if store is not None:
                await store.close()
        finally:
            self._forget_that_it_is_open()  # another event loop may have found it open, and it is not any more
            del self._closing[loop]
            closed.set()

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
        execute = store.execute
        if store.lanes:
            queue = self._queues.get(asyncio.get_running_loop()) or self._queue()
            if queue.is_busy():
                return await queue.put(command)
            execute = queue.execute_alone
        try:
            answers = await execute((command,))
            if len(answers) != 1:
                raise _miscounted(answers, 1)
        except OutcomeUnknown as error:
            raise _as_seen_by(command, error) from error
        answer = answers[0]
        if isinstance(answer.error, _FATES):
            raise _as_seen_by(command, answer.error)
        return answer

    async def ask(self, question: Question[Result], late: type[StoreUnavailable] | type[OutcomeUnknown]) -> Result:
        """
        Ask the store what is no command; open it first, where nobody did.

        Raises:
            StoreUnavailable: it cannot be opened.
            StoreUnavailable, OutcomeUnknown: as the store does; *late* where there is no answer in time.
        """
        store = await self.open()
        return await self._in_time(store, question, late(f"no answer within {self._timeout} s"))

    async def _open_together(self, store: Store) -> None:
        """Open *store* once for all that need it in this event loop: who comes later waits no longer than the first."""
        loop = asyncio.get_running_loop()
        opening = self._openings.get(loop)
        if opening is None or opening.is_over():
            late = StoreUnavailable(f"it did not open within {self._timeout} s")
            opening = SharedCall(self._in_time(store, lambda opened: opened.open(), late))
            others = {other: kept for other, kept in self._openings.items() if not other.is_closed()}
            self._openings = {**others, loop: opening}  # a new one each time: other threads may be reading it
        try:
            await opening.result()
        except (OutcomeUnknown, StoreUnavailable) as error:
            raise StoreUnavailable(error.reason) from error  # no two tasks share one exception
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise StoreUnavailable("the store cancelled its own opening") from error

    async def _in_time(
        self, store: Store, question: Question[Result], late: StoreUnavailable | OutcomeUnknown
    ) -> Result:
        """Ask *store*, with a bound in time unless it bounds its own calls."""
        if not store.lanes:
            return await question(store)
        try:
            async with asyncio.timeout(self._timeout):
                return await question(store)
        except TimeoutError as error:
            raise late from error

    def _closing_here(self) -> asyncio.Event | None:
        """Return what is set once the store is closed, where it is being closed in this event loop."""
        return self._closing.get(asyncio.get_running_loop()) if self._closing else None

    def _forget_that_it_is_open(self) -> None:
        self._ready = False
        self.load_at_once = _takes_a_wait

    def _queue(self) -> _Queue:
        """Begin a queue for the running loop; those of loops that are closed are forgotten."""
        for other in list(self._queues):
            if other.is_closed():
                self._queues.pop(other, None)  # another thread may have done so
        loop = asyncio.get_running_loop()
        queue = self._queues[loop] = _Queue(loop, self.store, self._timeout)
        return queue


def _takes_a_wait(_: Load) -> None:
    """Answer for a store that is not open, or that cannot load at once."""


class _Waiting(msgspec.Struct):
    command: Command
    answer: asyncio.Future[Answer]


class _Queue:
    """What waits in one event loop, and the lanes that take it to the store."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store, timeout: float) -> None:
        self._loop = loop
        self._store = store
        self._timeout = timeout
        self._watch = Watch(loop, timeout)
        self._waiting: deque[_Waiting] = deque()
        self._under_way: set[str] = set()
        self._lanes: set[asyncio.Task[Any]] = set()
        self._ready: set[asyncio.Task[Any]] = set()  # those lanes that take what waits in the next turn
        self._nobody_alone = asyncio.Event()  # cleared while a task carries out what it asks
        self._nobody_alone.set()

    def is_busy(self) -> bool:
        return bool(self._lanes) or not self._nobody_alone.is_set()

    async def execute_alone(self, commands: Sequence[Command]) -> Sequence[Answer]:
        """Have the only command that there is carried out, in the task that asks: a lane would have it wait a turn."""
        session_id = commands[0].id
        self._under_way.add(session_id)
        self._nobody_alone.clear()
        try:
            return await self._execute(commands)
        finally:
            self._under_way.discard(session_id)
            self._nobody_alone.set()
            if self._waiting:
                self._start_lane()

    def put(self, command: Command) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append(_Waiting(command, answer))
        if command.id not in self._under_way:  # else whoever is under way with its session sees to it
            self._start_lane()
        return answer

    async def drained(self) -> None:
        while self.is_busy():
            await self._nobody_alone.wait()
            if self._lanes:
                await asyncio.wait(self._lanes)

    def _start_lane(self) -> None:
        """Start one for what those that are ready have no room for, if there may be another."""
        room = self._store.lanes - len(self._lanes)
        if room <= 0 or len(self._waiting) <= len(self._ready) * self._store.batch_size or self._loop.is_closed():
            return
        if room > 1 or self._nobody_alone.is_set():
            # Not by the loop's factory, which may begin it at once, before others can join; nor with the variables of
            # whoever asks: a deadline or a trace of one request is not that of the others.
            lane = asyncio.Task(self._run_lane(), loop=self._loop, context=Context())
            lane.add_done_callback(self._replace)
            self._lanes.add(lane)
            self._ready.add(lane)

    async def _run_lane(self) -> None:
        lane: Any = asyncio.current_task()
        batch = self._take(lane)
        try:
            while batch:
                self._deliver(batch, await self._fates_of(batch))
                batch = []
                self._ready.add(lane)
                await asyncio.sleep(0)
                batch = self._take(lane)
            self._lanes.discard(lane)  # in the very step that found nothing to take: what is put next needs its own
        finally:
            self._deliver(batch, [OutcomeUnknown("the event loop is ending")] * len(batch))

    def _replace(self, lane: asyncio.Task[Any]) -> None:
        """
        See that what waits has a lane where one was cancelled, maybe before it began; unless all is ending.

        Until then it counts as one, so that nobody overtakes what waits.
        """
        if lane in self._lanes:
            self._lanes.discard(lane)
            self._ready.discard(lane)
            self._waiting = deque(item for item in self._waiting if not item.answer.done())
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
        self._under_way.update(groups)
        if room == 0 and any(item.command.id not in self._under_way for item in stay):
            self._start_lane()  # they waited for sessions that were under way, and nobody has asked since
        return [item for group in groups.values() for item in group]

    async def _fates_of(self, batch: list[_Waiting]) -> Sequence[Answer | Exception]:
        try:
            return await self._execute([item.command for item in batch])
        except (StoreUnavailable, OutcomeUnknown) as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - the store says that one of them is the cause
            return [error] if len(batch) == 1 else await self._one_by_one(batch)

    async def _one_by_one(self, batch: list[_Waiting]) -> Sequence[Answer | Exception]:
        """Run again what was not applied: what is wanted still, and has its turn before the time for all is over."""
        fates: list[Answer | Exception] = []
        end = self._loop.time() + self._timeout
        for item in batch:
            if item.answer.done() or self._loop.time() >= end:
                fates.append(StoreUnavailable("those beside it took too long"))
            else:
                fates += await self._fates_of([item])
        return fates

    def _deliver(self, batch: list[_Waiting], fates: Sequence[Answer | Exception]) -> None:
        for item, fate in zip(batch, fates, strict=True):
            self._under_way.discard(item.command.id)
            if item.answer.done():  # its task was cancelled
                continue
            error = fate if isinstance(fate, Exception) else fate.error
            if isinstance(fate, Answer) and not isinstance(error, _FATES):
                item.answer.set_result(fate)
            elif error is not None:
                item.answer.set_exception(_as_seen_by(item.command, error))

    async def _execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        """Have *commands* carried out in time."""
        try:
            with TimeLimit(self._watch):
                answers = await self._store.execute(commands)
        except TimeoutError as error:
            raise OutcomeUnknown(f"no answer within {self._timeout} s") from error
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise OutcomeUnknown("the store cancelled its own work") from error
        if len(answers) != len(commands):
            raise _miscounted(answers, len(commands))
        return answers


def _is_cancelled() -> bool:
    """Say whether somebody wants the running task to end: else a store has raised a cancellation of its own."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _miscounted(answers: Sequence[Answer], expected: int) -> OutcomeUnknown:
    return OutcomeUnknown(f"the store gave {len(answers)} answers to {expected} commands")


def _as_seen_by(command: Command, error: Exception) -> Exception:
    """
    Return what is told to the one who asked: reading has no outcome that could be unknown.

    No two tasks share one exception object.  A kind of the store's own may not be made of a reason alone.
    """
    if not isinstance(error, OutcomeUnknown | StoreUnavailable):
        return error
    is_unknown = isinstance(error, OutcomeUnknown) and type(command) is not Load
    seen = OutcomeUnknown(error.reason) if is_unknown else StoreUnavailable(error.reason)
    seen.__cause__ = error
    return seen
