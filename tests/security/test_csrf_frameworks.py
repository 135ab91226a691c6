"""Templates and dependencies: the token gets into the page, and out of the request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Form
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from atomic_session import CSRFMiddleware, SessionMiddleware
from atomic_session.integrations import jinja2
from atomic_session.integrations.fastapi import CSRFToken

PAGES = {
    "form": '<form method="post">{{ csrf_field() }}</form>',
    "other": '<form method="post">{{ csrf_field("x&y", name="<t>") }}</form>',
    "meta": "<head>{{ csrf_meta() }}</head>",
    "bare": "{{ csrf_token() }}",
    "none": "nothing",
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    environment = Environment(loader=DictLoader(PAGES), autoescape=True)
    jinja2.install(environment)
    templates = Jinja2Templates(env=environment)

    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, request.path_params["name"])

    async def post(request: Request) -> Response:
        async with request.form() as form:
            return PlainTextResponse(f"{form.get('color')}")

    app = Starlette(routes=[Route("/{name}", page), Route("/", post, methods=["POST"])])
    app.add_middleware(CSRFMiddleware, mode="strict")
    app.add_middleware(SessionMiddleware, store="memory://")
    with TestClient(app) as client:
        yield client


def test_a_form_of_a_template_comes_in(client: TestClient) -> None:
    page = client.get("/form")
    field = re.search(r'<input type="hidden" name="_csrf" value="([\w-]{64})">', page.text)
    assert field is not None

    assert client.post("/", data={"color": "red", "_csrf": field[1]}).text == "red"
    assert client.post("/", data={"color": "red"}).status_code == 403
    assert page.headers["cache-control"] == "no-store"


def test_a_form_with_files_comes_in_if_the_token_is_first(client: TestClient) -> None:
    made = client.get("/bare").text
    files = {"f": ("a.txt", b"x" * 100_000)}

    assert client.post("/", data={"_csrf": made, "color": "red"}, files=files).text == "red"


def test_a_script_takes_the_token_from_the_meta_tag(client: TestClient) -> None:
    tag = re.search(r'<meta name="csrf-token" content="([\w-]{64})">', client.get("/meta").text)
    assert tag is not None

    assert client.post("/", data={"color": "red"}, headers={"X-CSRF-Token": tag[1]}).text == "red"


def test_names_are_escaped(client: TestClient) -> None:
    assert 'name="&lt;t&gt;"' in client.get("/other").text


def test_a_page_that_asks_for_no_token_gets_no_cookie_and_may_be_stored(client: TestClient) -> None:
    page = client.get("/none")

    assert "set-cookie" not in page.headers
    assert "cache-control" not in page.headers


def test_a_template_without_a_request_says_what_it_needs() -> None:
    environment = Environment(autoescape=True)
    jinja2.install(environment)
    with pytest.raises(RuntimeError, match="request"):
        environment.from_string(PAGES["form"]).render()


def test_a_dependency_wants_the_token_from_everybody() -> None:
    app = FastAPI()

    @app.get("/page")
    async def page(request: Request) -> str:
        return str(request.session.create_csrf("transfer"))  # type: ignore[attr-defined]

    @app.post("/form", dependencies=[Depends(CSRFToken("transfer"))])
    async def form(amount: Annotated[int, Form()]) -> int:
        return amount

    @app.post("/json", dependencies=[Depends(CSRFToken("transfer"))])
    async def json(amount: dict[str, int]) -> dict[str, int]:
        return amount

    app.add_middleware(SessionMiddleware, store="memory://")
    with TestClient(app) as client:
        made = client.get("/page").json()
        header = {"X-CSRF-Token": made}

        assert client.post("/form", data={"amount": "5", "_csrf": made}).json() == 5
        assert client.post("/form", data={"amount": "5"}, headers=header).json() == 5
        assert client.post("/json", json={"a": 1}, headers=header).json() == {"a": 1}
        assert client.post("/form", data={"amount": "5"}).status_code == 403
        assert client.post("/form", files={"_csrf": b"x", "amount": b"5"}).status_code == 403
        assert client.post("/form", data={"amount": "5", "_csrf": made[::-1]}).status_code == 403
        assert (
            client.post("/form", data={"amount": "5", "_csrf": made}, headers={"X-CSRF-Token": ""}).status_code == 403
        )
        assert client.post("/json", json={"_csrf": made}).status_code == 403
        twice = [("X-CSRF-Token", made), ("X-CSRF-Token", made)]
        assert client.post("/json", json={"a": 1}, headers=twice).status_code == 403


def test_a_dependency_without_a_session_says_what_it_needs() -> None:
    app = FastAPI()
    app.post("/", dependencies=[Depends(CSRFToken())])(lambda: None)
    with TestClient(app) as client, pytest.raises(RuntimeError, match="SessionMiddleware"):
        client.post("/")
