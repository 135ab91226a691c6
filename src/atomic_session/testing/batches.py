"""
Commands that travel together: each is one step of its own, whatever becomes of its neighbours.

A store that queues by itself takes them one by one; what it makes of them must be the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..commands import Answer, Command, Destroy, Login, Outcome
from ..errors import CorruptRecord, OutcomeUnknown, StoreUnavailable
from ..operators import Inc, Push, Replace, Set, Take, When
from ..store import Store
from ..values import MISSING
from .checks import check, check_data, check_equal, check_outcomes
from .harness import Harness, case, corrupt
from .holder import NOW, Holder, ask, started
from .owners import EVICTING, REFUSING
from .sending import dispatcher_of, in_pieces, send
from .witness import Witness, look

DONE, REFUSED, ABSENT, EXISTS = Outcome.DONE, Outcome.REFUSED, Outcome.ABSENT, Outcome.EXISTS


@case
async def empty_batches_are_answered_emptily(harness: Harness) -> None:
    """No commands have no answers."""
    store = await harness.make()
    check_equal(list(await store.execute([])), [], "the answers to no commands")


@case
async def batches_are_answered_in_order(harness: Harness) -> None:
    """Commands of all kinds on many sessions travel together, and are answered in their order."""
    store = await harness.make()
    live = [await started(store, {"n": number}) for number in range(6)]
    dead, stranger, new = await started(store), live[0].renewed(), Holder()
    await ask(store, dead.destroy())
    commands: list[tuple[Command, Outcome]] = [
        (live[0].load(), DONE),
        (new.create({"n": "new"}), DONE),
        (dead.load(), Outcome.DESTROYED),
        (live[1].update(Inc.of("n", 10)), DONE),
        (live[2].update(Push.of("n", [1])), REFUSED),
        (stranger.update(Set.of("n", "stolen")), ABSENT),
        (live[3].touch(NOW + 1), DONE),
        (live[4].rotate(live[4].renewed(), NOW + 1), DONE),
        (Holder().destroy(), ABSENT),
        (live[5].destroy(), DONE),
        (live[2].create({}), EXISTS),
        (live[2].update(When.of("n", 3), Set.of("n", 4)), Outcome.UNMET),
        (live[2].update(When.of("n", 2), Take.of("n")), DONE),
    ]
    answers = await in_pieces(store, [command for command, _ in commands])
    check_outcomes(answers, [expected for _, expected in commands], "a batch of all kinds")
    data = [answer.data for answer in answers]
    check_data(data[0], {"n": 0}, "the data of a load")
    check_data(data[1], {"n": "new"}, "the data of a creation")
    check_data(data[3], {"n": 11}, "the data of an update")
    check_data(answers[12].taken, 2, "what was taken")
    for holder, expected in (
        (live[0], {"n": 0}),
        (new, {"n": "new"}),
        (live[1], {"n": 11}),
        (live[2], {}),
        (live[3], {"n": 3}),
    ):
        check_data(await look(store, holder.load(NOW + 1)), expected, "what is kept after a batch")
    check_outcomes([await ask(store, live[5].load(NOW + 1))], [Outcome.DESTROYED], "a load after a batch")
    check_outcomes([await ask(store, live[4].load(NOW + 1))], [Outcome.ROTATED], "a load after a batch")


@case
async def batches_on_one_session_take_effect_in_order(harness: Harness) -> None:
    """Commands on one session in one batch see each other's effects, in the batch's order."""
    store = await harness.make()
    old, other = Holder(), await started(store, {"n": 0})
    new = old.renewed()
    commands: list[tuple[Command, Outcome]] = [
        (old.create({"n": 0}), DONE),
        (old.update(Inc.of("n", 1), known=1), DONE),
        (other.update(Inc.of("n", 1), known=1), DONE),
        (old.update(Inc.of("n", 1), Set.of("a", "b"), known=2), DONE),
        (old.update(Inc.of("a", 1), Inc.of("n", 1), known=3), REFUSED),
        (old.load(), DONE),
        (old.update(When.of("n", 2), Take.of("a")), DONE),
        (old.update(When.of("n", 2), Take.of("a")), DONE),
        (old.rotate(new, login=Login("alice")), DONE),
        (old.load(), Outcome.ROTATED),
        (old.update(Inc.of("n", 1)), Outcome.ROTATED),
        (new.update(Replace.of({"n": 9})), DONE),
        (other.load(), DONE),
        (new.destroy(), DONE),
        (new.update(Inc.of("n", 1)), Outcome.DESTROYED),
        (new.create({"n": 5}), EXISTS),
        (Destroy(new.id, None, NOW), Outcome.DESTROYED),
    ]
    answers = await in_pieces(store, [command for command, _ in commands])
    check_outcomes(answers, [expected for _, expected in commands], "a batch on one session")
    check_equal([_rev(answer) for answer in answers[:9]], [1, 2, 2, 3, 3, 3, 4, 5, 5], "rev along a batch")
    check_data(answers[3].data, {"n": 2, "a": "b"}, "the fields that an update touched")
    check_data(answers[5].data, {"n": 2, "a": "b"}, "the data in the middle of a batch")
    check(answers[7].taken is MISSING, "a second take in one batch gets the value too")
    check_data(answers[12].data, {"n": 1}, "the data of a session that was in the batch too")


def _rev(answer: Answer) -> int | None:
    return None if answer.record is None else answer.record.rev


@case
async def logins_in_one_batch_keep_the_limit(harness: Harness) -> None:
    """A batch that logs in several sessions of one owner counts them as if they came one by one."""
    store = await harness.make()
    for limit in (REFUSING, EVICTING):
        owner = f"owner {limit.evict_oldest}"
        holders = [Holder() for _ in range(5)]
        creations = [holder.create({}, NOW + place, owner=owner, limit=limit) for place, holder in enumerate(holders)]
        answers = await in_pieces(store, creations)
        refused = [DONE] * 3 + [REFUSED] * 2
        check_outcomes(answers, [DONE] * 5 if limit.evict_oldest else refused, "a batch of logins")
        listed = {info.id for info in await store.sessions_of(owner, NOW + 9)}
        expected = holders[2:] if limit.evict_oldest else holders[:3]
        check_equal(listed, {holder.id for holder in expected}, "the owner's sessions after a batch of logins")


@case
async def many_commands_at_once_keep_to_their_sessions(harness: Harness) -> None:
    """Hundreds of commands on many sessions at the same time each do their own work, those on one in order."""
    store = await harness.make()
    holders = [await started(store, {"n": 0, "log": []}) for _ in range(40)]
    commands = [holder.update(Inc.of("n", 1), Push.of("log", [turn])) for turn in range(10) for holder in holders]
    answers = await send(store, commands)
    check_outcomes(answers, [DONE] * len(commands), "many commands")
    for turn in range(10):
        data = [answer.data or {} for answer in answers[turn * 40 : turn * 40 + 40]]
        check_equal([fields["n"] for fields in data], [turn + 1] * 40, f"the counts at turn {turn}")
    for holder in holders:
        check_data(await look(store, holder.load()), {"n": 10, "log": list(range(10))})


@case
async def poison_harms_nobody_else(harness: Harness) -> None:
    """A record that cannot be read fails its own command only; as a batch nothing of it was applied."""
    store = await harness.make()
    poisoned, *others = [await started(store, {"n": 0}) for _ in range(7)]
    await corrupt(harness, poisoned.id)
    commands = [holder.update(Inc.of("n", 1)) for holder in (*others[:3], poisoned, *others[3:])]
    applied = await _execute_with_poison(store, commands, others)
    dispatcher = dispatcher_of(store)
    results = await asyncio.gather(*[dispatcher.submit(command) for command in commands], return_exceptions=True)
    for command, result in zip(commands, results, strict=True):
        if command.id == poisoned.id:
            check(isinstance(result, CorruptRecord), f"an update of a corrupt record ends with {result!r}")
            check_equal(getattr(result, "session_id", None), poisoned.id, "the session that the error names")
        else:
            done = isinstance(result, Answer) and result.outcome is DONE
            check(done, f"an update beside a corrupt record ends with {result!r}")
    for holder in others:
        check_data(await look(store, holder.load()), {"n": applied + 1}, "what is kept beside a corrupt record")


async def _execute_with_poison(store: Store, commands: Sequence[Command], others: list[Holder]) -> int:
    """Check that a batch fails as a whole, or in its corrupt part alone; return how often it was applied."""
    if store.batch_size < len(commands):
        return 0
    witness = await Witness.of(store, *[holder.load() for holder in others])
    try:
        answers = await store.execute(commands)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is looked at
        known = isinstance(error, StoreUnavailable | OutcomeUnknown)
        check(not known, f"a batch with a corrupt record ends with {error!r}")
        await witness.check_unchanged("a batch that failed")
        return 0
    refused = [answer for answer in answers if answer.outcome is not DONE]
    errors = [answer.error for answer in refused]
    known_fate = len(refused) == 1 and refused[0].outcome is REFUSED and isinstance(errors[0], CorruptRecord)
    check(known_fate, f"a batch with a corrupt record is answered with {errors!r}")
    return 1


@case
async def corrupt_records_are_left_alone_and_can_be_ended(harness: Harness) -> None:
    """What cannot be read stays as it is, is never taken for an empty session, and can be destroyed by its id."""
    store = await harness.make()
    holder = await started(store, {"n": 0}, owner="alice")
    await corrupt(harness, holder.id)
    dispatcher = dispatcher_of(store)
    for command in (
        holder.load(),
        holder.update(Set.of("n", 1)),
        holder.update(Inc.of("n", 1), known=1),
        holder.load(),
    ):
        try:
            answer = await dispatcher.submit(command)
        except CorruptRecord as error:
            check_equal(error.session_id, holder.id, "the session that the error names")
        else:
            check(False, f"a corrupt record is answered {answer.outcome.name}")
    check_outcomes([await ask(store, Destroy(holder.id, None, NOW))], [DONE], "a destruction of a corrupt record")
    check_outcomes([await ask(store, holder.load(NOW + 1))], [Outcome.DESTROYED], "a load after it")
