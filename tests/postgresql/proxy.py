"""A wire that can be cut: it passes requests on, and loses the replies when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """
    Between the store and its server.

    Attributes:
        requests: how often the store sent something and then waited, since it last was counted.
        answered: how many bytes came back.
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
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = False
        self.port = 0
        self.connections = 0
        self.requests = 0
        self.answered = 0
        self.deaf = False
        self.silent = False
        self.dead = False
        self.deaf_from: bytes | None = None
        self.dead_from: bytes | None = None

    @property
    def url(self) -> str:
        """The server's own URL, but for where it leads."""
        parts = self._parts
        host = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{host}@127.0.0.1:{self.port}"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers |= {writer, there}
        self._to_store.add(writer)
        back = asyncio.create_task(self._back(there_reader, writer))
        self._tasks.add(back)
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.requests += not self._waiting
                self._waiting = True
                if self.deaf_from is not None and self.deaf_from in data:
                    self.deaf = True
                if self.dead_from is not None and self.dead_from in data:
                    self.dead = True
                if self.dead:
                    continue
                there.write(data)
                await there.drain()
        there.close()
        await back
        self._writers -= {writer, there}
        self._to_store.discard(writer)
        self._gone.set()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self._waiting = False
                if self.deaf:
                    break
                if self.silent or self.dead:
                    continue
                self.answered += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()

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
