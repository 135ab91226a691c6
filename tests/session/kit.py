"""What the tests of sessions share: a clock, a store that counts and misbehaves, a site that its browsers visit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from atomic_session import Session, SessionManager
from atomic_session.commands import Answer, Command, Create, Load
from atomic_session.cookies import CookieCodec, CookieSettings
from atomic_session.session import new_session
from atomic_session.store import SessionInfo, Store
from atomic_session.stores.memory import MemoryStore
from atomic_session.token import Signer

Hook = Callable[[Command], Awaitable[None]]

MINUTE = 60_000
DAY = 24 * 60 * MINUTE


class Clock:
    """Tells the time that a test has set."""

    def __init__(self) -> None:
        self.now = 1_900_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: int) -> None:
        self.now += milliseconds


class SpyStore:
    """Pass everything on to another store; remember each command, and do what the hooks say around it."""

    lanes = 0
    batch_size = 1

    def __init__(self, inner: Store | None = None) -> None:
        self.inner: Store = MemoryStore() if inner is None else inner
        self.commands: list[Command] = []
        self.opened = 0
        self.closed = 0
        self.before: Hook | None = None
        self.after: Hook | None = None

    @property
    def trips(self) -> int:
        return len(self.commands)

    @property
    def kinds(self) -> list[str]:
        return [type(command).__name__ for command in self.commands]

    @property
    def rows(self) -> int:
        """How many records were ever made; none is removed in these tests."""
        return sum(type(command) is Create for command in self.commands)

    async def open(self) -> None:
        self.opened += 1
        await self.inner.open()

    async def close(self) -> None:
        self.closed += 1
        await self.inner.close()

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        assert len(commands) == 1
        self.commands += commands
        if self.before is not None:
            await self.before(commands[0])
        answers = await self.inner.execute(commands)
        if self.after is not None:
            await self.after(commands[0])
        return answers

    def load_at_once(self, command: Load) -> Answer | None:
        """Do what the other store does; but hooks need the time that only `execute` takes."""
        shortcut = getattr(self.inner, "load_at_once", None)
        if shortcut is None or self.before is not None or self.after is not None:
            return None
        answer: Answer | None = shortcut(command)
        if answer is not None:
            self.commands.append(command)
        return answer

    async def sessions_of(self, owner: str, now: int) -> Sequence[SessionInfo]:
        return await self.inner.sessions_of(owner, now)

    async def destroy_all(self, owner: str, keep: str | None, now: int) -> int:
        return await self.inner.destroy_all(owner, keep, now)

    async def purge(self, now: int, limit: int) -> int:
        return await self.inner.purge(now, limit)


def failing(error: Exception, *, times: int = 1) -> Hook:
    """Return a hook that raises *error* the first so many times."""
    left = [error] * times

    async def hook(_command: Command) -> None:
        if left:
            raise left.pop()

    return hook


class Gate:
    """A hook at which commands wait until they are let through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def __call__(self, _command: Command) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


class Site:
    """One manager, its store and clock, and the sessions of the requests that come in."""

    def __init__(self, inner: Store | None = None, *, keys: Sequence[str] | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.store = SpyStore(inner)
        self.manager = SessionManager(self.store, clock=self.clock, **settings)
        signer = None if keys is None else Signer(keys)
        self.context = self.manager.context(CookieCodec(CookieSettings(), signer))

    def request(self, *cookies: bytes | None) -> Session:
        """Return the session of a request with these cookies."""
        headers = [(b"cookie", cookie) for cookie in cookies if cookie is not None]
        return new_session(self.context, headers, secure=False)

    async def visitor(self, **fields: Any) -> bytes:
        """Return the cookie of a session that holds *fields*; forget the trips it took."""
        session = self.request(None)
        await session.set("visited", True)
        await session.load()
        session.clear()
        session.update(fields)
        await session.commit()
        cookie = cookie_of(session)
        assert cookie is not None
        self.store.commands.clear()
        return cookie

    async def stored(self, cookie: bytes) -> dict[str, Any]:
        """Return what the store holds now, without counting the trip."""
        before = list(self.store.commands)
        data = dict(await self.request(cookie)())
        self.store.commands[:] = before
        return data


def cookie_of(session: Session) -> bytes | None:
    """Respond: return the cookie that the browser keeps, None where the response has none to keep."""
    header = session.cookie_header()
    if header is None or b"Max-Age=0" in header:
        return None
    return header.partition(b";")[0]
