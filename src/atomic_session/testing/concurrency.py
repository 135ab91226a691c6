"""
The same races with nobody in control: as many requests at once as the event loop and the engine let run.

They go over one store, and over two stores on the same records where there can be two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..commands import Answer, Command, Destroy, Login, Outcome
from ..operators import Inc, Operator, Push, Set, Take, When
from ..store import Store
from ..values import MISSING
from .checks import check, check_data, check_equal, check_outcome
from .harness import Harness, case, pairs
from .history import History, RecordingStore
from .holder import Holder, ask, started
from .requests import DATA, WRITERS
from .scenes import DESTROYERS, OWNER, ROTATORS, Ender, Scene
from .sending import dispatchers_of
from .site import Visit, sites_of
from .witness import look

__all__ = ["MANY", "ask_many"]

MANY = 50
TURNS = 8
END_AT = 2
"""When the first of the writers has had so many turns, the session is ended."""


async def ask_many(stores: tuple[Store, Store], commands: Sequence[Command]) -> list[Answer]:
    """Give all *commands* at once, every second one to the other store."""
    dispatchers = dispatchers_of(stores)
    asked = [dispatchers[number % 2].submit(command) for number, command in enumerate(commands)]
    return list(await asyncio.gather(*asked))


@case
async def destroyed_sessions_stay_so_under_load(harness: Harness) -> None:
    """While requests of every kind write to it, a session is destroyed: once that is acknowledged, none succeeds."""
    for stores in await pairs(harness):
        for ender in DESTROYERS:
            scene, ended = await _storm(stores, ender)
            check(ended.error is None, f"{ender.__name__} fails with {ended.error!r}")
            answer = await ask(stores[1], scene.holder.load())
            check_outcome(answer, Outcome.DESTROYED, f"a load after {ender.__name__}")


@case
async def rotated_sessions_lose_nothing_under_load(harness: Harness) -> None:
    """While requests of every kind write to it, a session is rotated: what was acknowledged is in it, and no more."""
    for stores in await pairs(harness):
        for ender in ROTATORS:
            scene, ended = await _storm(stores, ender)
            if ended.token is None:
                raise AssertionError(f"{ender.__name__} ends with {ended.error!r}")
            data = await look(stores[1], Holder(ended.token).load())
            check_data(data["n"], _count(scene.history, scene.holder, Inc, "n"), "the increments")
            log = data["log"]
            pushed = _count(scene.history, scene.holder, Push, "log")
            check_equal(len(log) - 1 if isinstance(log, list) else None, pushed, "the values that were pushed")


async def _storm(stores: tuple[Store, Store], ender: Ender) -> tuple[Scene, Visit]:
    """Let all writers run for some turns, and one request end their session in the middle of it."""
    history = History()
    sites = sites_of(stores, lambda store: RecordingStore(store, history))
    holder = await started(stores[0], DATA, owner=OWNER)
    scene = Scene(None, stores[0], history, sites[0], holder)
    begin = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(TURNS):
            await sites[number % 2].visit(holder.token, WRITERS[(number + turn) % len(WRITERS)])
            if turn == END_AT:
                begin.set()

    async def end() -> Visit:
        await begin.wait()
        return await ender(scene)

    ending = asyncio.create_task(end())
    await asyncio.gather(ending, *[write(number) for number in range(len(WRITERS))])
    history.check(holder.id, OWNER)
    return scene, ending.result()


def _count(history: History, holder: Holder, kind: type[Operator], field: str) -> int:
    """Return how many operators of this kind were applied to this field."""
    return sum(
        isinstance(item, kind) and item.path == (field,)  # type: ignore[union-attr]  # neither kind is `Replace`
        for event in history.updates(holder.id)
        for item in event.operators
    )


@case
async def one_of_many_rotations_wins(harness: Harness) -> None:
    """Of many rotations of one token exactly one succeeds, and only its new token opens the session."""
    for stores in await pairs(harness):
        for login in (None, Login("bob")):
            old = await started(stores[0], DATA)
            rivals = [old.renewed() for _ in range(MANY)]
            answers = await ask_many(stores, [old.rotate(rival, login=login) for rival in rivals])
            won = _one_of(answers, Outcome.ROTATED, "rotations")
            for number, rival in enumerate(rivals):
                expected = Outcome.DONE if number == won else Outcome.ABSENT
                check_outcome(await ask(stores[1], rival.load()), expected, "a load with one of the new tokens")


@case
async def one_of_many_destructions_is_the_one(harness: Harness) -> None:
    """Of many destructions of one session exactly one is told that it happened."""
    for stores in await pairs(harness):
        holder = await started(stores[0], DATA)
        commands = [
            holder.destroy() if number % 3 else Destroy(holder.id, None, holder.load().now) for number in range(MANY)
        ]
        _one_of(await ask_many(stores, commands), Outcome.DESTROYED, "destructions")


@case
async def one_of_many_creations_wins(harness: Harness) -> None:
    """Of many creations under one id exactly one succeeds, whole."""
    for stores in await pairs(harness):
        rivals = [Holder()]
        rivals += [rivals[0].renewed() for _ in range(MANY - 1)]
        answers = await ask_many(stores, [rival.create({"by": number}) for number, rival in enumerate(rivals)])
        won = _one_of(answers, Outcome.EXISTS, "creations")
        check_data(await look(stores[1], rivals[won].load()), {"by": won})


@case
async def one_of_many_takes_gets_the_value(harness: Harness) -> None:
    """Of many requests that take a value exactly one gets it; the others are told that nothing was there."""
    for stores in await pairs(harness):
        holder = await started(stores[0], DATA)
        answers = await ask_many(stores, [holder.update(Take.of("state")) for _ in range(MANY)])
        got = [answer.taken for answer in answers if answer.taken is not MISSING]
        check_equal(got, [DATA["state"]], "what the takes got")


@case
async def one_of_many_guarded_updates_applies(harness: Harness) -> None:
    """Of many updates that are guarded by the same value, and change it, exactly one applies."""
    for stores in await pairs(harness):
        holder = await started(stores[0], DATA)
        step = DATA["step"]
        commands = [holder.update(When.of("step", step), Set.of("step", f"by {number}")) for number in range(MANY)]
        won = _one_of(await ask_many(stores, commands), Outcome.UNMET, "guarded updates")
        data = await look(stores[1], holder.load())
        check_data(data["step"], f"by {won}", "what was set")


@case
async def cancelled_updates_happen_whole_or_not_at_all(harness: Harness) -> None:
    """An update whose task is cancelled, after however many turns of the event loop, leaves no half and no lock."""
    for stores in await pairs(harness):
        dispatchers = dispatchers_of(stores)
        holder = await started(stores[0], {"n": 0, "log": []})
        for turns in range(MANY):
            update = holder.update(Inc.of("n", 1), Push.of("log", [turns]))
            asked = asyncio.create_task(dispatchers[turns % 2].submit(update))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            data = (await dispatchers[turns % 2 - 1].submit(holder.load())).data or {}
            log = data["log"] if isinstance(data["log"], list) else []
            check_data(data["n"], len(log), "the increments, of which each came with a value")
            done = not asked.cancelled()
            check(not done or turns in log, "an update that was acknowledged in time is not there")


@case
async def cancelled_commands_harm_no_neighbour(harness: Harness) -> None:
    """Where some of many commands are cancelled, all others are carried out, once each."""
    for stores in await pairs(harness):
        holder = await started(stores[0], {"log": []})
        dispatchers = dispatchers_of(stores)
        asked: list[asyncio.Task[Answer]] = []
        for number in range(MANY):
            update = holder.update(Push.of("log", [number]))
            asked.append(asyncio.create_task(dispatchers[number % 2].submit(update)))
            if number % 3 == 0:
                await asyncio.sleep(0)
            if number % 5 == 0:
                asked[-1 - number % 4].cancel()
        results = await asyncio.gather(*asked, return_exceptions=True)
        data = (await dispatchers[1].submit(holder.load())).data or {}
        log = data["log"] if isinstance(data["log"], list) else []
        check_equal(len(set(map(repr, log))), len(log), "the values, each of which comes once")
        for number, result in enumerate(results):
            cancelled = isinstance(result, asyncio.CancelledError)
            done = isinstance(result, Answer) and result.outcome is Outcome.DONE
            check(cancelled or (done and number in log), f"an update beside cancelled ones ends with {result!r}")


def _one_of(answers: Sequence[Answer], others: Outcome, what: str) -> int:
    """Check that exactly one of *answers* is DONE and all others the same; return which one."""
    won = [number for number, answer in enumerate(answers) if answer.outcome is Outcome.DONE]
    check(len(won) == 1, f"{len(won)} of {len(answers)} {what} are DONE, and should be 1")
    for number, answer in enumerate(answers):
        check_outcome(answer, Outcome.DONE if number == won[0] else others, f"one of many {what}")
    return won[0]
