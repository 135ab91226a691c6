"""The trips that a request makes to its store, and the transactions that updates at once share: counted, not timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from atomic_session import SessionMiddleware
from atomic_session.clock import Instant
from atomic_session.commands import Answer, Command
from atomic_session.session import Session, SessionContext
from atomic_session.store import SessionInfo, Store
from atomic_session.stores.sqlite import SQLiteStore

from .harness import Figure, Options
from .sessions import BROWSER, Headers, create, data_of, managed, open_session
from .sqlite import commits_in_log

__all__ = ["CountingStore", "measure"]

_AT_ONCE = 64

Handler = Callable[[Session], Awaitable[object]]


class CountingStore:
    """A store that counts the trips to another one, and the commands that go with them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.trips = 0
        self.commands: Counter[str] = Counter()

    @property
    def lanes(self) -> int:
        return self._store.lanes

    @property
    def batch_size(self) -> int:
        return self._store.batch_size

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        self.trips += 1
        self.commands.update(type(command).__name__.lower() for command in commands)
        return await self._store.execute(commands)

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        self.trips += 1
        return await self._store.sessions_of(owner, now)

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        self.trips += 1
        return await self._store.destroy_all(owner, keep, now)

    async def purge(self, now: Instant, limit: int) -> int:
        self.trips += 1
        return await self._store.purge(now, limit)


async def _leave_alone(_session: Session) -> None:
    """What most requests do."""


async def _read(session: Session) -> None:
    (await session()).get("user_id")


async def _read_twice_at_once(session: Session) -> None:
    await asyncio.gather(session(), session())


async def _update(session: Session) -> None:
    await session.set("color", "red").inc("visits").push("flash", {"kind": "note", "text": "Saved."})


async def _read_and_update(session: Session) -> None:
    await _read(session)
    await _update(session)


async def _change_as_dict(session: Session) -> None:
    data = await session()
    data["hits"] += 1
    data["cart"][0]["quantity"] = 2


_KNOWN: dict[str, Handler] = {
    "untouched": _leave_alone,
    "read": _read,
    "read by two tasks at once": _read_twice_at_once,
    "update": _update,
    "read, then update": _read_and_update,
    "read, then changed as a dict": _change_as_dict,
}
_VISITORS: dict[str, Handler] = {"read by a visitor without a cookie": _read, "first update of a visitor": _update}


async def measure(options: Options) -> Figure:
    figure = Figure("counts", "trips to the store, and transactions in SQLite's log")
    path = options.folder / "counts.db"
    store = CountingStore(SQLiteStore(path))
    async with managed(store) as context:
        (known,) = await create(context, 1, data_of())
        for handlers, headers in ((_KNOWN, known), (_VISITORS, BROWSER)):
            for name, handler in handlers.items():
                figure.counted |= await _trips(store, name, handler, headers)

        made = await create(context, _AT_ONCE, data_of())
        before = commits_in_log(path)
        await _update_together(context, made, path)
        figure.counted[f"transactions for {_AT_ONCE} updates that wait together, at most 2"] = (
            commits_in_log(path) - before
        )
    return figure


async def _update_together(context: SessionContext, made: list[Headers], path: Path) -> None:
    """Update all sessions while the writer cannot start: what waits then has to leave in one transaction."""
    other = apsw.Connection(str(path))
    other.set_busy_timeout(5_000)  # the writer may be purging
    other.execute("BEGIN IMMEDIATE")
    tasks = [asyncio.ensure_future(_update(open_session(context, headers))) for headers in made]
    await asyncio.sleep(0)  # each of them has gone as far as the queue
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*tasks)


async def _trips(store: CountingStore, name: str, handler: Handler, headers: Headers) -> dict[str, int]:
    """Serve one request by *handler* and return what it asked of the store."""
    store.trips = 0
    store.commands.clear()

    async def application(scope: MutableMapping[str, Any], _receive: Any, send: Any) -> None:
        await handler(scope["session"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: MutableMapping[str, Any]) -> None:
        return

    middleware = SessionMiddleware(application, store=store)
    await middleware({"type": "http", "scheme": "http", "headers": headers}, receive, send)
    return {f"{name}: trips": store.trips} | {f"{name}: {kind}": count for kind, count in store.commands.items()}
