"""A wire that can be cut: it passes requests on, and loses the replies when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Proxy", "proxy"]


class Proxy:
    """
    Between a store and its server.

    Attributes:
        connections: how many were made.
        requests: how often the store sent something and then waited.
        heard: what the store has sent.
        answered: how many bytes came back.
        lie: what is answered in the server's place.
        deaf: whether replies are lost, and their connections with them.
        silent: whether replies are lost, and connections stay.
        dead: whether nothing passes, and connections stay, as if the server's machine were gone.
        deaf_from: what a request holds after which replies are lost.
        dead_from: what a request holds that does not pass, nor does anything after it.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_store: set[asyncio.StreamWriter] = set()
        self._gone = asyncio.Event()
        self._told = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._waiting = False
        self.port = 0
        self.connections = 0
        self.requests = 0
        self.heard = b""
        self.answered = 0
        self.lie = b""
        self.deaf = False
        self.silent = False
        self.dead = False
        self.deaf_from: bytes | None = None
        self.dead_from: bytes | None = None

    @property
    def url(self) -> str:
        """The server's own URL, but for where it leads."""
        parts = self._parts
        account, sign, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{account}{sign}127.0.0.1:{self.port}"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers |= {writer, there}
        self._to_store.add(writer)
        back = asyncio.create_task(self._back(there_reader, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self._hear(data)
                if not self.dead:
                    there.write(data)
                    await there.drain()
        there.close()
        await back
        self._writers -= {writer, there}
        self._to_store.discard(writer)
        self._gone.set()

    def _hear(self, data: bytes) -> None:
        self.requests += not self._waiting
        self._waiting = True
        self.heard += data
        self._told.set()
        if self.deaf_from is not None and self.deaf_from in data:
            self.deaf = True
        if self.dead_from is not None and self.dead_from in data:
            self.dead = True

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self._waiting = False
                if self.deaf:
                    break
                if self.silent or self.dead:
                    continue
                await self._open.wait()
                self.answered += len(data)
                writer.write(self.lie or data)
                await writer.drain()
        writer.close()

    def hold(self) -> None:
        """Keep replies back until they are let go."""
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    async def has_heard(self, count: int, word: bytes) -> None:
        """Wait until *word* was sent *count* times since the beginning."""
        while self.heard.count(word) < count:
            self._told.clear()
            await self._told.wait()

    async def hang_up(self) -> None:
        """End all connections as a server does, and wait until the store has let go of them, too."""
        for writer in self._to_store:
            writer.write_eof()
        while self._to_store:
            self._gone.clear()
            await self._gone.wait()

    def cut(self) -> None:
        """Break all connections."""
        for writer in list(self._writers):
            writer.close()


@asynccontextmanager
async def proxy(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy to the server at *url*."""
    made = Proxy(url)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await asyncio.sleep(0)
