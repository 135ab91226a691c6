"""How often the store goes to its server, and what that costs the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from tests.harnesses.postgresql import PostgreSQLHarness
from tests.servers.proxy import Proxy, proxy

from atomic_session.commands import Command, Login, Outcome, OwnerLimit
from atomic_session.dispatcher import Dispatcher
from atomic_session.operators import (
    AddToSet,
    Inc,
    Max,
    Mul,
    Operator,
    PopFirst,
    PopLast,
    Pull,
    PullAll,
    PullWhere,
    Push,
    Rename,
    Replace,
    Set,
    SetDefault,
    Take,
    Unset,
    When,
)
from atomic_session.session import Session
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.testing.holder import HOUR, NOW, Holder, ask, started
from atomic_session.testing.site import Site


@asynccontextmanager
async def counted(harness: PostgreSQLHarness, options: str = "") -> AsyncIterator[tuple[PostgreSQLStore, Proxy]]:
    """A store that has prepared its statements, and the wire that counts its trips."""
    await harness.make()
    async with proxy(harness.url) as wire:
        store = PostgreSQLStore.from_url(wire.url + options)
        await store.open()
        holders = [await started(store, {"n": 0}) for _ in range(2)]
        for together in (holders, holders[:1]):
            await store.execute([holder.update(Inc.of("n", 1)) for holder in together])
        yield store, wire
        await store.close()


async def _untouched(_session: Session) -> None:
    return


async def _read(session: Session) -> None:
    await session()


async def _blind(session: Session) -> None:
    await session.set("color", "red").inc("n").push("log", 1)


async def _read_and_update(session: Session) -> None:
    await session()
    await session.inc("n")


@pytest.mark.parametrize(
    ("handler", "trips"), [(_untouched, 0), (_read, 1), (_blind, 1), (_read_and_update, 2)], ids=str
)
async def test_a_request_makes_exactly_as_many_trips_as_it_must(
    handler: Callable[[Session], Awaitable[None]], trips: int, harness: PostgreSQLHarness
) -> None:
    async with counted(harness) as (store, wire):
        holder = await started(store, {"n": 0})
        before = wire.requests
        visit = await Site(store).visit(holder.token, handler)
        assert visit.error is None
        assert wire.requests - before == trips


async def test_commands_that_wait_together_are_one_trip(harness: PostgreSQLHarness) -> None:
    async with counted(harness) as (store, wire):
        holders = [await started(store, {"n": 0}) for _ in range(60)]
        before = wire.requests
        answers = await store.execute([holder.update(Inc.of("n", 1)) for holder in holders for _ in range(2)])
        assert wire.requests - before == 1
        assert [(answer.data or {})["n"] for answer in answers] == [1, 2] * 60


async def test_200_pushes_at_once_need_no_second_try(harness: PostgreSQLHarness) -> None:
    async with counted(harness) as (store, wire):
        holder = await started(store, {"log": []})
        before = wire.requests
        dispatcher = Dispatcher(store, 60)
        pushes = [dispatcher.submit(holder.update(Push.of("log", [number]))) for number in range(200)]
        answers = await asyncio.gather(*pushes)
        assert wire.requests - before == 8  # one that finds nothing under way, then 32 in a batch
        assert {answer.outcome for answer in answers} == {Outcome.DONE}
        data = (await ask(store, holder.load())).data or {}
        assert data["log"] == list(range(200))


async def test_every_operator_takes_one_trip(harness: PostgreSQLHarness) -> None:
    data = {"n": 1, "f": 1.5, "list": [3, 1, {"a": 1}], "deep": {"list": [[1, "x"]]}, "old": 1}
    async with counted(harness) as (store, wire):
        for update in (
            (Set.of("deep.list.0.5", 1), Unset.of("old"), Rename.of("n", "m.deeper"), Inc.of("f", 2)),
            (AddToSet.of("list", [3, 3.0, {"a": 1.0}]), PopFirst.of("deep.list"), SetDefault.of("new", {"a": []})),
            (Pull.of("list", 1), Push.of("deep.list.0", [1, 2], at=0, keep=2), Mul.of("n", 2.5), Max.of("f", 9)),
            (PullAll.of("list", [1, 3]), PopLast.of("deep.list.0"), Take.of("n"), When.of("list.0", 3.0)),
            (PullWhere.of("list", {"a": 1.0}), Inc.of("n", 1 << 62)),
            (Replace.of({"all": "new"}),),
            (When.of("n", 5), Inc.of("n", 1)),
            (When.of("n", 1), Inc.of("list", 1)),
        ):
            holder = await started(store, data)
            before = wire.requests
            await ask(store, holder.update(*update))
            assert wire.requests - before == 1, update


async def test_what_only_python_knows_takes_two_trips(harness: PostgreSQLHarness) -> None:
    data: dict[str, Any] = {"list": [Decimal("1.0"), "a", 2, {"a": [1.0]}], "n": Decimal("1.10")}
    data |= {"huge": 1.6e308, "tiny": 1e-200}
    async with counted(harness) as (store, wire):
        holder = await started(store, data)
        for trips, update in (
            (2, holder.update(Pull.of("list", 1))),
            (1, holder.update(Pull.of("list", "b"))),
            (1, holder.update(When.of("list.0", "a"), Set.of("guarded", True))),
            (2, holder.update(When.of("n", Decimal("1.1")), Set.of("done", True))),
            (2, holder.update(Inc.of("huge", 1.0))),
            (2, holder.update(Mul.of("tiny", 1e-200))),
            (1, holder.update(Set.of("text", "x" * 300_000))),  # it is refused
        ):
            before = wire.requests
            await ask(store, update)
            assert wire.requests - before == trips, update
        data = dict((await ask(store, holder.load())).data or {})
        assert data["list"] == ["a", 2, {"a": [1.0]}]
        assert (data["done"], data["guarded"], data["huge"], data["tiny"]) == (True, True, 1.6e308, 0.0)
        assert "text" not in data


async def test_the_slow_path_keeps_the_order_of_its_batch(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holder, other = await started(store, {"set": [Decimal(1)], "n": 0}), await started(store, {"n": 0})
    commands: list[Command] = [
        holder.update(Set.of("n", 1)),
        holder.update(AddToSet.of("set", [1])),
        holder.update(When.of("set", [Decimal(1)]), Set.of("n", 2)),
        holder.update(When.of("n", 2), Set.of("n", 3)),
        other.update(Inc.of("n", 1)),
        holder.load(),
    ]
    answers = await store.execute(commands)
    assert [answer.outcome for answer in answers] == [Outcome.DONE] * 6
    assert answers[-1].data == {"set": [Decimal(1)], "n": 3}
    assert answers[-1].record is not None
    assert answers[-1].record.rev == 5


async def test_the_slow_path_loses_nothing_to_others(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"set": [Decimal(0)], "n": 0})
    slow = [holder.update(AddToSet.of("set", [Decimal(number)]), Inc.of("n", 1)) for number in range(12)]
    fast = [holder.update(Inc.of("n", 1)) for _ in range(12)]
    answers = await asyncio.gather(*[ask(store, update) for pair in zip(slow, fast, strict=True) for update in pair])
    assert {answer.outcome for answer in answers} == {Outcome.DONE}
    data = (await ask(store, holder.load())).data or {}
    assert data["n"] == 24
    assert sorted(data["set"]) == [Decimal(number) for number in range(12)]  # type: ignore[type-var, arg-type]


async def test_a_limited_login_is_one_transaction(harness: PostgreSQLHarness) -> None:
    limit = OwnerLimit(1, evict_oldest=True)
    async with counted(harness) as (store, wire):
        first, second, third = [await started(store) for _ in range(3)]
        trips = []
        for holder in (first, second, third):
            before = wire.requests
            await ask(store, holder.rotate(holder.renewed(), login=Login("alice", limit)))
            trips.append(wire.requests - before)
        assert trips[2] == 5  # begin, take turn, run, bury, commit; before it statements are prepared
        assert len(await store.sessions_of("alice", NOW)) == 1


async def test_who_belongs_to_another_owner_by_now_does_not_give_way_to_a_login(harness: PostgreSQLHarness) -> None:
    """A login that takes no turn may come between those that take turns; it is found, or left alone."""
    store = await harness.make()
    old, other, new = await started(store, owner="alice"), await started(store), Holder()
    first, second, observer = [await harness.connect() for _ in range(3)]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0"

    async def waits(what: str) -> None:
        async with asyncio.timeout(20):
            while not await observer.fetchval(waiting, f'"{harness.schema}".{what}('):
                assert not login.done()

    blocking = second.transaction()
    await blocking.start()
    table = f"{harness.schema}.records"
    taken = (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(r, jsonb_build_object('id', $1::text))).* FROM {table} AS r"
    )
    await second.execute(f"{taken} WHERE id = $2", new.id, old.id)  # the creation waits until this is undone
    async with first.transaction():
        await first.execute(f"SELECT FROM {table} WHERE id = $1 FOR UPDATE", old.id)
        limit = OwnerLimit(1, evict_oldest=True)
        login = asyncio.create_task(ask(store, new.create(owner="alice", limit=limit)))
        await waits("take_turn")
        others = other.renewed()
        await ask(store, other.rotate(others, login=Login("alice")))
    await waits("run")
    await ask(store, others.rotate(other, login=Login("bob")))
    await blocking.rollback()
    assert (await login).outcome is Outcome.DONE
    assert (await ask(store, old.load())).outcome is Outcome.DESTROYED
    assert (await ask(store, other.load())).outcome is Outcome.DONE
    for connection in (first, second, observer):
        await connection.close()


async def test_behind_a_pooler_an_update_takes_four_trips(harness: PostgreSQLHarness) -> None:
    async with counted(harness, "&statement_cache_size=0") as (store, wire):
        holder = await started(store, {"n": 0})
        before = wire.requests
        await ask(store, holder.update(Inc.of("n", 1)))
        assert wire.requests - before == 4  # begin, prepare, run, commit


async def test_what_an_update_sends_back_does_not_grow_with_the_session(harness: PostgreSQLHarness) -> None:
    """Counted in bytes; the times are a benchmark's to tell."""
    async with counted(harness) as (store, wire):
        sent = []
        for size in (500, 20_000):
            data = {"n": 0, "color": "red", **{f"f{at}": "x" * 90 for at in range(size // 100)}}
            holder = await started(store, data)
            before = wire.answered
            for rev in range(1, 51):
                await ask(store, holder.update(Set.of("color", "blue"), Inc.of("n", 1), known=rev))
            sent.append(wire.answered - before)
    small, large = sent
    assert abs(large - small) < 50 * 90  # one field of ninety bytes more in each answer would be that much


@pytest.mark.parametrize("whole", [False, True])
async def test_the_size_that_is_kept_is_that_of_the_text(harness: PostgreSQLHarness, whole: bool) -> None:
    """The server counts an update's fields where only they come back, and all text where that does."""
    store = await harness.make()
    holder = await started(store, {})
    connection = await harness.connect()
    kept = f"SELECT size, octet_length(data::text), data = '{{}}' FROM {harness.schema}.records"
    updates: tuple[tuple[Operator, ...], ...] = (
        (Set.of("ä b", [1, {"c": "ö", "d": 0.5}]), Inc.of("n", 9)),
        (Inc.of("n", 1), Set.of("ä b", "~")),
        (Unset.of("n"),),
        (Set.of("n", None), Unset.of("missing")),
        (Unset.of("ä b"), Unset.of("n")),
        (Inc.of("n", 1),),
    )
    for rev, operators in enumerate(updates, start=1):
        answer = await ask(store, holder.update(*operators, PopLast.of("no list"), known=None if whole else rev))
        assert answer.whole is whole
        size, actual, empty = await connection.fetchrow(kept)
        assert empty or size == actual
    await connection.close()


async def test_looking_writes_nothing(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holders = [await started(store, {"n": 0}, owner="alice") for _ in range(3)]
    connection = await harness.connect()
    versions = f"SELECT array_agg(xmin::text || xmax::text || ctid::text ORDER BY id) FROM {harness.schema}.records"
    before = await connection.fetchval(versions)
    stranger = holders[0].renewed()
    await store.execute([holder.load(NOW + 1) for holder in (*holders, stranger)])
    await store.execute([stranger.load(NOW + HOUR)])
    await store.execute([stranger.load(NOW + HOUR), holders[1].load(NOW + 99 * HOUR)])
    await store.sessions_of("alice", NOW)
    assert await connection.fetchval(versions) == before
    await store.execute([holders[0].load(NOW + HOUR)])
    assert await connection.fetchval(versions) != before
    await connection.close()


async def test_no_batch_reads_the_whole_table_however_small_it_is(harness: PostgreSQLHarness) -> None:
    """A plan outlives the size of the table that it was made for."""
    store = await harness.make()
    holders = [await started(store, {"n": 0}) for _ in range(8)]
    connection = await harness.connect()
    later = NOW + 1  # within the millisecond of a renewal it is looked up once more
    await connection.execute(f"ANALYZE {harness.schema}.records")
    for _ in range(8):
        await store.execute([holder.update(Inc.of("n", 1), now=later) for holder in holders])
        await store.execute([holder.update(PopLast.of("list")) for holder in holders])
        await store.execute([holder.load() for holder in holders])
        await store.execute([holders[0].update(Inc.of("n", 1), now=later)])
    scans = "SELECT seq_scan, seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables "
    scans += f"WHERE schemaname = '{harness.schema}' AND relname = 'records'"
    await store.close()  # its connections tell what they counted when they end
    found, read, expected = 0, -1, 8 * 8 * (1 + 2 + 2) + 8
    async with asyncio.timeout(20):
        while found < expected:
            _, read, found = await connection.fetchrow(scans)
    await connection.close()
    assert read == 0
    assert found == expected  # written at once; locked, then written; asked whether a renewal is due, then read


async def test_updates_leave_the_indexes_alone(harness: PostgreSQLHarness) -> None:
    """PostgreSQL counts what it could keep on its page: a heap-only update touches no index."""
    store = await harness.make()
    holder = await started(store, {"n": 0}, owner="alice")
    for _ in range(40):
        await ask(store, holder.update(Inc.of("n", 1), now=NOW + 1))
    connection = await harness.connect()
    kept = f"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = '{harness.schema}' "
    kept += "AND relname = 'records'"
    await store.close()  # its connections tell what they counted when they end
    updated = kept_on_page = 0
    async with asyncio.timeout(20):
        while updated < 40:
            updated, kept_on_page = await connection.fetchrow(kept)
    await connection.close()
    assert kept_on_page >= 38


async def test_no_secret_reaches_the_server(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"n": 0})
    connection = await harness.connect()
    row = await connection.fetchval(f"SELECT row_to_json(r)::text FROM {harness.schema}.records AS r")
    await connection.close()
    secret = holder.token.value.partition(".")[2]
    assert secret
    assert holder.id in row
    assert secret not in row
