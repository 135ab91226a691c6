"""What is logged: one line for each thing worth knowing, and none for what is not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.session.kit import DAY, Site, failing

from atomic_session import AtomicSessionError, CorruptRecord, OutcomeUnknown, Session, SessionGone, StoreUnavailable
from atomic_session.token import new_token


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what was logged since the last time."""
    caplog.set_level(logging.INFO, logger="atomic_session")

    def since() -> list[str]:
        found: list[str] = [getattr(record, "event", record.message) for record in caplog.records]
        caplog.clear()
        return found

    return since


Events = Callable[[], list[str]]


async def test_a_life_is_told_line_by_line(site: Site, events: Events) -> None:
    session = site.request(None)
    await session.set("a", 1)
    assert events() == ["session_created"]
    await session.inc("n")
    await session.load(fresh=True)
    await session.commit()
    assert events() == []
    await session.rotate()
    assert events() == ["session_rotated"]
    await session.login("ann")
    assert events() == ["session_rotated", "session_login"]
    await session.regenerate()
    assert events() == ["session_destroyed", "session_regenerated"]
    await session.login("bob")
    assert events() == ["session_created", "session_login"]
    await session.destroy()
    assert events() == ["session_destroyed"]
    await session.destroy()
    await session.commit()
    assert events() == []


async def test_a_renewal_is_told_to_who_wants_the_details(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    cookie = await site.visitor(a=1)
    site.clock.advance(2 * DAY)
    caplog.set_level(logging.DEBUG, logger="atomic_session")
    await site.request(cookie).load()
    await site.request(cookie).load()

    assert [record.message.partition(" ")[0] for record in caplog.records] == ["session_renewed"]


async def test_a_token_that_opens_nothing_is_told_once(site: Site, events: Events) -> None:
    session = site.request(b"sid=" + new_token().value.encode())
    await session.load()
    await session.load()
    await session.set("a", 1)

    assert events() == ["unknown_token", "session_created"]


_WRITES: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "update": lambda session: _awaited(session.set("a", 1)),
    "touch": lambda session: session.touch(),
    "rotate": lambda session: session.rotate(),
}


async def _awaited(update: Any) -> Any:
    return await update


@pytest.mark.parametrize("name", _WRITES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("changed", [True, False])
async def test_a_write_to_a_session_that_ended_is_told_once(
    site: Site, events: Events, name: str, *, known: bool, changed: bool
) -> None:
    cookie = await site.visitor(a=1)
    session = await site.request(cookie)()
    await site.request(cookie).destroy()
    if known:
        await session.load(fresh=True)
    elif changed:
        session["mine"] = 1
    events()
    with pytest.raises(SessionGone):
        await _WRITES[name](session)

    assert events() == ["write_after_destroy"]


@pytest.mark.parametrize("change", [lambda session: session.update(mine=1), lambda session: session.clear()])
async def test_changes_that_are_lost_with_a_session_are_told_once(site: Site, events: Events, change: Any) -> None:
    cookie = await site.visitor(a=1)
    session = await site.request(cookie)()
    change(session)
    await site.request(cookie).destroy()
    events()
    await session.load(fresh=True)
    assert not session.modified
    await session.commit()

    assert events() == ["delta_dropped"]


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (StoreUnavailable("x"), "store_unavailable"),
        (OutcomeUnknown("x"), "outcome_unknown"),
        (CorruptRecord("id", "x"), "corrupt_record"),
    ],
)
@pytest.mark.parametrize("verb", ["load", "update", "destroy", "create"])
async def test_a_store_that_fails_is_told_once(
    site: Site, events: Events, caplog: pytest.LogCaptureFixture, error: AtomicSessionError, event: str, verb: str
) -> None:
    session = site.request(None if verb == "create" else await site.visitor(a=1))
    site.store.before = failing(error)
    events()
    with pytest.raises(AtomicSessionError):
        await (session.set("a", 1) if verb in ("update", "create") else getattr(session, verb)())

    expected = "store_unavailable" if verb == "load" and event == "outcome_unknown" else event
    assert "reason='x'" in caplog.text
    assert events() == [expected]


async def test_a_corrupt_record_is_left_as_it_is(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    site.store.before = failing(CorruptRecord("id", "not ours"))
    with pytest.raises(CorruptRecord):
        await session.load()

    assert session.cookie_header() is None
    assert await site.stored(cookie) == {"a": 1}
