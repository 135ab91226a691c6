"""Time limits that share a timer."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from atomic_session.timelimits import TimeLimit, Watch

MOMENT = 0.05
LONG = 60.0


class Loop(asyncio.SelectorEventLoop):
    """A loop that counts the timers that it is asked for."""

    timers = 0

    def call_at(self, *args: Any, **options: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        self.timers += 1
        return super().call_at(*args, **options)


def watch(seconds: float) -> Watch:
    return Watch(asyncio.get_running_loop(), seconds)


async def wait_within(limit: Watch, event: asyncio.Event) -> None:
    with TimeLimit(limit):
        await event.wait()


async def test_what_takes_too_long_ends_in_time_and_says_so() -> None:
    limit, never = watch(MOMENT), asyncio.Event()

    with pytest.raises(TimeoutError):
        await wait_within(limit, never)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_call_has_its_own_time() -> None:
    limit, never, event = watch(MOMENT), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(wait_within(limit, never))
    await asyncio.wait([first])
    second = asyncio.create_task(wait_within(limit, event))
    third = asyncio.create_task(wait_within(limit, never))
    await asyncio.sleep(0)
    event.set()
    await asyncio.wait([second, third])

    assert [type(task.exception()) for task in (first, second, third)] == [TimeoutError, type(None), TimeoutError]


async def test_what_is_cancelled_by_somebody_else_stays_cancelled() -> None:
    limit, never = watch(LONG), asyncio.Event()
    task = asyncio.create_task(wait_within(limit, never))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


async def test_what_is_cancelled_while_its_time_ends_is_cancelled() -> None:
    entered: list[TimeLimit] = []

    async def wait() -> None:
        limit = TimeLimit(watch(LONG))
        with limit:
            entered.append(limit)
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    entered[0].expire()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


async def test_an_error_that_comes_while_its_time_ends_is_not_hidden() -> None:
    async def fail() -> None:
        with TimeLimit(watch(MOMENT)):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                raise LookupError from error

    with pytest.raises(LookupError):
        await fail()


async def test_what_was_over_in_time_is_never_cancelled() -> None:
    limit, event = watch(MOMENT), asyncio.Event()
    event.set()
    await wait_within(limit, event)
    with pytest.raises(TimeoutError):  # the timer runs in this time
        await wait_within(limit, asyncio.Event())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * MOMENT):
            await asyncio.Event().wait()


async def test_the_timer_remembers_no_request() -> None:
    """There is one for as long as there is traffic: what its first request held would never be let go."""

    class Held: ...

    held: ContextVar[Held] = ContextVar("held")
    limit, event = watch(LONG), asyncio.Event()
    event.set()
    last: list[weakref.ref[Held]] = []

    async def request() -> None:
        mine = Held()
        held.set(mine)
        last.append(weakref.ref(mine))
        await wait_within(limit, event)

    await asyncio.create_task(request())
    await asyncio.sleep(0)  # the event loop lets go of what it did last
    gc.collect()

    assert last[0]() is None


def test_one_timer_looks_after_all_calls() -> None:
    async def go() -> None:
        limit, event = watch(LONG), asyncio.Event()
        event.set()
        for _ in range(100):
            await asyncio.gather(*[wait_within(limit, event) for _ in range(10)])

    loop = Loop()
    try:
        loop.run_until_complete(go())
        assert loop.timers == 1
    finally:
        loop.close()


def test_a_time_limit_needs_a_task() -> None:
    async def go() -> None:
        failures: list[BaseException] = []
        done = asyncio.Event()

        def enter(limit: Watch) -> None:
            try:
                TimeLimit(limit)
            except RuntimeError as error:
                failures.append(error)
            done.set()

        asyncio.get_running_loop().call_soon(enter, watch(LONG))
        await done.wait()
        assert len(failures) == 1

    asyncio.run(go())
