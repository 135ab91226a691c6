"""A loaded session is copied before something in it can change, and not where nothing can."""

from __future__ import annotations

import copy
import json
from collections import ChainMap
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.session.kit import Site

from atomic_session.session import Session

FIXED = {
    "text": "a",
    "number": 1,
    "float": 1.5,
    "flag": True,
    "nothing": None,
    "bytes": b"a",
    "time": datetime(2031, 2, 3, tzinfo=UTC),
    "decimal": Decimal("1.50"),
    "uuid": UUID(int=7),
}


def _matched(session: Any) -> Any:
    match session:
        case {"cart": cart}:
            return cart


def _unpacked(session: Any) -> Any:
    def cart_of(*, cart: Any, **_: Any) -> Any:
        return cart

    return cart_of(**session)


WAYS: dict[str, Callable[[Any], Any]] = {
    "[]": lambda session: session["cart"],
    "get": lambda session: session.get("cart"),
    "get with a default": lambda session: session.get("cart", []),
    "setdefault": lambda session: session.setdefault("cart", []),
    "values": lambda session: next(value for value in session.values() if isinstance(value, dict)),
    "items": lambda session: dict(session.items())["cart"],
    "dict()": lambda session: dict(session)["cart"],
    "{**}": lambda session: {**session}["cart"],
    "**": _unpacked,
    "copy()": lambda session: session.copy()["cart"],
    "copy.copy": lambda session: copy.copy(session)["cart"],
    "|": lambda session: (session | {})["cart"],
    "reflected |": lambda session: ({} | session)["cart"],
    "update of another": lambda session: _updated(session)["cart"],
    "a proxy": lambda session: MappingProxyType(session)["cart"],
    "a chain of maps": lambda session: ChainMap({}, session)["cart"],
    "match": _matched,
    "its keys": lambda session: [session[name] for name in session][-1],
}


def _updated(session: Any) -> dict[str, Any]:
    other: dict[str, Any] = {}
    other.update(session)
    return other


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_hands_a_container_out_its_changes_are_kept(site: Site, way: str) -> None:
    cookie = await site.visitor(name="Ada", cart={"lines": [1]})
    session = await site.request(cookie)()
    WAYS[way](session)["lines"].append(2)
    assert session.pending
    assert session.modified
    await session.commit()

    assert await site.stored(cookie) == {"name": "Ada", "cart": {"lines": [1, 2]}}


async def test_a_container_in_a_container_that_was_read_before_is_watched_too(site: Site) -> None:
    cookie = await site.visitor(name="Ada", cart={"lines": [1]})
    session = await site.request(cookie)()
    lines = session["cart"]["lines"]
    assert not session.pending
    lines.append(2)
    await session.commit()

    assert await site.stored(cookie) == {"name": "Ada", "cart": {"lines": [1, 2]}}


SETTERS: dict[str, Callable[[Any], Any]] = {
    "[]=": lambda session: session.__setitem__("name", "Grace"),
    "update": lambda session: session.update(name="Grace"),
    "|=": lambda session: session.__ior__({"name": "Grace"}),
    "past its methods": lambda session: dict.__setitem__(session, "name", "Grace"),
    "past its methods, all": lambda session: dict.update(session, {"name": "Grace"}),
}


@pytest.mark.parametrize("setter", SETTERS)
async def test_a_field_that_is_set_is_kept(site: Site, setter: str) -> None:
    cookie = await site.visitor(name="Ada", cart=[1])
    session = await site.request(cookie)()
    SETTERS[setter](session)
    assert session.pending
    await session.commit()

    assert await site.stored(cookie) == {"name": "Grace", "cart": [1]}


REMOVERS: dict[str, Callable[[Any], Any]] = {
    "del": lambda session: session.__delitem__("cart"),
    "pop": lambda session: session.pop("cart"),
    "popitem": lambda session: session.popitem(),
    "past its methods": lambda session: dict.pop(session, "cart"),
}


@pytest.mark.parametrize("remover", REMOVERS)
async def test_a_field_that_is_removed_is_gone(site: Site, remover: str) -> None:
    cookie = await site.visitor(name="Ada", cart=[1])
    session = await site.request(cookie)()
    REMOVERS[remover](session)
    await session.commit()

    assert await site.stored(cookie) == {"name": "Ada"}


async def test_what_was_cleared_is_empty(site: Site) -> None:
    cookie = await site.visitor(name="Ada", cart=[1])
    session = await site.request(cookie)()
    session.clear()
    await session.commit()

    assert await site.stored(cookie) == {}


@pytest.mark.parametrize("fixed", FIXED)
async def test_a_value_that_cannot_change_is_read_without_a_copy(site: Site, fixed: str) -> None:
    session = await site.request(await site.visitor(**FIXED, cart=[1]))()
    assert (session[fixed], session.get(fixed)) == (FIXED[fixed], FIXED[fixed])
    assert fixed in session
    assert len(session) == len(FIXED) + 1
    assert list(session) == list(session.keys()) == [*FIXED, "cart"]
    with pytest.raises(KeyError, match="missing"):
        session["missing"]

    assert type(session) is not Session, "it has been copied"
    assert not session.pending


@pytest.mark.parametrize("encoded", [json.dumps, msgspec.json.encode, repr])
async def test_who_writes_it_out_sees_all_of_it(site: Site, encoded: Callable[[Any], Any]) -> None:
    session = await site.request(await site.visitor(name="Ada", cart={"lines": [1]}))()

    assert encoded(session) == encoded({"name": "Ada", "cart": {"lines": [1]}})
    assert not session.pending


async def test_a_container_read_after_an_awaited_update_is_watched(any_site: Site) -> None:
    cookie = await any_site.visitor(hits=1, cart=[1])
    session = any_site.request(cookie)
    await session.inc("hits")
    session["cart"].append(2)
    await session.inc("hits")
    session["cart"].append(3)
    await session.commit()

    assert await any_site.stored(cookie) == {"hits": 3, "cart": [1, 2, 3]}


async def test_what_others_changed_comes_in_with_an_update_and_is_watched(any_site: Site) -> None:
    cookie = await any_site.visitor(hits=1, cart=[1])
    session = await any_site.request(cookie)()
    await any_site.request(cookie).push("cart", 2)
    await session.inc("hits")
    session["cart"].append(3)
    await session.commit()

    assert await any_site.stored(cookie) == {"hits": 2, "cart": [1, 2, 3]}


async def test_a_session_that_is_loaded_again_is_watched(any_site: Site) -> None:
    cookie = await any_site.visitor(hits=1, cart=[1])
    session = await any_site.request(cookie)()
    await any_site.request(cookie).push("cart", 2)
    await session.load(fresh=True)
    session["cart"].append(3)
    await session.commit()

    assert await any_site.stored(cookie) == {"hits": 1, "cart": [1, 2, 3]}


@pytest.mark.parametrize("renew", ["regenerate", "destroy"])
async def test_a_session_that_begins_again_is_watched(site: Site, renew: str) -> None:
    session = await site.request(await site.visitor(cart=[1]))()
    await getattr(session, renew)()
    assert session == {}
    session["cart"] = []
    session["cart"].append(1)

    assert session.pending
