"""
TLS before servers that have none built in: what stunnel or a load balancer is, and certificates of a private authority.

A front takes nothing but TLS.  What does not end its handshake never reaches the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import trustme

from atomic_session.commands import Outcome
from atomic_session.operators import Inc, Set
from atomic_session.store import Store
from atomic_session.testing.holder import ask, started

__all__ = ["Authority", "Front", "front", "fronts", "use"]

_HERE = "127.0.0.1"
_PATIENCE = 20.0
_PLEASE = (8).to_bytes(4, "big") + (80_877_103).to_bytes(4, "big")
"""How a client of PostgreSQL asks for TLS, on a connection that begins plain."""


class Authority:
    """
    An authority of a company's own, which no system trusts.

    Attributes:
        path: the file that holds its certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.path = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    def serving(self, *names: str, clients: bool = False) -> ssl.SSLContext:
        """Return how a server shows who it is: this machine, or *names*; it may ask *clients* who they are, too."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*(names or (_HERE, "localhost"))).configure_cert(context)
        if clients:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> tuple[Path, Path]:
        """Return a client's certificate and its key, in files."""
        issued = self._ca.issue_cert("client@sessions.example")
        certificate, key = self._folder / "client.pem", self._folder / "client.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        return certificate, key


class Front:
    """
    Speaks TLS with clients, and plainly with the server at the port *target*.

    Attributes:
        port: where clients find it.
        target: where the server is.
        let_in: how many connections have ended their handshake.
    """

    def __init__(self, context: ssl.SSLContext, *, target: int = 0, postgresql: bool = False) -> None:
        self.port = 0
        self.target = target
        self.let_in = 0
        self._context = context
        self._begins_plain = postgresql
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        context = None if self._begins_plain else self._context
        self._server = await asyncio.start_server(self._accept, _HERE, 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._begins_plain:
                if await reader.readexactly(len(_PLEASE)) != _PLEASE:
                    return
                writer.write(b"S")
                await writer.start_tls(self._context)
            self.let_in += 1
            there_reader, there = await asyncio.open_connection(_HERE, self.target)
            with self._kept(there):
                await asyncio.gather(_pass_on(reader, there), _pass_on(there_reader, writer))

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.contextmanager
def fronts(*made: Front) -> Iterator[None]:
    """Run fronts in a thread of their own, whatever event loops the tests have."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait_for(coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(_PATIENCE)

    try:
        for one in made:
            wait_for(one.open())
        yield
    finally:
        for one in made:
            wait_for(one.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PATIENCE)
        loop.close()


@contextlib.contextmanager
def front(context: ssl.SSLContext, target: int, *, postgresql: bool = False) -> Iterator[Front]:
    """Run one front before the server at *target*."""
    made = Front(context, target=target, postgresql=postgresql)
    with fronts(made):
        yield made


async def use(store: Store) -> None:
    """Do with a store what one does with it, in pieces that no packet holds."""
    await store.open()
    fat = "x" * 200_000
    holders = [await started(store, {"n": 0, "fat": fat}) for _ in range(30)]
    assert (await ask(store, holders[0].update(Inc.of("n", 1), known=1))).data == {"n": 1}
    answers = await store.execute([holder.update(Inc.of("n", 1), known=1) for holder in holders[1:]])
    assert [answer.opened().data for answer in answers] == [{"n": 1}] * 29
    larger = [ask(store, holder.update(Set.of("fat", fat[1:]))) for holder in holders]
    assert {answer.outcome for answer in await asyncio.gather(*larger)} == {Outcome.DONE}
    loaded = await store.execute([holder.load() for holder in holders])
    assert [answer.opened().data for answer in loaded] == [{"n": 1, "fat": fat[1:]}] * 30
