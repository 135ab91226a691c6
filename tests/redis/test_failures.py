"""What the application learns when the wire or the server fails: the truth, in time, and once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.redis.rights import documented_rights
from tests.servers import valkey
from tests.servers.proxy import Proxy, proxy
from tests.servers.valkey import Valkey

from atomic_session import SessionMiddleware
from atomic_session.commands import Login, Outcome, OwnerLimit
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import CorruptRecord, OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc, Set
from atomic_session.registry import open_url
from atomic_session.session import Session
from atomic_session.stores.redis import RedisStore
from atomic_session.testing.holder import MINUTE, NOW, Holder, ask, started

PATIENCE = 1.0


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server that the test may ill-treat."""
    with valkey.server() as made:
        yield made


async def _count(server: Valkey, holder: Holder) -> object:
    store = RedisStore.from_url(server.url)
    data = (await ask(store, holder.load())).data
    await store.close()
    return None if data is None else data["n"]


async def test_a_dropped_reply_is_an_unknown_outcome_applied_once(server: Valkey) -> None:
    async with proxy(server.url) as wire:
        store = RedisStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        wire.deaf = True
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.update(Inc.of("n", 1)))
        wire.deaf = False
        assert await _count(server, holder) == 1
        assert (await ask(store, holder.load())).outcome is Outcome.DONE
        await store.close()


@pytest.mark.parametrize("end", [Proxy.cut, asyncio.Task.cancel])
async def test_who_gives_way_to_a_login_that_nobody_knows_of_is_found_all_the_same(server: Valkey, end: Any) -> None:
    direct = RedisStore.from_url(server.url)
    await direct.open()
    old = await started(direct, {"n": 0}, owner="alice")
    async with proxy(server.url) as wire:
        store = RedisStore.from_url(wire.url)
        holder = await started(store, {"n": 0})
        login = Login("alice", OwnerLimit(1, evict_oldest=True))
        before = wire.heard.count(b"EVALSHA")
        asking = asyncio.create_task(ask(store, holder.rotate(holder.renewed(), login=login)))
        await wire.has_heard(before + 2, b"EVALSHA")  # it has its place, and is asked for
        wire.deaf = True
        end(wire if end is Proxy.cut else asking)
        (error,) = await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(error, OutcomeUnknown | asyncio.CancelledError)
        wire.cut()
        await store.close()
    assert old.id in [info.id for info in await direct.sessions_of("alice", NOW)]
    assert await direct.destroy_all("alice", None, NOW) >= 1
    assert (await ask(direct, old.load())).outcome is Outcome.DESTROYED
    await direct.close()


async def test_a_login_that_failed_is_told_so_where_its_place_could_not_be_given_back(server: Valkey) -> None:
    async with proxy(server.url) as wire:
        store = RedisStore.from_url(wire.url)
        old = await started(store, {"n": 0})
        await ask(store, old.rotate(old.renewed()))
        before = wire.heard.count(b"EVALSHA")
        login = Login("alice", OwnerLimit(1, evict_oldest=True))
        asking = asyncio.create_task(ask(store, old.rotate(old.renewed(), login=login)))
        await wire.has_heard(before + 3, b"EVALSHA")  # its place was taken, it failed, and gives back
        wire.cut()
        assert (await asking).outcome is Outcome.ROTATED
        await store.close()


async def test_a_client_with_retries_is_applied_once_all_the_same(server: Valkey) -> None:
    async with proxy(server.url) as wire:
        eager = Retry(NoBackoff(), 5, supported_errors=(RedisConnectionError, RedisTimeoutError))
        client = Redis(port=wire.port, retry=eager, retry_on_error=[RedisConnectionError, RedisTimeoutError])
        store = RedisStore(client, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        wire.deaf = True
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.update(Inc.of("n", 1)))
        wire.deaf = False
        assert await _count(server, holder) == 1
        await store.close()
        await client.aclose()


async def test_every_command_of_a_batch_without_replies_is_applied_at_most_once(server: Valkey) -> None:
    async with proxy(server.url) as wire:
        store = RedisStore.from_url(wire.url, timeout=PATIENCE)
        holders = [await started(store, {"n": 0}) for _ in range(20)]
        wire.deaf = True
        with pytest.raises(OutcomeUnknown):
            await store.execute([holder.update(Inc.of("n", 1)) for holder in holders])
        wire.deaf = False
        assert [await _count(server, holder) for holder in holders] == [1] * 20
        await store.close()


async def test_a_connection_that_broke_while_idle_loses_no_command(server: Valkey) -> None:
    async with proxy(server.url) as wire:
        store = RedisStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        connections = wire.connections
        await wire.hang_up()
        assert (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
        assert wire.connections > connections
        await store.close()


async def test_a_server_that_is_down_at_the_start_is_unavailable_until_it_comes(server: Valkey) -> None:
    server.kill()
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.open()
    with pytest.raises(StoreUnavailable):
        await ask(store, Holder().create({}))
    assert time.monotonic() - began < 2 * PATIENCE
    server.start()
    await store.open()
    await started(store, {"n": 0})
    await store.close()


async def test_a_server_that_dies_and_comes_back_heals_unaided(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    await started(store, {"n": 0})
    server.kill()
    with pytest.raises((StoreUnavailable, OutcomeUnknown)):
        await ask(store, Holder().create({}))
    server.start()
    holder = await started(store, {"n": 0})  # its scripts are gone too
    assert (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
    await store.close()


async def test_a_frozen_server_fails_in_time_and_its_late_work_was_announced(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    dispatcher = Dispatcher(store, PATIENCE)
    await dispatcher.open()
    server.freeze()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await dispatcher.submit(holder.update(Inc.of("n", 1)))
    with pytest.raises(StoreUnavailable):
        await dispatcher.submit(holder.load())
    assert time.monotonic() - began < 3 * PATIENCE
    server.thaw()
    assert await _count(server, holder) == 1
    assert (await dispatcher.submit(holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
    await dispatcher.close()


async def test_a_frozen_server_does_not_open_in_time_however_many_ask(server: Valkey) -> None:
    server.freeze()
    dispatcher = Dispatcher(RedisStore.from_url(server.url, timeout=PATIENCE), PATIENCE)
    began = time.monotonic()
    ends = await asyncio.gather(*[dispatcher.submit(Holder().load()) for _ in range(12)], return_exceptions=True)
    assert time.monotonic() - began < 3 * PATIENCE
    assert {type(end) for end in ends} == {StoreUnavailable}
    server.thaw()
    await dispatcher.close()


async def test_an_unreachable_frozen_server_was_never_asked(server: Valkey) -> None:
    server.freeze()
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    with pytest.raises(StoreUnavailable):
        await ask(store, Holder().create({}))
    server.thaw()
    await store.close()


async def test_a_script_flush_is_noticed_by_each_command(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    holders = [await started(store, {"n": 0}) for _ in range(5)]
    client = Redis.from_url(server.url)
    await client.script_flush()
    commands = [command for holder in holders for command in (holder.update(Inc.of("n", 1)), holder.load())]
    answers = await store.execute(commands)
    assert [answer.outcome for answer in answers] == [Outcome.DONE] * 10
    assert [answer.opened().data for answer in answers] == [{"n": 1}] * 10
    await client.aclose()
    await store.close()


async def test_a_server_without_memory_refuses_writes_and_lets_sessions_be_read_and_ended(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    holder, ending = await started(store, {"n": 0}), await started(store, {"n": 0})
    client = Redis.from_url(server.url)
    await client.config_set("maxmemory", 1)
    update, load = holder.update(Set.of("a", 1)), holder.load()
    answers = await store.execute([update, load, update])
    assert [answer.outcome for answer in answers] == [Outcome.REFUSED, Outcome.DONE, Outcome.REFUSED]
    assert isinstance(answers[0].error, StoreUnavailable)
    assert "maxmemory" in str(answers[0].error)
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await ask(store, Holder().create({}))
    due = await ask(store, holder.load(holder.lifetimes.max_age // 2 + load.now))
    assert (due.outcome, due.renewed) == (Outcome.DONE, False)
    assert (await ask(store, ending.destroy())).outcome is Outcome.DONE
    assert (await ask(store, ending.load())).outcome in {Outcome.ABSENT, Outcome.DESTROYED}
    await client.config_set("maxmemory", 0)
    assert (await ask(store, update)).outcome is Outcome.DONE
    assert (await ask(store, holder.load())).data == {"n": 0, "a": 1}
    await client.aclose()
    await store.close()


async def _fail_to_write_down(server: Valkey, client: Any) -> None:
    """Have it fail to write its data to the disk: then it refuses what it could lose."""
    await client.config_set("save", "3600 1")
    shutil.rmtree(server.folder)
    await client.bgsave()
    while (await client.info("persistence"))["rdb_last_bgsave_status"] == "ok":
        pass


async def _want_replicas(_: Valkey, client: Any) -> None:
    await client.config_set("min-replicas-to-write", 1)


@pytest.mark.parametrize(("break_it", "why"), [(_fail_to_write_down, "MISCONF"), (_want_replicas, "NOREPLICAS")])
async def test_a_server_that_takes_no_writes_lets_sessions_be_read_whose_renewal_is_due(
    server: Valkey, break_it: Callable[[Valkey, Any], Awaitable[None]], why: str
) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    client = Redis.from_url(server.url)
    await break_it(server, client)
    with pytest.raises(StoreUnavailable, match=why):
        await ask(store, holder.update(Inc.of("n", 1)))
    due = await ask(store, holder.load(holder.lifetimes.max_age // 2 + NOW))
    assert (due.outcome, due.data, due.renewed) == (Outcome.DONE, {"n": 0}, False)
    await client.aclose()
    await store.close()


async def test_a_replica_is_refused_at_the_start_and_later(server: Valkey) -> None:
    with valkey.server() as other:
        store = RedisStore.from_url(other.url, timeout=PATIENCE)
        await started(store, {"n": 0})
        client = Redis.from_url(other.url)
        await client.replicaof("127.0.0.1", server.port)
        with pytest.raises(StoreUnavailable, match="replica"):
            await ask(store, Holder().create({}))
        fresh = RedisStore.from_url(other.url)
        with pytest.raises(StoreUnavailable, match="replica"):
            await fresh.open()
        await fresh.close()
        await client.replicaof("NO", "ONE")
        await started(store, {"n": 1})
        await client.aclose()
        await store.close()


async def test_an_account_that_may_not_do_all_is_refused_at_the_start(server: Valkey) -> None:
    client: Any = Redis.from_url(server.url)
    await client.execute_command("ACL SETUSER poor on >p ~* +@all -pexpire")
    await client.execute_command("ACL SETUSER fit " + documented_rights("p"))
    store = RedisStore.from_url(f"redis://poor:p@127.0.0.1:{server.port}", timeout=PATIENCE)
    with pytest.raises(StoreUnavailable, match=r"not fit.*no permissions to run the 'pexpire' command$") as caught:
        await store.open()
    assert str(caught.value).count("unavailable") == 1
    await store.close()
    fit = RedisStore.from_url(f"redis://fit:p@127.0.0.1:{server.port}", timeout=PATIENCE)
    await fit.open()
    await fit.close()
    wrong = RedisStore.from_url(f"redis://fit:wrong@127.0.0.1:{server.port}", timeout=PATIENCE)
    with pytest.raises(StoreUnavailable):
        await wrong.open()
    await wrong.close()
    await client.aclose()


async def test_opening_leaves_nothing_behind_and_warns_of_eviction(server: Valkey) -> None:
    client = Redis.from_url(server.url)
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    await store.open()
    assert await client.dbsize() == 0
    await store.close()
    await client.config_set("maxmemory", "1gb")
    await client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.warns(RuntimeWarning, match="allkeys-lru"):
        await store.open()
    await store.close()
    await client.aclose()


async def test_a_key_of_another_kind_is_left_alone(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    client = Redis.from_url(server.url)
    holder = Holder()
    await client.set(f"atomic-session:session:{holder.id}", "theirs")
    for command in (holder.load(), holder.update(Set.of("a", 1)), holder.destroy()):
        with pytest.raises(CorruptRecord):
            await ask(store, command)
    assert (await ask(store, holder.create({}))).outcome is Outcome.EXISTS
    assert await client.get(f"atomic-session:session:{holder.id}") == b"theirs"
    await client.aclose()
    await store.close()


async def test_a_field_that_is_not_ours_is_noticed_by_who_looks_at_it(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    client: Any = Redis.from_url(server.url)
    holder = await started(store, {"n": 0, "beside": {}})
    key = f"atomic-session:session:{holder.id}"
    await client.hset(key, "beside", '{"n":')
    (done,) = await store.execute([holder.update(Inc.of("n", 1))])  # all data came back
    assert (done.outcome, await client.hget(key, "n")) == (Outcome.DONE, b"1")
    with pytest.raises(CorruptRecord):  # whoever looks at it
        done.opened()
    assert (await ask(store, holder.update(Inc.of("n", 1), known=2))).data == {"n": 2}  # what is not asked for
    for command in (holder.load(), holder.update(Set.of("beside", 1), Inc.of("n", 1))):
        with pytest.raises(CorruptRecord):
            await ask(store, command)
    assert await client.hget(key, "n") == b"2"
    await client.aclose()
    await store.close()


@pytest.mark.parametrize("spoil", [("HSET", "\0h", "junk"), ("SET", "a text")])
async def test_a_record_that_is_not_ours_keeps_no_other_of_its_owner_alive(server: Valkey, spoil: Any) -> None:
    store = RedisStore.from_url(server.url)
    await store.open()
    spoilt, *others = [await started(store, {"n": 0}, owner="alice") for _ in range(3)]
    key = f"atomic-session:session:{spoilt.id}"
    verb, *rest = spoil
    client: Any = Redis(port=server.port)
    await client.execute_command(verb, key, *rest)
    await client.aclose()
    with pytest.raises(CorruptRecord):
        await store.destroy_all("alice", None, NOW)
    assert [(await ask(store, holder.load())).outcome for holder in others] == [Outcome.DESTROYED] * 2
    await store.close()


async def test_a_record_that_is_not_ours_keeps_its_owner_neither_from_a_login_nor_from_a_look(server: Valkey) -> None:
    store = RedisStore.from_url(server.url)
    await store.open()
    spoilt, other = [await started(store, {"n": 0}, owner="alice") for _ in range(2)]
    client: Any = Redis(port=server.port)
    await client.hset(f"atomic-session:session:{spoilt.id}", "\0h", "junk")
    await client.aclose()
    later = NOW + 2 * MINUTE  # no login can be under way any more
    new, login = await started(store, {"n": 0}), Login("alice", OwnerLimit(2, evict_oldest=False))
    assert (await ask(store, new.rotate(new.renewed(), later, login=login))).outcome is Outcome.DONE
    assert {info.id for info in await store.sessions_of("alice", later)} == {other.id, new.id}
    await store.close()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_clients_may_decode_responses_and_speak_either_protocol(server: Valkey, protocol: int) -> None:
    client = Redis(port=server.port, decode_responses=True, protocol=protocol)
    store = RedisStore(client, timeout=PATIENCE)
    await store.open()
    holder = await started(store, {"n": 0, "text": "é😀", "bytes": b"\xff"}, owner="zoë")
    answer = await ask(store, holder.update(Inc.of("n", 1)))
    assert answer.data == {"n": 1, "text": "é😀", "bytes": b"\xff"}
    assert [info.id for info in await store.sessions_of("zoë", holder.load().now)] == [holder.id]
    await store.close()
    assert await client.ping()  # it stays the application's own
    await client.aclose()


def test_every_event_loop_has_a_client_of_its_own(server: Valkey) -> None:
    store = RedisStore.from_url(server.url, timeout=PATIENCE)
    holder = Holder()

    async def once() -> object:
        await ask(store, holder.create({"n": 0}))
        answer = await ask(store, holder.update(Inc.of("n", 1)))
        await store.close()
        return (answer.data or {})["n"]

    assert [asyncio.run(once()) for _ in range(3)] == [1, 2, 3]


async def _visit(request: Request) -> JSONResponse:
    session: Session = request.scope["session"]
    await session.inc("visits")
    return JSONResponse(dict(await session()))


def test_each_event_loop_has_a_client_that_closes_with_it(server: Valkey) -> None:
    """A test client without a lifespan makes a loop for every request."""
    app = Starlette(routes=[Route("/", _visit)])
    app.add_middleware(SessionMiddleware, store=RedisStore.from_url(server.url))
    browser = TestClient(app)
    assert [browser.get("/").json()["visits"] for _ in range(5)] == [1, 2, 3, 4, 5]
    with redis.Redis(port=server.port) as client:
        assert len(client.client_list()) == 1


def test_one_client_serves_one_event_loop(server: Valkey) -> None:
    client = Redis(port=server.port)
    store = RedisStore(client)

    async def once() -> None:
        await ask(store, Holder().create({}))

    async def first() -> None:
        await once()
        with pytest.raises(RuntimeError, match="one event loop"):
            await asyncio.to_thread(lambda: asyncio.run(once()))
        await client.aclose()

    asyncio.run(first())


@pytest.mark.parametrize("missing", ["redis", "hiredis"])
def test_who_lacks_the_driver_is_told_what_to_install(missing: str) -> None:
    code = f"""if True:
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "{missing}" else find(name, *rest)
        from atomic_session.registry import open_url
        try:
            open_url("redis://localhost")
        except ImportError as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert "pip install 'atomic-session[redis]'" in result.stdout


@pytest.mark.parametrize(
    "url", ["redis://h/0?db=x", "redis+cluster://", "redis://h?socket_timeout=soon", "redis+cluster://h?bogus=1"]
)
def test_an_address_that_is_nonsense_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the driver's
        open_url(url)


@pytest.mark.parametrize("rest", ["h:99999", "h:one", "u:hush/w@h", "u:hush?w@h", "u:hush#w@h"])
def test_a_port_that_may_be_half_of_a_password_is_refused_and_not_shown(rest: str) -> None:
    with pytest.raises(ValueError, match="port") as caught:
        open_url(f"redis://{rest}/0")
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_a_url_in_the_place_of_a_client_is_refused_and_not_shown() -> None:
    place: Any = "redis://:hush@localhost"
    with pytest.raises(ValueError, match=r"from_url.*str") as caught:
        RedisStore(place)
    assert "hush" not in str(caught.value)
