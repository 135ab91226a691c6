"""TLS: servers are reached over it, certificates are checked as the URL says, and nothing is sent plainly instead."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest
import uvloop
from tests.servers import postgresql
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import proxy
from tests.servers.tls import Authority, Front, front, use

from atomic_session.errors import OutcomeUnknown, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.postgresql import PostgreSQLStore
from atomic_session.stores.postgresql.address import address_of
from atomic_session.testing.holder import Holder, ask, started

PATIENCE = 2.0
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
CHECKING = ["verify-ca", "verify-full"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("a b+c%2F&d"))  # a name that a URL has to say in other words


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql.server() as made:
        yield made


@pytest.fixture
def secured(server: PostgreSQL, authority: Authority) -> Iterator[Front]:
    """TLS before the server."""
    with front(authority.serving(), server.port, postgresql=True) as made:
        yield made


def _url(port: int, mode: str, **options: object) -> str:
    query = "".join(f"&{name}={quote(str(value))}" for name, value in options.items())
    return f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode={mode}{query}"


async def _works(url: str) -> None:
    store = PostgreSQLStore.from_url(url, timeout=PATIENCE)
    await use(store)
    await store.close()


async def _is_refused(url: str, reason: str) -> None:
    store = PostgreSQLStore.from_url(url, timeout=PATIENCE)
    with pytest.raises(StoreUnavailable, match=reason):
        await store.open()
    with pytest.raises(StoreUnavailable, match=reason):
        await ask(store, Holder().create({"n": 0}))
    await store.close()


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("mode", ["require", *CHECKING])
def test_a_store_works_over_tls(
    mode: str, loop: Callable[[], asyncio.AbstractEventLoop], secured: Front, authority: Authority
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_works(_url(secured.port, mode, sslrootcert=authority.path)))
    assert 0 < secured.let_in <= 4  # connections stay


async def test_require_alone_asks_for_tls_and_checks_no_certificate(secured: Front) -> None:
    await _works(_url(secured.port, "require"))
    assert secured.let_in > 0


async def test_a_pool_of_the_applications_own_knows_the_authority_by_itself(
    secured: Front, authority: Authority
) -> None:
    context = ssl.create_default_context(cafile=str(authority.path))
    async with asyncpg.create_pool(_url(secured.port, "require"), ssl=context, min_size=1, max_size=4) as pool:
        await use(PostgreSQLStore(pool, timeout=PATIENCE))
    assert secured.let_in > 0


async def test_a_server_that_was_killed_is_found_again_when_it_is_back(authority: Authority) -> None:
    with (
        postgresql.server() as server,
        front(authority.serving(), server.port, postgresql=True) as made,
    ):
        url = _url(made.port, "verify-full", sslrootcert=authority.path)
        store = PostgreSQLStore.from_url(url, timeout=PATIENCE)
        holder = await started(store, {"n": 0})
        server.kill()
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):  # it depends on whether the break is known already
            await ask(store, holder.load())
        with pytest.raises(StoreUnavailable):
            await ask(store, holder.load())
        server.start()
        assert (await ask(store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
        await store.close()


async def test_a_connection_that_is_given_up_is_replaced(secured: Front, authority: Authority) -> None:
    url = _url(secured.port, "verify-full", sslrootcert=authority.path)
    store = PostgreSQLStore.from_url(url, timeout=PATIENCE)
    holder = await started(store, {"n": 0})
    connection = await asyncpg.connect(url)
    entered = secured.let_in
    async with connection.transaction():
        await connection.execute("SELECT FROM atomic_session.records WHERE id = $1 FOR UPDATE", holder.id)
        with pytest.raises(OutcomeUnknown):
            await ask(store, holder.update(Inc.of("n", 1)))
        assert (await ask(store, holder.load())).data == {"n": 0}
    assert secured.let_in > entered
    await connection.close()
    await store.close()


@pytest.mark.parametrize("mode", ["require", *CHECKING])
async def test_a_certificate_of_another_authority_is_refused(
    mode: str, server: PostgreSQL, authority: Authority, tmp_path: Path
) -> None:
    with front(Authority(tmp_path).serving(), server.port, postgresql=True) as made:
        await _is_refused(_url(made.port, mode, sslrootcert=authority.path), "certificate verify failed")
    assert made.let_in == 0


async def test_a_certificate_for_another_host_is_refused_where_names_are_checked(
    server: PostgreSQL, authority: Authority
) -> None:
    with front(authority.serving("db.example"), server.port, postgresql=True) as made:
        await _is_refused(_url(made.port, "verify-full", sslrootcert=authority.path), "mismatch")
        assert made.let_in == 0
        await _works(_url(made.port, "verify-ca", sslrootcert=authority.path))
    assert made.let_in > 0


@pytest.mark.parametrize("mode", ["require", *CHECKING])
async def test_a_server_without_tls_is_told_nothing(mode: str, server: PostgreSQL, authority: Authority) -> None:
    async with proxy(server.url) as wire:
        await _is_refused(_url(wire.port, mode, sslrootcert=authority.path), "rejected SSL upgrade")
        assert wire.answered == wire.connections == 2  # an N to each, and nothing else


async def test_a_plain_connection_does_not_get_past_tls(secured: Front) -> None:
    await _is_refused(_url(secured.port, "disable"), "the connection was lost")
    assert secured.let_in == 0


async def test_a_server_may_ask_who_its_client_is(server: PostgreSQL, authority: Authority) -> None:
    certificate, key = authority.client()
    with front(authority.serving(clients=True), server.port, postgresql=True) as made:
        named = {"sslrootcert": authority.path, "sslcert": certificate, "sslkey": key}
        await _works(_url(made.port, "verify-full", **named))
        entered = made.let_in
        store = PostgreSQLStore.from_url(_url(made.port, "verify-full", sslrootcert=authority.path), timeout=PATIENCE)
        with pytest.raises(StoreUnavailable):
            await store.open()
        await store.close()
    assert made.let_in == entered > 0


async def test_a_file_of_authorities_that_is_not_there_is_told(secured: Front, tmp_path: Path) -> None:
    await _is_refused(_url(secured.port, "verify-full", sslrootcert=tmp_path / "none.pem"), "No such file")
    assert secured.let_in == 0


@pytest.mark.parametrize("ours", ["", "schema=sessions&", "pool_size=2&statement_cache_size=0&"])
def test_what_a_url_says_about_tls_is_the_drivers_to_read(ours: str) -> None:
    said = "sslmode=verify-full&sslrootcert=/etc/a%20b%2Bc%2526.pem&sslcert=~/c+d.pem&ssl_min_protocol_version=TLSv1.3"
    address = address_of(f"postgresql://user:p%40ss@db.example:5432/shop?{ours}{said}")
    assert parse_qs(urlsplit(address.dsns[0]).query) == parse_qs(said)
    assert re.match(r"postgresql://user:p%40ss@db\.example:5432/shop\?", address.dsns[0])
