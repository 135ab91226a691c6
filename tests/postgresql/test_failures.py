"""What the application learns when the wire or the server fails: the truth, in time, and once."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.servers import postgresql
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import proxy

from atomic_session.commands import Login, Outcome, OwnerLimit
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import AtomicSessionError, CorruptRecord, OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc, Set
from atomic_session.registry import open_url
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.testing.holder import NOW, Holder, ask, started

PATIENCE = 2.0

_LOCK_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """A server that the test may ill-treat."""
    with postgresql.server() as made:
        yield made


async def _count(url: str, holder: Holder) -> object:
    store = PostgreSQLStore.from_url(url)
    data = (await ask(store, holder.load())).data
    await store.close()
    return None if data is None else data["n"]


async def _fetch(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_a_dropped_reply_is_an_unknown_outcome_applied_once(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        holders = [await started(store, {"n": 0}) for _ in range(20)]
        await store.execute([holder.update(Inc.of("n", 1)) for holder in holders])  # the statement is prepared
        wire.deaf = True
        with pytest.raises(OutcomeUnknown):
            await store.execute([holder.update(Inc.of("n", 1)) for holder in holders])
        wire.deaf = False
        assert [await _count(server.url, holder) for holder in holders] == [2] * 20
        assert (await ask(store, holders[0].load())).outcome is Outcome.DONE
        await store.close()


async def test_a_connection_lost_at_commit_is_an_unknown_outcome_applied_once(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(f"{wire.url}?statement_cache_size=0", timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        wire.deaf_from = b"COMMIT;"
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.update(Inc.of("n", 1)))
        wire.deaf, wire.deaf_from = False, None
        assert await _count(server.url, holder) == 1
        await store.close()


async def test_a_connection_lost_before_the_commit_did_nothing(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(f"{wire.url}?statement_cache_size=0", timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        for sign in (b"BEGIN", b"atomic_session"):
            wire.deaf_from = sign
            with pytest.raises(StoreUnavailable):
                await ask(store, holder.update(Inc.of("n", 1)))
            wire.deaf, wire.deaf_from = False, None
        assert await _count(server.url, holder) == 0
        await store.close()


@pytest.mark.parametrize("sign", [b"server_encoding", b"to_regclass", b"COMMIT;", b"has_table_privilege"])
async def test_a_connection_lost_while_the_store_opens_says_that_no_command_was_carried_out(
    server: PostgreSQL, sign: bytes
) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        for opened_by in (store.open, lambda: ask(store, Holder().create({}))):
            wire.deaf_from = sign
            with pytest.raises(StoreUnavailable):
                await opened_by()
            wire.deaf, wire.deaf_from = False, None
            await _run(server.url, "DROP SCHEMA IF EXISTS atomic_session CASCADE")
        await started(store, {"n": 0})
        await store.close()


async def test_a_list_of_sessions_that_is_lost_has_no_outcome(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store, owner="alice")
        wire.deaf = True
        with pytest.raises(StoreUnavailable):
            await store.sessions_of("alice", NOW)
        wire.deaf = False
        assert [info.id for info in await store.sessions_of("alice", NOW)] == [holder.id]
        await store.close()


async def test_a_limited_login_that_is_lost_at_its_commit_is_unknown(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store)
        login = Login("alice", OwnerLimit(1, evict_oldest=False))
        wire.deaf_from = b"COMMIT;"
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.rotate(holder.renewed(), login=login))
        wire.deaf, wire.deaf_from = False, None
        assert [info.id for info in await store.sessions_of("alice", NOW)] == [holder.id]
        await store.close()


async def test_a_connection_that_broke_while_idle_loses_no_command(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        connections = wire.connections
        await wire.hang_up()
        assert (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
        assert wire.connections > connections
        await store.close()


async def test_a_server_that_is_silent_fails_in_time(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        dispatcher = Dispatcher(store, PATIENCE)
        await dispatcher.submit(holder.update(Inc.of("n", 1)))  # the statement is prepared
        wire.silent = True
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await dispatcher.submit(holder.update(Inc.of("n", 1)))
        with pytest.raises(StoreUnavailable):  # no connection is had any more
            await dispatcher.submit(holder.update(Inc.of("n", 1)))
        with pytest.raises(StoreUnavailable):
            await dispatcher.submit(holder.load())
        assert time.monotonic() - began < 4 * PATIENCE
        wire.silent = False
        assert await _count(server.url, holder) == 2
        assert (await dispatcher.submit(holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
        await dispatcher.close()


async def test_a_server_that_is_down_at_the_start_is_unavailable_until_it_comes(server: PostgreSQL) -> None:
    server.kill()
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
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


@pytest.mark.parametrize("end", [PostgreSQL.stop, PostgreSQL.kill], ids=["stopped", "crashed"])
async def test_a_server_that_restarts_under_load_heals_unaided_and_loses_nothing(
    server: PostgreSQL, end: object
) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holders = [await started(store, {"n": 0}) for _ in range(20)]
    dispatcher = Dispatcher(store, PATIENCE)
    await dispatcher.open()
    acknowledged, unknown = dict.fromkeys(range(20), 0), dict.fromkeys(range(20), 0)
    restarted: set[int] = set()
    busy, healed = asyncio.Event(), asyncio.Event()

    async def write(number: int) -> None:
        while not healed.is_set():
            try:
                answer = await dispatcher.submit(holders[number].update(Inc.of("n", 1)))
            except OutcomeUnknown:
                unknown[number] += 1
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                assert answer.outcome is Outcome.DONE
                acknowledged[number] += 1
                if min(acknowledged.values()) > 10:
                    busy.set()
                if up_again:
                    restarted.add(number)
                    if len(restarted) == 20:
                        healed.set()

    up_again = False
    writers = [asyncio.create_task(write(number)) for number in range(20)]
    await busy.wait()
    assert callable(end)
    await asyncio.to_thread(end, server)
    await asyncio.to_thread(server.start)
    up_again = True
    async with asyncio.timeout(30):
        await asyncio.gather(*writers)
    for number, holder in enumerate(holders):
        count = await _count(server.url, holder)
        assert isinstance(count, int)
        assert acknowledged[number] <= count <= acknowledged[number] + unknown[number]
    await dispatcher.close()


async def test_a_pool_that_is_exhausted_fails_in_time_and_heals(server: PostgreSQL) -> None:
    pool = await asyncpg.create_pool(server.url, min_size=1, max_size=1)
    store = PostgreSQLStore(pool, timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    async with pool.acquire():
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await ask(store, holder.update(Inc.of("n", 1)))
        assert time.monotonic() - began < PATIENCE
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
    await store.close()
    assert await pool.fetchval("SELECT 1") == 1  # it stays the application's own
    await pool.close()


@pytest.mark.parametrize("fault", ["deaf_from", "dead_from"], ids=["breaks", "is silent"])
async def test_a_connection_that_is_lost_when_it_goes_back_does_not_undo_the_answer(
    server: PostgreSQL, fault: str
) -> None:
    async with proxy(server.url) as wire, asyncpg.create_pool(wire.url, min_size=0, max_size=1) as pool:
        store = PostgreSQLStore(pool, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        setattr(wire, fault, b"UNLISTEN")  # the pool makes the connection ready for others
        async with asyncio.timeout(PATIENCE):
            assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
        wire.deaf, wire.deaf_from, wire.dead, wire.dead_from = False, None, False, None
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 2}
        await store.close()


async def test_a_server_that_has_vanished_does_not_keep_a_store_from_closing(server: PostgreSQL) -> None:
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        await started(store, {"n": 0})
        wire.dead = True
        async with asyncio.timeout(3 * PATIENCE):
            await store.close()


async def test_too_many_connections_are_told_and_heal() -> None:
    with postgresql.server("-c", "max_connections=6", "-c", "superuser_reserved_connections=0") as small:
        store = PostgreSQLStore.from_url(small.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        await store.close()
        others = [await asyncpg.connect(small.url) for _ in range(6)]
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await asyncpg.connect(small.url)
        with pytest.raises(StoreUnavailable, match="too many connections"):
            await ask(store, holder.load())
        for other in others:
            await other.close()
        async with asyncio.timeout(10):  # the server takes a moment to notice
            while True:
                try:
                    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.02)
        await store.close()


async def test_a_server_that_only_reads_is_refused_at_the_start_and_later(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    pool = await asyncpg.create_pool(server.url, min_size=0, max_size=1)
    lent = PostgreSQLStore(pool, timeout=PATIENCE)
    await lent.open()
    await pool.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    await pool.expire_connections()
    await _run(server.url, "ALTER DATABASE postgres SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="read-only"):
        await ask(lent, holder.update(Inc.of("n", 1)))
    fresh = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    with pytest.raises(StoreUnavailable, match="read-only"):
        await fresh.open()
    await fresh.close()
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}  # its connection is older than that
    await store.close()
    writable = "SET default_transaction_read_only = off"
    await _run(server.url, writable, "ALTER DATABASE postgres RESET default_transaction_read_only")
    assert (await ask(lent, holder.update(Inc.of("n", 1)))).data == {"n": 2}  # it has let go of the one that only read
    await lent.close()
    await pool.close()


async def test_statements_that_the_server_undoes_for_others_are_repeated(server: PostgreSQL) -> None:
    """Under `serializable` two writers of one session cannot both succeed the first time."""
    await _run(server.url, "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
    pools = [await asyncpg.create_pool(server.url, min_size=1, max_size=1) for _ in range(4)]
    stores = [PostgreSQLStore(pool, timeout=20) for pool in pools]
    holder = await started(stores[0], {"n": 0})
    for store in stores:
        await store.open()

    async def write(store: PostgreSQLStore) -> int:
        done = 0
        for _ in range(15):
            with suppress(StoreUnavailable):
                done += (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
        return done

    done = await asyncio.gather(*map(write, stores))
    assert await _count(server.url, holder) == sum(done)
    assert sum(done) > 15
    for pool in pools:
        await pool.close()


async def test_connections_of_our_own_have_nothing_undone_for_others(server: PostgreSQL) -> None:
    await _run(server.url, "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
    async with proxy(server.url) as wire:
        store = PostgreSQLStore.from_url(wire.url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        await ask(store, holder.update(Inc.of("n", 1)))  # the statement is prepared
        connection = await asyncpg.connect(server.url)
        async with connection.transaction(isolation="read_committed"):
            await connection.execute("UPDATE atomic_session.records SET last_used = last_used")
            before = wire.requests
            update = asyncio.create_task(ask(store, holder.update(Inc.of("n", 1))))
            async with asyncio.timeout(PATIENCE):
                while not await _fetch(server.url, _LOCK_WAITS):
                    assert not update.done()
        assert (await update).data == {"n": 2}
        assert wire.requests - before == 1
        await connection.close()
        await store.close()


async def test_a_lock_that_is_held_for_long_fails_in_time(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder, other = await started(store, {"n": 0}), await started(store, {"n": 0})
    connection = await asyncpg.connect(server.url)
    async with connection.transaction():
        await connection.execute("SELECT FROM atomic_session.records WHERE id = $1 FOR UPDATE", holder.id)
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.update(Inc.of("n", 1)))
        assert (await ask(store, holder.load())).data == {"n": 0}
        assert (await ask(store, other.update(Inc.of("n", 1)))).data == {"n": 1}
    await connection.close()
    await store.close()


async def test_an_update_that_is_cancelled_while_it_is_alone_harms_nobody(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    dispatcher = Dispatcher(store, PATIENCE)
    holder, other = await started(store, {"n": 0}), await started(store, {"n": 0})
    connection = await asyncpg.connect(server.url)
    async with connection.transaction():
        await connection.execute("SELECT FROM atomic_session.records WHERE id = $1 FOR UPDATE", holder.id)
        alone = asyncio.create_task(dispatcher.submit(holder.update(Inc.of("n", 1))))
        async with asyncio.timeout(PATIENCE):
            while not await _fetch(server.url, _LOCK_WAITS):
                assert not alone.done()
        alone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await alone
        answers = await asyncio.gather(*[dispatcher.submit(other.update(Inc.of("n", 1))) for _ in range(3)])
        assert [answer.outcome for answer in answers] == [Outcome.DONE] * 3
    assert (await dispatcher.submit(holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
    assert await _count(server.url, holder) in (1, 2)  # nobody knows whether it was applied
    assert await _count(server.url, other) == 3
    await connection.close()
    await dispatcher.close()


async def test_a_time_limit_of_the_servers_undoes_the_statement(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(f"{server.url}?lock_timeout=50", timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    connection = await asyncpg.connect(server.url)
    async with connection.transaction():
        await connection.execute("SELECT FROM atomic_session.records WHERE id = $1 FOR UPDATE", holder.id)
        with pytest.raises(StoreUnavailable, match="55P03"):
            await ask(store, holder.update(Inc.of("n", 1)))
    assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
    await connection.close()
    await store.close()


async def test_tables_that_are_gone_are_told(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    await _run(server.url, "DROP SCHEMA atomic_session CASCADE")
    with pytest.raises(StoreUnavailable, match="not there"):
        await ask(store, holder.load())
    await store.close()


async def test_a_table_that_is_altered_under_a_running_store_stays_in_use(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url)
    holder = await started(store, {"n": 0})
    assert (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE  # by a statement that is kept
    await _run(server.url, 'ALTER TABLE "atomic_session".records ALTER COLUMN grace_until TYPE numeric')

    for _ in range(2):
        assert (await ask(store, holder.update(Inc.of("n", 1)))).outcome is Outcome.DONE
    assert await _count(server.url, holder) == 3
    await store.close()


async def test_a_number_that_overflows_fails_its_own_command_only(server: PostgreSQL) -> None:
    """What somebody else has written into a record fails a whole statement; the batch is then run one by one."""
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    poisoned, *others = [await started(store, {"n": 0.5}) for _ in range(6)]
    await _run(server.url, f"UPDATE atomic_session.records SET max_age = {2**63 - 1} WHERE id = '{poisoned.id}'")
    dispatcher = Dispatcher(store, PATIENCE)
    updates = [dispatcher.submit(holder.update(Inc.of("n", 1))) for holder in (*others[:2], poisoned, *others[2:])]
    results = await asyncio.gather(*updates, return_exceptions=True)
    assert [isinstance(result, CorruptRecord) for result in results] == [False, False, True, False, False, False]
    assert [await _count(server.url, holder) for holder in others] == [1.5] * 5
    await dispatcher.close()


async def test_a_corrupt_field_beside_the_one_that_changes_stops_an_update_that_would_bring_it_back(
    server: PostgreSQL,
) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder = await started(store, {"n": 0, "bad": 1})
    await _run(server.url, """UPDATE atomic_session.records SET data = '{"n": 0, "bad": ["~?"]}'""")
    with pytest.raises(CorruptRecord):
        await ask(store, holder.update(Inc.of("n", 1)))
    answer = await ask(store, holder.update(Inc.of("n", 1), known=1))  # rev has not moved, and nothing bad comes back
    assert (answer.data, answer.whole) == ({"n": 1}, False)
    await store.close()


async def test_what_is_noticed_after_an_update_is_not_said_to_have_done_nothing(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder, other = await started(store, {"n": 0}), await started(store, {"n": 0})
    spoilt = f"""UPDATE atomic_session.records SET data = '{{"n": 0, "bad": "~d no date"}}' WHERE id = '{holder.id}'"""
    await _run(server.url, spoilt)
    with pytest.raises(OutcomeUnknown, match="applied"):
        await ask(store, holder.update(Inc.of("n", 1)))
    first, second = await store.execute([holder.update(Inc.of("n", 1)), other.update(Inc.of("n", 1))])
    assert isinstance(first.error, OutcomeUnknown)
    assert second.data == {"n": 1}
    assert (await ask(store, holder.update(Inc.of("n", 1), known=3))).data == {"n": 3}
    await store.close()


async def test_errors_show_no_data(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder = await started(store, {"n": "the secret"})
    await _run(server.url, "ALTER TABLE atomic_session.records ADD CHECK (data ->> 'n' <> 'another secret') NOT VALID")
    with pytest.raises(AtomicSessionError) as caught:
        await ask(store, holder.update(Set.of("n", "another secret")))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    await store.close()


async def test_closing_waits_for_what_is_under_way(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holders = [await started(store, {"n": 0}) for _ in range(4)]
    connection = await asyncpg.connect(server.url)
    async with connection.transaction():
        await connection.execute("SELECT FROM atomic_session.records FOR UPDATE")
        updates = [asyncio.create_task(ask(store, holder.update(Inc.of("n", 1)))) for holder in holders[:2]]
        await asyncio.sleep(0.05)  # they are sent
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
    assert [answer.data for answer in await asyncio.gather(*updates)] == [{"n": 1}] * 2
    async with asyncio.timeout(10):
        await closing
    await connection.close()


def test_every_event_loop_has_connections_of_its_own(server: PostgreSQL) -> None:
    store = PostgreSQLStore.from_url(server.url, timeout=PATIENCE)
    holder = Holder()

    async def once() -> object:
        await ask(store, holder.create({"n": 0}))
        answer = await ask(store, holder.update(Inc.of("n", 1)))
        return (answer.data or {})["n"]

    assert [asyncio.run(once()) for _ in range(3)] == [1, 2, 3]


def test_who_lacks_the_driver_is_told_what_to_install() -> None:
    code = """if True:
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "asyncpg" else find(name, *rest)
        from atomic_session.registry import open_url
        try:
            open_url("postgresql://localhost")
        except ImportError as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert "pip install 'atomic-session[postgresql]'" in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        "pool_size=0",
        "pool_size=some",
        "statement_cache_size=-1",
        "schema=",
        "schema=" + "x" * 64,
        "schema=a%00b",
        "schema=a$$b",
        "target_session_attrs=standby",
        "target_session_attrs=prefer-standby",
        "target_session_attrs=",
    ],
)
def test_an_address_that_is_nonsense_is_refused_at_once(options: str) -> None:
    for scheme in ("postgresql", "postgres"):
        with pytest.raises(ValueError, match=options.partition("=")[0]):
            open_url(f"{scheme}://localhost/app?{options}")


@pytest.mark.parametrize("rest", ["h:99999", "h:one", "h:1,h:2:3", "u:hush/w@h", "u:hush?w@h", "u:hush#w@h"])
def test_a_port_that_may_be_half_of_a_password_is_refused_and_not_shown(rest: str) -> None:
    with pytest.raises(ValueError, match="port") as caught:
        open_url(f"postgresql://{rest}/app")
    assert "hush" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("place", [None, 5432, b"postgresql://localhost"])
def test_what_is_no_url_and_no_pool_is_refused_at_once(place: Any) -> None:
    with pytest.raises(ValueError, match=f"pool.*{type(place).__name__}"):
        PostgreSQLStore(place)


@pytest.mark.parametrize(
    "hosts", ["", "h", "h:", "h:65535", "h:1,g,[::1]:2,[::1]", "u:b@h,g:1", "u:a%2Fb@h:1", "u:a:b@h"]
)
def test_hosts_and_ports_are_taken(hosts: str) -> None:
    assert isinstance(open_url(f"postgresql://{hosts}/app"), PostgreSQLStore)


def test_the_addresses_of_the_documentation_are_taken() -> None:
    documented = (Path(__file__).parents[2] / "docs/postgresql.md").read_text("utf-8")
    addresses = re.findall(r'store="(postgresql://[^"]+)"', documented)
    assert len(addresses) == 4
    for address in addresses:
        assert isinstance(open_url(address), PostgreSQLStore)
