"""The page, and the three applications that it compares."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..manager import SessionManager
from . import cookie, ours, whole
from .pace import PACE, finish_slow_work, slow_work_began

__all__ = ["application"]

STATIC = Path(__file__).parent / "static"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
COMPARED = ("race", "count", "slow", "cart")


async def page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": POLICY})


def about(store: str) -> JSONResponse:
    """Return what the page says about itself: the kind of store, the wait, and the handlers as they are written."""
    peers = {"cookie": cookie, "whole": whole, "ours": ours}
    return JSONResponse(
        {
            "store": store.partition(":")[0],
            "wait": round(PACE.seconds * 1000),
            "code": {
                name: {peer: inspect.getsource(getattr(module, name)) for peer, module in peers.items()}
                for name in COMPARED
            },
        }
    )


def application(store: str) -> Starlette:
    """Return the demo, with our sessions in *store*."""
    manager = SessionManager(store)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await manager.open()
        try:
            yield
        finally:
            await manager.close()

    async def described(request: Request) -> Response:
        return about(store)

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", page),
            Route("/about", described),
            Route("/slow/began", slow_work_began),
            Route("/slow/finish", finish_slow_work, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
            Mount("/cookie", cookie.application()),
            Mount("/whole", whole.application()),
            Mount("/ours", ours.application(manager)),
        ],
    )
    app.state.manager = manager
    return app
