"""The second peer: starsessions with its own in-memory store.  A request loads all and saves all."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starsessions import InMemoryStore, SessionMiddleware, load_session

from .pace import done, slow_work, work

__all__ = ["application"]


async def start(request: Request) -> Response:
    await load_session(request)
    request.session.clear()
    request.session["started"] = True
    return done()


async def race(request: Request) -> Response:
    await load_session(request)
    session = request.session
    await work()
    session[request.query_params["key"]] = True
    return done()


async def count(request: Request) -> Response:
    await load_session(request)
    session = request.session
    await work()
    session["count"] = session.get("count", 0) + 1
    return done()


async def cart(request: Request) -> Response:
    await load_session(request)
    session = request.session
    await work()
    session.setdefault("cart", {})[request.query_params["sku"]] = int(request.query_params["n"])
    return done()


async def login(request: Request) -> Response:
    await load_session(request)
    request.session["user"] = "Ada"
    return done()


async def slow(request: Request) -> Response:
    await load_session(request)
    await slow_work(request)
    request.session["draft"] = "saved"
    return done()


async def logout(request: Request) -> Response:
    await load_session(request)
    request.session.clear()
    return done()


async def state(request: Request) -> Response:
    await load_session(request)
    return JSONResponse(request.session)


def application() -> Starlette:
    """Return the application, with a store that ends with the process."""
    changes = [start, race, count, cart, login, slow, logout]
    return Starlette(
        routes=[
            *(Route(f"/{handler.__name__}", handler, methods=["POST"]) for handler in changes),
            Route("/state", state),
        ],
        middleware=[
            Middleware(
                SessionMiddleware,
                store=InMemoryStore(),
                cookie_name="whole",
                cookie_path="/",
                cookie_https_only=False,
            )
        ],
    )
