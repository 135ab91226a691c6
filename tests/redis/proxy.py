"""A wire that can be cut: it passes requests on, and loses the replies when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Between the store and its server."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_store: set[asyncio.StreamWriter] = set()
        self._gone = asyncio.Event()
        self.port = 0
        self.deaf = False
        self.lie = b""
        self.heard = b""
        self.connections = 0
        self.requests = 0
        self._open = asyncio.Event()
        self._open.set()
        self._told = asyncio.Event()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, there}
        self._to_store.add(writer)
        back = asyncio.create_task(self._back(there_reader, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                self.requests += 1
                self.heard += data
                self._told.set()
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
                if self.deaf:
                    break
                await self._open.wait()
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
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy to the server at *port*."""
    made = Proxy(port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await asyncio.sleep(0)
