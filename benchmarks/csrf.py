"""What protection against forged requests costs: the tokens, and a middleware in front of each request."""

from __future__ import annotations

import time
from functools import partial

from itsdangerous import TimestampSigner, URLSafeSerializer
from starlette_csrf import CSRFMiddleware as DoubleSubmitMiddleware

from atomic_session import CSRFMiddleware, SessionManager, SessionMiddleware
from atomic_session.cookies import CookieCodec, CookieSettings
from atomic_session.csrf import is_csrf, make_csrf
from atomic_session.stores.sqlite import SQLiteStore
from atomic_session.token import new_token

from .counts import CountingStore
from .harness import Case, Figure, Options, Target, record
from .sessions import SECRET, Headers, cookie_of, create, data_of, managed
from .untouched import App, application, nothing, scope_of, swallow

__all__ = ["measure"]

_TOKENS, _SIGNED = "make and check a token", "itsdangerous: sign and unsign"
_POST, _GET = "a same-origin POST", "a GET"
_ORIGIN = (b"origin", b"http://shop.example")
_SAME = (b"sec-fetch-site", b"same-origin")


async def measure(options: Options) -> Figure:
    figure = Figure("csrf", "CSRF tokens, and what their middlewares add to an ASGI call in process")
    store = CountingStore(SQLiteStore(options.folder / "csrf.db"))
    async with managed(store) as context:
        (headers,) = await create(context, 1, data_of())
        store.trips = 0
        times = options.times(20_000, 20)
        cases = [Case(_TOKENS, "us", partial(_make_and_check, times)), Case(_SIGNED, "us", partial(_sign, times))]
        for name, method in ((_POST, "POST"), (_GET, "GET")):
            cases += _around(name, method, headers, store, options.times(5_000, 5))
        await record(figure, cases, options.rounds)
        figure.counted["trips to the store"] = store.trips
    figure.compare("tokens: ours / itsdangerous", _TOKENS, _SIGNED, Target("at most", 2))
    for name, bound in ((_POST, 0.5), (_GET, 0.25)):
        ours, theirs = f"{name}: our protection adds", f"{name}: starlette-csrf adds"
        figure.add(figure[f"{name}: protected session"].minus(figure[f"{name}: session"], ours))
        figure.add(figure[f"{name}: starlette-csrf"].minus(figure[f"{name}: bare application"], theirs))
        figure.compare(f"{name}: ours / starlette-csrf", ours, theirs, Target("at most", bound))
    strict, theirs = f"{_POST}: our token for all adds", f"{_POST}: starlette-csrf adds"
    figure.add(figure[f"{_POST}: strict session"].minus(figure[f"{_POST}: session"], strict))
    figure.compare(f"{_POST}: a token for all / starlette-csrf", strict, theirs)
    return figure


async def _make_and_check(times: int) -> float:
    token = new_token()
    start = time.perf_counter()
    for _ in range(times):
        if not is_csrf(make_csrf(token), token):
            raise RuntimeError("a token does not fit its session")
    return (time.perf_counter() - start) / times * 1e6


async def _sign(times: int) -> float:
    signer, value = TimestampSigner(SECRET), new_token().value
    start = time.perf_counter()
    for _ in range(times):
        signer.unsign(signer.sign(value))
    return (time.perf_counter() - start) / times * 1e6


def _around(name: str, method: str, headers: Headers, store: CountingStore, times: int) -> list[Case]:
    """Return the cases of one kind of request: it comes from a browser, with whatever each middleware asks for."""
    made = URLSafeSerializer(SECRET, "csrftoken").dumps("0f3c9a5d7be14286a1c0e9d2b4f67385")
    text = made if isinstance(made, str) else made.decode()
    cookie = f"{cookie_of(headers)}; csrftoken={text}".encode()
    request = [pair for pair in headers if pair[0] != b"cookie"]
    request += [(b"cookie", cookie), (b"x-csrftoken", text.encode()), _ORIGIN, _SAME]
    request += [(b"x-csrf-token", _token_for(headers))]
    manager = SessionManager(store)
    apps: dict[str, App] = {
        "bare application": application,
        "starlette-csrf": DoubleSubmitMiddleware(application, SECRET),
        "session": SessionMiddleware(application, manager=manager),
        "protected session": SessionMiddleware(CSRFMiddleware(application), manager=manager),
    }
    if method == "POST":
        apps["strict session"] = SessionMiddleware(CSRFMiddleware(application, mode="strict"), manager=manager)
    return [Case(f"{name}: {each}", "us", partial(_run, app, method, request, times)) for each, app in apps.items()]


def _token_for(headers: Headers) -> bytes:
    """Return a CSRF token for the session of *headers*."""
    held = CookieCodec(CookieSettings()).read(headers, secure=False).token
    if held is None:
        raise RuntimeError("the session has no cookie")
    return make_csrf(held).encode()


async def _run(app: App, method: str, headers: Headers, times: int) -> float:
    """Return the microseconds of one request."""
    scope = dict(scope_of(headers, method))
    start = time.perf_counter()
    for _ in range(times):
        await app(scope.copy(), nothing, swallow)
    return (time.perf_counter() - start) / times * 1e6
