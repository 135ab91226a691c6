"""An application without HTTP: requests with a cookie, handlers with a session, a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from ..clock import Instant
from ..cookies import CookieCodec, CookieSettings
from ..errors import AtomicSessionError
from ..manager import SessionManager
from ..session import Session, new_session
from ..store import Store
from ..token import Token, parse_token
from .holder import LIFETIMES, NOW
from .sending import PATIENCE

__all__ = ["Handler", "SetClock", "Site", "Visit", "sites_of"]

Handler: TypeAlias = Callable[[Session], Awaitable[Any]]


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: Instant = NOW) -> None:
        self.now = now

    def __call__(self) -> Instant:
        return self.now


class Visit(NamedTuple):
    """
    What came of a request.

    Attributes:
        result: what the handler returned.
        error: why it failed; None where it did not.
        token: what the browser holds after it; None for nothing.
    """

    result: Any
    error: AtomicSessionError | None
    token: Token | None


class Site:
    """An application on an open *store*."""

    def __init__(self, store: Store, clock: SetClock | None = None) -> None:
        self.clock = SetClock() if clock is None else clock
        self.manager = SessionManager(store, max_age=LIFETIMES.max_age / 1000, timeout=PATIENCE, clock=self.clock)
        self._codec = CookieCodec(CookieSettings())
        self._context = self.manager.context(self._codec)

    def session(self, token: Token | None) -> Session:
        """Return the session of a request that shows *token*."""
        headers = [] if token is None else [(b"cookie", b"sid=" + token.value.encode())]
        return new_session(self._context, headers, secure=False)

    async def visit(self, token: Token | None, handler: Handler) -> Visit:
        """Make a request: run *handler*, commit, and take the cookie; one that fails sends none."""
        session = self.session(token)
        try:
            result = await handler(session)
            await session.commit()
        except AtomicSessionError as error:
            return Visit(None, error, token)
        header = session.cookie_header()
        if header is None:
            return Visit(result, None, token)
        return Visit(result, None, parse_token(header.partition(b"=")[2].partition(b";")[0]))


def sites_of(stores: tuple[Store, Store], wrapped: Callable[[Store], Store] = lambda store: store) -> tuple[Site, Site]:
    """Return an application on each store; one store has only one."""
    first = Site(wrapped(stores[0]))
    return first, first if stores[0] is stores[1] else Site(wrapped(stores[1]))
