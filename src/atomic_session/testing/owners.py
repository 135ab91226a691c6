"""Whose sessions are whose: listing them, ending them all, how many there may be, and logins that race with that."""

from __future__ import annotations

import asyncio

import msgspec

from ..commands import Command, Login, Outcome, OwnerLimit
from ..errors import LimitExceeded
from ..lifecycle import login_of
from ..operators import Set
from ..record import MEMORY, Lifetimes
from ..store import SessionInfo, Store
from .checks import check, check_equal, check_error, check_outcome
from .concurrency import MANY, ask_many
from .gate import Gate, in_every_order
from .harness import Harness, case, pairs
from .holder import HOUR, LIFETIMES, NOW, Holder, ask, started
from .scenes import LATE, OWNER, Scene, destroy_all
from .sending import dispatchers_of
from .witness import Witness

REFUSING = OwnerLimit(3, evict_oldest=False)
EVICTING = OwnerLimit(3, evict_oldest=True)


async def _listed(store: Store, owner: str = OWNER, now: int = NOW) -> list[str]:
    return [info.id for info in await store.sessions_of(owner, now)]


@case
async def owners_see_their_live_sessions(harness: Harness) -> None:
    """An owner sees their own live sessions, the latest used first, and of each no more than is public."""
    store = await harness.make()
    first = await started(store, {"secret": 1}, owner=OWNER)
    second = await started(store, now=NOW + 1, owner=OWNER)
    await started(store, now=NOW + 2)
    await started(store, now=NOW + 3, owner="bob")
    check_equal(await _listed(store, now=NOW + 9), [second.id, first.id], "the sessions of an owner")
    await ask(store, first.update(Set.of("a", 1), now=NOW + 4))
    check_equal(await _listed(store, now=NOW + 9), [first.id, second.id], "the sessions after the older one was used")
    await ask(store, second.touch(NOW + 5))
    infos = await store.sessions_of(OWNER, NOW + 9)
    expected = [
        SessionInfo.at(second.id, created=NOW + 1, last_used=NOW + 5, expires=NOW + 5 + LIFETIMES.max_age),
        SessionInfo.at(first.id, created=NOW, last_used=NOW + 4, expires=NOW + 4 + LIFETIMES.max_age),
    ]
    check_equal(
        [msgspec.structs.asdict(info) for info in infos], [msgspec.structs.asdict(info) for info in expected], "infos"
    )
    for nobody in ("", "nobody", "Alice", "alice ", "al", "%", "*"):
        check_equal(await _listed(store, nobody), [], f"the sessions of {nobody!r}")


@case
async def owners_see_no_session_that_is_over(harness: Harness) -> None:
    """What was destroyed, has expired, or became somebody else's is no owner's session any more."""
    store = await harness.make()
    destroyed = await started(store, owner=OWNER)
    moved = await started(store, owner=OWNER)
    capped = await started(store, owner=OWNER, lifetimes=Lifetimes(max_age=9 * HOUR, max_lifetime=5 * HOUR))
    idle = await started(store, owner=OWNER)
    await ask(store, destroyed.destroy(NOW + 1))
    await ask(store, moved.rotate(moved.renewed(), NOW + 1, login=Login("bob")))
    check_equal(await _listed(store, "bob", NOW + 2), [moved.id], "the sessions of the new owner")
    for now, expected in (
        (NOW + 2, {capped.id, idle.id}),
        (NOW + 5 * HOUR - 1, {capped.id, idle.id}),
        (NOW + 5 * HOUR, {idle.id}),
        (LATE - 1, {idle.id}),
        (LATE, set()),
    ):
        check_equal(set(await _listed(store, now=now)), expected, f"the sessions {now - NOW} ms later")


@case
async def logins_make_a_session_its_owners(harness: Harness) -> None:
    """A login lists the session under its owner; a rotation without one leaves that as it is."""
    store = await harness.make()
    anonymous = await started(store)
    check_equal(await _listed(store), [], "the sessions before a login")
    known = anonymous.renewed()
    await ask(store, anonymous.rotate(known, NOW + 1, login=Login(OWNER)))
    check_equal(await _listed(store), [anonymous.id], "the sessions after a login")
    newest = known.renewed()
    await ask(store, known.rotate(newest, NOW + 2))
    check_equal(await _listed(store), [anonymous.id], "the sessions after a rotation")
    answer = await ask(store, known.rotate(known.renewed(), NOW + 3, login=Login("mallory")))
    check_outcome(answer, Outcome.ROTATED, "a login with a token that was rotated away")
    check_equal((await _listed(store), await _listed(store, "mallory")), ([anonymous.id], []), "the sessions after it")


@case
async def destroy_all_ends_the_sessions_of_one_owner(harness: Harness) -> None:
    """All live sessions of an owner are destroyed but the one to keep, and counted; nobody else's."""
    store = await harness.make()
    mine = [await started(store, {"n": number}, owner=OWNER) for number in range(4)]
    others = [await started(store, {"n": 1}, owner="bob"), await started(store, {"n": 2})]
    over = await started(store, owner=OWNER, lifetimes=Lifetimes(max_age=10))
    witness = await Witness.of(store, mine[0].load(), *[other.load() for other in others])
    check_equal(await store.destroy_all("nobody", None, NOW + 10), 0, "the sessions of nobody that end")
    check_equal(await store.destroy_all(OWNER, mine[0].id, NOW + 10), 3, "the sessions that end")
    await witness.check_unchanged("destroy_all")
    check_equal(await _listed(store, now=NOW + 11), [mine[0].id], "the sessions that are left")
    for holder in mine[1:]:
        check_outcome(await ask(store, holder.load(NOW + 11)), Outcome.DESTROYED, "a load after destroy_all")
        check_outcome(await ask(store, holder.load(NOW + 10 + MEMORY)), Outcome.ABSENT, "a load after the minute")
        check_outcome(await ask(store, holder.create({}, NOW + 11)), Outcome.EXISTS, "a creation over a tombstone")
    check_outcome(await ask(store, over.load(NOW + 10)), Outcome.ABSENT, "a load of what had expired")
    check_equal(await store.destroy_all(OWNER, others[0].id, NOW + 11), 1, "the sessions that end at last")
    check_equal(await store.destroy_all(OWNER, None, NOW + 12), 0, "the sessions that end a second time")
    check_equal(await _listed(store, "bob"), [others[0].id], "somebody else's sessions")


@case
async def full_owners_are_refused(harness: Harness) -> None:
    """Past the limit a login, or a creation for the owner, is refused, and changes nothing."""
    store = await harness.make()
    mine = [await started(store, {"n": number}, NOW + number, owner=OWNER) for number in range(3)]
    visitor = await started(store, {"cart": 1})
    witness = await Witness.of(store, visitor.load(), *[holder.load() for holder in mine])
    newcomer = Holder()
    for command in (
        visitor.rotate(visitor.renewed(), NOW + 9, login=Login(OWNER, REFUSING)),
        newcomer.create({}, NOW + 9, owner=OWNER, limit=REFUSING),
    ):
        answer = await ask(store, command)
        what = f"{type(command).__name__} past the limit"
        check_outcome(answer, Outcome.REFUSED, what)
        check_error(answer.error, LimitExceeded("max_sessions_per_owner", 3, 4), what)
        await witness.check_unchanged(what)
    check_outcome(await ask(store, newcomer.load(NOW + 9)), Outcome.ABSENT, "a load of what was refused")
    check_equal(await _listed(store, now=NOW + 9), [mine[2].id, mine[1].id, mine[0].id], "the owner's sessions")
    await ask(store, mine[1].destroy(NOW + 10))
    again = visitor.rotate(visitor.renewed(), NOW + 11, login=Login(OWNER, REFUSING))
    check_outcome(await ask(store, again), Outcome.DONE, "a login where there is room again")


@case
async def full_owners_lose_their_oldest_session(harness: Harness) -> None:
    """Where the oldest are to give way, those that were not used for longest are destroyed, and no others."""
    store = await harness.make()
    mine = [await started(store, {"n": number}, NOW + number, owner=OWNER) for number in range(3)]
    await ask(store, mine[0].update(Set.of("a", 1), now=NOW + 5))
    visitor = await started(store, {"cart": 1})
    known = visitor.renewed()
    answer = await ask(store, visitor.rotate(known, NOW + 9, login=Login(OWNER, EVICTING)))
    check_outcome(answer, Outcome.DONE, "a login past the limit")
    check_equal(await _listed(store, now=NOW + 9), [known.id, mine[0].id, mine[2].id], "the sessions that are left")
    check_outcome(await ask(store, mine[1].load(NOW + 10)), Outcome.DESTROYED, "a load of what gave way")
    newcomer = Holder()
    one = OwnerLimit(1, evict_oldest=True)
    created = await ask(store, newcomer.create({}, NOW + 11, owner=OWNER, limit=one))
    check_outcome(created, Outcome.DONE, "a creation past a lower limit")
    check_equal(await _listed(store, now=NOW + 11), [newcomer.id], "the sessions that are left at last")


@case
async def sessions_do_not_crowd_out_themselves(harness: Harness) -> None:
    """A login in a session that is the owner's already needs no room; nor do the dead and the anonymous."""
    store = await harness.make()
    for limit in (OwnerLimit(1, evict_oldest=False), OwnerLimit(1, evict_oldest=True)):
        owner = f"owner {limit.evict_oldest}"
        await started(store, owner=owner, lifetimes=Lifetimes(max_age=1))
        dead = await started(store, now=NOW + 1, owner=owner)
        await ask(store, dead.destroy(NOW + 2))
        holder = Holder()
        created = await ask(store, holder.create({}, NOW + 3, owner=owner, limit=limit))
        check_outcome(created, Outcome.DONE, "a creation where all others are over")
        new = holder.renewed()
        again = await ask(store, holder.rotate(new, NOW + 4, login=Login(owner, limit)))
        check_outcome(again, Outcome.DONE, "a second login in the same session")
        check_equal(await _listed(store, owner, NOW + 5), [holder.id], "the owner's sessions")
        anonymous = Holder()
        free = await ask(store, anonymous.create({}, NOW + 6, limit=limit))
        check_outcome(free, Outcome.DONE, "a creation for nobody, under a limit")


@case
async def parallel_logins_keep_the_limit(harness: Harness) -> None:
    """Of many logins at the same moment as many live as may, and not one more."""
    for stores in await pairs(harness):
        for limit in (REFUSING, EVICTING):
            owner = f"owner {limit.evict_oldest} {stores[0] is stores[1]}"
            commands: list[Command] = []
            holders: list[Holder] = []
            for number in range(MANY):
                holder = Holder() if number % 2 else await started(stores[0])
                new = holder if number % 2 else holder.renewed()
                now = NOW + 100 + number
                create = holder.create({}, now, owner=owner, limit=limit)
                commands.append(create if number % 2 else holder.rotate(new, now, login=Login(owner, limit)))
                holders.append(new)
            answers = await ask_many(stores, commands)
            done = [holder for holder, answer in zip(holders, answers, strict=True) if answer.outcome is Outcome.DONE]
            check_equal(len(done), MANY if limit.evict_oldest else 3, "the logins that succeed")
            await _check_alive(stores[1], owner, done, 3)


async def _check_alive(store: Store, owner: str, done: list[Holder], expected: int) -> None:
    """Check that so many of the sessions whose login was acknowledged live, and exactly those are listed."""
    now = NOW + 1_000
    outcomes = {holder.id: (await ask(store, holder.load(now))).outcome for holder in done}
    live = {id for id, outcome in outcomes.items() if outcome is Outcome.DONE}
    dead = {outcome for outcome in outcomes.values() if outcome is not Outcome.DONE}
    check_equal(len(live), expected, "the sessions that live after many logins")
    check(dead <= {Outcome.DESTROYED}, f"a session that gave way is answered {dead}")
    check_equal(set(await _listed(store, owner, now)), live, "the owner's sessions after many logins")


@case
async def logins_are_before_or_after_destroy_all(harness: Harness) -> None:
    """A login that races a `destroy_all` is destroyed by it or outlives it: never live and unlisted, nor half."""
    for stores in await pairs(harness):
        for quarters in range(5):
            await _sweep_amid_logins(stores, f"owner {quarters} {stores[0] is stores[1]}", MANY * quarters // 4)


async def _sweep_amid_logins(stores: tuple[Store, Store], owner: str, early: int) -> None:
    """Let many visitors log in as *owner*, and destroy the owner's sessions when so many of the logins have begun."""
    before = [await started(stores[0], owner=owner) for _ in range(5)]
    visitors = [await started(stores[0]) for _ in range(MANY)]
    known = [visitor.renewed() for visitor in visitors]
    dispatchers = dispatchers_of(stores)

    async def log_in(number: int) -> None:
        command = visitors[number].rotate(known[number], NOW + 1, login=Login(owner))
        check_outcome(await dispatchers[number % 2].submit(command), Outcome.DONE, "a login")

    logins = [asyncio.create_task(log_in(number)) for number in range(early)]
    await asyncio.sleep(0)
    sweep = asyncio.create_task(stores[1].destroy_all(owner, None, NOW + 2))
    await asyncio.gather(sweep, *logins, *[log_in(number) for number in range(early, MANY)])
    await _check_swept(stores[0], owner, before, known, sweep.result())
    after = await started(stores[0], now=NOW + 3, owner=owner)
    check(after.id in await _listed(stores[1], owner, NOW + 4), "a login after destroy_all is not listed")


async def _check_swept(store: Store, owner: str, before: list[Holder], known: list[Holder], ended: int) -> None:
    for holder in before:
        check_outcome(await ask(store, holder.load(NOW + 3)), Outcome.DESTROYED, "a load of what was there before")
    outcomes = {holder.id: (await ask(store, holder.load(NOW + 3))).outcome for holder in known}
    check(set(outcomes.values()) <= {Outcome.DONE, Outcome.DESTROYED}, f"logins end up as {set(outcomes.values())}")
    live = {id for id, outcome in outcomes.items() if outcome is Outcome.DONE}
    check_equal(set(await _listed(store, owner, NOW + 3)), live, "the owner's sessions after destroy_all")
    check_equal(ended, len(before) + len(known) - len(live), "the sessions that destroy_all counts")


@case
async def logins_race_destroy_all_in_every_order(harness: Harness) -> None:
    """A request that logs in while the owner's sessions are ended lives only if it was acknowledged later."""
    store = await harness.make()

    async def play(gate: Gate) -> None:
        scene = await Scene.of(gate, store)
        visitor = await started(store, {"cart": 1})
        login = scene.site.visit(visitor.token, lambda session: session.login(OWNER))
        fresh = scene.site.visit(None, lambda session: session.login(OWNER))
        *visits, _ = await gate.run(login, fresh, destroy_all(scene))
        (sweep,) = scene.history.sweeps
        live = set()
        for visit in visits:
            check(visit.error is None, f"a login fails with {visit.error!r}")
            holder = Holder(visit.token)
            (made,) = (event for event in scene.history.of(holder.id) if event.done and login_of(event.command))
            expected = Outcome.DONE if made.began > sweep.ended else Outcome.DESTROYED
            check_outcome(await ask(store, holder.load()), expected, "a load after a login and destroy_all")
            live |= {holder.id} if expected is Outcome.DONE else set()
        check_equal(set(await _listed(store)), live, "the owner's sessions at the end")
        await store.destroy_all(OWNER, None, NOW)

    check_equal(await in_every_order(play), 12, "the orders of three requests, one of which loads first")
