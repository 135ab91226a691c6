"""Plain updates take a short way of their own, and mean on it what they mean everywhere."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from tests.harnesses.postgresql import PostgreSQLHarness
from tests.postgresql.test_trips import counted

from atomic_session.commands import Answer, Command, Outcome
from atomic_session.errors import CorruptRecord
from atomic_session.limits import DEFAULT_LIMITS, Limits
from atomic_session.operators import Inc, Operator, PopLast, Replace, Set, Take, Unset, When
from atomic_session.record import MEMORY, Lifetimes
from atomic_session.store import Store
from atomic_session.stores.memory import MemoryStore
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.stores.postgresql.plain import batch_of
from atomic_session.testing.checks import check_data
from atomic_session.testing.holder import HOUR, NOW, Holder, ask, clean, started
from atomic_session.testing.properties import holds
from atomic_session.values import encode

NARROW = Limits(field=60, record=150)

NAMES = ("n", "a", "ä b", "~", "~sn", '"', "[", "$set", "0", "a.b", "name\x1f", "😀")
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, 1 << 53),
    *(0.0, 1.0, 0.5, 1e300, 1e-300, 2.0**63, 1e16),
    *("", "x", "~", "~d", "a~b", "x" * 50, "ü" * 40, 'a"b\\c[d]{e}\x00'),
    *(b"", b"\xff", Decimal("1.10"), UUID(int=7), datetime(2030, 1, 2, tzinfo=UTC)),
    *([], {}, [1, [None, {"a": 1.0}]], {"b": {"~": "~"}, "[": 2}),
)

names = st.sampled_from(NAMES)
values = st.sampled_from(VALUES)
fields = st.dictionaries(names, values, max_size=4)
changes = st.one_of(
    st.builds(lambda name, value: Set.of((name,), value), names, values),
    st.builds(lambda name, by: Inc.of((name,), by), names, st.sampled_from((1, -1, 0, 2**63 - 1, -(2**63), 1.5))),
    st.builds(lambda name: Unset.of((name,)), names),
)
other_items = st.sampled_from(
    (Set.of("n.deep", 1), Inc.of("n.deep", 1), Unset.of("a.b"), When.of("n", 1), Take.of("a"), PopLast.of("a"))
)


def _place(item: Any) -> str:
    name: str = item.path[0]
    return name


items = st.lists(st.one_of(changes, changes, changes, changes, other_items), min_size=1, max_size=4, unique_by=_place)
lives = st.sampled_from(
    (Lifetimes(10 * HOUR), Lifetimes(10 * HOUR, HOUR // 2), Lifetimes(10 * HOUR, 40 * HOUR, HOUR + 2))
)
moments = st.sampled_from((0, 0, 0, 1, HOUR // 2, HOUR - 1, HOUR, HOUR + MEMORY, 10 * HOUR, 30 * HOUR))
befores = st.lists(st.sampled_from(("rotate", "grace", "login", "destroy", "touch")), max_size=1)
steps = st.tuples(
    fields,
    st.lists(st.tuples(items, moments, st.sampled_from((None, 0, 1)), st.booleans()), min_size=1, max_size=3),
    befores,
)


def _command_before(what: str, holder: Holder) -> Command:
    match what:
        case "rotate":
            return holder.rotate(holder.renewed())
        case "grace":
            return holder.rotate(holder.renewed(), grace=MEMORY)
        case "destroy":
            return holder.destroy()
        case _:
            return holder.touch(max_age=20 * HOUR)


def _check_alike(ours: Answer, reference: Answer, what: object) -> None:
    ours, reference = ours.opened(), reference.opened()
    assert ours.outcome is reference.outcome, what
    assert ours.record == reference.record, what
    assert (ours.whole, ours.renewed) == (reference.whole, reference.renewed), what
    assert type(ours.error) is type(reference.error), what
    for detail in ("path", "operator", "limit", "maximum", "actual"):
        assert getattr(ours.error, detail, None) == getattr(reference.error, detail, None), what
    check_data(ours.data, reference.data, str(what))


@pytest.mark.parametrize("limits", [DEFAULT_LIMITS, NARROW], ids=["wide", "narrow"])
async def test_the_short_way_means_what_the_reference_means(harness: PostgreSQLHarness, limits: Limits) -> None:
    await harness.make()
    stores: tuple[Store, Store] = (
        PostgreSQLStore.from_url(harness.url, limits=limits, timeout=60),
        MemoryStore(limits=limits),
    )

    async def both(commands: list[Command]) -> None:
        ours, reference = [await store.execute(commands) for store in stores]
        for command, mine, its in zip(commands, ours, reference, strict=True):
            _check_alike(mine, its, command)

    async def law(drawn: tuple[Lifetimes, list[Any]]) -> None:
        lifetimes, sessions = drawn
        holders = [Holder(lifetimes=lifetimes) for _ in sessions]
        for holder, (data, _, before) in zip(holders, sessions, strict=True):
            small = data if len(encode(clean(data))) < limits.record // 2 else {}
            await both([holder.create(small, owner="alice" if "login" in before else None)])
            await both([_command_before(what, holder) for what in before])
        for turn in range(3):
            batch: list[Command] = []
            for holder, (_, updates, _) in zip(holders, sessions, strict=True):
                if turn < len(updates):
                    parts, later, known, is_stranger = updates[turn]
                    sender = holder.renewed() if is_stranger and turn == 2 else holder
                    behind = None if known is None else 1 + turn - known
                    batch.append(sender.update(*parts, now=NOW + later, known=behind))
            if batch:
                await both(batch)
        await both([holder.load(NOW) for holder in holders])

    await holds(law, st.tuples(lives, st.lists(steps, min_size=1, max_size=4)), 300)
    await stores[0].close()


@pytest.mark.parametrize("old", [*VALUES, ...], ids=repr)
async def test_a_counter_counts_exactly_as_the_reference_does(harness: PostgreSQLHarness, old: Any) -> None:
    store, memory = await harness.make(), MemoryStore()
    data = {} if old is ... else {"n": old}
    steps = (0, 1, -1, 2**63 - 1, -(2**63), 1 << 53, 1.0, 0.5)
    holders = [Holder() for _ in steps]
    for carried_out_by in (store, memory):
        await carried_out_by.execute([holder.create(data) for holder in holders])
    batch = [holder.update(Inc.of("n", by), known=1) for holder, by in zip(holders, steps, strict=True)]
    for commands in (batch, [command for command in batch if type(command.update.operators[0].by) is int]):  # type: ignore[union-attr]
        ours, reference = await store.execute(commands), await memory.execute(commands)
        for command, mine, its in zip(commands, ours, reference, strict=True):
            _check_alike(mine, its, command)


@pytest.mark.parametrize(
    ("items", "is_plain"),
    [
        ((Set.of("a", {"b": [1]}), Inc.of("n", 1), Unset.of("c")), True),
        ((Unset.of("c"),), True),
        ((Inc.of("n", 1 << 62),), True),
        ((Inc.of("n", (1 << 62) + 1),), False),
        ((Inc.of("n", 1), Inc.of("m", 1)), False),
        ((Inc.of("n", 1.0),), False),
        ((Set.of("a.b", 1),), False),
        ((Inc.of("a.b", 1),), False),
        ((Unset.of("a.b"),), False),
        ((Set.of("a", 1), When.of("b", 2)), False),
        ((Take.of("a"),), False),
        ((PopLast.of("a"),), False),
        ((Replace.of({"a": 1}),), False),
        ((Set.of("a", "x" * 262_142),), True),
        ((Set.of("a", "x" * 262_143),), False),
    ],
    ids=str,
)
def test_which_updates_are_plain(items: tuple[Operator | When, ...], *, is_plain: bool) -> None:
    assert (batch_of([Holder().update(*items)], DEFAULT_LIMITS) is not None) is is_plain


def test_which_batches_are_plain() -> None:
    holder, other = Holder(), Holder()
    first, second = holder.update(Inc.of("n", 1)), other.update(Set.of("a", 1))
    later = other.under(Lifetimes(max_age=HOUR)).update(Set.of("a", 1))
    equal = other.under(Lifetimes(max_age=holder.lifetimes.max_age)).update(Set.of("a", 1))
    batches: tuple[tuple[list[Command], bool], ...] = (
        ([first, second], True),
        ([first, equal], True),
        ([first, later], False),
        ([first, first], False),
        ([first, other.load()], False),
        ([holder.load()], False),
    )
    for commands, is_plain in batches:
        assert (batch_of(commands, DEFAULT_LIMITS) is not None) is is_plain
    assert batch_of([first], Limits(field=10)) is None


async def test_an_update_takes_one_trip_and_another_where_the_first_does_nothing(harness: PostgreSQLHarness) -> None:
    async with counted(harness) as (store, wire):

        async def sessions() -> list[tuple[Outcome, Command]]:
            live, due, over, rotated, destroyed, refused = [await started(store, {"n": 0, "t": ""}) for _ in range(6)]
            await store.execute([rotated.rotate(rotated.renewed()), destroyed.destroy()])
            return [
                (Outcome.DONE, live.update(Inc.of("n", 1))),
                (Outcome.DONE, due.update(Inc.of("n", 1), now=NOW + HOUR)),
                (Outcome.ABSENT, over.update(Inc.of("n", 1), now=NOW + 10 * HOUR)),
                (Outcome.ABSENT, live.renewed().update(Inc.of("n", 1))),
                (Outcome.ABSENT, Holder().update(Inc.of("n", 1))),
                (Outcome.ROTATED, rotated.update(Inc.of("n", 1))),
                (Outcome.DESTROYED, destroyed.update(Inc.of("n", 1))),
                (Outcome.REFUSED, refused.update(Set.of("a", 1), Inc.of("t", 1))),
            ]

        for expected, command in await sessions():
            before = wire.requests
            assert (await ask(store, command)).outcome is expected
            assert wire.requests - before == (1 if expected is Outcome.DONE else 2), command
        together = [(outcome, command) for place, (outcome, command) in enumerate(await sessions()) if place != 3]
        before = wire.requests
        answers = await store.execute([command for _, command in together])
        assert wire.requests - before == 2  # those that did nothing go together, too
        assert [answer.outcome for answer in answers] == [outcome for outcome, _ in together]


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("stored", "known"),
    [('"text"', 1), ('["n"]', 1), ('"text"', None), ('{"a": "~?"}', 1), ('{"n": "~?"}', 1), ('{"c": ["~?"]}', None)],
)
async def test_what_is_not_ours_is_told_and_left(
    harness: PostgreSQLHarness, stored: str, known: int | None, *, together: bool
) -> None:
    store = await harness.make()
    spoilt, other = [await started(store, {"n": 0}) for _ in range(2)]
    connection = await harness.connect()
    row = f"SELECT data::text FROM {harness.schema}.records WHERE id = $1"
    await connection.execute(f"UPDATE {harness.schema}.records SET data = $2 WHERE id = $1", spoilt.id, stored)
    for items in ((Set.of("a", 1), Inc.of("n", 1)), (Set.of("a", 1), Unset.of("n")), (Set.of("a", 1), Set.of("n", 1))):
        batch = [spoilt.update(*items, known=known), other.update(Set.of("a", 1))]
        if together:
            answer, beside = await store.execute(batch)
            assert beside.outcome is Outcome.DONE
            assert isinstance(answer.error, CorruptRecord)
        else:
            with pytest.raises(CorruptRecord):
                await store.execute(batch[:1])
        assert await connection.fetchval(row, spoilt.id) == stored
    await connection.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_a_row_becomes_what_the_long_way_makes_of_it(harness: PostgreSQLHarness, count: int) -> None:
    store = await harness.make()
    connection = await harness.connect()
    rest = f"SELECT to_jsonb(r) - '{{id,digest,size}}'::text[] FROM {harness.schema}.records AS r WHERE id = ANY ($1)"
    rows = []
    for more in ((), (PopLast.of("no list"),)):
        holders = [await started(store, {"n": 0, "b": None}, owner="alice") for _ in range(count)]
        for now in (NOW + 1, NOW + HOUR // 3, NOW + HOUR // 2):
            items = (Set.of("a", [1.0]), Inc.of("n", now), Unset.of("b"), *more)
            answers = await store.execute([holder.update(*items, now=now) for holder in holders])
            assert {answer.outcome for answer in answers} == {Outcome.DONE}
        rows.append(await connection.fetch(rest, [holder.id for holder in holders]))
    assert rows[0] == rows[1]
    assert len(rows[0]) == count
    await connection.close()


async def test_what_is_kept_as_the_size_never_refuses_an_update_that_fits(harness: PostgreSQLHarness) -> None:
    await harness.make()
    store = PostgreSQLStore.from_url(harness.url, limits=NARROW)
    holder = await started(store, {"n": 0, "a": "x" * 50})
    connection = await harness.connect()
    sizes = []
    for rev in range(1, 60):
        answer = await ask(store, holder.update(Set.of("a", "y" * 50), Inc.of("n", 1), known=rev))
        assert answer.outcome is Outcome.DONE
        kept = f"SELECT size, octet_length(data::text) FROM {harness.schema}.records"
        size, actual = await connection.fetchrow(kept)
        assert NARROW.record >= size >= actual
        sizes.append(size)
    assert len(set(sizes)) < len(sizes)  # it grew until it was counted again
    await connection.close()
    await store.close()


async def test_batches_that_meet_lose_nothing_and_never_wait_in_a_circle(harness: PostgreSQLHarness) -> None:
    stores = [await harness.make(), *[await harness.another() for _ in range(3)]]
    holders = [await started(stores[0], {"n": 0}) for _ in range(24)]
    connection = await harness.connect()
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await connection.fetchval(deadlocks)
    rounds = 25

    async def write(number: int) -> None:
        for turn in range(rounds):
            # a renewal becomes due for some of them, in other rounds for others
            nows = [NOW + HOUR * ((turn + place) % 7 == number) * (turn // 3) for place in range(len(holders))]
            batch: list[Command] = [
                holder.update(Inc.of("n", 1), Set.of(f"by{number}", turn), now=now)
                for holder, now in zip(holders, nows, strict=True)
            ]
            if (turn + number) % 5 == 0:
                batch.append(holders[turn % 24].load(NOW))  # all of it goes by `run`
            answers = await stores[number].execute(batch[:: -1 if turn % 2 else 1])
            assert {answer.outcome for answer in answers} == {Outcome.DONE}

    await asyncio.gather(*map(write, range(4)))
    for holder in holders:
        data = (await ask(stores[0], holder.load())).data
        check_data(data, {"n": 4 * rounds, **{f"by{number}": rounds - 1 for number in range(4)}})
    for store in stores:
        await store.close()  # their connections tell what they counted when they end
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    left = math.inf
    async with asyncio.timeout(20):
        while left:
            left = await connection.fetchval(others)
    assert await connection.fetchval(deadlocks) == before
    await connection.close()
