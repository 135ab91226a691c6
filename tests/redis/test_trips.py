"""How often the store goes to its server, and what that costs the server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.harnesses.redis import RedisHarness
from tests.servers.proxy import proxy

from atomic_session.commands import Command, Login, Outcome, OwnerLimit
from atomic_session.dispatcher import Dispatcher
from atomic_session.operators import AddToSet, Inc, Pull, Push, Set, When
from atomic_session.record import Lifetimes
from atomic_session.session import Session
from atomic_session.stores.redis import RedisStore
from atomic_session.testing.holder import HOUR, NOW, Holder, ask, started
from atomic_session.testing.site import Site


async def _calls(client: Any) -> dict[str, int]:
    return {name: stats["calls"] for name, stats in (await client.info("commandstats")).items()}


async def test_200_pushes_at_once_are_200_script_calls(harness: RedisHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"log": []})
    client = harness.client()
    before = await _calls(client)
    dispatcher = Dispatcher(store, 60)
    pushes = [dispatcher.submit(holder.update(Push.of("log", [number]))) for number in range(200)]
    answers = await asyncio.gather(*pushes)
    after = await _calls(client)
    await client.aclose()

    assert {answer.outcome for answer in answers} == {Outcome.DONE}
    assert after["cmdstat_evalsha"] - before["cmdstat_evalsha"] == 200
    data = (await ask(store, holder.load())).data or {}
    assert data["log"] == list(range(200))


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
    ("handler", "trips"),
    [(_untouched, 0), (_read, 1), (_blind, 1), (_read_and_update, 2)],
    ids=str,
)
async def test_a_request_makes_exactly_as_many_trips_as_it_must(
    handler: Callable[[Session], Awaitable[None]], trips: int, harness: RedisHarness
) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}")
        await store.open()
        holder = await started(store, {"n": 0})
        before = wire.requests
        visit = await Site(store).visit(holder.token, handler)
        assert visit.error is None
        assert wire.requests - before == trips
        await store.close()


async def test_commands_that_wait_together_are_one_trip(harness: RedisHarness) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}")
        await store.open()
        holders = [await started(store, {"n": 0}) for _ in range(200)]
        wire.hold()  # so that no request can be one that waited for a reply
        before = wire.heard.count(b"EVALSHA")
        asking = asyncio.gather(*[ask(store, holder.update(Inc.of("n", 1))) for holder in holders])
        await wire.has_heard(before + 200, b"EVALSHA")
        assert not asking.done()
        wire.let_go()
        assert [answer.data for answer in await asking] == [{"n": 1}] * 200
        assert wire.connections == 1
        await store.close()


async def test_a_batch_is_one_trip_too(harness: RedisHarness) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}")
        await store.open()
        holders = [await started(store, {"n": 0}) for _ in range(60)]
        wire.hold()
        before = wire.heard.count(b"EVALSHA")
        asking = asyncio.create_task(store.execute([holder.update(Inc.of("n", 1)) for holder in holders]))
        await wire.has_heard(before + 60, b"EVALSHA")
        wire.let_go()
        assert [answer.opened().data for answer in await asking] == [{"n": 1}] * 60
        await store.close()


async def test_what_an_update_sends_back_does_not_grow_with_the_session(harness: RedisHarness) -> None:
    """Counted in bytes by the server; the times are a benchmark's to tell."""
    store = await harness.make()
    client = harness.client()
    sent = []
    for size in (500, 20_000):
        data = {"n": 0, "color": "red", **{f"f{at}": "x" * 90 for at in range(size // 100)}}
        holder = await started(store, data)
        before = (await client.info("stats"))["total_net_output_bytes"]
        await client.ping()  # what a look at the statistics costs is in both
        for rev in range(1, 101):
            await ask(store, holder.update(Set.of("color", "blue"), Inc.of("n", 1), known=rev))
        sent.append((await client.info("stats"))["total_net_output_bytes"] - before)
    await client.aclose()
    small, large = sent

    assert abs(large - small) < 100 * 90  # one field of ninety bytes more in each answer would be that much


async def test_what_comes_back_from_an_update_is_what_was_touched(harness: RedisHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"n": 0, "fat": ["x" * 1000] * 20})
    answer = await ask(store, holder.update(Inc.of("n", 1), known=1))
    assert (answer.data, answer.whole) == ({"n": 1}, False)


async def test_a_renewal_keeps_the_list_of_the_owner_alive(harness: RedisHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"n": 0}, owner="alice")
    client = harness.client()
    await client.delete(f"{harness.prefix}owner:alice")
    assert not await store.sessions_of("alice", NOW)
    await ask(store, holder.load(NOW + HOUR))

    assert [info.id for info in await store.sessions_of("alice", NOW + HOUR)] == [holder.id]
    assert await client.pttl(f"{harness.prefix}owner:alice") > 10 * HOUR
    await client.aclose()


@pytest.mark.parametrize("limit", [None, OwnerLimit(3, evict_oldest=True)])
@pytest.mark.parametrize("max_age", [None, 1_000 * HOUR])
@pytest.mark.parametrize("comes", ["with its owner", "by a login", "by a renewal"])
async def test_the_list_of_an_owner_stays_while_a_session_may_live_without_a_renewal(
    harness: RedisHarness, limit: OwnerLimit | None, max_age: int | None, comes: str
) -> None:
    store = await harness.make()
    client = harness.client()
    holder = Holder(lifetimes=Lifetimes(max_age=100 * HOUR))
    now = NOW
    owner = None if comes == "by a login" else "alice"
    await ask(store, holder.create({"n": 0}, max_age=max_age, owner=owner, limit=limit))
    if comes == "by a login":
        new = holder.renewed()
        await ask(store, holder.rotate(new, login=Login("alice", limit)))
        holder = new
    if comes == "by a renewal":
        now = NOW + (max_age or 100 * HOUR) // 2
        await client.delete(f"{harness.prefix}owner:alice")
        assert (await ask(store, holder.update(Inc.of("n", 1), now=now))).renewed
    last = now + (max_age or 100 * HOUR) // 10 - 1
    answer = await ask(store, holder.update(Inc.of("n", 1), now=last))
    assert answer.record is not None
    assert not answer.renewed
    assert await client.pttl(f"{harness.prefix}owner:alice") > answer.record.idle_deadline - now
    await client.aclose()


async def test_the_list_of_an_owner_forgets_who_is_gone(harness: RedisHarness) -> None:
    store = await harness.make()
    kept = await started(store, owner="alice")
    moved = await started(store, owner="alice")
    await ask(store, moved.rotate(moved.renewed(), login=Login("bob")))
    client = harness.client()
    key = f"{harness.prefix}owner:alice"
    await store.sessions_of("alice", NOW + 1)
    assert await client.zscore(key, moved.id) is not None  # a login of it may be under way
    await store.sessions_of("alice", NOW + 60_001)
    assert await client.zscore(key, moved.id) is None
    assert await client.zscore(key, kept.id) is not None
    await client.aclose()


async def test_the_server_sweeps_what_is_over(harness: RedisHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"n": 0})
    client = harness.client()
    key = f"{harness.prefix}session:{holder.id}"
    assert 0 < await client.pttl(key) <= 11 * HOUR
    await ask(store, holder.destroy())
    assert 0 < await client.pttl(key) <= HOUR + 60_000
    assert sorted(await client.hkeys(key)) == [b"\0h", b"\0s"]
    await client.aclose()


async def test_no_secret_reaches_the_server(harness: RedisHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"n": 0})
    client = harness.client()
    kept = await client.hgetall(f"{harness.prefix}session:{holder.id}")
    await client.aclose()
    secret = holder.token.value.partition(".")[2].encode()
    assert secret
    assert all(secret not in text for text in kept.values())


async def test_decimals_take_the_slow_path_of_two_trips_and_nothing_else_does(harness: RedisHarness) -> None:
    await harness.make()
    async with proxy(harness.url) as wire:
        store = RedisStore.from_url(f"{wire.url}?prefix={harness.prefix}")
        await store.open()
        holder = await started(store, {"list": [Decimal("1.0"), "a", 2, {"a": [1.0]}], "n": Decimal("1.10")})
        for trips, update in (
            (2, holder.update(Pull.of("list", 1))),
            (1, holder.update(Pull.of("list", "b"))),
            (1, holder.update(Pull.of("list", {"a": [1]}))),
            (1, holder.update(When.of("n", Decimal("1.10")), AddToSet.of("list", [2.0, "c"]))),
            (2, holder.update(When.of("n", Decimal("1.1")), Set.of("done", True))),
        ):
            before = wire.requests
            assert (await ask(store, update)).outcome is Outcome.DONE
            assert wire.requests - before == trips
        data = (await ask(store, holder.load())).data
        assert data == {"list": ["a", 2, "c"], "n": Decimal("1.10"), "done": True}
        await store.close()


async def test_what_comes_after_a_slow_update_of_its_session_takes_effect_after_it(harness: RedisHarness) -> None:
    """Rule 6 of stores; the slow update comes second, so that there is something to overtake before and after."""
    store = await harness.make()
    holder, other = await started(store, {"list": [Decimal("1.0")]}), await started(store, {"n": 0})
    commands: list[Command] = [
        holder.update(Push.of("list", [Decimal("2.0")])),
        holder.update(Pull.of("list", 2)),
        holder.update(Push.of("list", [2])),
        other.update(Inc.of("n", 1)),
        holder.load(),
    ]
    answers = await store.execute(commands)
    assert [answer.outcome for answer in answers] == [Outcome.DONE] * 5
    assert (answers[4].data or {})["list"] == [Decimal("1.0"), 2]
    answers = await asyncio.gather(*[ask(store, command) for command in commands])  # asked for one by one, in order
    assert (answers[4].data or {})["list"] == [Decimal("1.0"), 2]


async def test_the_slow_path_loses_nothing_to_others(harness: RedisHarness) -> None:
    store = await harness.make()
    holder = await started(store, {"set": [], "n": 0})
    slow = [holder.update(AddToSet.of("set", [Decimal(number)]), Inc.of("n", 1)) for number in range(12)]
    fast = [holder.update(Inc.of("n", 1)) for _ in range(12)]
    answers = await asyncio.gather(*[ask(store, update) for pair in zip(slow, fast, strict=True) for update in pair])
    assert {answer.outcome for answer in answers} == {Outcome.DONE}
    data = (await ask(store, holder.load())).data or {}
    assert data["n"] == 24
    assert sorted(data["set"]) == [Decimal(number) for number in range(12)]  # type: ignore[type-var, arg-type]


async def test_a_renewal_is_due_when_the_record_says_so(harness: RedisHarness) -> None:
    store = await harness.make()
    for touch_after, max_age in itertools.product((None, 0, 1, 4_999, 5_000, 5_001, HOUR), (None, 1, 9, 5_000)):
        lifetimes = Lifetimes(max_age=2 * HOUR, touch_after=touch_after)
        holder = await started(store, lifetimes=lifetimes)
        answer = await ask(store, holder.touch(NOW + HOUR, max_age=max_age))
        assert answer.record is not None
        if answer.renewed:
            assert answer.record.renew_at == lifetimes.renew_at(NOW + HOUR, max_age), (touch_after, max_age)
