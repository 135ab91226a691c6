"""
An application behind a real server: `python -m tests.asgi.shop FILE` prints its address and serves until it is ended.

What waits here waits for an event that a test brings about, never for time.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from atomic_session import Session, SessionMiddleware
from atomic_session.asgi import App, Receive, Scope, Send


class Tally:
    """How many requests have come to some point, by path."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._more = asyncio.Condition()

    async def add(self, path: str) -> None:
        async with self._more:
            self._counts[path] += 1
            self._more.notify_all()

    async def answer(self, request: Request) -> Response:
        """Answer when as many as the request asks for are counted."""
        path, times = request.query_params["path"], int(request.query_params["times"])
        async with self._more:
            await self._more.wait_for(lambda: self._counts[path] >= times)
        return Response(status_code=204)


class Shop:
    """The application, and what is known of the requests that it serves."""

    def __init__(self, file: str) -> None:
        self.begun = Tally()
        self.ended = Tally()
        self.opened = asyncio.Event()
        self.told_to_end = asyncio.Event()
        routes = [
            Route("/add", self.add, methods=["POST"]),
            Route("/count", self.count, methods=["POST"]),
            Route("/hold", self.hold, methods=["POST"]),
            Route("/hold_to_the_end", self.hold_to_the_end, methods=["POST"]),
            Route("/stream", self.stream),
            Route("/open", self.open, methods=["POST"]),
            Route("/begun", self.begun.answer),
            Route("/ended", self.ended.answer),
            Route("/state", self.state),
            WebSocketRoute("/talk", self.talk),
        ]
        inner = Starlette(routes=routes)
        inner.add_middleware(SessionMiddleware, store=f"sqlite:///{file}")
        self.app: App = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and note that it is done with all that the middleware does."""
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] != "lifespan":
                await self.ended.add(scope["path"])

    async def add(self, request: Request) -> Response:
        session = await _session(request)
        await asyncio.sleep(0)
        name = request.query_params["name"]
        session[name] = 1
        session.setdefault("cart", {}).setdefault("items", {})[name] = 1
        session.setdefault("log", []).append(name)
        return Response(status_code=204)

    async def count(self, request: Request) -> Response:
        await request.scope["session"].inc("count")
        return Response(status_code=204)

    async def hold(self, request: Request) -> Response:
        """Change the session once the gate is open."""
        session = await _session(request)
        await self.begun.add("/hold")
        await self.opened.wait()
        session["held"] = True
        return Response(status_code=204)

    async def hold_to_the_end(self, request: Request) -> Response:
        """Change the session once the server has been told to end."""
        session = await _session(request)
        await self.begun.add("/hold_to_the_end")
        await self.told_to_end.wait()
        session[request.query_params["name"]] = 1
        await session.inc("count")
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        """Send a part, and the rest once the gate is open; the session changes before each."""
        session = await _session(request)

        async def parts() -> AsyncIterator[bytes]:
            session["parts"] = 1
            yield b"x"
            await self.begun.add("/stream")
            await self.opened.wait()
            session["parts"] = 2
            yield b"x"

        return StreamingResponse(parts())

    async def talk(self, websocket: WebSocket) -> None:
        session: Session = await websocket.scope["session"]()
        await websocket.accept()
        try:
            async for text in websocket.iter_text():
                session.setdefault("said", []).append(text)
                await session.inc("count")
                await websocket.send_text(str(session["count"]))
        except WebSocketDisconnect:
            pass
        session["left"] = True

    async def open(self, request: Request) -> Response:
        self.opened.set()
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        return JSONResponse(await _session(request))


async def _session(request: Request) -> Session:
    session: Session = request.scope["session"]
    return await session()


class Server(uvicorn.Server):
    """A server that tells its shop when it is told to end."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(uvicorn.Config(shop, log_level="error", ws="websockets-sansio"))
        self._shop = shop
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._shop.told_to_end.set)


def main(file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        Server(Shop(file)).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
