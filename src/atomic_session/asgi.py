"""
The protocol at the edge: what its messages are called in types, and what a session does to a response.

The names are those of the ASGI specification, version 3.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from .events import emit

__all__ = [
    "TEXTS",
    "App",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "check_predicate",
    "path_inside",
    "refuse",
    "with_headers",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[..., Awaitable[None]]  # of a scope, receive and send, which each framework types its own way
Headers: TypeAlias = list[tuple[bytes, bytes]]

TEXTS = {
    401: b"Please log in again.",
    403: b"The request was refused.",
    503: b"Please try again in a moment.",
}
"""What is said to a person, by the HTTP status of an error of ours."""

_UNAVAILABLE = 503
_GOING_AWAY = {401: 1008, 403: 1008, 503: 1013}
"""HTTP statuses as close codes of a websocket: policy violation, try again later."""


def check_predicate(setting: str, predicate: Callable[[Scope], bool]) -> Callable[[Scope], bool]:
    """
    Return *predicate*, which answers at once.

    Raises:
        TypeError: it has to be awaited; the coroutine would be taken for True.
    """
    if inspect.iscoroutinefunction(predicate):
        raise TypeError(f"{setting} must be a plain function of the scope, not an async one")
    return predicate


def path_inside(scope: Scope) -> str:
    """
    Return the path as the application's own routes see it.

    Where it is mounted, or its server is told of a `root_path`, the scope's path begins with that.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    inside = path.removeprefix(root)
    return inside if inside[:1] in ("", "/") else path


def with_headers(message: Message, cookie: bytes | None, shared: bool) -> Message:
    """Return *message*, which may be the application's constant, with the headers that a session adds."""
    headers: Headers = [*message.get("headers", ())]
    if cookie is not None:
        headers.append((b"set-cookie", cookie))
    if message["type"] != "websocket.accept":  # which no cache stores
        _add_vary(headers)
        if cookie is not None or shared:
            _forbid_storing(headers)
    return {**message, "headers": headers}


def _add_vary(headers: Headers) -> None:
    """Say that the response depends on the cookie (RFC 9110, section 12.5.5)."""
    found = None
    for place, (name, value) in enumerate(headers):
        if name.lower() == b"vary":
            members = [member.strip() for member in value.lower().split(b",")]
            if b"cookie" in members or b"*" in members:
                return
            found = place if found is None else found
    if found is None:
        headers.append((b"vary", b"Cookie"))
    else:
        name, value = headers[found]
        headers[found] = (name, value + b", Cookie" if value.strip() else b"Cookie")


def _forbid_storing(headers: Headers) -> None:
    """Keep a response with a session cookie out of every cache (RFC 9111, section 5.2.2.5)."""
    said = b",".join(value.lower() for name, value in headers if name.lower() == b"cache-control")
    if b"public" in said or b"s-maxage" in said:
        emit("cacheable_response")
    headers[:] = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
    headers.append((b"cache-control", b"no-store"))


async def refuse(scope: Scope, send: Send, status: int, cookie: bytes | None) -> None:
    """Answer for an application that did not catch the error; the cookie says what was done before it."""
    text = TEXTS[status]
    headers: Headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        (b"cache-control", b"no-store"),
        (b"vary", b"Cookie"),
    ]
    if status == _UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    if cookie is not None:
        headers.append((b"set-cookie", cookie))
    prefix = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _GOING_AWAY[status]})
            return
        prefix = "websocket.http"
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": text})
