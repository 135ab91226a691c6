"""What waits together leaves together, in order, and nothing that happens to one command happens to another."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from tests.concurrency.stores import Barrier, LaneStore

from atomic_session.commands import Answer, Command, Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import AtomicSessionError, CorruptRecord, OutcomeUnknown, StoreNotSet, StoreUnavailable
from atomic_session.operators import Inc, Push
from atomic_session.store import Store
from atomic_session.stores.memory import MemoryStore
from atomic_session.testing.holder import Holder

TIMEOUT = 30.0
MOMENT = 0.01


def inc(holder: Holder) -> Command:
    return holder.update(Inc.of("n", 1))


def push(holder: Holder, value: object) -> Command:
    return holder.update(Push.of("log", [value]))


async def begun(dispatcher: Dispatcher, count: int) -> list[Holder]:
    """Create so many sessions, each in a batch of its own."""
    holders = [Holder() for _ in range(count)]
    for holder in holders:
        await dispatcher.submit(holder.create({"n": 0, "log": []}))
    return holders


async def made(lanes: int = 1, batch_size: int = 100, sessions: int = 3) -> tuple[LaneStore, Dispatcher, list[Holder]]:
    """Return a store that has forgotten the batches which began the sessions."""
    store = LaneStore(lanes, batch_size)
    dispatcher = Dispatcher(store, TIMEOUT)
    holders = await begun(dispatcher, sessions)
    store.batches.clear()
    return store, dispatcher, holders


def held(store: LaneStore) -> Barrier:
    """Hold the store's batches back from now on."""
    barrier = Barrier()
    store.before = barrier
    return barrier


async def turns(count: int = 10) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def together(store: LaneStore, dispatcher: Dispatcher, commands: Sequence[Command]) -> list[Any]:
    """Ask for *commands* while the only lane there is is taken: they leave in one batch after that."""
    before, barrier = store.before, held(store)
    first = asyncio.create_task(dispatcher.submit(Holder().load()))
    await turns()
    asked = [asyncio.create_task(dispatcher.submit(command)) for command in commands]
    await turns()
    store.batches.clear()
    store.before = before
    barrier.lift()
    await first
    return list(await asyncio.gather(*asked, return_exceptions=True))


async def count_of(dispatcher: Dispatcher, holder: Holder) -> object:
    answer = await dispatcher.submit(holder.load())
    return None if answer.data is None else answer.data["n"]


# --- what leaves when


async def test_what_finds_nothing_under_way_leaves_at_once_in_the_task_that_asks() -> None:
    store, dispatcher, (first, second, _) = await made()

    under_way = dispatcher.submit(inc(first))
    under_way.send(None)

    assert store.sizes == [1]
    under_way.close()
    assert (await dispatcher.submit(inc(second))).outcome is Outcome.DONE


async def test_what_is_asked_behind_it_leaves_in_one_batch() -> None:
    store, dispatcher, holders = await made(sessions=10)

    answers = await asyncio.gather(*[dispatcher.submit(inc(holder)) for holder in holders])

    assert store.sizes == [1, 9]
    assert [answer.outcome for answer in answers] == [Outcome.DONE] * 10


async def test_what_arrives_while_a_batch_is_under_way_forms_the_next() -> None:
    store, dispatcher, holders = await made(sessions=6)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(holders[0])))]
    await turns()
    for holder in holders[1:]:
        asked.append(asyncio.create_task(dispatcher.submit(inc(holder))))
        await turns()
    assert store.sizes == [1]

    barrier.lift()
    await asyncio.gather(*asked)

    assert store.sizes == [1, 5]


async def test_tasks_that_were_woken_together_leave_together_again() -> None:
    store, dispatcher, holders = await made(sessions=20)

    async def go(holder: Holder) -> None:
        for _ in range(3):
            await dispatcher.submit(inc(holder))

    await asyncio.gather(*map(go, holders))

    assert store.sizes == [1, 20, 20, 19]


async def test_a_batch_is_never_larger_than_the_store_takes() -> None:
    store, dispatcher, holders = await made(batch_size=10, sessions=25)

    await asyncio.gather(*[dispatcher.submit(inc(holder)) for holder in holders])

    assert store.sizes == [1, 10, 10, 4]


async def test_the_commands_of_one_session_stand_beside_each_other_in_order() -> None:
    store, dispatcher, (first, second, third) = await made()
    commands = [inc(first), inc(second), push(first, 1), first.load(), third.load(), push(second, 2), first.destroy()]

    await together(store, dispatcher, commands)

    one, two, three, four, five, six, seven = commands
    assert store.batches == [[one, three, four, seven, two, six, five]]


async def test_each_command_gets_its_own_answer() -> None:
    _, dispatcher, holders = await made(sessions=3)
    commands = [push(holders[number % 3], number) for number in range(30)]

    answers = await asyncio.gather(*map(dispatcher.submit, commands))

    for number, answer in enumerate(answers):
        data = answer.opened().data
        assert data is not None
        assert data["log"] == list(range(number % 3, number + 1, 3))


@pytest.mark.parametrize("lanes", [1, 2, 3])
async def test_no_command_is_left_waiting_when_a_lane_ends(lanes: int) -> None:
    """A lane that found nothing to take must not count as one that will look again."""
    _, dispatcher, holders = await made(lanes, sessions=30)

    async def go(holder: Holder, delay: int) -> Answer:
        await turns(delay)
        return await dispatcher.submit(inc(holder))

    asked = [asyncio.create_task(go(holder, delay)) for delay, holder in enumerate(holders)]
    done, waiting = await asyncio.wait(asked, timeout=2)

    assert len(done) == 30
    assert not waiting


# --- lanes


async def test_a_second_lane_leaves_while_the_first_is_under_way() -> None:
    store, dispatcher, (first, second, third) = await made(lanes=2)
    barrier = held(store)
    asked = []
    for holder in (first, second, third):
        asked.append(asyncio.create_task(dispatcher.submit(inc(holder))))
        await turns()

    assert [[command.id for command in batch] for batch in store.under_way] == [[first.id], [second.id]]
    barrier.lift()
    await asyncio.gather(*asked)
    assert store.sizes == [1, 1, 1]


@pytest.mark.parametrize(("askers", "lanes"), [(1, 0), (2, 1), (5, 1)])
async def test_commands_that_follow_each_other_start_no_lane_again(askers: int, lanes: int) -> None:
    """Whoever is alone needs none."""
    _, dispatcher, holders = await made(lanes=2, sessions=askers)
    await turns()

    async def ask(holder: Holder) -> None:
        for _ in range(5):
            await dispatcher.submit(inc(holder))

    started = await started_while([asyncio.create_task(ask(holder)) for holder in holders])

    assert len(started) == lanes


async def test_what_waits_for_its_own_session_starts_no_lane() -> None:
    """Each would look through all that waits, and find nothing: one visitor's many requests would hold up everybody."""
    store, dispatcher, (first, *_) = await made(lanes=2)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(first)))]
    await turns()

    async def ask_again() -> None:
        for _ in range(50):
            asked.append(asyncio.create_task(dispatcher.submit(inc(first))))
            await turns(2)

    started = await started_while([asyncio.create_task(ask_again())])

    assert started <= set(asked)
    barrier.lift()
    assert [answer.outcome for answer in await asyncio.gather(*asked)] == [Outcome.DONE] * 51


async def started_while(asked: Sequence[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Wait for *asked*, and return the tasks that were begun meanwhile."""
    before, seen = asyncio.all_tasks(), set[asyncio.Task[Any]]()
    while not all(task.done() for task in asked):
        seen |= asyncio.all_tasks()
        await asyncio.sleep(0)
    return seen - before


async def test_what_one_lane_has_no_room_for_takes_another() -> None:
    store, dispatcher, holders = await made(lanes=3, batch_size=4, sessions=10)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in holders]
    await turns()

    assert [len(batch) for batch in store.under_way] == [1, 4, 4]
    barrier.lift()
    await asyncio.gather(*asked)


async def test_what_waited_for_its_session_takes_another_lane_where_its_own_has_no_room() -> None:
    store, dispatcher, (first, second, third) = await made(lanes=2, batch_size=2)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(third)))]
    await turns()
    holders = (first, second, first, first, second, second)
    asked += [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in holders]
    await turns()
    assert store.sizes == [1, 2]
    barrier.let_one()
    await turns()
    barrier.let_one()
    await turns()

    assert [[command.id for command in batch] for batch in store.under_way] == [[first.id] * 2, [second.id] * 2]
    barrier.lift()
    await asyncio.gather(*asked)


async def test_a_lane_knows_nothing_of_the_request_that_starts_it() -> None:
    """A driver may keep a deadline in a context variable: one request's would end what others ask, for ever."""
    asker: ContextVar[int | None] = ContextVar("asker", default=None)
    store, dispatcher, holders = await made(sessions=5)
    seen: list[int | None] = []

    async def look(commands: Sequence[Command]) -> None:
        seen.append(asker.get())

    async def ask(number: int) -> None:
        asker.set(number)
        await dispatcher.submit(inc(holders[number]))

    store.before = look
    await asyncio.gather(*map(ask, range(5)))

    assert store.sizes == [1, 4]
    assert seen == [0, None]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before Python 3.12 no task begins at once")
async def test_tasks_that_begin_at_once_leave_nobody_waiting() -> None:
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    store, dispatcher, (first, second, third) = await made()
    barrier = held(store)

    async def ask_twice() -> Answer:
        await dispatcher.submit(inc(first))
        return await dispatcher.submit(inc(third))

    asked = asyncio.create_task(ask_twice())
    cancelled = asyncio.create_task(dispatcher.submit(inc(second)))
    await turns()
    cancelled.cancel()
    await turns()
    barrier.lift()

    async with asyncio.timeout(2):
        assert (await asked).outcome is Outcome.DONE


@pytest.mark.parametrize("lanes", [1, 2])
async def test_a_lane_that_was_cancelled_between_batches_leaves_nobody_waiting(lanes: int) -> None:
    _, dispatcher, (first, second, _) = await made(lanes=lanes)
    await dispatcher.submit(inc(first))
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()

    async with asyncio.timeout(2):  # asked in the very step, before the lane knows
        answer = await dispatcher.submit(inc(second))

    assert answer.outcome is Outcome.DONE


async def test_a_lane_that_was_cancelled_before_it_began_leaves_nobody_waiting() -> None:
    store, dispatcher, (first, second, third) = await made(lanes=2)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(first)))]
    await turns()
    before = asyncio.all_tasks()
    asked.append(asyncio.create_task(dispatcher.submit(inc(second))))
    await asyncio.sleep(0)
    (lane,) = asyncio.all_tasks() - before - set(asked)
    lane.cancel()
    await turns()
    asked.append(asyncio.create_task(dispatcher.submit(inc(third))))
    await turns()
    barrier.lift()

    async with asyncio.timeout(2):
        assert [answer.outcome for answer in await asyncio.gather(*asked)] == [Outcome.DONE] * 3


async def test_a_lane_that_was_cancelled_in_mid_batch_leaves_nobody_waiting() -> None:
    store, dispatcher, (first, second, third) = await made(lanes=2)
    barrier = held(store)
    before = asyncio.all_tasks()
    alone = asyncio.create_task(dispatcher.submit(inc(first)))
    await turns()
    under_way = [asyncio.create_task(dispatcher.submit(command)) for command in (inc(second), third.load())]
    await turns()
    (lane,) = asyncio.all_tasks() - before - {alone, *under_way}
    waiting = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, third)]
    await turns()

    lane.cancel()
    done, _ = await asyncio.wait(under_way, timeout=2)
    barrier.lift()

    assert done == set(under_way)
    assert [type(task.exception()) for task in under_way] == [OutcomeUnknown, StoreUnavailable]
    async with asyncio.timeout(2):
        assert [answer.outcome for answer in await asyncio.gather(alone, *waiting)] == [Outcome.DONE] * 3


async def test_nobody_overtakes_what_a_cancelled_lane_leaves_waiting() -> None:
    store, dispatcher, (first, second, third) = await made()
    barrier = held(store)
    alone = asyncio.create_task(dispatcher.submit(third.load()))
    await turns()

    async def ask_twice() -> None:
        with pytest.raises(OutcomeUnknown):
            await dispatcher.submit(inc(second))
        await dispatcher.submit(push(first, 2))

    before = asyncio.all_tasks()
    twice = asyncio.create_task(ask_twice())
    await turns()
    barrier.let_one()
    await turns()
    waiting = asyncio.create_task(dispatcher.submit(push(first, 1)))
    await turns()
    (lane,) = asyncio.all_tasks() - before - {twice, waiting}

    lane.cancel()
    barrier.lift()
    async with asyncio.timeout(2):
        await asyncio.gather(alone, twice, waiting)

    assert (await dispatcher.submit(first.load())).data == {"n": 0, "log": [1, 2]}


async def test_a_session_is_never_in_two_lanes() -> None:
    store, dispatcher, (first, second, _) = await made(lanes=2)
    barrier = held(store)
    asked = []
    for command in (push(first, 1), push(first, 2), push(second, 1), push(first, 3)):
        asked.append(asyncio.create_task(dispatcher.submit(command)))
        await turns()

    assert [[command.id for command in batch] for batch in store.under_way] == [[first.id], [second.id]]
    barrier.let_one()
    await turns()
    assert [[command.id for command in batch] for batch in store.under_way] == [[second.id], [first.id, first.id]]
    barrier.lift()
    answers = await asyncio.gather(*asked)
    assert answers[3].opened().data == {"n": 0, "log": [1, 2, 3]}


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
async def test_the_commands_of_each_session_are_carried_out_in_order(lanes: int, batch_size: int) -> None:
    store, dispatcher, holders = await made(lanes, batch_size, sessions=5)
    seen: list[set[str]] = []

    async def uneven(commands: Sequence[Command]) -> None:
        ids = [{command.id for command in batch} for batch in store.under_way]
        seen.append(set.intersection(*ids) if len(ids) > 1 else set())
        await turns(len(commands) * 7 % 5)

    store.before = uneven
    asked = []
    for number in range(200):
        asked.append(asyncio.create_task(dispatcher.submit(push(holders[number * number % 5], number))))
        if number % 13 == 0:
            await turns(number % 4)
    await asyncio.gather(*asked)

    assert not any(seen)
    for place, holder in enumerate(holders):
        answer = await dispatcher.submit(holder.load())
        assert answer.data is not None
        assert answer.data["log"] == [number for number in range(200) if number * number % 5 == place]


async def test_a_store_without_lanes_is_given_each_command_at_once() -> None:
    store, dispatcher, (first, second, _) = await made(lanes=0)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(command)) for command in (inc(first), inc(first), inc(second))]
    await turns()

    assert [len(batch) for batch in store.under_way] == [1, 1, 1]
    barrier.lift()
    assert [answer.outcome for answer in await asyncio.gather(*asked)] == [Outcome.DONE] * 3


# --- cancellation


async def test_a_command_that_is_cancelled_before_it_leaves_never_leaves() -> None:
    store, dispatcher, (first, second, third) = await made()
    barrier = held(store)
    blocker = asyncio.create_task(dispatcher.submit(inc(first)))
    await turns()
    waiting = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second, third, second)]
    await turns()
    waiting[1].cancel()

    barrier.lift()
    results = await asyncio.gather(blocker, *waiting, return_exceptions=True)

    assert isinstance(results[2], asyncio.CancelledError)
    assert store.sizes == [1, 3]
    assert [await count_of(dispatcher, holder) for holder in (first, second, third)] == [2, 1, 1]


async def test_nothing_leaves_where_all_that_waited_was_cancelled() -> None:
    store, dispatcher, (first, second, _) = await made()
    barrier = held(store)
    under_way = asyncio.create_task(dispatcher.submit(inc(first)))
    asked = asyncio.create_task(dispatcher.submit(inc(second)))
    await turns()
    asked.cancel()
    barrier.lift()
    await under_way
    await turns()

    assert store.sizes == [1]
    assert await count_of(dispatcher, second) == 0


async def test_a_command_that_is_cancelled_under_way_harms_nobody() -> None:
    store, dispatcher, (first, second, third) = await made(lanes=2)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second, third)]
    await turns()
    assert store.sizes == [1, 2]
    asked[1].cancel()
    await turns()
    barrier.lift()
    results = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(results[1], asyncio.CancelledError)
    assert isinstance(results[0], Answer)
    assert isinstance(results[2], Answer)
    assert [await count_of(dispatcher, holder) for holder in (first, second, third)] == [1, 1, 1]


async def test_a_command_that_is_cancelled_while_it_is_alone_ends_there_and_leaves_nobody_waiting() -> None:
    store, dispatcher, (first, second, _) = await made()
    barrier = held(store)
    alone = asyncio.create_task(dispatcher.submit(inc(first)))
    waiting = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second)]
    await turns()
    alone.cancel()
    await turns()
    assert alone.cancelled()
    barrier.lift()

    async with asyncio.timeout(2):
        assert [answer.outcome for answer in await asyncio.gather(*waiting)] == [Outcome.DONE] * 2
    assert [await count_of(dispatcher, holder) for holder in (first, second)] == [1, 1]


async def test_whoever_is_alone_may_have_a_time_limit_of_its_own() -> None:
    store, _, (first, second, _) = await made()
    dispatcher = Dispatcher(store, TIMEOUT)
    barrier = held(store)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(MOMENT):
            await dispatcher.submit(inc(first))
    barrier.lift()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert (await dispatcher.submit(inc(second))).outcome is Outcome.DONE


async def test_a_store_that_cancels_itself_leaves_nobody_waiting() -> None:
    store, dispatcher, (first, *_) = await made()

    async def give_up(commands: Sequence[Command]) -> None:
        raise asyncio.CancelledError

    store.before = give_up
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(dispatcher.submit(inc(first)), 2)
    store.before = None
    assert (await dispatcher.submit(inc(first))).outcome is Outcome.DONE


# --- failures


async def test_a_poisoned_batch_is_run_again_one_by_one() -> None:
    store, dispatcher, (first, second, third) = await made()
    store.poison.add(second.id)
    commands = [inc(first), inc(second), inc(third)]

    results = await together(store, dispatcher, commands)

    assert store.batches == [commands, [commands[0]], [commands[1]], [commands[2]]]
    assert isinstance(results[1], CorruptRecord)
    store.poison.clear()
    assert [await count_of(dispatcher, holder) for holder in (first, second, third)] == [1, 0, 1]


async def test_what_is_cancelled_before_it_is_run_again_is_not_run_again() -> None:
    store, dispatcher, (first, second, third) = await made()
    store.poison.add(first.id)
    barrier = held(store)
    alone = asyncio.create_task(dispatcher.submit(third.load()))
    await turns()
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second, third)]
    await turns()
    barrier.let_one()
    await turns()
    assert store.sizes == [1, 3]
    asked[1].cancel()

    barrier.lift()
    await asyncio.gather(alone, *asked, return_exceptions=True)

    assert store.sizes == [1, 3, 1, 1]
    assert [await count_of(dispatcher, holder) for holder in (second, third)] == [0, 1]


async def test_what_is_run_again_takes_no_longer_where_the_store_does_not_answer() -> None:
    store, _, holders = await made(sessions=20)
    dispatcher = Dispatcher(store, MOMENT)

    async def fail(commands: Sequence[Command]) -> None:
        if len(commands) > 1:
            raise LookupError
        await asyncio.Event().wait()

    store.before = fail
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in holders]
    results = await asyncio.gather(*asked, return_exceptions=True)

    assert store.sizes == [1, 19, 1]
    assert [type(result) for result in results] == [OutcomeUnknown] * 2 + [StoreUnavailable] * 18


async def test_a_poisoned_command_alone_is_not_run_again() -> None:
    store, dispatcher, (first, *_) = await made()
    store.poison.add(first.id)

    with pytest.raises(CorruptRecord):
        await dispatcher.submit(inc(first))

    assert store.sizes == [1]


@pytest.mark.parametrize("kind", [StoreUnavailable, OutcomeUnknown])
async def test_a_batch_that_fails_as_a_whole_fails_for_each_and_is_not_run_again(
    kind: type[StoreUnavailable | OutcomeUnknown],
) -> None:
    store, dispatcher, (first, second, third) = await made()

    async def fail(commands: Sequence[Command]) -> None:
        raise kind("the wire is cut")

    store.before = fail
    commands = [inc(first), second.load(), third.destroy()]
    results = await together(store, dispatcher, commands)

    assert store.sizes == [3]
    assert [type(result) for result in results] == [kind, StoreUnavailable, kind]
    assert len({id(result) for result in results}) == 3
    for result in results:
        assert isinstance(result, StoreUnavailable | OutcomeUnknown)
        assert result.reason == "the wire is cut"
        assert isinstance(result.__cause__, kind)


async def test_an_error_may_be_of_a_kind_of_the_stores_own() -> None:
    class NodeDown(StoreUnavailable):
        def __init__(self, node: str, port: int) -> None:
            super().__init__(f"{node} is down at {port}")

    store, dispatcher, (first, second, third) = await made()

    async def fail(commands: Sequence[Command]) -> None:
        raise NodeDown("n1", 5432)

    store.before = fail
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second, third)]
    done, _ = await asyncio.wait(asked, timeout=2)

    assert done == set(asked)
    assert [str(task.exception()) for task in asked] == ["the session store is unavailable: n1 is down at 5432"] * 3
    assert [isinstance(task.exception(), StoreUnavailable) for task in asked] == [True] * 3


@pytest.mark.parametrize("lanes", [0, 1])
async def test_a_load_has_no_outcome_that_could_be_unknown(lanes: int) -> None:
    store, dispatcher, (first, *_) = await made(lanes)

    async def fail(commands: Sequence[Command]) -> None:
        raise OutcomeUnknown("the wire is cut")

    store.before = fail
    with pytest.raises(StoreUnavailable, match="the wire is cut"):
        await dispatcher.submit(first.load())
    with pytest.raises(OutcomeUnknown, match="the wire is cut"):
        await dispatcher.submit(inc(first))


@pytest.mark.parametrize("lanes", [0, 1])
@pytest.mark.parametrize(
    ("fate", "told_to_a_load"),
    [
        (CorruptRecord("id", "it is spoilt"), CorruptRecord),
        (StoreUnavailable("its node is down"), StoreUnavailable),
        (OutcomeUnknown("its node is silent"), StoreUnavailable),
    ],
)
async def test_one_command_of_a_batch_may_have_a_fate_of_its_own(
    lanes: int, fate: AtomicSessionError, told_to_a_load: type[AtomicSessionError]
) -> None:
    store, dispatcher, (first, second, third) = await made(lanes)
    execute = store.execute

    async def strike(commands: Sequence[Command]) -> Sequence[Answer]:
        struck = Answer(Outcome.REFUSED, error=fate)
        answers = await execute(commands)
        return [struck if command.id == second.id else answers[at] for at, command in enumerate(commands)]

    store.execute = strike  # type: ignore[method-assign]
    commands = [inc(first), inc(second), second.load(), inc(third)]
    if lanes:
        results = await together(store, dispatcher, commands)
    else:
        results = await asyncio.gather(*map(dispatcher.submit, commands), return_exceptions=True)

    assert [type(result) for result in results] == [Answer, type(fate), told_to_a_load, Answer]
    assert store.sizes == ([4] if lanes else [1, 1, 1, 1])


@pytest.mark.parametrize("surplus", [-1, 1])
async def test_a_store_that_miscounts_its_answers_leaves_nobody_waiting(surplus: int) -> None:
    store, dispatcher, (first, second, _) = await made()
    execute = store.execute

    async def miscount(commands: Sequence[Command]) -> Sequence[Answer]:
        answers = list(await execute(commands))
        return answers[:surplus] if surplus < 0 else [*answers, answers[0]]

    store.execute = miscount  # type: ignore[method-assign]
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second)]
    await asyncio.wait(asked, timeout=2)

    assert [type(task.exception()) for task in asked if task.done()] == [OutcomeUnknown, OutcomeUnknown]


# --- timeouts


async def test_a_batch_that_takes_too_long_has_an_unknown_outcome_but_for_its_loads() -> None:
    store, _, (first, second, third) = await made()
    dispatcher = Dispatcher(store, MOMENT)
    barrier = held(store)
    commands = [inc(first), second.load(), third.destroy()]

    results = await asyncio.gather(*map(dispatcher.submit, commands), return_exceptions=True)

    assert [type(result) for result in results] == [OutcomeUnknown, StoreUnavailable, OutcomeUnknown]
    assert not store.under_way
    barrier.lift()
    assert (await dispatcher.submit(inc(first))).outcome is Outcome.DONE


async def test_a_lane_that_was_held_up_goes_on_with_what_waited() -> None:
    store, _, (first, second, _) = await made()
    dispatcher = Dispatcher(store, MOMENT)
    barrier = held(store)
    late = asyncio.create_task(dispatcher.submit(inc(first)))
    await turns()
    waiting = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second)]

    with pytest.raises(OutcomeUnknown):
        await late
    barrier.lift()

    assert [answer.outcome for answer in await asyncio.gather(*waiting)] == [Outcome.DONE] * 2
    assert store.sizes == [1, 2]


# --- several event loops


def test_one_event_loop_may_follow_another() -> None:
    store = LaneStore(lanes=2)
    dispatcher = Dispatcher(store, TIMEOUT)
    holders = asyncio.run(begun(dispatcher, 2))

    async def go() -> list[Answer]:
        return list(await asyncio.gather(*[dispatcher.submit(inc(holders[number % 2])) for number in range(10)]))

    for number in range(1, 4):
        answers = asyncio.run(go())
        data = answers[-1].opened().data
        assert data is not None
        assert data["n"] == 5 * number
    assert store.opened == 1


def test_a_loop_that_was_closed_in_the_middle_of_a_batch_holds_up_no_other() -> None:
    store = LaneStore()
    dispatcher = Dispatcher(store, TIMEOUT)
    (holder,) = asyncio.run(begun(dispatcher, 1))
    barrier = held(store)

    async def leave_behind() -> None:
        asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for _ in range(3)]
        await turns()
        assert not any(task.done() for task in asked)

    asyncio.run(leave_behind())
    barrier.lift()

    assert asyncio.run(count_of(dispatcher, holder)) == 0


def test_a_loop_that_was_closed_over_a_command_is_left_alone() -> None:
    """Whoever closes a loop with tasks in it hears of them from asyncio; we start none, which would raise."""

    async def leave_behind() -> None:
        store = LaneStore()
        dispatcher = Dispatcher(store, TIMEOUT)
        (holder,) = await begun(dispatcher, 1)
        held(store)
        asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for _ in range(2)]
        await turns()
        assert not any(task.done() for task in asked)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_behind())
    loop.close()
    raised: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", raised.append)
        gc.collect()

    assert not raised


@pytest.mark.parametrize("store", [MemoryStore(), LaneStore(batch_size=10_000)], ids=["no lanes", "one lane"])
def test_event_loops_in_several_threads_share_a_dispatcher(store: Store) -> None:
    dispatcher = Dispatcher(store, TIMEOUT)
    holders = asyncio.run(begun(dispatcher, 4))
    counts: dict[str, object] = {}

    async def go(holder: Holder) -> None:
        for _ in range(20):
            await asyncio.gather(*[dispatcher.submit(inc(holder)) for _ in range(5)])
        counts[holder.id] = await count_of(dispatcher, holder)

    threads = [threading.Thread(target=lambda holder: asyncio.run(go(holder)), args=(holder,)) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    assert counts == {holder.id: 100 for holder in holders}


@pytest.mark.parametrize("lanes", [0, 1])
async def test_a_store_that_gives_no_answer_to_a_command_leaves_its_outcome_unknown(lanes: int) -> None:
    class Forgetful(LaneStore):
        async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
            return (await super().execute(commands))[1:]

    dispatcher = Dispatcher(Forgetful(lanes), TIMEOUT)
    with pytest.raises(OutcomeUnknown, match="0 answers to 1 commands"):
        await dispatcher.submit(inc(Holder()))
    with pytest.raises(StoreUnavailable, match="0 answers to 1 commands"):
        await dispatcher.submit(Holder().load())


# --- the store's life


async def test_a_dispatcher_without_a_store_says_so() -> None:
    dispatcher = Dispatcher(None, TIMEOUT)
    for attempt in (dispatcher.open(), dispatcher.submit(Holder().load())):
        with pytest.raises(StoreNotSet):
            await attempt
    with pytest.raises(StoreNotSet):
        _ = dispatcher.store
    await dispatcher.close()


async def test_the_store_can_be_set_until_it_is_used() -> None:
    first, second = LaneStore(), LaneStore()
    dispatcher = Dispatcher(None, TIMEOUT)
    dispatcher.store = first
    dispatcher.store = second
    await dispatcher.submit(Holder().load())

    with pytest.raises(RuntimeError, match="in use"):
        dispatcher.store = first
    assert (first.opened, second.opened) == (0, 1)


async def test_another_store_may_take_over_where_the_first_one_is_closed() -> None:
    first, second = LaneStore(), LaneStore()
    dispatcher = Dispatcher(first, TIMEOUT)
    (holder,) = await begun(dispatcher, 1)
    barrier = held(first)
    asked = asyncio.create_task(dispatcher.submit(inc(holder)))
    await turns()
    closing = asyncio.create_task(dispatcher.close())
    await turns()

    dispatcher.store = second
    barrier.lift()
    await closing
    await begun(dispatcher, 2)

    assert (await asked).outcome is Outcome.DONE
    assert (first.sizes, second.sizes) == ([1, 1], [1, 1])
    assert (first.is_open, second.is_open) == (False, True)


async def test_a_store_that_is_set_while_another_one_opens_is_the_one_that_is_used() -> None:
    class Arriving(LaneStore):
        async def open(self) -> None:
            await turns()
            await super().open()

    first, second = Arriving(), LaneStore()
    dispatcher = Dispatcher(first, TIMEOUT)
    asked = asyncio.create_task(dispatcher.submit(Holder().load()))
    await turns(2)

    dispatcher.store = second

    assert (await asked).outcome is Outcome.ABSENT
    assert (first.sizes, second.sizes) == ([], [1])


async def test_the_first_command_opens_the_store() -> None:
    store = LaneStore()
    dispatcher = Dispatcher(store, TIMEOUT)

    await asyncio.gather(*[dispatcher.submit(Holder().load()) for _ in range(20)])
    await dispatcher.open()

    assert store.is_open
    assert store.opened == 1


async def test_a_store_that_could_not_be_opened_is_tried_again() -> None:
    class Reluctant(LaneStore):
        async def open(self) -> None:
            await super().open()
            if self.opened == 1:
                self.is_open = False
                raise StoreUnavailable("not yet")

    dispatcher = Dispatcher(Reluctant(), TIMEOUT)
    with pytest.raises(StoreUnavailable):
        await dispatcher.submit(Holder().load())

    assert (await dispatcher.submit(Holder().load())).outcome is Outcome.ABSENT


async def test_a_store_that_does_not_open_is_unavailable_in_time() -> None:
    class Silent(LaneStore):
        async def open(self) -> None:
            await asyncio.Event().wait()

    dispatcher = Dispatcher(Silent(), MOMENT)
    asked = [asyncio.create_task(dispatcher.submit(Holder().load())), asyncio.create_task(dispatcher.open())]
    done, _ = await asyncio.wait(asked, timeout=2)

    assert done == set(asked)
    assert [type(task.exception()) for task in asked] == [StoreUnavailable] * 2


class _Slow(LaneStore):
    """A store that opens when it is let."""

    def __init__(self, error: BaseException | None = None, lanes: int = 1) -> None:
        super().__init__(lanes)
        self.let = asyncio.Event()
        self.error = error
        self.tried = 0

    async def open(self) -> None:
        self.tried += 1
        await self.let.wait()
        if self.error is not None:
            raise self.error
        await super().open()


@pytest.mark.parametrize("lanes", [0, 1])
async def test_what_needs_a_closed_store_at_once_opens_it_once(lanes: int) -> None:
    store = _Slow(lanes=lanes)
    dispatcher = Dispatcher(store, TIMEOUT)
    asked = [asyncio.create_task(dispatcher.submit(Holder().load())) for _ in range(10)]
    await turns()
    store.let.set()

    assert [answer.outcome for answer in await asyncio.gather(*asked)] == [Outcome.ABSENT] * 10
    assert store.tried == 1


async def test_why_it_does_not_open_is_told_to_all_that_wait_and_it_is_tried_again_by_the_next() -> None:
    store = _Slow(StoreUnavailable("a wrong certificate"))
    dispatcher = Dispatcher(store, TIMEOUT)
    asked = [asyncio.create_task(dispatcher.submit(Holder().load())) for _ in range(10)]
    await turns()
    store.let.set()
    told = await asyncio.gather(*asked, return_exceptions=True)

    assert store.tried == 1
    assert [type(error) for error in told] == [StoreUnavailable] * 10
    assert {error.reason for error in told if isinstance(error, StoreUnavailable)} == {"a wrong certificate"}
    assert len(set(map(id, told))) == 10
    store.error = None
    assert (await dispatcher.submit(Holder().load())).outcome is Outcome.ABSENT


@pytest.mark.parametrize("lanes", [0, 1])
async def test_a_store_that_cancels_its_own_opening_cancels_nobody_else(lanes: int) -> None:
    store = _Slow(lanes=lanes)
    dispatcher = Dispatcher(store, TIMEOUT)
    asked = [asyncio.create_task(dispatcher.submit(Holder().load())) for _ in range(3)]
    await turns()
    store.error = asyncio.CancelledError()
    store.let.set()
    ends = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(end) for end in ends] == [StoreUnavailable] * 3


async def test_an_opening_goes_on_without_the_one_who_asked_first_and_ends_with_the_last() -> None:
    store = _Slow()
    dispatcher = Dispatcher(store, TIMEOUT)
    first, second = [asyncio.create_task(dispatcher.submit(Holder().load())) for _ in range(2)]
    await turns()
    first.cancel()
    await turns()
    third = asyncio.create_task(dispatcher.submit(Holder().load()))
    await turns()
    assert (first.cancelled(), store.tried) == (True, 1)

    for task in (second, third):
        task.cancel()
    await asyncio.wait((second, third))
    store.let.set()
    await turns()
    assert not store.is_open

    assert (await dispatcher.submit(Holder().load())).outcome is Outcome.ABSENT
    assert store.tried == 2


async def test_closing_completes_what_was_accepted_and_then_closes_the_store() -> None:
    store, dispatcher, (first, second, _) = await made(batch_size=2)
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second) * 5]
    await turns()
    closing = asyncio.create_task(dispatcher.close())
    await turns()
    assert not closing.done()

    barrier.lift()
    await closing

    assert not store.is_open
    assert [task.result().outcome for task in asked] == [Outcome.DONE] * 10
    assert store.sizes == [1, 2, 2, 2, 2, 1]


async def test_a_command_after_closing_opens_the_store_again() -> None:
    store, dispatcher, (first, *_) = await made()
    await dispatcher.close()
    await dispatcher.close()

    assert await count_of(dispatcher, first) == 0
    assert store.opened == 2


async def test_commands_that_come_while_closing_never_reach_a_closed_store() -> None:
    store, dispatcher, (first, second, _) = await made()
    barrier = held(store)
    asked = [asyncio.create_task(dispatcher.submit(inc(first)))]
    await turns()
    closing = asyncio.create_task(dispatcher.close())
    await turns()
    asked += [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in (first, second)]
    await turns()
    ids = [command.id for batch in store.under_way for command in batch]
    assert len(ids) == len(set(ids))

    barrier.lift()
    await closing
    await turns()

    assert [(await task).outcome for task in asked] == [Outcome.DONE] * 3
    assert [await count_of(dispatcher, holder) for holder in (first, second)] == [2, 1]


class LeavingStore(LaneStore):
    """A store that takes its time to close, and may fail in the end."""

    failure: Exception | None = None

    async def close(self) -> None:
        await turns()
        await super().close()
        await turns()
        if self.failure is not None:
            raise self.failure


@pytest.mark.parametrize("lanes", [0, 1])
async def test_what_is_asked_while_the_store_closes_waits_and_opens_it_again(lanes: int) -> None:
    store = LeavingStore(lanes)
    dispatcher = Dispatcher(store, TIMEOUT)
    holders = await begun(dispatcher, 3)

    async def slowly(commands: Sequence[Command]) -> None:
        await turns(15)

    store.before = slowly
    closing = [asyncio.create_task(dispatcher.close()) for _ in range(2)]
    await turns(2)

    asked = [asyncio.create_task(dispatcher.submit(inc(holder))) for holder in holders * 2]
    await asyncio.gather(*closing)
    answers = await asyncio.gather(*asked)

    assert [answer.outcome for answer in answers] == [Outcome.DONE] * 6
    assert store.opened == 2


async def test_what_finds_the_store_closing_when_it_has_opened_it_opens_it_again() -> None:
    class Arriving(LeavingStore):
        async def open(self) -> None:
            await turns()
            await super().open()

    store = Arriving()
    dispatcher = Dispatcher(store, TIMEOUT)
    asked = asyncio.create_task(dispatcher.submit(Holder().load()))
    await turns(2)

    await dispatcher.close()

    assert (await asked).outcome is Outcome.ABSENT
    assert store.is_open


async def test_closing_ends_though_commands_go_on_coming() -> None:
    store, dispatcher, holders = await made()
    closed = asyncio.Event()

    async def go_on(holder: Holder) -> None:
        while not closed.is_set():
            await dispatcher.submit(inc(holder))

    asked = [asyncio.create_task(go_on(holder)) for holder in holders]
    await turns()

    async with asyncio.timeout(2):
        await dispatcher.close()
    closed.set()
    await asyncio.gather(*asked)

    assert store.opened == 2


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_store_that_was_not_closed_well_is_opened_again(cancelled: bool) -> None:
    store = LeavingStore()
    dispatcher = Dispatcher(store, TIMEOUT)
    (holder,) = await begun(dispatcher, 1)
    store.failure = OSError("the wire is cut")
    closing = asyncio.create_task(dispatcher.close())
    await turns(2)
    asked = asyncio.create_task(dispatcher.submit(inc(holder)))
    await turns(15)
    assert not store.is_open
    if cancelled:
        closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)

    assert (await asked).outcome is Outcome.DONE
    assert await count_of(dispatcher, holder) == 1
    assert store.opened == 2
