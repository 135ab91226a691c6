"""The same application with the sessions of others on Redis: starsessions, and Litestar's own."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, get
from litestar import Request as LitestarRequest
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.response import Response as LitestarResponse
from litestar.stores.redis import RedisStore as LitestarRedisStore
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starsessions import SessionMiddleware, load_session
from starsessions.stores.redis import RedisStore

from .sessions import data_of

__all__ = ["litestar", "starsessions"]

_TWO_WEEKS = 1_209_600


async def _start(request: Request) -> Response:
    await load_session(request)
    request.session.update(data_of())
    return PlainTextResponse("ok")


async def _read(request: Request) -> Response:
    await load_session(request)
    return PlainTextResponse(request.session["user_id"])


async def _write(request: Request) -> Response:
    await load_session(request)
    request.session["hits"] += 1
    return PlainTextResponse("ok")


def starsessions(url: str) -> Starlette:
    """Return the application with starsessions, which loads when it is told to, and saves all."""
    routes = [Route("/start", _start), Route("/read", _read), Route("/write", _write)]
    store = RedisStore(url)
    middleware = Middleware(SessionMiddleware, store=store, lifetime=_TWO_WEEKS, cookie_https_only=False)
    return Starlette(routes=routes, middleware=[middleware])


def _text(content: str) -> LitestarResponse[str]:
    return LitestarResponse(content, media_type="text/plain")


@get("/start")
async def _litestar_start(request: LitestarRequest[Any, Any, Any]) -> LitestarResponse[str]:
    request.session.update(data_of())
    return _text("ok")


@get("/read")
async def _litestar_read(request: LitestarRequest[Any, Any, Any]) -> LitestarResponse[str]:
    return _text(request.session["user_id"])


@get("/write")
async def _litestar_write(request: LitestarRequest[Any, Any, Any]) -> LitestarResponse[str]:
    request.session["hits"] += 1
    return _text("ok")


def litestar(url: str) -> Litestar:
    """Return the application in Litestar with its server-side sessions."""
    config = ServerSideSessionConfig(max_age=_TWO_WEEKS)
    return Litestar(
        [_litestar_start, _litestar_read, _litestar_write],
        middleware=[config.middleware],
        stores={"sessions": LitestarRedisStore.with_client(url)},
        openapi_config=None,
    )
