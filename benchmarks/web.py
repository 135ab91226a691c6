"""
The application that is served while requests are counted: `python -m benchmarks.web`.

One application with one of several kinds of session; routes that do the same to each session.
It prints its port, and serves until it is ended.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as SignedCookieMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from atomic_session import SessionMiddleware

from .sessions import SECRET

if TYPE_CHECKING:
    from litestar import Litestar

__all__ = ["KINDS", "main"]

KINDS = ("none", "ours", "starlette", "starsessions", "litestar")

Handler = Callable[[Request], Awaitable[Response]]


async def _untouched(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _our_read(request: Request) -> Response:
    session: Any = request.session
    await session()
    return PlainTextResponse(session["user_id"])


async def _our_write(request: Request) -> Response:
    session: Any = request.session
    await session.inc("hits")
    return PlainTextResponse("ok")


async def _our_dict(request: Request) -> Response:
    session: Any = request.session
    await session()
    session["hits"] += 1
    return PlainTextResponse("ok")


async def _their_read(request: Request) -> Response:
    return PlainTextResponse(request.session["user_id"])


async def _their_write(request: Request) -> Response:
    request.session["hits"] += 1
    return PlainTextResponse("ok")


_HANDLERS: dict[str, dict[str, Handler]] = {
    "none": {"untouched": _untouched},
    "ours": {"untouched": _untouched, "read": _our_read, "write": _our_write, "dict": _our_dict},
    "starlette": {"untouched": _untouched, "read": _their_read, "write": _their_write},
}


def _application(kind: str, store: str) -> Starlette | Litestar:
    if kind in ("starsessions", "litestar"):
        from . import peers

        return peers.litestar(store) if kind == "litestar" else peers.starsessions(store)
    middleware = {
        "none": [],
        "ours": [Middleware(SessionMiddleware, store=store)],
        "starlette": [Middleware(SignedCookieMiddleware, secret_key=SECRET)],
    }
    routes = [Route(f"/{name}", handler) for name, handler in _HANDLERS[kind].items()]
    return Starlette(routes=routes, middleware=middleware[kind])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.web")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--store", default="memory://")
    chosen = parser.parse_args(arguments)
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(
        _application(chosen.kind, chosen.store),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="error",
    )
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
