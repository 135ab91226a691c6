"""What a session costs a request that never looks at it, in process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from starlette.middleware.sessions import SessionMiddleware as SignedCookieMiddleware

from atomic_session import SessionMiddleware

from .harness import Case, Figure, Options, Target, record
from .sessions import SECRET, Headers, create, data_of, managed, signed, sqlite_url

__all__ = ["App", "application", "measure", "nothing", "scope_of", "swallow"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OURS, _STARLETTE, _BARE = "with our middleware", "with Starlette's cookie session", "bare application"
_OURS_ADDS, _STARLETTE_ADDS = "our middleware adds", "Starlette's cookie session adds"


async def measure(options: Options) -> Figure:
    figure = Figure("untouched", "an ASGI call in process whose handler leaves a valid 0.5 KB session alone")
    url = sqlite_url(options.folder / "untouched.db")
    async with managed(url) as context:
        (ours,) = await create(context, 1, data_of())
    theirs = signed(data_of())
    middleware = SessionMiddleware(application, store=url)
    times = options.times(20_000, 20)
    run = partial(_run, times=times)
    cases = [
        Case(_BARE, "us", partial(run, application, ours)),
        Case(_OURS, "us", partial(run, middleware, ours)),
        Case(_STARLETTE, "us", partial(run, SignedCookieMiddleware(application, SECRET), theirs)),
    ]
    for case in cases:
        await case.measure()
    await record(figure, cases, options.rounds)
    bare = figure[_BARE]
    figure.add(figure[_OURS].minus(bare, _OURS_ADDS), figure[_STARLETTE].minus(bare, _STARLETTE_ADDS))
    figure.compare("added time: ours / Starlette's", _OURS_ADDS, _STARLETTE_ADDS, Target("at most", 0.2))
    return figure


async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def swallow(_message: Message) -> None:
    return


def scope_of(headers: Headers, method: str = "GET") -> Scope:
    """Return the scope of a request for the front page."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        "state": {},
    }


async def _run(app: App, headers: Headers, times: int) -> float:
    """Return the microseconds of one request."""
    scope = dict(scope_of(headers))
    start = time.perf_counter()
    for _ in range(times):
        await app(scope.copy(), nothing, swallow)
    return (time.perf_counter() - start) / times * 1e6
