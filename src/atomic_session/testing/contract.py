"""
What each command is answered at each standing of its token, and that a refusal changes nothing.

The looks of a `Scene` show the record as it was and as it is about to be; a command that is not
DONE must leave all of them as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, TypeAlias

from ..clock import Instant
from ..commands import Command, Destroy, Load, Login, Outcome, Rotate
from ..operators import Inc, Replace, Set, Take, When
from ..record import MEMORY, Lifetimes
from ..store import Store
from .checks import check, check_equal, check_outcome
from .harness import Harness, case
from .holder import HOUR, LIFETIMES, NOW, Holder, ask, started
from .witness import Witness

__all__ = ["DATA", "destroyed", "rotated"]

DATA = {"color": "red", "visits": 1, "cart": [{"sku": "A1"}], "step": 2}
GRACE = 5_000


class Scene(NamedTuple):
    """
    Someone who holds a token at an instant.

    Attributes:
        holder: whose token the commands show.
        now: when they are given.
        looks: what must not change; taken before a renewal is due.
        over: the record's time is up, so that a store may have swept it.
    """

    holder: Holder
    now: Instant
    looks: tuple[Load, ...]
    over: bool = False


Prepare: TypeAlias = Callable[[Store], Awaitable[Scene]]


def commands_of(holder: Holder, now: Instant) -> Iterator[tuple[str, Command]]:
    """Return every command that needs a live session, with a name; none of them is refused for its data."""
    yield "a load", holder.load(now)
    yield "an update", holder.update(Set.of("color", "blue"), now=now)
    yield "an update of a missing field", holder.update(Inc.of("hits", 1), now=now)
    yield "a guarded update", holder.update(When.of("step", 2), Set.of("step", 3), now=now)
    yield "a guarded update that knows", holder.update(When.of("step", 9), Set.of("step", 3), now=now, known=1)
    yield "a take", holder.update(Take.of("color"), now=now)
    yield "a replacement", holder.update(Replace.of({"new": True}), now=now)
    yield "a guard alone", holder.update(When.of("step", 2), now=now)
    yield "a touch", holder.touch(now)
    yield "a touch with a time of its own", holder.touch(now, max_age=HOUR)
    yield "a rotation", holder.rotate(holder.renewed(), now)
    yield "a rotation with grace", holder.rotate(holder.renewed(), now, grace=GRACE)
    yield "a login", holder.rotate(holder.renewed(), now, login=Login("mallory"))
    yield "a destruction", holder.destroy(now)


async def _refuse_all(harness: Harness, prepare: Prepare, expected: Outcome) -> None:
    """Check that every command of the scene is answered as *expected* and changes nothing."""
    store = await harness.make()
    neighbour = await started(store, {"mine": 1}, owner="mallory")
    for index in range(len(list(commands_of(Holder(), NOW)))):
        scene = await prepare(store)
        witness = await Witness.of(store, *scene.looks)
        beside = await Witness.of(store, neighbour.load())
        name, command = list(commands_of(scene.holder, scene.now))[index]
        answer = await ask(store, command)
        check_outcome(answer, expected, name)
        check_equal(answer.record, None, f"{name} that is not let in: the record that it sees")
        check(answer.data is None and not answer.renewed, f"{name} that is not let in is told something")
        await witness.check_unchanged(name, may_be_swept=scene.over)
        await beside.check_unchanged(f"{name}: the neighbour")


@case
async def live_sessions_take_every_command(harness: Harness) -> None:
    """A live session carries out every command, up to the last millisecond before its deadline."""
    store = await harness.make()
    for now in (NOW, NOW + 1, NOW + LIFETIMES.max_age - 1):
        for index in range(len(list(commands_of(Holder(), NOW)))):
            holder = await started(store, DATA)
            name, command = list(commands_of(holder, now))[index]
            unmet = name == "a guarded update that knows"
            check_outcome(await ask(store, command), Outcome.UNMET if unmet else Outcome.DONE, name)


@case
async def absent_sessions_are_absent(harness: Harness) -> None:
    """Nothing but a creation brings a record into being."""

    async def prepare(_store: Store) -> Scene:
        holder = Holder()
        return Scene(holder, NOW, (holder.load(), holder.load(NOW + MEMORY - 1)))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def unknown_digests_open_nothing(harness: Harness) -> None:
    """A digest that never was the record's finds no session, and leaves the one that is there alone."""

    async def prepare(store: Store) -> Scene:
        victim = await started(store, DATA, owner="alice")
        return Scene(victim.renewed(), NOW, (victim.load(),))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def digests_of_one_session_open_no_other(harness: Harness) -> None:
    """The digest of one session is never matched against another's record."""

    async def prepare(store: Store) -> Scene:
        thief, victim = await started(store, {"mine": 1}), await started(store, DATA)
        return Scene(_Forger(thief, victim), NOW, (victim.load(), thief.load()))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


class _Forger(Holder):
    """One session's secret under another session's id."""

    def __init__(self, thief: Holder, victim: Holder) -> None:
        forged = victim.renewed().token
        forged.digest = thief.token.digest
        super().__init__(forged)


@case
async def idle_sessions_end_at_their_deadline(harness: Harness) -> None:
    """From its idle deadline on a session is absent, even while its record is still there."""

    async def prepare(store: Store) -> Scene:
        holder = await started(store, DATA, owner="alice")
        return Scene(holder, NOW + LIFETIMES.max_age, (holder.load(),), over=True)

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def sessions_end_at_their_absolute_deadline(harness: Harness) -> None:
    """From its absolute deadline on a session is absent, however lately it was used."""
    lifetimes = Lifetimes(max_age=10 * HOUR, max_lifetime=12 * HOUR)

    async def prepare(store: Store) -> Scene:
        holder = await started(store, DATA, lifetimes=lifetimes)
        await ask(store, holder.touch(NOW + 9 * HOUR))
        await ask(store, holder.update(Set.of("late", 1), now=NOW + 12 * HOUR - 1))
        return Scene(holder, NOW + 12 * HOUR, (holder.load(),), over=True)

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def destroyed_sessions_are_remembered(harness: Harness) -> None:
    """For a minute a destroyed session says that it was destroyed; it never comes back."""

    async def prepare(store: Store) -> Scene:
        holder = await destroyed(store)
        return Scene(holder, NOW + MEMORY - 1, (holder.load(), holder.load(NOW + MEMORY - 1)))

    await _refuse_all(harness, prepare, Outcome.DESTROYED)


@case
async def tombstones_outlive_every_deadline(harness: Harness) -> None:
    """A session that is destroyed just before one of its deadlines is remembered for the whole minute."""
    store = await harness.make()
    for lifetimes in (Lifetimes(max_age=10 * HOUR, max_lifetime=HOUR), Lifetimes(max_age=HOUR)):
        holder = await started(store, DATA, lifetimes=lifetimes)
        end = NOW + HOUR - 1
        check_outcome(await ask(store, holder.destroy(end)), Outcome.DONE, "a destruction in the last millisecond")
        for now, expected in ((end + MEMORY - 1, Outcome.DESTROYED), (end + MEMORY, Outcome.ABSENT)):
            what = f"a load {now - end} ms after a destruction in the last millisecond"
            check_outcome(await ask(store, holder.load(now)), expected, what)


@case
async def destroyed_sessions_are_forgotten(harness: Harness) -> None:
    """After that minute a destroyed session is as absent as any other, and stays so."""

    async def prepare(store: Store) -> Scene:
        holder = await destroyed(store)
        return Scene(holder, NOW + MEMORY, (holder.load(), holder.load(NOW + MEMORY)), over=True)

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def tombstones_are_shown_to_their_holder_only(harness: Harness) -> None:
    """A digest that never was the record's does not learn that a session was destroyed."""

    async def prepare(store: Store) -> Scene:
        holder = await destroyed(store)
        return Scene(holder.renewed(), NOW + 1, (holder.load(),))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def rotated_tokens_are_remembered(harness: Harness) -> None:
    """For a minute the previous token is told that it was rotated away; it opens nothing."""

    async def prepare(store: Store) -> Scene:
        old, new = await rotated(store)
        return Scene(old, NOW + MEMORY - 1, (new.load(), old.load(), old.load(NOW + MEMORY - 1)))

    await _refuse_all(harness, prepare, Outcome.ROTATED)


@case
async def rotated_tokens_are_forgotten(harness: Harness) -> None:
    """After that minute the previous token is as unknown as any other."""

    async def prepare(store: Store) -> Scene:
        old, new = await rotated(store)
        return Scene(old, NOW + MEMORY, (new.load(), old.load(NOW + MEMORY)))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def only_the_last_rotation_is_remembered(harness: Harness) -> None:
    """A token that was rotated away twice is unknown at once."""

    async def prepare(store: Store) -> Scene:
        old, new = await rotated(store)
        newest = new.renewed()
        check_outcome(await ask(store, new.rotate(newest, NOW + 1)), Outcome.DONE, "a second rotation")
        return Scene(old, NOW + 2, (newest.load(), new.load()))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def tokens_after_their_grace_are_rotated_away(harness: Harness) -> None:
    """When the grace of a rotation has passed, the previous token is told that it was rotated away."""

    async def prepare(store: Store) -> Scene:
        old, new = await rotated(store, grace=GRACE)
        return Scene(old, NOW + GRACE, (new.load(), old.load(NOW + GRACE)))

    await _refuse_all(harness, prepare, Outcome.ROTATED)


@case
async def tokens_after_a_long_grace_are_forgotten(harness: Harness) -> None:
    """A grace longer than the minute of memory is the memory: after it the previous token is unknown."""

    async def prepare(store: Store) -> Scene:
        old, new = await rotated(store, grace=3 * MEMORY)
        check_outcome(await ask(store, old.load(NOW + 3 * MEMORY - 1)), Outcome.DONE, "the last load in its grace")
        return Scene(old, NOW + 3 * MEMORY, (new.load(), old.load(NOW + 3 * MEMORY)))

    await _refuse_all(harness, prepare, Outcome.ABSENT)


@case
async def tokens_in_their_grace_see_the_tombstone(harness: Harness) -> None:
    """A token in its grace is told DESTROYED when the session was destroyed under its new one."""

    async def prepare(store: Store) -> Scene:
        old, new = await rotated(store, grace=GRACE)
        check_outcome(await ask(store, new.destroy(NOW + 1)), Outcome.DONE, "a destruction")
        return Scene(old, NOW + 2, (new.load(NOW + 2), old.load(NOW + 2)))

    await _refuse_all(harness, prepare, Outcome.DESTROYED)


@case
async def tokens_in_their_grace_do_all_but_rotate(harness: Harness) -> None:
    """In its grace the previous token opens the session for everything, but cannot rotate it again."""
    store = await harness.make()
    for name, command in commands_of(Holder(), NOW):
        old, new = await rotated(store, grace=GRACE)
        given = _again(name, old, NOW + GRACE - 1)
        rotates = type(command) is Rotate
        unmet = name == "a guarded update that knows"
        witness = await Witness.of(store, new.load())
        expected = Outcome.ROTATED if rotates else Outcome.UNMET if unmet else Outcome.DONE
        check_outcome(await ask(store, given), expected, f"in its grace {name}")
        if rotates or unmet:
            await witness.check_unchanged(f"in its grace {name}")
        ends = Outcome.DESTROYED if type(command) is Destroy else Outcome.DONE
        check_outcome(await ask(store, new.load(NOW + GRACE)), ends, f"a load with the new token after {name}")


def _again(name: str, holder: Holder, now: Instant) -> Command:
    return dict(commands_of(holder, now))[name]


@case
async def applications_destroy_by_public_id(harness: Harness) -> None:
    """A destruction without a digest ends what is live, and says what it found where nothing is."""
    store = await harness.make()
    live, neighbour = await started(store, DATA), await started(store, DATA)
    beside = await Witness.of(store, neighbour.load())
    for expected in (Outcome.DONE, Outcome.DESTROYED):
        check_outcome(await ask(store, Destroy(live.id, None, NOW)), expected, "a destruction by id")
    check_outcome(await ask(store, live.load(NOW + 1)), Outcome.DESTROYED, "a load after it")
    check_outcome(await ask(store, Destroy(live.id, None, NOW + MEMORY)), Outcome.ABSENT, "one after the minute")
    check_outcome(await ask(store, Destroy(Holder().id, None, NOW)), Outcome.ABSENT, "one of no session")
    idle = await started(store, DATA)
    late = Destroy(idle.id, None, NOW + LIFETIMES.max_age)
    check_outcome(await ask(store, late), Outcome.ABSENT, "one of an expired session")
    old, new = await rotated(store)
    check_outcome(await ask(store, Destroy(new.id, None, NOW + 1)), Outcome.DONE, "one of a rotated session")
    check_outcome(await ask(store, new.load(NOW + 2)), Outcome.DESTROYED, "a load with the new token")
    check_outcome(await ask(store, old.load(NOW + 2)), Outcome.ROTATED, "a load with the old token")
    await beside.check_unchanged("a destruction by id")


async def destroyed(store: Store) -> Holder:
    """Start a session, and destroy it."""
    holder = await started(store, DATA)
    answer = await ask(store, holder.destroy())
    check_outcome(answer, Outcome.DONE, "a destruction")
    check_equal(answer.record, None, "the record that a destruction brings back")
    return holder


async def rotated(store: Store, grace: int = 0) -> tuple[Holder, Holder]:
    """Start a session, and rotate it; return who holds the previous token, and who holds the new one."""
    old = await started(store, DATA)
    new = old.renewed()
    check_outcome(await ask(store, old.rotate(new, grace=grace)), Outcome.DONE, "a rotation")
    return old, new
