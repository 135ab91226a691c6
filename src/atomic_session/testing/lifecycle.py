"""The life of the store itself: opening and closing it, sharing its records, and sweeping what is over."""

from __future__ import annotations

import asyncio
from unittest import SkipTest

from ..commands import Answer, Outcome
from ..errors import StoreUnavailable
from ..operators import Inc, Set
from ..record import MEMORY
from ..store import Store
from .checks import check, check_data, check_equal, check_outcome
from .harness import Harness, Sharing, case
from .holder import HOUR, LIFETIMES, NOW, Holder, ask, started
from .sending import dispatcher_of
from .witness import look


@case
async def new_stores_are_empty_and_apart(harness: Harness) -> None:
    """Every store that the harness makes begins with nothing, and shares nothing with those before."""
    first = await harness.make()
    holder = await started(first, owner="alice")
    second = await harness.make()
    check_outcome(await ask(second, holder.load()), Outcome.ABSENT, "a load from another store")
    check_equal(list(await second.sessions_of("alice", NOW)), [], "the sessions of an owner in another store")
    check_equal(await second.destroy_all("alice", None, NOW), 0, "the sessions that end in another store")
    check_outcome(await ask(first, holder.load()), Outcome.DONE, "a load from the store")


@case
async def stores_say_how_they_are_to_be_used(harness: Harness) -> None:
    """The attributes of a store are whole numbers that make sense."""
    store = await harness.make()
    check(type(store.lanes) is int and store.lanes >= 0, f"lanes is {store.lanes!r}")
    check(type(store.batch_size) is int and store.batch_size >= 1, f"batch_size is {store.batch_size!r}")


@case
async def opening_and_closing_again_do_no_harm(harness: Harness) -> None:
    """An open store may be opened, a closed one closed, and then opened again with all that it held."""
    store = await harness.make()
    holder = await started(store, {"n": 1}, owner="alice")
    await asyncio.gather(*[store.open() for _ in range(5)])
    check_data(await look(store, holder.load()), {"n": 1}, "what is kept after a second opening")
    for _ in range(2):
        await store.close()
        await store.close()
        await store.open()
        check_data(await look(store, holder.load()), {"n": 1}, "what is kept after closing and opening")
    check_outcome(await ask(store, holder.update(Inc.of("n", 1))), Outcome.DONE, "an update after reopening")
    check_equal(len(await store.sessions_of("alice", NOW)), 1, "the owner's sessions after reopening")


@case
async def closing_completes_what_was_accepted(harness: Harness) -> None:
    """What is under way when a store closes is done, or known not to be; nobody waits for ever."""
    store = await harness.make()
    holder = await started(store, {"n": 0})
    dispatcher = dispatcher_of(store)
    await dispatcher.open()
    asked = [asyncio.create_task(dispatcher.submit(holder.update(Inc.of("n", 1)))) for _ in range(30)]
    await asyncio.sleep(0)
    await dispatcher.close()
    results = await asyncio.gather(*asked, return_exceptions=True)
    done = [result for result in results if isinstance(result, Answer)]
    for result in results:
        check(isinstance(result, Answer | StoreUnavailable), f"an update while closing ends with {result!r}")
    await store.open()
    check_data(await look(store, holder.load()), {"n": len(done)}, "what is kept of the updates while closing")


@case
async def two_stores_share_their_records(harness: Harness) -> None:
    """What one process does to a session another one sees at once."""
    if not isinstance(harness, Sharing):
        raise SkipTest("the harness has no another()")
    store = await harness.make()
    other = await harness.another()
    holder = await started(store, {"n": 0}, owner="alice")
    for turn, (here, there) in enumerate([(store, other), (other, store)] * 3, start=1):
        check_outcome(await ask(here, holder.update(Inc.of("n", 1))), Outcome.DONE, "an update")
        check_data(await look(there, holder.load()), {"n": turn}, "what the other store sees")
    check_equal([info.id for info in await other.sessions_of("alice", NOW)], [holder.id], "the owner's sessions")
    new = holder.renewed()
    check_outcome(await ask(other, holder.rotate(new)), Outcome.DONE, "a rotation")
    check_outcome(await ask(store, holder.load()), Outcome.ROTATED, "a load with the old token")
    check_equal(await store.destroy_all("alice", None, NOW), 1, "the sessions that end")
    check_outcome(await ask(other, new.load()), Outcome.DESTROYED, "a load after destroy_all elsewhere")
    await other.close()
    check_outcome(await ask(store, Holder().load()), Outcome.ABSENT, "a load after the other store was closed")


@case
async def purge_removes_only_what_is_over(harness: Harness) -> None:
    """Sweeping takes records that are over, a few at a time, and leaves the living and the remembered."""
    store = await harness.make()
    live = [await started(store, {"n": 1}, NOW + 2 * HOUR, owner="alice") for _ in range(3)]
    idle = [await started(store, {"n": 1}, owner="alice") for _ in range(5)]
    late = NOW + LIFETIMES.max_age + HOUR
    buried = await started(store, now=late - MEMORY)
    await ask(store, buried.destroy(late - MEMORY + 1))
    removed = await _purge_all(store, late)
    check(removed <= len(idle), f"purging removes {removed} records, and {len(idle)} are over")
    check_outcome(await ask(store, buried.load(late)), Outcome.DESTROYED, "a load of what is remembered")
    for holder in idle:
        check_outcome(await ask(store, holder.load(late)), Outcome.ABSENT, "a load of what is over")
    for holder in live:
        check_outcome(
            await ask(store, holder.update(Set.of("a", 1), now=late)), Outcome.DONE, "an update after a purge"
        )
    check(await _purge_all(store, late + HOUR + MEMORY) <= 1, "purging removes more than the tombstone that is over")
    check_equal(len(await store.sessions_of("alice", late)), len(live), "the owner's sessions after a purge")


@case
async def purge_leaves_what_was_renewed(harness: Harness) -> None:
    """A session lives past its first deadline when something has moved that, and sweeping knows it."""
    store = await harness.make()
    later = NOW + LIFETIMES.max_age - 1
    holders = [await started(store, {"n": 1}) for _ in range(5)]
    new = holders[3].renewed()
    renewals = (
        holders[0].update(Inc.of("n", 1), now=later),
        holders[1].touch(later),
        holders[2].load(later),
        holders[3].rotate(new, later),
        holders[4].touch(NOW + 1, max_age=30 * HOUR),
    )
    for command in renewals:
        check_outcome(await ask(store, command), Outcome.DONE, "a renewal")
    late = NOW + LIFETIMES.max_age + 2 * HOUR
    check_equal(await _purge_all(store, late), 0, "the records that a purge removes")
    for place, holder in enumerate([*holders[:3], new, holders[4]]):
        what = f"a load after a purge, where {type(renewals[place]).__name__} had renewed"
        check_outcome(await ask(store, holder.load(late)), Outcome.DONE, what)


async def _purge_all(store: Store, now: int) -> int:
    """Purge by twos until nothing is removed; return how many records went."""
    total = 0
    while removed := await store.purge(now, 2):
        check(0 < removed <= 2, f"a purge of at most 2 records removes {removed}")
        total += removed
    return total
