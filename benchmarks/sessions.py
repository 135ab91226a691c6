"""Sessions to measure with: what is in them, and the requests that carry them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import itsdangerous

from atomic_session import SessionManager
from atomic_session.cookies import CookieCodec, CookieSettings
from atomic_session.session import Session, SessionContext, new_session
from atomic_session.store import Store

__all__ = [
    "BROWSER",
    "SECRET",
    "cookie_of",
    "create",
    "data_of",
    "id_of",
    "managed",
    "open_session",
    "signed",
    "sqlite_url",
    "stored",
    "with_cookie",
]

Headers = list[tuple[bytes, bytes]]

SECRET = "0f3c9a5d7be14286a1c0e9d2b4f67385"
"""What the signed cookies are signed with."""

_AT_ONCE = 256
_HALF_A_PAGE = 220

_DATA = {
    "user_id": "8f14e45f-ceea-467f-ab5e-2a1f6e6b1c2d",
    "name": "Ada Lovelace",
    "locale": "en-GB",
    "roles": ["customer", "reviewer"],
    "csrf": "q7Yw2mV9xT4kLr8sNb3cHd6fJg1pZa5eUo0iKtWvXyE",
    "color": "blue",
    "hits": 17,
    "visits": 17,
    "cart": [
        {"sku": "A-1001", "quantity": 1, "price": 1995},
        {"sku": "A-1002", "quantity": 2, "price": 495},
        {"sku": "B-2001", "quantity": 1, "price": 12900},
        {"sku": "C-3007", "quantity": 3, "price": 349},
        {"sku": "D-4010", "quantity": 1, "price": 7999},
    ],
    "flash": [{"kind": "info", "text": "Your address was saved."}, {"kind": "note", "text": "Back in stock."}],
}

BROWSER: Headers = [
    (b"host", b"shop.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-GB,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
]


def data_of(size: int = 0) -> dict[str, Any]:
    """Return about *size* bytes of data, at least half a kilobyte: a small shop, and pages that were looked at."""
    data: dict[str, Any] = json.loads(json.dumps(_DATA))
    number = 0
    left = size - len(json.dumps(data, separators=(",", ":")))
    while left > _HALF_A_PAGE:
        number += 1
        page = {"path": f"/products/{number:05}", "seen": [1_750_000_000 + number * 60 + step for step in range(36)]}
        data[f"page_{number}"] = page
        left -= len(json.dumps(page, separators=(",", ":"))) + 12
    return data


def sqlite_url(path: Path, *, relaxed: bool = False) -> str:
    return f"sqlite:///{path}" + ("?durability=relaxed" if relaxed else "")


@asynccontextmanager
async def managed(store: str | Store) -> AsyncIterator[SessionContext]:
    """Open a manager with the settings that everybody gets, and close it at the end."""
    manager = SessionManager(store)
    await manager.open()
    try:
        yield manager.context(CookieCodec(CookieSettings(), None))
    finally:
        await manager.close()


def open_session(context: SessionContext, headers: Headers) -> Session:
    """Return the session of a request with *headers*, as the middleware makes it."""
    return new_session(context, headers, secure=False)


async def create(context: SessionContext, count: int, data: dict[str, Any]) -> list[Headers]:
    """Create *count* sessions that hold *data*, and return the headers of a request of each."""
    made: list[Headers] = []
    for start in range(0, count, _AT_ONCE):
        made += await asyncio.gather(*(_create_one(context, data) for _ in range(min(_AT_ONCE, count - start))))
    return made


async def _create_one(context: SessionContext, data: dict[str, Any]) -> Headers:
    session = await open_session(context, BROWSER)()
    session.update(data)
    await session.commit()
    header = session.cookie_header()
    if header is None:
        raise RuntimeError("a session was created, and there is no cookie for it")
    return with_cookie(header.partition(b";")[0])


def with_cookie(pair: bytes) -> Headers:
    """Return the headers of a browser that sends this cookie, and two of other services."""
    return [*BROWSER, (b"cookie", b"theme=dark; " + pair + b"; consent=essential")]


def cookie_of(headers: Headers) -> str:
    """Return the whole `Cookie` header as text."""
    return next(value for name, value in headers if name == b"cookie").decode("ascii")


def id_of(context: SessionContext, headers: Headers) -> str:
    """Return the public id of the session that *headers* carry."""
    found = open_session(context, headers).id
    if found is None:
        raise RuntimeError("these headers carry no session")
    return found


def signed(data: dict[str, Any]) -> Headers:
    """Return the headers of a browser whose signed cookie holds *data*, as Starlette's middleware writes it."""
    text = base64.b64encode(json.dumps(data).encode())
    return with_cookie(b"session=" + itsdangerous.TimestampSigner(SECRET).sign(text))


async def stored(context: SessionContext, each: list[Headers], name: str) -> int:
    """Return the sum of the field *name* over the sessions of *each*."""
    return sum([(await open_session(context, headers)())[name] for headers in each])
