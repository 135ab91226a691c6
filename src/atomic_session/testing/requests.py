"""What requests do to a session: the writers and the enders of the races."""

from __future__ import annotations

from typing import Any

from ..session import Session
from .holder import LIFETIMES
from .site import Handler

__all__ = ["DATA", "UPDATERS", "WRITERS", "dict_code_and_update", "take"]

DATA: dict[str, Any] = {"n": 0, "step": 1, "state": "s3", "log": ["a"], "nested": {"x": 1}, "w": 0}


async def set_field(session: Session) -> Any:
    return await session.set("w", 1)


async def inc(session: Session) -> Any:
    return await session.inc("n")


async def push(session: Session) -> Any:
    return await session.push("log", "w")


async def take(session: Session) -> Any:
    return await session.take("state")


async def guarded(session: Session) -> Any:
    return await session.when("step", 1).set("step", 2)


async def chain(session: Session) -> Any:
    return await session.set("w", 2).inc("n").push("log", "c").unset("nested.x")


async def load_then_set(session: Session) -> Any:
    await session()
    return await session.set("w", 3)


async def dict_code(session: Session) -> Any:
    await session()
    session["w"] = 4
    session.setdefault("nested", {})["y"] = 2
    session.setdefault("log", []).append("d")


async def dict_code_and_update(session: Session) -> Any:
    await session()
    session.setdefault("log", []).append("e")
    return await session.inc("n")


async def touch(session: Session) -> Any:
    await session.touch()


async def remember(session: Session) -> Any:
    await session.touch(max_age=LIFETIMES.max_age // 1000)


async def load(session: Session) -> Any:
    return dict(await session())


async def load_twice(session: Session) -> Any:
    await session()
    return dict(await session.load(fresh=True))


UPDATERS: tuple[Handler, ...] = (
    set_field,
    inc,
    push,
    take,
    guarded,
    chain,
    load_then_set,
    dict_code_and_update,
    dict_code,
)
"""Requests that change the data of a live session, each in one update; the last one cannot be refused."""

WRITERS: tuple[Handler, ...] = (*UPDATERS, touch, remember, load, load_twice)
"""Requests that need a live session."""
