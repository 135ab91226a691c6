"""A Cluster of three masters with replicas: the contract holds on it, and what a failover loses is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from tests.harnesses.redis import RedisHarness
from tests.redis.rights import documented_rights
from tests.servers import valkey
from tests.servers.valkey import Cluster

from atomic_session.commands import Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import AtomicSessionError, OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.redis import RedisStore
from atomic_session.testing import CASES, Case
from atomic_session.testing.holder import HOUR, NOW, Holder, ask, started

PATIENCE = 1.0

HEALED = 20.0
"""Seconds within which a Cluster works again after it lost a master."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with valkey.cluster() as made:
        yield made


@pytest.fixture
async def harness(cluster: Cluster) -> AsyncIterator[RedisHarness]:
    made = RedisHarness(cluster.url)
    yield made
    await made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_conformance_on_a_cluster(case: Case, harness: RedisHarness) -> None:
    await case(harness)


async def test_sessions_of_one_batch_live_on_different_masters(cluster: Cluster, harness: RedisHarness) -> None:
    store = await harness.make()
    holders = [await started(store, {"n": 0}) for _ in range(30)]
    client: Any = RedisCluster.from_url(cluster.url.replace("+cluster", ""))
    await client.initialize()
    masters = {client.get_node_from_key(f"{harness.prefix}session:{holder.id}").name for holder in holders}
    answers = await store.execute([holder.update(Inc.of("n", 1)) for holder in holders])
    assert len(masters) == 3
    assert [answer.opened().data for answer in answers] == [{"n": 1}] * 30
    await client.aclose()


async def test_a_client_of_the_applications_own_may_be_a_cluster(cluster: Cluster) -> None:
    client: Any = RedisCluster.from_url(cluster.url.replace("+cluster", ""), decode_responses=True)
    store = RedisStore(client, prefix="own:")
    await store.open()
    holder = await started(store, {"n": 0}, owner="zoë")
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
    await store.close()
    await client.aclose()


async def test_an_account_with_the_documented_rights_will_do(cluster: Cluster) -> None:
    for node in cluster.nodes:
        client: Any = Redis(port=node.port)
        await client.execute_command("ACL SETUSER fit " + documented_rights("p"))
        await client.aclose()
    store = RedisStore.from_url(cluster.url.replace("//", "//fit:p@"))
    await store.open()
    await store.close()


async def test_requests_follow_a_key_that_moves(cluster: Cluster, harness: RedisHarness) -> None:
    store = await harness.make()
    client: Any = RedisCluster.from_url(cluster.url.replace("+cluster", ""))
    await client.initialize()
    holder = await started(store, {"n": 0})
    key = f"{harness.prefix}session:{holder.id}"
    slot, source = client.keyslot(key), client.get_node_from_key(key)
    target = next(node for node in client.get_primaries() if node != source)
    source_id, target_id = [
        (await client.execute_command("CLUSTER MYID", target_nodes=node)) for node in (source, target)
    ]
    run = client.execute_command
    await run("CLUSTER SETSLOT", slot, "IMPORTING", source_id, target_nodes=target)
    await run("CLUSTER SETSLOT", slot, "MIGRATING", target_id, target_nodes=source)
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
    await run("MIGRATE", target.host, target.port, key, 0, 5000, target_nodes=source)
    await run("SCRIPT FLUSH", target_nodes=target)  # what follows finds no script where it is sent on to
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 2}  # ASK
    for other in await run("CLUSTER GETKEYSINSLOT", slot, 1_000, target_nodes=source):  # left by other tests
        await run("MIGRATE", target.host, target.port, other, 0, 5000, target_nodes=source)
    for node in (target, source):
        await run("CLUSTER SETSLOT", slot, "NODE", target_id, target_nodes=node)
    before = await _sent_on(client, source)
    for n in (3, 4):
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": n}
    assert await _sent_on(client, source) == before + 1  # MOVED, and no more
    await client.aclose()


async def _sent_on(client: Any, node: Any) -> int:
    """Return how often a server has said that a key is another's."""
    errors = await client.execute_command("INFO", "errorstats", target_nodes=node)
    return int(errors.get("errorstat_MOVED", {"count": 0})["count"])


async def test_the_list_of_an_owner_heals_itself_on_a_cluster_too(harness: RedisHarness) -> None:
    store = await harness.make()
    holders = [await started(store, {"n": 0}, owner="alice") for _ in range(12)]  # on all masters
    client = harness.client()
    assert await client.delete(f"{harness.prefix}owner:alice") == 1
    assert not await store.sessions_of("alice", NOW)
    await store.execute([holder.load(NOW + HOUR) for holder in holders])  # each is renewed
    assert {info.id for info in await store.sessions_of("alice", NOW + HOUR)} == {holder.id for holder in holders}
    assert await store.destroy_all("alice", holders[0].id, NOW + HOUR) == 11
    await client.aclose()


async def test_a_cluster_that_does_not_answer_is_unavailable_in_time_however_many_ask() -> None:
    with valkey.cluster() as frozen:
        store = RedisStore.from_url(frozen.url, timeout=PATIENCE)
        for node in frozen.nodes:
            node.freeze()
        began = time.monotonic()
        ends = await asyncio.gather(*[ask(store, Holder().load()) for _ in range(12)], return_exceptions=True)
        seconds = time.monotonic() - began
        await store.close()
    assert {type(end) for end in ends} == {StoreUnavailable}
    assert seconds < 3 * PATIENCE


async def test_a_master_that_dies_is_replaced_and_what_was_lost_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with valkey.cluster() as doomed:
        store = RedisStore.from_url(doomed.url, timeout=1.0)
        await store.open()
        holders = [await started(store, {"n": 0}) for _ in range(48)]
        acknowledged, unknown, refused = dict.fromkeys(range(48), 0), dict.fromkeys(range(48), 0), 0
        dispatcher = Dispatcher(store, 2.0)
        killed = 0.0
        busy = asyncio.Event()
        silence: dict[int, float] = {}
        down: dict[int, float] = {}  # of each session, how long after the kill it was refused last

        async def write(number: int) -> None:
            nonlocal refused
            while not killed or (number not in silence and time.monotonic() - killed < HEALED):
                try:
                    answer = await dispatcher.submit(holders[number].update(Inc.of("n", 1)))
                    assert answer.outcome is Outcome.DONE
                    acknowledged[number] += 1
                    if min(acknowledged.values()) > 10:
                        busy.set()
                    if killed and time.monotonic() - killed > 4:
                        silence[number] = time.monotonic() - killed
                except OutcomeUnknown:
                    unknown[number] += 1
                except StoreUnavailable:
                    refused += 1
                    down[number] = time.monotonic() - killed
                    await asyncio.sleep(0.02)

        writers = [asyncio.create_task(write(number)) for number in range(48)]
        await busy.wait()
        doomed.nodes[0].kill()
        killed = time.monotonic()
        await asyncio.gather(*writers)
        lost = doubled = 0
        for number, holder in enumerate(holders):
            data = (await _patient(store, holder)) or {}
            count = data["n"]
            assert isinstance(count, int)
            lost += max(acknowledged[number] - count, 0)
            doubled += max(count - acknowledged[number] - unknown[number], 0)
        await store.close()
        total = sum(acknowledged.values())
    with capsys.disabled():
        print(  # noqa: T201
            f"\nfailover: {total} updates acknowledged, {lost} of them lost, {sum(unknown.values())} unknown, "
            f"{refused} refused, {doubled} doubled; {len(down)} of 48 sessions were down, "
            f"the longest for {max(down.values(), default=0):.1f} s"
        )
    assert len(silence) == 48
    assert doubled == 0


async def _patient(store: RedisStore, holder: Holder) -> dict[str, object] | None:
    deadline = time.monotonic() + HEALED
    while True:
        try:
            return dict((await ask(store, holder.load())).data or {"n": 0})
        except AtomicSessionError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
