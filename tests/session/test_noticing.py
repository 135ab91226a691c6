"""Which changes of a loaded session are noticed, and which are none."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID

import pytest
from tests.session.kit import Site

from atomic_session import InvalidValue
from atomic_session.values import same

NAME = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)


class Color(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, True),
        (True, 1),
        (1, 1.0),
        (1.0, 1),
        (0, False),
        (False, None),
        (0, 0.0),
        ("1", 1),
        ("", None),
        (b"a", "a"),
        ("a", b"a"),
        (NAME, str(NAME)),
        (str(NAME), NAME),
        (NOON, NOON.isoformat()),
        (NOON, NOON + timedelta(milliseconds=1)),
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal(1), 1),
        (1, Decimal(1)),
        (Decimal("1.5"), 1.5),
        ([], {}),
        ({}, []),
        ([], None),
        ([1], [True]),
        ({"a": 1}, {"a": 1.0}),
        ({"a": [NAME]}, {"a": [str(NAME)]}),
        (["~u" + str(NAME)], [NAME]),
        ({"a": None}, {}),
        ({}, {"a": None}),
        ("~", "~~"),
        ("~sx", "x"),
        (10**18, 10**18 + 1),
        ("a", "a\u0301"),
    ],
)
async def test_a_change_of_type_or_content_is_noticed(site: Site, before: Any, after: Any) -> None:
    cookie = await site.visitor(field=before, other=[before])
    session = await site.request(cookie)()
    session["field"] = after
    session["other"][0] = after
    await session.commit()

    assert same(await site.stored(cookie), {"field": after, "other": [after]})


async def test_a_change_that_is_taken_back_after_its_commit_is_a_change(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1, b=1)
    session = await any_site.request(cookie)()
    for value in (2, 1, 2, 1):
        session["a"] = value
        await session.commit()
        assert (await any_site.stored(cookie))["a"] == value
    await session.set("a", 5)
    session["a"] = 1
    await session.commit()
    assert (await any_site.stored(cookie))["a"] == 1


async def test_clearing_what_is_not_there_is_no_change(site: Site) -> None:
    session = site.request(None)
    session.clear()
    assert not session.modified
    session["a"] = 1
    session.clear()
    assert not session.modified
    await session.destroy()
    session.clear()
    await session.commit()

    assert site.store.trips == 0


async def test_clearing_what_is_gone_is_no_change(site: Site) -> None:
    session = await site.request(await site.visitor(a=1))()
    await session.destroy()
    session.clear()

    assert not session.modified
    await session.commit()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1, 2], (1, 2)),
        ([[1], [2]], ([1], (2,))),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, OrderedDict(a=1)),
        (1, Color.RED),
        (NOON, NOON.astimezone(timezone(timedelta(hours=5)))),
        (NOON, NOON + timedelta(microseconds=1)),
        ("abc", str(b"abc", "ascii")),
        (0.0, -0.0),
        (Decimal(0), Decimal("-0")),
    ],
)
async def test_what_would_be_stored_the_same_is_no_change(site: Site, before: Any, after: Any) -> None:
    cookie = await site.visitor(field=before)
    session = await site.request(cookie)()
    session["field"] = after
    await session.commit()

    assert site.store.kinds == ["Load"]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["deep"]["list"][0].update(x=2),
        lambda s: s["deep"]["list"][0]["y"].append(3),
        lambda s: s["deep"]["list"].append(None),
        lambda s: s["deep"]["list"].sort(key=str, reverse=True),
        lambda s: s["deep"].setdefault("new", []).append(1),
        lambda s: s["deep"].pop("list"),
        lambda s: s.setdefault("flash", []).append("hello"),
        lambda s: s.popitem(),
        lambda s: s.__ior__({"z": 1}),
    ],
)
async def test_a_change_anywhere_inside_is_noticed(any_site: Site, change: Any) -> None:
    cookie = await any_site.visitor(deep={"list": [{"x": 1, "y": []}, "é"]}, last=1)
    session = await any_site.request(cookie)()
    change(session)
    wanted = dict(session)
    assert session.modified
    await session.commit()

    assert same(await any_site.stored(cookie), wanted)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 1j, float("nan"), float("inf"), 2**63, "\ud800", NOON.replace(tzinfo=None)]
)
@pytest.mark.parametrize("place", ["new", "old", "inside"])
async def test_what_no_session_can_hold_is_noticed_and_refused(site: Site, value: Any, place: str) -> None:
    cookie = await site.visitor(old=1, deep={"list": []})
    session = await site.request(cookie)()
    if place == "inside":
        session["deep"]["list"].append(value)
    else:
        session[place] = value

    assert session.modified
    with pytest.raises(InvalidValue):
        await session.commit()
    assert await site.stored(cookie) == {"old": 1, "deep": {"list": []}}


async def test_what_goes_in_comes_back(any_site: Site) -> None:
    everything: dict[str, Any] = {
        "none": None,
        "int": -(2**63),
        "float": 1.0,
        "text": '~"\\[]{}\x00é😀',
        "bytes": bytes(range(256)),
        "when": NOON,
        "id": NAME,
        "price": Decimal("1.10"),
        "list": [[], {}, [None]],
        "dict": {"": 1, "a.b": 2, "$set": 3, "~": 4, "0": 5},
    }
    cookie = await any_site.visitor(**everything)
    session = await any_site.request(cookie)()

    assert same(dict(session), everything)
    await session.commit()
    assert any_site.store.kinds == ["Load"]
