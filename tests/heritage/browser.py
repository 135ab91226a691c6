"""A browser that asks a site to do this or that to its session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Self

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from atomic_session import Session, SessionManager, SessionMiddleware

__all__ = ["Browser", "Work"]

Work = Callable[[Session], Awaitable[Any]]


class Browser:
    """Each visit is a request whose handler is the function that it is given."""

    def __init__(self, manager: SessionManager, scheme: str = "http", **options: Any) -> None:
        app = Starlette(routes=[Route("/", self._handle, methods=["GET", "POST"])])
        app.add_middleware(SessionMiddleware, manager=manager, **options)
        self.manager = manager
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=f"{scheme}://test")
        self._work: Work | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self.manager.close()

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self._client.cookies.jar}

    @cookies.setter
    def cookies(self, cookies: dict[str, str]) -> None:
        self._client.cookies.clear()
        for name, value in cookies.items():
            self._client.cookies.set(name, value, domain="test.local")

    async def visit(self, work: Work, cookies: dict[str, str] | None = None) -> httpx.Response:
        """Ask for *work*; with other *cookies* than the browser's, as a late request would have."""
        self._work = work
        header = {"cookie": "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())} if cookies else {}
        return await self._client.get("/", headers=header)

    async def get(self, work: Work) -> Any:
        """Return what *work* returns."""
        response = await self.visit(work)
        assert response.status_code == 200, response.text
        return response.json()

    async def _handle(self, request: Request) -> Response:
        assert self._work is not None
        result = await self._work(request.scope["session"])
        return result if isinstance(result, Response) else JSONResponse(result)
