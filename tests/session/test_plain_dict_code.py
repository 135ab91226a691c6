"""The README's table of what two requests at once make of a session in plain dict code, row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.session.kit import Site

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")

Change = Callable[[Any], object]


def _set(name: str, value: object) -> Change:
    return lambda session: session.__setitem__(name, value)


def _append(value: object) -> Change:
    return lambda session: session["log"].append(value)


def _add_one(session: Any) -> None:
    session["n"] += 1


def _clear(session: Any) -> None:
    session.clear()


def _take_first(session: Any) -> None:
    session["log"].pop(0)


def _put_b2(session: Any) -> None:
    session["cart"]["B2"] = 2


# what the row says, what is there before, the two changes, and what is left in either order
ROWS: list[tuple[str, dict[str, Any], Change, Change, dict[str, Any], dict[str, Any]]] = [
    (
        '`session["a"] = 1` and `session["b"] = 2`',
        {"z": 0},
        _set("a", 1),
        _set("b", 2),
        {"z": 0, "a": 1, "b": 2},
        {"z": 0, "a": 1, "b": 2},
    ),
    (
        '`session["log"].append("x")` and `session["log"].append("y")`',
        {"log": ["w"]},
        _append("x"),
        _append("y"),
        {"log": ["w", "x", "y"]},
        {"log": ["w", "y", "x"]},
    ),
    (
        '`session["cart"] = {"A1": 1}` and `session["cart"]["B2"] = 2`',
        {"cart": {"A1": 0}},
        _set("cart", {"A1": 1}),
        _put_b2,
        {"cart": {"A1": 1, "B2": 2}},
        {"cart": {"A1": 1, "B2": 2}},
    ),
    ('`session["a"] = 1` and `session["a"] = 2`', {"a": 0}, _set("a", 1), _set("a", 2), {"a": 2}, {"a": 1}),
    ('`session["n"] += 1` twice', {"n": 0}, _add_one, _add_one, {"n": 1}, {"n": 1}),
    (
        '`session["log"].pop(0)` and `session["log"].append("x")`',
        {"log": [1, 2]},
        _take_first,
        _append("x"),
        {"log": [2, "x"]},
        {"log": [2]},
    ),
    ('`session.clear()` and `session["b"] = 2`', {"a": 1}, _clear, _set("b", 2), {"b": 2}, {}),
]


@pytest.mark.parametrize(("row", "before", "first", "second", "after", "after_in_the_other_order"), ROWS)
async def test_two_requests_at_once_leave_what_the_readme_says(
    any_site: Site,
    row: str,
    before: dict[str, Any],
    first: Change,
    second: Change,
    after: dict[str, Any],
    after_in_the_other_order: dict[str, Any],
) -> None:
    assert f"| {row}" in README
    for changes, wanted in (((first, second), after), ((second, first), after_in_the_other_order)):
        cookie = await any_site.visitor(**before)
        sessions = [await any_site.request(cookie)() for _ in changes]
        for session, change in zip(sessions, changes, strict=True):
            change(session)
        for session in sessions:
            await session.commit()

        assert await any_site.stored(cookie) == wanted


async def test_the_operators_that_the_readme_names_keep_both(any_site: Site) -> None:
    cookie = await any_site.visitor(n=0, log=[1, 2])
    sessions = [await any_site.request(cookie)() for _ in range(2)]
    for session in sessions:
        await session.inc("n")
    await sessions[0].pop_first("log")
    await sessions[1].push("log", "x")

    assert await any_site.stored(cookie) == {"n": 2, "log": [2, "x"]}


async def test_visitors_without_a_cookie_begin_a_session_each(any_site: Site) -> None:
    assert "each begins\na session of its own" in README
    cookies = {await any_site.visitor(n=n): n for n in range(2)}

    assert len(cookies) == 2
    assert [await any_site.stored(cookie) for cookie in cookies] == [{"n": 0}, {"n": 1}]
