"""The README's code runs as written, and does what the text around it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

import atomic_session
from atomic_session import AtomicSessionError, SessionMiddleware

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run every Python block of the README, one after the other, as one module."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for block in blocks:
        exec(compile(block, str(README), "exec", dont_inherit=True), names)
    return names


@pytest.fixture
def client(page: dict[str, Any]) -> Iterator[TestClient]:
    with TestClient(page["app"]) as client:
        yield client


def test_the_cart_keeps_what_was_put_into_it(client: TestClient) -> None:
    client.get("/cart?sku=A1")
    assert client.get("/cart?sku=B2").json() == {"A1": 1, "B2": 1}


def test_visits_are_counted_without_a_load(client: TestClient) -> None:
    assert [client.get("/visit").json() for _ in range(3)] == [{"visits": n} for n in (1, 2, 3)]


def test_a_state_that_nobody_stored_is_refused(client: TestClient) -> None:
    assert client.get("/callback").status_code == 400


def test_login_keeps_the_data_and_logout_ends_it(client: TestClient) -> None:
    client.get("/cart?sku=A1")
    before = dict(client.cookies)
    assert client.post("/login").text == "logged in"
    assert dict(client.cookies) != before
    assert client.get("/cart?sku=B2").json() == {"A1": 1, "B2": 1}
    client.post("/logout")
    assert client.get("/cart?sku=C3").json() == {"C3": 1}


def test_everything_a_session_can_do_works(page: dict[str, Any]) -> None:
    app = Starlette(routes=[Route("/", page["everything"])])
    app.add_middleware(SessionMiddleware, store="memory://")
    with TestClient(app) as client:
        answer = client.get("/").json()
    assert answer["colour"] == "red"
    assert answer["cart"] == {"A1": 2}
    assert answer["log"] == ["a", "b"]
    assert answer["won"] is True


def test_every_error_is_in_the_table_with_its_answer() -> None:
    table = README.read_text("utf-8").partition("| error |")[2].partition("\n\n")[0]
    told = {
        name: int(row.strip(" |").rpartition("| ")[2])
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    public = (getattr(atomic_session, name) for name in atomic_session.__all__)
    errors = [one for one in public if issubclass(one, AtomicSessionError) and one is not AtomicSessionError]

    assert told == {error.__name__: error.status for error in errors}


def test_the_other_devices_are_logged_out(page: dict[str, Any]) -> None:
    app = Starlette(routes=[Route("/login", page["login"]), Route("/devices", page["devices"])])
    app.add_middleware(SessionMiddleware, manager=page["manager"])
    with TestClient(app) as client:
        for _ in range(3):
            client.cookies.clear()
            client.get("/login")
        first, second = (client.get("/devices").json() for _ in range(2))
        assert [first["ended"], second["ended"]] == [2, 0]
        assert first["left"] == second["left"]
        assert len(first["left"]) == 1


def test_another_site_is_refused_and_a_token_is_for_its_purpose(page: dict[str, Any]) -> None:
    protected = page["protected"]
    protected.router.routes.append(Route("/transfer", page["transfer"], methods=["GET", "POST"]))
    with TestClient(protected) as client:
        made = client.get("/transfer").text
        same, cross = ({"Sec-Fetch-Site": site} for site in ("same-origin", "cross-site"))

        assert client.post("/transfer", headers={"X-Transfer-Token": made, **same}).text == "done"
        assert client.post("/transfer", headers=same).status_code == 403
        assert client.post("/transfer", headers={"X-Transfer-Token": made, **cross}).status_code == 403
