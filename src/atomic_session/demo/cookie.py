"""The first peer: Starlette's signed cookie.  The browser carries the whole session, and the last answer wins."""

from __future__ import annotations

import secrets

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .pace import done, slow_work, work

__all__ = ["application"]


async def start(request: Request) -> Response:
    request.session.clear()
    request.session["started"] = True
    return done()


async def race(request: Request) -> Response:
    session = request.session
    await work()
    session[request.query_params["key"]] = True
    return done()


async def count(request: Request) -> Response:
    session = request.session
    await work()
    session["count"] = session.get("count", 0) + 1
    return done()


async def cart(request: Request) -> Response:
    session = request.session
    await work()
    session["cart"] = {**session.get("cart", {}), request.query_params["sku"]: int(request.query_params["n"])}
    return done()


async def login(request: Request) -> Response:
    request.session["user"] = "Ada"
    return done()


async def slow(request: Request) -> Response:
    await slow_work(request)
    request.session["draft"] = "saved"
    return done()


async def logout(request: Request) -> Response:
    request.session.clear()
    return done()


async def state(request: Request) -> Response:
    return JSONResponse(request.session)


def application() -> Starlette:
    """Return the application, with a key that ends with the process."""
    changes = [start, race, count, cart, login, slow, logout]
    return Starlette(
        routes=[
            *(Route(f"/{handler.__name__}", handler, methods=["POST"]) for handler in changes),
            Route("/state", state),
        ],
        middleware=[Middleware(SessionMiddleware, secret_key=secrets.token_hex(), session_cookie="cookie")],
    )
