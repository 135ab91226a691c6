"""Many requests at once: none sees another's session, none loses its own, and no secret gets out."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.asgi.kit import Server, answering, call, http
from tests.session.kit import SpyStore, failing

from atomic_session import Session, SessionGone
from atomic_session.stores.sqlite import SQLiteStore


async def test_a_thousand_interleaved_requests_keep_apart() -> None:
    async def handle(session: Session) -> Any:
        await asyncio.sleep(0)
        await session()
        marker = session["marker"]
        await asyncio.sleep(0)
        session["seen"] = marker
        await session.inc("visits")
        await asyncio.sleep(0)
        assert session["marker"] == session["seen"] == marker
        return marker, session["visits"]

    server = Server(answering(handle))
    cookies = []
    for number in range(50):

        async def mark(session: Session, number: int = number) -> None:
            await session.set("marker", number)

        cookies.append((await Server(answering(mark), manager=server.manager).get()).cookie)
    order = [number for number in range(50) for _ in range(20)]
    random.Random(7).shuffle(order)
    replies = await asyncio.gather(*(server.get(cookies[number]) for number in order))

    assert [reply.error for reply in replies] == [None] * 1_000
    for number in range(50):
        bodies = [eval(reply.body) for reply, asked in zip(replies, order, strict=True) if asked == number]
        assert sorted(bodies) == [(number, visit) for visit in range(1, 21)]


@pytest.mark.parametrize("how", ["plain", "operators", "both"])
async def test_fifty_requests_at_once_lose_nothing(how: str, tmp_path: Path) -> None:
    async def handle(session: Session) -> None:
        number = str(next(numbers))
        await session()
        await asyncio.sleep(0)
        if how != "operators":
            session[f"k{number}"] = 1
            session.setdefault("deep", {}).setdefault("er", {})[number] = 1
            session.setdefault("log", []).append(number)
        if how != "plain":
            await session.inc("n").set(("set", number), True)

    numbers = iter(range(50))
    server = Server(answering(handle))
    server.manager.store = SpyStore(SQLiteStore(tmp_path / "sessions.db", durability="relaxed"))
    cookie = (await Server(answering(lambda session: session.set("n", 0)), manager=server.manager).get()).cookie
    replies = await asyncio.gather(*(server.get(cookie) for _ in range(50)))
    assert [reply.error for reply in replies] == [None] * 50

    reply = await Server(answering(lambda session: session()), manager=server.manager).get(cookie)
    data = eval(reply.body)
    if how != "operators":
        assert sum(name.startswith("k") for name in data) == len(data["deep"]["er"]) == len(data["log"]) == 50
    if how != "plain":
        assert (data["n"], len(data["set"])) == (50, 50)
    await server.manager.close()


async def test_a_session_is_in_its_own_scope_only() -> None:
    sessions = []

    async def handle(session: Session) -> None:
        sessions.append(session)

    server = Server(answering(handle))
    scopes = [http() for _ in range(3)]
    for scope in scopes:
        await call(server.app, scope)

    assert len({id(session) for session in sessions}) == 3
    assert [scope["session"] for scope in scopes] == sessions


def _everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_no_secret_ever_reaches_the_store_a_log_an_error_or_a_page(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    secrets: set[bytes] = set()

    async def everything(session: Session) -> Any:
        await session()
        session["data"] = "the-data-of-a-user"
        shown.append(repr(session._exchange))
        await session.inc("n")
        await session.rotate()
        await session.login("ann")
        await session.touch(max_age="1 year")
        try:
            await session.inc("data")
        except Exception as error:  # noqa: BLE001 - whatever it says is looked at
            shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
        shown.extend((repr(session._exchange), str(await server.manager.sessions_of("ann"))))
        return session.id, session.owner

    async def gone(session: Session) -> None:
        await session.destroy()
        try:
            await session.set("a", 1)
        except SessionGone as error:
            shown.append(f"{error!r} {error.__dict__}")
            raise

    path = tmp_path / "sessions.db"
    inner = SQLiteStore(path)
    server = Server(answering(everything), secret_key="the-signing-key")
    server.manager.store = store = SpyStore(inner)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        replies = [await server.get()]
        replies.append(await server.get(replies[0].cookie))
        store.before = failing(RuntimeError("a bug in the driver"))
        replies.append(await server.get(replies[1].cookie))
        replies.append(await server.get((replies[1].cookie or b"")[:-1] + b"x"))
        replies.append(await server.get(replies[0].cookie))
        ending = Server(answering(gone), manager=server.manager, secret_key="the-signing-key")
        replies.append(await ending.get(replies[1].cookie))
    for reply in replies:
        if reply.error is not None:
            shown.append("".join(traceback.format_exception(reply.error)))
        elif reply.cookie is not None:
            value = reply.cookie.partition(b"=")[2]
            secrets |= {value, value.split(b".")[1], value.split(b".")[2]}
    shown += [str(reply.body) for reply in replies]
    shown += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    shown += [str(warning.message) for warning in caught]
    shown += [repr(command) for command in store.commands]
    shown += [repr(server.app), repr(server.manager), repr(server.manager.__dict__), repr(server.app.__dict__)]
    await server.manager.close()
    stored = _everything_in(tmp_path)

    assert len(secrets) >= 9
    for secret in secrets:
        assert secret not in stored
        assert not [text for text in shown if secret.decode() in text]
    logged = [record.getMessage() for record in caplog.records]
    assert not [text for text in [*logged, *(str(reply.body) for reply in replies)] if "the-data-of-a-user" in text]
    assert not [text for text in shown if "the-signing-key" in text]
    assert {line.partition(" ")[0] for line in logged} >= {
        "session_created",
        "session_rotated",
        "session_login",
        "session_destroyed",
        "write_after_destroy",
        "forged_cookie",
    }
