"""What a creation keeps, and that it keeps it once: never over a record that is there."""

from __future__ import annotations

from ..commands import Create, Outcome
from ..record import MEMORY, Lifetimes, Record
from .checks import check, check_data, check_equal, check_outcome
from .contract import DATA, destroyed, rotated
from .harness import Harness, case
from .holder import HOUR, LIFETIMES, NOW, Holder, ask, started
from .witness import Witness, look


@case
async def creation_never_overwrites(harness: Harness) -> None:
    """A creation under an id that is there, live or remembered, changes nothing and is answered EXISTS."""
    store = await harness.make()
    live, dead = await started(store, DATA, owner="alice"), await destroyed(store)
    _, renewed = await rotated(store)
    for name, there in (("live", live), ("destroyed", dead), ("rotated", renewed)):
        witness = await Witness.of(store, there.load(), there.load(NOW + MEMORY - 1))
        for other in (there, there.renewed()):
            again = await ask(store, other.create({"color": "stolen"}, NOW + 1, owner="mallory"))
            check_outcome(again, Outcome.EXISTS, f"a creation over a {name} session")
            check(again.record is None and again.data is None, f"a creation over a {name} session is told something")
        await witness.check_unchanged(f"a creation over a {name} session")
    check_equal(len(await store.sessions_of("mallory", NOW + 2)), 0, "the sessions of whoever created nothing")


@case
async def creation_over_what_is_over_is_whole_or_not_at_all(harness: Harness) -> None:
    """Where a record is over, an id may be free again; then the new session has nothing of the old one."""
    store = await harness.make()
    for now, there in ((NOW + LIFETIMES.max_age, await started(store, DATA)), (NOW + MEMORY, await destroyed(store))):
        newcomer = there.renewed()
        answer = await ask(store, newcomer.create({"new": 1}, now))
        check_outcome(answer, (Outcome.DONE, Outcome.EXISTS), "a creation over what is over")
        if answer.outcome is Outcome.DONE:
            check_data(await look(store, newcomer.load(now)), {"new": 1})
        else:
            check_outcome(await ask(store, newcomer.load(now)), Outcome.ABSENT, "a load after EXISTS")
        check_outcome(await ask(store, there.load(now)), Outcome.ABSENT, "a load with the old token")


@case
async def records_keep_every_field(harness: Harness) -> None:
    """A record comes back with every attribute that it was created with."""
    store = await harness.make()
    plain = Holder()
    rich = Holder(lifetimes=Lifetimes(max_age=7 * HOUR, max_lifetime=20 * HOUR, touch_after=1_234))
    for command, holder in (
        (plain.create({}), plain),
        (rich.create(DATA, NOW + 5, max_age=3 * HOUR, owner="Zoë «admin» \U0001f511 o'neil; --"), rich),
    ):
        created = await ask(store, command)
        loaded = await ask(store, holder.load(NOW + 6))
        for answer in (created, loaded):
            check_outcome(answer, Outcome.DONE, "a creation, or a load")
            check_record(answer.record, command)
            check(answer.whole, "the answer to a creation, or a load, has not all data")
            check_data(answer.data, command.data)


def check_record(record: Record | None, created: Create) -> None:
    """Fail unless *record* is the one that was created, attribute by attribute."""
    check_equal(record, created.record, "the record")
    check(record is not None and type(record.destroyed) is bool, "the record's mark of destruction is a bool")
