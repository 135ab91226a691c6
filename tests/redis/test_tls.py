"""TLS: servers are reached over it, certificates are checked, and nothing is ever sent plainly instead."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvloop
from redis.asyncio import Redis, RedisCluster
from tests.servers import valkey
from tests.servers.proxy import proxy
from tests.servers.tls import Authority, Front, front, fronts, use
from tests.servers.valkey import Cluster, Valkey

from atomic_session.commands import Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import AtomicSessionError, OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.redis import RedisStore
from atomic_session.testing.holder import Holder, ask, started

PATIENCE = 2.0
CLIENT_HELLO = b"\x16\x03"
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("a b+c%2F"))  # a name that a URL has to say in other words


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server that the test may ill-treat."""
    with valkey.server() as made:
        yield made


@pytest.fixture
def secured(server: Valkey, authority: Authority) -> Iterator[Front]:
    """TLS before the server."""
    with front(authority.serving(), server.port) as made:
        yield made


def _url(port: int, authority: Authority, kind: str = "rediss", **options: object) -> str:
    query = "".join(f"&{name}={quote(str(value))}" for name, value in options.items())
    return f"{kind}://127.0.0.1:{port}?ssl_ca_certs={quote(str(authority.path))}{query}"


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_store_works_over_tls(
    loop: Callable[[], asyncio.AbstractEventLoop], secured: Front, authority: Authority
) -> None:
    async def work() -> None:
        store = RedisStore.from_url(_url(secured.port, authority, prefix="tls:"), timeout=PATIENCE)
        await use(store)
        await store.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())
    assert secured.let_in == 1  # one connection carries it all


async def test_a_client_of_the_applications_own_knows_the_authority_by_itself(
    secured: Front, authority: Authority
) -> None:
    client = Redis(port=secured.port, ssl=True, ssl_ca_certs=str(authority.path))
    await use(RedisStore(client, timeout=PATIENCE))
    await client.aclose()


async def test_a_server_that_was_killed_is_found_again_when_it_is_back(
    server: Valkey, secured: Front, authority: Authority
) -> None:
    store = RedisStore.from_url(_url(secured.port, authority), timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    server.kill()
    with pytest.raises((StoreUnavailable, OutcomeUnknown)):  # it depends on whether the break is known already
        await ask(store, holder.load())
    with pytest.raises(StoreUnavailable):
        await ask(store, holder.load())
    server.start()
    holder = await started(store, {"n": 0})
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
    await store.close()


def _strange(authority: Authority, folder: Path) -> ssl.SSLContext:
    folder.mkdir()
    return Authority(folder).serving()


def _of_another(authority: Authority, folder: Path) -> ssl.SSLContext:
    return authority.serving("sessions.example")


@pytest.mark.parametrize("kind", ["rediss", "rediss+cluster"])
@pytest.mark.parametrize(
    ("serving", "reason"),
    [(_strange, "unable to get local issuer|self.signed"), (_of_another, "mismatch")],
    ids=["of a strange authority", "of another host"],
)
async def test_a_certificate_that_is_not_trusted_or_is_anothers_is_refused(
    serving: Callable[[Authority, Path], ssl.SSLContext],
    reason: str,
    kind: str,
    server: Valkey,
    authority: Authority,
    tmp_path: Path,
) -> None:
    with front(serving(authority, tmp_path / "other"), server.port) as made:
        store = RedisStore.from_url(_url(made.port, authority, kind), timeout=PATIENCE)
        with pytest.raises(StoreUnavailable, match=reason):
            await store.open()
        with pytest.raises(StoreUnavailable, match=reason):
            await ask(store, Holder().create({"n": 0}))
        await store.close()
    assert made.let_in == 0


@pytest.mark.parametrize("kind", [Redis, RedisCluster])
async def test_a_client_that_tries_to_connect_again_and_again_hides_no_reason(kind: Any, secured: Front) -> None:
    client = kind(host="127.0.0.1", port=secured.port, ssl=True)
    store = RedisStore(client, timeout=PATIENCE)
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        await store.open()
    await client.aclose()
    assert secured.let_in == 0


async def test_a_private_authority_that_nobody_has_named_is_refused(secured: Front) -> None:
    store = RedisStore.from_url(f"rediss://127.0.0.1:{secured.port}", timeout=PATIENCE)
    with pytest.raises(StoreUnavailable, match="certificate"):
        await store.open()
    await store.close()
    assert secured.let_in == 0


@pytest.mark.parametrize("kind", ["rediss", "rediss+cluster"])
async def test_a_server_without_tls_is_told_nothing(kind: str, server: Valkey, authority: Authority) -> None:
    async with proxy(server.url) as wire:
        url = _url(wire.port, authority, kind).replace("//", "//user:hush@")
        store = RedisStore.from_url(url, timeout=0.5)
        with pytest.raises(StoreUnavailable):
            await store.open()
        await store.close()
    assert wire.heard.startswith(CLIENT_HELLO)
    assert not re.search(b"hush|HELLO|AUTH|PING", wire.heard)


async def test_a_plain_url_does_not_get_past_tls(secured: Front) -> None:
    store = RedisStore.from_url(f"redis://127.0.0.1:{secured.port}", timeout=PATIENCE)
    with pytest.raises((StoreUnavailable, OutcomeUnknown)):
        await store.open()
    await store.close()
    assert secured.let_in == 0


async def test_a_server_may_ask_who_its_client_is(server: Valkey, authority: Authority) -> None:
    certificate, key = authority.client()
    with front(authority.serving(clients=True), server.port) as made:
        shown = _url(made.port, authority, ssl_certfile=certificate, ssl_keyfile=key)
        store = RedisStore.from_url(shown, timeout=PATIENCE)
        await use(store)
        await store.close()
        nameless = RedisStore.from_url(_url(made.port, authority), timeout=PATIENCE)
        with pytest.raises(StoreUnavailable):
            await nameless.open()
        await nameless.close()
    assert made.let_in == 1


async def test_a_file_of_authorities_that_is_not_there_is_told(secured: Front, tmp_path: Path) -> None:
    url = f"rediss://127.0.0.1:{secured.port}?ssl_ca_certs={quote(str(tmp_path / 'none.pem'))}"
    store = RedisStore.from_url(url, timeout=PATIENCE)
    with pytest.raises(StoreUnavailable, match="No such file"):
        await store.open()
    await store.close()
    assert secured.let_in == 0


# --- a Cluster


@pytest.fixture(scope="module")
def before(authority: Authority) -> Iterator[list[Front]]:
    """TLS before each node of a Cluster."""
    made = [Front(authority.serving()) for _ in range(6)]
    with fronts(*made):
        yield made


@pytest.fixture(scope="module")
def cluster(before: list[Front]) -> Iterator[Cluster]:
    """A Cluster whose clients are sent to the TLS before each node."""
    with valkey.cluster(announced=[one.port for one in before]) as made:
        for one, node in zip(before, made.nodes, strict=True):
            one.target = node.port
        yield made


async def test_sessions_on_all_masters_are_reached_over_tls(
    cluster: Cluster, before: list[Front], authority: Authority
) -> None:
    store = RedisStore.from_url(_url(before[0].port, authority, "rediss+cluster"), timeout=PATIENCE)
    entered = [one.let_in for one in before]
    await use(store)
    assert all(one.let_in > count for one, count in zip(before[:3], entered[:3], strict=True))
    for node in cluster.nodes[:3]:
        client: Any = Redis(port=node.port)
        assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] >= 4  # what one session takes
        await client.aclose()
    await store.close()


async def test_a_cluster_client_of_the_applications_own_works_over_tls(
    cluster: Cluster, before: list[Front], authority: Authority
) -> None:
    client: Any = RedisCluster("127.0.0.1", before[1].port, ssl=True, ssl_ca_certs=str(authority.path))
    await use(RedisStore(client, timeout=PATIENCE))
    assert {node.port for node in client.get_nodes()} == {one.port for one in before}
    await client.aclose()


async def test_requests_follow_a_key_that_moves_over_tls(
    cluster: Cluster, before: list[Front], authority: Authority
) -> None:
    store = RedisStore.from_url(_url(before[0].port, authority, "rediss+cluster", prefix="{one}:"), timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    nodes: list[Any] = [Redis(port=node.port, decode_responses=True) for node in cluster.nodes[:3]]
    run = [node.execute_command for node in nodes]
    ids = [await each("CLUSTER MYID") for each in run]
    slot = await run[0]("CLUSTER KEYSLOT", "{one}")
    source = [await each("CLUSTER COUNTKEYSINSLOT", slot) for each in run].index(1)
    target = (source + 1) % 3
    await run[target]("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
    await run[source]("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
    keys = await run[source]("CLUSTER GETKEYSINSLOT", slot, 100)
    await run[source]("MIGRATE", "127.0.0.1", cluster.nodes[target].port, "", 0, 5000, "KEYS", *keys)
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}  # ASK
    for at in (target, source):
        await run[at]("CLUSTER SETSLOT", slot, "NODE", ids[target])
    for n in (2, 3):
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": n}  # MOVED, then directly
    assert await run[target]("CLUSTER COUNTKEYSINSLOT", slot) == 1
    for node in nodes:
        await node.aclose()
    await store.close()


async def test_sessions_of_a_master_that_dies_are_found_at_its_replica_over_tls(authority: Authority) -> None:
    made = [Front(authority.serving()) for _ in range(6)]
    with fronts(*made), valkey.cluster(announced=[one.port for one in made]) as doomed:
        for one, node in zip(made, doomed.nodes, strict=True):
            one.target = node.port
        store = RedisStore.from_url(_url(made[0].port, authority, "rediss+cluster"), timeout=PATIENCE)
        dispatcher = Dispatcher(store, PATIENCE)
        await dispatcher.open()
        holders = [await started(store, {"n": 0}) for _ in range(30)]
        for node in doomed.nodes[:3]:
            client = Redis(port=node.port)
            await client.wait(1, 5_000)  # the replica has them
            await client.aclose()
        entered = made[3].let_in
        doomed.nodes[0].kill()
        for holder in holders:
            await _patiently(dispatcher, holder)
        assert made[3].let_in > entered
        await dispatcher.close()


async def _patiently(dispatcher: Dispatcher, holder: Holder) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await dispatcher.submit(holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
            except AtomicSessionError:
                await asyncio.sleep(0.05)
            else:
                return
