"""Ours: each request changes what it means to change, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import starlette.requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..manager import SessionManager
from ..middleware import SessionMiddleware
from ..session import Session
from .pace import done, slow_work, work

__all__ = ["application"]


class Request(starlette.requests.Request):
    """Starlette's request, for the type checker: its session is ours."""

    if TYPE_CHECKING:

        @property
        def session(self) -> Session: ...


async def start(request: Request) -> Response:
    session = await request.session()
    session.clear()
    session["started"] = True
    return done()


async def race(request: Request) -> Response:
    session = await request.session()
    await work()
    session[request.query_params["key"]] = True
    return done()


async def count(request: Request) -> Response:
    session = await request.session()
    await work()
    await session.inc("count")
    return done()


async def cart(request: Request) -> Response:
    session = await request.session()
    await work()
    session.setdefault("cart", {})[request.query_params["sku"]] = int(request.query_params["n"])
    return done()


async def login(request: Request) -> Response:
    session = await request.session()
    await session.login("ada")
    session["user"] = "Ada"
    return done()


async def slow(request: Request) -> Response:
    session = await request.session()
    await slow_work(request)
    await session.set("draft", "saved")
    return done()


async def logout(request: Request) -> Response:
    session = await request.session()
    await session.destroy()
    return done()


async def state(request: Request) -> Response:
    return JSONResponse(await request.session())


async def sessions(request: Request) -> Response:
    session = await request.session()
    if session.owner is None:
        return JSONResponse({"owner": None, "sessions": []})
    listed = await request.app.state.manager.sessions_of(session.owner)
    return JSONResponse(
        {
            "owner": session.owner,
            "sessions": [
                {
                    "id": each.id,
                    "created": each.created.isoformat(),
                    "used": each.last_used.isoformat(),
                    "this": each.id == session.id,
                }
                for each in listed
            ],
        }
    )


async def end_others(request: Request) -> Response:
    session = await request.session()
    if session.owner is not None:
        await request.app.state.manager.destroy_all(session.owner, keep=session.id)
    return done()


async def end_one(request: Request) -> Response:
    session = await request.session()
    manager = request.app.state.manager
    wanted = request.query_params["id"]
    if session.owner is not None and wanted in {each.id for each in await manager.sessions_of(session.owner)}:
        await manager.destroy(wanted)
    return done()


def application(manager: SessionManager) -> Starlette:
    """Return the application on the manager's store."""
    changes = [start, race, count, cart, login, slow, logout, end_others, end_one]
    app = Starlette(
        routes=[
            *(Route(f"/{handler.__name__}", handler, methods=["POST"]) for handler in changes),
            Route("/state", state),
            Route("/sessions", sessions),
        ],
        middleware=[Middleware(SessionMiddleware, manager=manager, session_cookie="ours")],
    )
    app.state.manager = manager
    return app
