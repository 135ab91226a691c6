"""
One session, an application behind a gate, and requests that end the session.

A scene is played once for each order in which its requests can take turns at the store.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias

from ..errors import SessionGone
from ..session import Session
from ..store import Store
from ..token import Token
from .checks import check, check_equal
from .gate import Gate, GatedStore
from .history import History, RecordingStore
from .holder import LIFETIMES, NOW, Holder, started
from .requests import DATA, UPDATERS
from .site import Handler, Site, Visit

__all__ = ["DESTROYERS", "LATE", "OWNER", "ROTATORS", "Ender", "Scene", "expire"]

OWNER = "alice"

LATE = NOW + LIFETIMES.max_age
"""When the session of a scene has expired."""


class Scene(NamedTuple):
    """One session, the application that it lives in, and the *history* of what reached the store."""

    gate: Gate | None
    store: Store
    history: History
    site: Site
    holder: Holder

    @classmethod
    async def of(cls, gate: Gate, store: Store) -> Scene:
        """Start a session in *store*."""
        history = History()
        holder = await started(store, DATA, owner=OWNER)
        return cls(gate, store, history, Site(GatedStore(RecordingStore(store, history), gate)), holder)

    @property
    def token(self) -> Token:
        """What every request of the scene shows."""
        return self.holder.token

    async def visit(self, handler: Handler) -> Visit:
        """Make a request."""
        return await self.site.visit(self.token, handler)

    def check_truth(self, visit: Visit, handler: Handler, what: str) -> None:
        """Fail unless a writer was told the truth, and got no other session for the one that is over."""
        gone = isinstance(visit.error, SessionGone)
        check(visit.error is None or gone, f"{what}: a request fails with {visit.error!r}")
        check(visit.token is None or visit.token.id == self.holder.id, f"{what}: a request is given another session")
        if handler in UPDATERS[:-1]:
            applied = len(self.history.updates(self.holder.id))
            check_equal(applied, 0 if gone else 1, f"{what}: the updates of a request that ends with {visit.error!r}")


Ender: TypeAlias = Callable[[Scene], Coroutine[Any, Any, Visit]]
"""What ends the session of a scene, or its token."""


async def destroy(scene: Scene) -> Visit:
    return await scene.visit(_destroy)


async def load_then_destroy(scene: Scene) -> Visit:
    return await scene.visit(_load_then_destroy)


async def regenerate(scene: Scene) -> Visit:
    return await scene.visit(_regenerate)


async def destroy_by_id(scene: Scene) -> Visit:
    return Visit(await scene.site.manager.destroy(scene.holder.id), None, None)


async def destroy_all(scene: Scene) -> Visit:
    return Visit(await scene.site.manager.destroy_all(OWNER), None, None)


async def rotate(scene: Scene) -> Visit:
    return await scene.visit(_rotate)


async def load_then_rotate(scene: Scene) -> Visit:
    return await scene.visit(_load_then_rotate)


async def login(scene: Scene) -> Visit:
    return await scene.visit(_login)


async def expire(scene: Scene) -> Visit:
    if scene.gate is not None:
        await scene.gate.wait()
    scene.site.clock.now = LATE
    return Visit(None, None, None)


async def _destroy(session: Session) -> None:
    await session.destroy()


async def _load_then_destroy(session: Session) -> None:
    await session()
    await session.destroy()


async def _regenerate(session: Session) -> None:
    await session.regenerate()


async def _rotate(session: Session) -> None:
    await session.rotate()


async def _load_then_rotate(session: Session) -> None:
    await session()
    await session.rotate()


async def _login(session: Session) -> None:
    await session.login(OWNER)


DESTROYERS: tuple[Ender, ...] = (destroy, load_then_destroy, regenerate, destroy_by_id, destroy_all)
"""What ends a session for good."""

ROTATORS: tuple[Ender, ...] = (rotate, load_then_rotate, login)
"""What ends a token, and gives another."""
