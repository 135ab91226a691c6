"""
Many requests change one session at the same time, and every change is found in it.

With operators, and with plain dict code that loaded the session before the others had changed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..session import Session
from ..store import Store
from ..values import Value
from .checks import check, check_data, check_equal
from .concurrency import MANY
from .harness import Harness, case, pairs
from .holder import started
from .site import Handler, sites_of
from .witness import look

KEYS = {f"key{number}": number for number in range(MANY)}


@case
async def operators_lose_nothing(harness: Harness) -> None:
    """Of many requests that each set a field, count and push, each finds its change in the session."""

    def handler(number: int) -> Handler:
        async def separately(session: Session) -> None:
            await session.set(f"key{number}", number)
            await session.inc("n")
            await session.push("log", number)

        async def at_once(session: Session) -> None:
            await session.set(f"key{number}", number).inc("n").push("log", number)

        return separately if number % 2 else at_once

    for stores in await pairs(harness):
        data = await _after(stores, {"n": 0}, handler)
        check_data({name: data.get(name) for name in KEYS}, dict(KEYS), "the fields")
        check_data(data["n"], MANY, "the count")
        check_equal(_sorted(data["log"]), list(range(MANY)), "what was pushed")


@case
async def operators_lose_nothing_in_one_place(harness: Harness) -> None:
    """Many requests count, push and set under one name that was missing, and nothing is lost there."""

    def handler(number: int) -> Handler:
        async def write(session: Session) -> None:
            await session.inc("stats.visits.today").set(f"stats.by.key{number}", number)
            await session.add_to_set("stats.seen", number // 2).push("stats.log", number).set_default("first", "one")

        return write

    for stores in await pairs(harness):
        data = await _after(stores, {}, handler)
        stats = data["stats"]
        if not isinstance(stats, dict):
            raise AssertionError("what many wrote under one name is no dict")
        check_data(stats["visits"], {"today": MANY}, "the count")
        check_data(stats["by"], dict(KEYS), "the fields")
        check_equal(_sorted(stats["seen"]), list(range(MANY // 2)), "the set")
        check_equal(_sorted(stats["log"]), list(range(MANY)), "what was pushed")
        check_data(data["first"], "one", "the default")


@case
async def dict_code_loses_no_field(harness: Harness) -> None:
    """Of many requests that all loaded the session, and then set a key each, each finds its key in it."""

    def change(session: Session, number: int) -> None:
        session[f"key{number}"] = number

    for stores in await pairs(harness):
        data = await _after_all_loaded(stores, {"there": 1}, change)
        check_data(data, {"there": 1, **KEYS}, "the fields")


@case
async def dict_code_loses_nothing_inside(harness: Harness) -> None:
    """Nested keys that plain dict code sets and deletes at the same time do not get in each other's way."""

    def change(session: Session, number: int) -> None:
        session["cart"]["items"][f"key{number}"] = number
        session.setdefault("new", {}).setdefault("deep", {})[f"key{number}"] = number
        del session["old"][f"key{number}"]

    for stores in await pairs(harness):
        data = await _after_all_loaded(stores, {"cart": {"items": {}}, "old": dict(KEYS)}, change)
        check_data(data, {"cart": {"items": KEYS}, "new": {"deep": KEYS}, "old": {}}, "the nested fields")


@case
async def dict_code_loses_nothing_appended(harness: Harness) -> None:
    """What plain code appends to a list, to one that was there and to one that was not, is all in it."""

    def change(session: Session, number: int) -> None:
        session["log"].append(number)
        session.setdefault("late", []).append(number)
        session["deep"]["log"].extend([number, -number])

    for stores in await pairs(harness):
        data = await _after_all_loaded(stores, {"log": ["first"], "deep": {"log": []}}, change)
        log, deep = data["log"], data["deep"]
        check(isinstance(log, list) and log[:1] == ["first"], "what was in a list before is gone, or elsewhere")
        check_equal(_sorted(log[1:] if isinstance(log, list) else None), list(range(MANY)), "what was appended")
        check_equal(_sorted(data["late"]), list(range(MANY)), "what was appended to a list that was missing")
        both = sorted([*range(MANY), *[-number for number in range(MANY)]])
        check_equal(_sorted(deep.get("log") if isinstance(deep, dict) else None), both, "what was appended inside")


@case
async def dict_code_and_operators_lose_nothing(harness: Harness) -> None:
    """A request may mix plain code and operators, and commit its plain changes with the response."""

    def handler(number: int) -> Handler:
        async def write(session: Session) -> None:
            await session()
            session[f"key{number}"] = number
            session["log"].append(number)
            await session.inc("n")
            session["late"][f"key{number}"] = session["n"] > 0

        return write

    for stores in await pairs(harness):
        data = await _after(stores, {"n": 0, "log": [], "late": {}}, handler)
        check_data({name: data.get(name) for name in KEYS}, dict(KEYS), "the fields")
        check_data(data["n"], MANY, "the count")
        check_data(data["late"], dict.fromkeys(KEYS, True), "what was set after an update")
        check_equal(_sorted(data["log"]), list(range(MANY)), "what was appended")


@case
async def readers_write_nothing_back(harness: Harness) -> None:
    """A request that only read the session before it changed leaves every change in it."""
    for stores in await pairs(harness):
        holder = await started(stores[0], {"user": None, "n": 0})
        slow, quick = sites_of(stores)
        session = slow.session(holder.token)
        await session()
        await quick.visit(holder.token, lambda session: session.set("user", "u1").inc("n"))
        await session.commit()
        check_data(session["user"], None, "what the slow request read")
        check_data(await look(stores[1], holder.load()), {"user": "u1", "n": 1})


async def _after(
    stores: tuple[Store, Store], data: dict[str, Any], handler: Callable[[int], Handler]
) -> dict[str, Value]:
    """Return what a session holds after many requests at once, half of them at each store."""
    holder = await started(stores[0], data)
    sites = sites_of(stores)
    visits = await asyncio.gather(*[sites[number % 2].visit(holder.token, handler(number)) for number in range(MANY)])
    check_equal([visit.error for visit in visits if visit.error is not None], [], "the errors of the requests")
    return await look(stores[1], holder.load())


async def _after_all_loaded(
    stores: tuple[Store, Store], data: dict[str, Any], change: Callable[[Session, int], None]
) -> dict[str, Value]:
    """Return what a session holds after many requests loaded it, then changed it, and then committed."""
    holder = await started(stores[0], data)
    sites = sites_of(stores)
    sessions = [sites[number % 2].session(holder.token) for number in range(MANY)]
    await asyncio.gather(*[session() for session in sessions])
    for number, session in enumerate(sessions):
        change(session, number)
    await asyncio.gather(*[session.commit() for session in sessions])
    return await look(stores[1], holder.load())


def _sorted(values: Any) -> list[Any]:
    return sorted(values) if isinstance(values, list) else []
