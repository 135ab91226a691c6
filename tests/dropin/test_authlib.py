"""Authlib's OAuth client keeps its state in `request.session`: a login that starts twice at once must not lose any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx  # which Authlib prefers
import pytest
from authlib.integrations.starlette_client import OAuth, OAuthError  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.session.kit import SpyStore

from atomic_session import SessionMiddleware

SITE = "http://testserver"


def _provider() -> Starlette:
    """A provider that gives each code a token of its own, once."""
    spent: set[str] = set()

    async def token(request: Request) -> Response:
        async with request.form() as form:
            code = str(form["code"])
            assert form["redirect_uri"] == f"{SITE}/callback"
            assert form["code_verifier"]
        if code in spent:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        spent.add(code)
        return JSONResponse({"access_token": f"token-for-{code}", "token_type": "Bearer", "expires_in": 60})

    return Starlette(routes=[Route("/token", token, methods=["POST"])])


class Shop:
    """A site whose users log in at the provider; logins wait for each other where a test wants them to."""

    def __init__(self) -> None:
        self.store = SpyStore()
        self.together = 1
        self._arrived = 0
        self._all_here = asyncio.Event()
        oauth = OAuth()
        self.client = oauth.register(
            "shop",
            client_id="id",
            client_secret="secret",
            authorize_url="http://provider/authorize",
            access_token_url="http://provider/token",
            client_kwargs={
                "transport": httpx.ASGITransport(app=_provider()),
                "code_challenge_method": "S256",
                "scope": "email",
            },
        )
        routes = [Route("/", self.visit), Route("/login", self.login), Route("/callback", self.callback)]
        middleware = [Middleware(SessionMiddleware, store=self.store, autoload=True)]
        self.app = Starlette(routes=routes, middleware=middleware)

    async def visit(self, request: Request) -> Response:
        request.session.setdefault("cart", []).append("A1")
        return JSONResponse(dict(request.session))

    async def login(self, request: Request) -> Response:
        self._arrived += 1
        if self._arrived == self.together:
            self._all_here.set()
        await self._all_here.wait()  # every one of them has loaded its session by now
        response: Response = await self.client.authorize_redirect(request, f"{SITE}/callback")
        return response

    async def callback(self, request: Request) -> Response:
        try:
            token = await self.client.authorize_access_token(request)
        except OAuthError as error:
            return PlainTextResponse(error.error, status_code=400)
        request.session["user"] = token["access_token"]
        return JSONResponse(dict(request.session))


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def browser(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=shop.app), base_url=SITE) as client:
        yield client


def _state(response: httpx.Response) -> str:
    assert response.status_code == 302
    (state,) = parse_qs(urlsplit(response.headers["location"]).query)["state"]
    return state


async def test_a_login_goes_through_and_cleans_up(browser: httpx.AsyncClient) -> None:
    state = _state(await browser.get("/login"))
    done = await browser.get("/callback", params={"state": state, "code": "c1"})

    assert done.json() == {"user": "token-for-c1"}
    assert (await browser.get("/")).json() == {"user": "token-for-c1", "cart": ["A1"]}


@pytest.mark.parametrize("parallel_callbacks", [True, False])
async def test_logins_that_start_at_once_all_keep_their_state(
    shop: Shop, browser: httpx.AsyncClient, *, parallel_callbacks: bool
) -> None:
    await browser.get("/")
    shop.together = 5
    starts = await asyncio.gather(*(browser.get("/login") for _ in range(5)))
    states = [_state(start) for start in starts]
    assert len(set(states)) == 5

    def finish(number: int) -> Any:
        return browser.get("/callback", params={"state": states[number], "code": f"c{number}"})

    if parallel_callbacks:
        ends = await asyncio.gather(*map(finish, range(5)))
    else:
        ends = [await finish(number) for number in range(5)]
    assert [end.status_code for end in ends] == [200] * 5
    left = (await browser.get("/")).json()
    assert sorted(left) == ["cart", "user"]
    assert left["cart"] == ["A1", "A1"]


async def test_a_login_beside_other_requests_loses_neither(shop: Shop, browser: httpx.AsyncClient) -> None:
    await browser.get("/")
    start, *_ = await asyncio.gather(browser.get("/login"), *(browser.get("/") for _ in range(10)))
    end, *_ = await asyncio.gather(
        browser.get("/callback", params={"state": _state(start), "code": "c"}),
        *(browser.get("/") for _ in range(10)),
    )

    assert end.status_code == 200
    left = (await browser.get("/")).json()
    assert left == {"cart": ["A1"] * 22, "user": "token-for-c"}


async def test_a_state_that_is_not_of_this_browser_is_refused(shop: Shop, browser: httpx.AsyncClient) -> None:
    state = _state(await browser.get("/login"))
    transport = httpx.ASGITransport(app=shop.app)
    async with httpx.AsyncClient(transport=transport, base_url=SITE) as other:
        refused = await other.get("/callback", params={"state": state, "code": "c"})

    assert (refused.status_code, refused.text) == (400, "mismatching_state")
