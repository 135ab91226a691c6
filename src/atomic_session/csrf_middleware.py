"""
The ASGI edge of CSRF protection: what a request says is gathered, decided upon, and made good by a token.

With a browser of today the headers decide, and neither a store nor a byte of the body is looked at.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from .asgi import App, Message, Receive, Scope, Send, check_predicate, path_inside, refuse
from .csrf import (
    CHECK,
    MODES,
    PASS,
    REJECT,
    Decision,
    Mode,
    Origin,
    Policy,
    RequestFacts,
    decide,
    is_harmless,
    parse_origin,
)
from .csrf_form import FormScanner, scanner_for
from .durations import Duration, parse_duration
from .events import emit
from .session import Session

__all__ = ["CSRFMiddleware", "csrf_exempt"]

Routes: TypeAlias = Collection[str] | Callable[[Scope], bool]
Endpoint = TypeVar("Endpoint")

_EXEMPT = "__csrf_exempt__"
_FULL_MATCH = 2  # of Starlette's routes
_FORBIDDEN = 403

_ONCE = (b"content-type", b"host", b"origin", b"sec-fetch-site")
"""The headers that decide, which come once or not at all; in the order of `_Headers`."""

_PROOF = len(_ONCE)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def csrf_exempt(endpoint: Endpoint) -> Endpoint:
    """
    Mark an endpoint as one that `CSRFMiddleware` lets everybody call, such as a webhook with its own proof.

    It is found through the routes of a Starlette or FastAPI application; for others, and for
    mounted applications, give the middleware `exempt`.  Put it below the decorator that routes.
    """
    setattr(endpoint, _EXEMPT, True)
    return endpoint


class _Headers(NamedTuple):
    """What the headers of a request say; of one that came twice the last, and that it did."""

    content_type: bytes | None
    host: bytes | None
    origin: bytes | None
    site: bytes | None
    repeated: bool
    tokens: list[bytes]


class CSRFMiddleware:
    """
    Refuse what another site makes a browser send: answer 403, and call *app* for everything else.

    It belongs inside of `SessionMiddleware`, and outside of whatever overrides methods.

    Args:
        app: the application.
        mode: "auto" goes by the headers, and wants a token from those of our cookies that come
            without any evidence; "headers" refuses these; "strict" wants a token from every
            unsafe request with our cookie (NIST SP 800-63B-4, section 5.1).
        trusted_origins: foreign origins that may send requests, such as "https://pay.example".
        own_origins: the application's own, where its `Host` header cannot be relied on.
        exempt: paths that are not protected, as the application's own routes have them; or a predicate on the scope.
        protect_safe: where GET, HEAD and OPTIONS are protected as well, likewise.
        require_token: where a request without any evidence needs a token even without our cookie, likewise.
        purpose: what the tokens were made for, or a function of the scope that says it.
        header_names: headers that a token may be in; if there is one, only it is judged.
        field: the form field that a token may be in.
        report_only: let everything in, and log what would have been refused.
        allow_websocket_without_origin: let clients in that send our cookie and are no browsers.
        body_limit: how many bytes of a form are searched for the token.
        body_timeout: how long that may take.

    Raises:
        ValueError: a setting is nonsense.
    """

    def __init__(
        self,
        app: App,
        *,
        mode: Mode = "auto",
        trusted_origins: Iterable[str] = (),
        own_origins: Iterable[str] = (),
        exempt: Routes = (),
        protect_safe: Routes = (),
        require_token: Routes = (),
        purpose: str | Callable[[Scope], str] = "",
        header_names: Iterable[str] = ("X-CSRF-Token",),
        field: str = "_csrf",
        report_only: bool = False,
        allow_websocket_without_origin: bool = False,
        body_limit: int = 65_536,
        body_timeout: Duration = 30,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, not {mode!r}")
        if type(field) is not str or not field:
            raise ValueError(f"field must be a text that is not empty, not {field!r}")
        if type(body_limit) is not int or body_limit < 1:
            raise ValueError(f"body_limit must be a positive whole number of bytes, not {body_limit!r}")
        self.app = app
        trusted, own = _origins("trusted_origins", trusted_origins), _origins("own_origins", own_origins)
        self._policy = Policy(mode, trusted, own, allow_websocket_without_origin)
        self._exempt = _predicate("exempt", exempt)
        self._guarded = _predicate("protect_safe", protect_safe)
        self._required = _predicate("require_token", require_token)
        self._purpose = purpose
        self._places = _places(header_names)
        self._lengths = frozenset(map(len, self._places))  # most other headers have others
        self._field = field
        self._report_only = report_only
        self._limit = body_limit
        self._timeout = parse_duration(body_timeout, "body_timeout") / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        session = scope.get("session")
        if not isinstance(session, Session):
            raise RuntimeError("CSRFMiddleware belongs inside of SessionMiddleware: add SessionMiddleware after it")
        headers = self._read(scope)
        guarded = self._guarded is not None and self._guarded(scope)
        websocket = scope["type"] == "websocket"
        harmless = is_harmless("GET" if websocket else scope["method"], websocket=websocket, guarded=guarded)
        if harmless and not headers.repeated:
            await self.app(scope, receive, send)
        else:
            await self._protect(scope, receive, send, headers, self._facts(scope, headers, guarded=guarded))

    async def _protect(
        self, scope: Scope, receive: Receive, send: Send, headers: _Headers, facts: RequestFacts
    ) -> None:
        decision = decide(facts, self._policy)
        if decision.verdict != PASS:
            session: Session = scope["session"]
            facts = facts._replace(has_cookie=session.cookie_came, exempt=self._is_exempt(scope))
            decision = decide(facts, self._policy)
        if decision.verdict == CHECK:
            replay = _Replay(receive)
            decision = await self._check(scope, headers, replay)
            if replay.is_over:
                return
            receive = replay
        if decision.verdict == REJECT:
            self._tell(scope, decision)
            if not self._report_only:
                await refuse(scope, send, _FORBIDDEN, None)
                return
        await self.app(scope, receive, send)

    # What the request says.

    def _read(self, scope: Scope) -> _Headers:
        found: list[bytes | None] = [None, None, None, None]
        tokens: list[bytes] = []
        repeated = False
        for name, value in scope["headers"]:
            if len(name) in self._lengths:
                place = self._places.get(name.lower())
                if place == _PROOF:
                    tokens.append(value)
                elif place is not None:
                    repeated = repeated or found[place] is not None
                    found[place] = value
        content_type, host, origin, site = found
        return _Headers(content_type, host, origin, site, repeated, tokens)

    def _facts(self, scope: Scope, headers: _Headers, *, guarded: bool) -> RequestFacts:
        """
        Gather the facts as if our cookie had come.

        It only ever asks for more, so that what comes in even so is let in without a look at the
        cookie, on which the response would depend from then on.
        """
        websocket = scope["type"] == "websocket"
        return RequestFacts(
            "GET" if websocket else scope["method"],
            _text(headers.site),
            _text(headers.origin),
            _text(headers.host),
            headers.repeated,
            websocket,
            scope["session"].secure,
            True,
            False,
            guarded,
            self._required is not None and self._required(scope),
        )

    def _is_exempt(self, scope: Scope) -> bool:
        if self._exempt is not None and self._exempt(scope):
            return True
        return bool(getattr(_endpoint_of(scope.get("app"), scope), _EXEMPT, False))

    # What a token proves.

    async def _check(self, scope: Scope, headers: _Headers, replay: _Replay) -> Decision:
        """Look for the token, in the headers or in the form, and judge it."""
        if len(headers.tokens) > 1:
            return Decision(REJECT, "malformed")
        if headers.tokens:
            return self._judge(scope, headers.tokens[0].decode("latin-1"))
        scanner = scanner_for(_text(headers.content_type), self._field, self._limit)
        if scanner is None:
            return Decision(REJECT, "token_missing")
        try:
            async with asyncio.timeout(self._timeout):
                await replay.scan(scanner)
        except TimeoutError:
            return Decision(REJECT, "form_too_slow")
        if scanner.value is None:
            return Decision(REJECT, scanner.problem or "token_missing")
        return self._judge(scope, scanner.value)

    def _judge(self, scope: Scope, given: str) -> Decision:
        purpose = self._purpose if isinstance(self._purpose, str) else self._purpose(scope)
        valid = scope["session"].check_csrf(given, purpose)
        return Decision(PASS, "token") if valid else Decision(REJECT, "token_wrong")

    def _tell(self, scope: Scope, decision: Decision) -> None:
        emit(
            "csrf_failed",
            scope["session"].id,
            reason=decision.reason,
            report_only=self._report_only,
            kind=scope["type"],
        )


class _Replay:
    """A `receive` that gives again what was taken for a look, as it came, and then goes on."""

    __slots__ = ("_kept", "_receive", "is_over")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()
        self.is_over = False  # the client left

    async def __call__(self) -> Message:
        return self._kept.popleft() if self._kept else await self._receive()

    async def scan(self, scanner: FormScanner) -> None:
        """Feed *scanner* with the body until it has decided."""
        while True:
            message = await self._receive()
            self._kept.append(message)
            if message["type"] != "http.request":
                self.is_over = True
                return
            if scanner.feed(message.get("body", b"")):
                return
            if not message.get("more_body", False):
                scanner.end()
                return


def _endpoint_of(app: Any, scope: Scope) -> object:
    """Return the endpoint that Starlette's router would choose; None where that is not known."""
    return _chosen(getattr(app, "routes", None) or (), dict(scope))


def _chosen(routes: Iterable[Any], scope: Scope) -> object:
    """Return the endpoint of the first route that matches; one that only nearly matches does not count."""
    for route in routes:
        match, below = route.matches(scope)
        if match.value != _FULL_MATCH:
            continue
        endpoint = below.get("endpoint")
        if endpoint is None:  # a router that FastAPI includes: it does not say which of its routes it was
            candidates = getattr(route, "effective_candidates", tuple)
            return _chosen(candidates(), scope)
        if getattr(endpoint, "routes", None):  # something mounted
            return _endpoint_of(endpoint, {**scope, **below})
        return endpoint
    return None


def _origins(setting: str, given: Iterable[str]) -> frozenset[Origin]:
    found = set()
    for text in _texts(setting, given):
        origin = parse_origin(text)
        if origin is None:
            raise ValueError(f"{setting}: {text!r} is no origin: write scheme://host or scheme://host:port")
        found.add(origin)
    return frozenset(found)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _places(header_names: Iterable[str]) -> dict[bytes, int]:
    """Return the headers that count, with their places in `_Headers`; those of tokens have one together."""
    names = _texts("header_names", header_names)
    for name in names:
        if _HEADER_NAME.fullmatch(name) is None or name.lower().encode() in (*_ONCE, b"cookie"):
            raise ValueError(f"header_names: no token can be in a header called {name!r}")
    return {name.lower().encode(): _PROOF for name in names} | {name: place for place, name in enumerate(_ONCE)}


def _texts(setting: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise ValueError(f"{setting} must be several texts, not one: write [{given!r}]")
    return tuple(given)


def _predicate(setting: str, routes: Routes) -> Callable[[Scope], bool] | None:
    """Return a function of the scope; None where it would never be true."""
    if callable(routes):
        return check_predicate(setting, routes)
    paths = frozenset(_texts(setting, routes))
    if not all(path.startswith("/") for path in paths):
        raise ValueError(f"{setting}: a path begins with a slash")
    return (lambda scope: path_inside(scope) in paths) if paths else None
