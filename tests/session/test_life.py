"""Login, rotation, regeneration, destruction and touching, in every state a session can be in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tests.session.kit import DAY, MINUTE, Gate, Site, cookie_of, failing

from atomic_session import (
    InvalidValue,
    LimitExceeded,
    LoginRequired,
    OutcomeUnknown,
    ResponseStarted,
    Session,
    SessionGone,
    StoreUnavailable,
)
from atomic_session.clock import to_datetime
from atomic_session.token import new_token

MAX_AGE = 14 * DAY


def _unknown() -> bytes:
    return b"sid=" + new_token().value.encode()


def _sent(session: Session) -> str | None:
    """Respond: say what the response does to the cookie."""
    header = session.cookie_header()
    if header is None:
        return None
    return "clear" if b"Max-Age=0" in header else "set"


# --- login


async def test_a_login_keeps_the_data_and_kills_the_old_token(any_site: Site) -> None:
    cookie = await any_site.visitor(cart=[1])
    session = await any_site.request(cookie)()
    before = session.id
    session["next"] = "/"
    await session.login("ann")

    assert (session.id, session.owner) == (before, "ann")
    assert session.authenticated_at == to_datetime(any_site.clock.now)
    kept = cookie_of(session)
    assert kept is not None
    assert await any_site.stored(kept) == {"cart": [1], "next": "/"}
    assert (await any_site.request(cookie)()).gone
    (info,) = await any_site.manager.sessions_of("ann")
    assert info.id == before


@pytest.mark.parametrize("state", ["none", "unknown", "expired"])
@pytest.mark.parametrize("loaded", [True, False])
async def test_a_login_without_a_session_starts_one(any_site: Site, state: str, *, loaded: bool) -> None:
    cookies = {"none": None, "unknown": _unknown(), "expired": await any_site.visitor(a=1)}
    any_site.clock.advance(MAX_AGE)
    session = any_site.request(cookies[state])
    if loaded:
        await session.load()
        session["next"] = "/"
    await session.login("ann")

    kept = cookie_of(session)
    assert kept is not None
    assert kept != cookies[state]
    assert await any_site.stored(kept) == ({"next": "/"} if loaded else {})
    assert len(await any_site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("seen", ["before", "at the login", "with changes"])
async def test_a_login_over_a_destroyed_session_starts_a_fresh_one(any_site: Site, seen: str) -> None:
    cookie = await any_site.visitor(a=1)
    session = any_site.request(cookie)
    if seen == "with changes":
        await session.load()
        session["mine"] = 1
    await any_site.request(cookie).destroy()
    if seen == "before":
        await session.load()
        assert session.gone
    old = any_site.request(cookie).id
    await session.login("ann")

    assert session.id != old
    assert not session.gone
    assert session == {}
    kept = cookie_of(session)
    assert kept is not None
    assert await any_site.stored(kept) == {}


async def test_a_login_over_a_session_that_expired_under_the_request_starts_a_fresh_one(any_site: Site) -> None:
    session = await any_site.request(await any_site.visitor(a=1))()
    any_site.clock.advance(MAX_AGE)
    await session.login("ann")

    assert session == {}
    assert session.owner == "ann"


@pytest.mark.parametrize("seen", [True, False])
async def test_a_login_over_a_rotated_token_is_refused(any_site: Site, *, seen: bool) -> None:
    cookie = await any_site.visitor(a=1)
    await any_site.request(cookie).rotate()
    session = any_site.request(cookie)
    if seen:
        await session.load()

    with pytest.raises(SessionGone):
        await session.login("ann")
    assert _sent(session) is None
    assert await any_site.manager.sessions_of("ann") == []


async def test_two_logins_at_once_have_one_winner(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    outcomes = await asyncio.gather(
        *(any_site.request(cookie).login(name) for name in ("ann", "bob", "cat")), return_exceptions=True
    )

    assert outcomes.count(None) == 1
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [SessionGone] * 2


async def test_a_login_restarts_the_absolute_deadline() -> None:
    site = Site(max_lifetime="1 day")
    session = site.request(None)
    await session.set("a", 1)
    cookie = cookie_of(session)
    site.clock.advance(DAY - 1)
    session = site.request(cookie)
    await session.login("ann")
    cookie = cookie_of(session)
    site.clock.advance(DAY - 1)

    assert await site.request(cookie)() == {"a": 1}
    site.clock.advance(1)
    assert await site.request(cookie)() == {}


async def test_more_sessions_than_an_owner_may_have_are_refused() -> None:
    site = Site(max_sessions_per_owner=1)
    await site.request(None).login("ann")
    fresh = site.request(None)
    with pytest.raises(LimitExceeded):
        await fresh.login("ann")
    assert _sent(fresh) is None

    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    with pytest.raises(LimitExceeded):
        await session.login("ann")
    assert _sent(session) is None
    assert (await session.load()).owner is None
    assert await site.stored(cookie) == {"a": 1}


@pytest.mark.parametrize("owner", ["", "x" * 257, "a\nb", "a\x00"])
async def test_an_owner_that_can_be_none_is_refused(site: Site, owner: str) -> None:
    with pytest.raises(InvalidValue):
        await site.request(None).login(owner)
    with pytest.raises(TypeError):
        await site.request(None).login(42)  # type: ignore[arg-type]
    assert site.store.trips == 0


async def test_require_fresh_asks_how_long_ago_the_login_was(any_site: Site) -> None:
    session = any_site.request(None)
    with pytest.raises(LoginRequired):
        await session.require_fresh("5 minutes")
    await session.login("ann")
    cookie = cookie_of(session)

    any_site.clock.advance(5 * MINUTE)
    await any_site.request(cookie).require_fresh("5 minutes")
    any_site.clock.advance(1)
    later = any_site.request(cookie)
    with pytest.raises(LoginRequired) as caught:
        await later.require_fresh("5 minutes")
    assert caught.value.authenticated_at == to_datetime(any_site.clock.now - 5 * MINUTE - 1)
    assert caught.value.max_age == timedelta(minutes=5)

    await later.login("ann")
    await later.require_fresh("5 minutes")
    await later.destroy()
    with pytest.raises(LoginRequired):
        await later.require_fresh("5 minutes")


# --- rotate


async def test_a_rotation_keeps_the_data_and_uncommitted_changes(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    session = await any_site.request(cookie)()
    session["b"] = 2
    await session.rotate()
    await session.commit()

    assert session == {"a": 1, "b": 2}
    kept = cookie_of(session)
    assert kept is not None
    assert kept != cookie
    assert await any_site.stored(kept) == {"a": 1, "b": 2}


@pytest.mark.parametrize("cookie", [None, _unknown()])
async def test_rotating_nothing_does_nothing(any_site: Site, cookie: bytes | None) -> None:
    session = any_site.request(cookie)
    await session.rotate()

    assert session.is_new
    assert _sent(session) is None


async def test_a_rotation_with_grace_lets_the_old_token_go_on_for_that_long(any_site: Site) -> None:
    cookie = await any_site.visitor(n=0)
    winner = any_site.request(cookie)
    await winner.rotate(grace="10 seconds")

    late = any_site.request(cookie)
    await late.inc("n")
    assert late == {"n": 1}
    with pytest.raises(SessionGone):
        await late.rotate()
    any_site.clock.advance(10_000)
    with pytest.raises(SessionGone):
        await any_site.request(cookie).inc("n")
    assert await any_site.stored(cookie_of(winner) or b"") == {"n": 1}


async def test_of_many_rotations_one_wins(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    sessions = [any_site.request(cookie) for _ in range(10)]
    outcomes = await asyncio.gather(*(session.rotate() for session in sessions), return_exceptions=True)

    assert outcomes.count(None) == 1
    assert [_sent(session) for session in sessions].count("set") == 1


# --- destroy


@pytest.mark.parametrize("loaded", [True, False])
async def test_destroying_ends_the_session_and_deletes_its_cookie(any_site: Site, *, loaded: bool) -> None:
    cookie = await any_site.visitor(a=1)
    session = any_site.request(cookie)
    if loaded:
        await session.load()
        session["late"] = 1
    await session.destroy()
    await session.destroy()

    assert session == {}
    assert session.gone
    assert _sent(session) == "clear"
    with pytest.raises(SessionGone):
        await session.set("a", 1)
    assert (await any_site.request(cookie)()).gone


async def test_destroying_nothing_does_nothing(site: Site) -> None:
    session = site.request(None)
    session["a"] = 1
    await session.destroy()

    assert session == {}
    assert _sent(session) is None
    assert site.store.trips == 0


async def test_destroying_an_unknown_session_deletes_its_cookie(any_site: Site) -> None:
    session = any_site.request(_unknown())
    await session.destroy()

    assert session == {}
    assert not session.gone
    assert _sent(session) == "clear"


async def test_destroying_what_another_request_destroyed_leaves_the_cookie_alone(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    await any_site.request(cookie).destroy()
    session = any_site.request(cookie)
    await session.destroy()

    assert session.gone
    assert _sent(session) is None


@pytest.mark.parametrize("end", ["destroy", "regenerate"])
async def test_a_session_that_lives_on_under_another_token_cannot_be_ended_by_the_old_one(
    any_site: Site, end: str
) -> None:
    cookie = await any_site.visitor(a=1)
    winner = any_site.request(cookie)
    await winner.rotate()
    session = any_site.request(cookie)

    for _ in range(2):
        with pytest.raises(SessionGone):
            await getattr(session, end)()
    assert _sent(session) is None
    assert await any_site.stored(cookie_of(winner) or b"") == {"a": 1}


async def test_a_store_that_cannot_destroy_leaves_everything_as_it_is(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = await site.request(cookie)()
    session["b"] = 2
    site.store.before = failing(StoreUnavailable("down"))
    with pytest.raises(StoreUnavailable):
        await session.destroy()

    assert not session.gone
    assert _sent(session) is None
    await session.commit()
    assert await site.stored(cookie) == {"a": 1, "b": 2}


async def test_plain_changes_after_a_destroy_are_told_at_the_commit(site: Site) -> None:
    session = await site.request(await site.visitor(a=1))()
    await session.destroy()
    session["flash"] = "bye"

    with pytest.raises(SessionGone):
        await session.commit()
    assert session == {}
    await session.commit()


# --- regenerate


async def test_regenerating_destroys_and_starts_empty(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    session = await any_site.request(cookie)()
    session["late"] = 1
    new = await session.regenerate()

    assert new is session
    assert session == {}
    assert session.is_new
    assert not session.gone
    assert (await any_site.request(cookie)()).gone
    session["b"] = 2
    await session.commit()
    kept = cookie_of(session)
    assert kept is not None
    assert await any_site.stored(kept) == {"b": 2}


async def test_a_regenerated_session_that_stays_empty_deletes_the_cookie(any_site: Site) -> None:
    session = any_site.request(await any_site.visitor(a=1))
    await session.regenerate()
    await session.commit()

    assert any_site.store.kinds == ["Destroy"]
    assert _sent(session) == "clear"


@pytest.mark.parametrize("state", ["none", "unknown", "destroyed"])
async def test_regenerating_what_is_not_alive_starts_empty_too(any_site: Site, state: str) -> None:
    cookie = await any_site.visitor(a=1)
    await any_site.request(cookie).destroy()
    session = any_site.request({"none": None, "unknown": _unknown(), "destroyed": cookie}[state])
    await session.regenerate()
    await session.set("b", 2)

    kept = cookie_of(session)
    assert kept is not None
    assert await any_site.stored(kept) == {"b": 2}


async def test_all_in_one_request_is_one_cookie_the_last_word(any_site: Site) -> None:
    session = any_site.request(None)
    await session.set("a", 1)
    await session.rotate()
    await session.destroy()
    await session.regenerate()
    await session.login("ann")
    await session.rotate()
    last = session.id

    kept = cookie_of(session)
    assert session.cookie_header() is None
    assert any_site.request(kept).id == last
    assert await any_site.stored(kept or b"") == {}


# --- touch


async def test_touching_moves_the_deadline_and_sends_the_cookie_when_due(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    session = any_site.request(cookie)
    await session.touch()
    assert _sent(session) is None

    any_site.clock.advance(MAX_AGE - 1)
    session = any_site.request(cookie)
    await session.touch()
    assert _sent(session) == "set"
    any_site.clock.advance(MAX_AGE - 1)
    assert await any_site.request(cookie)() == {"a": 1}


@pytest.mark.parametrize("cookie", [None, _unknown()])
async def test_remember_me_before_the_first_write_is_remembered(any_site: Site, cookie: bytes | None) -> None:
    session = any_site.request(cookie)
    await session.touch(max_age="1 year")
    await session.set("a", 1)

    header = session.cookie_header()
    assert header is not None
    assert b"Max-Age=31536000" in header
    any_site.clock.advance(300 * DAY)
    assert await any_site.stored(header.partition(b";")[0]) == {"a": 1}


async def test_a_max_age_that_browsers_do_not_keep_is_refused_and_changes_nothing(any_site: Site) -> None:
    session = any_site.request(await any_site.visitor(a=1))
    await session()
    expires = session.expires

    with pytest.raises(ValueError, match="max_age must be at most 10 years"):
        await session.touch(max_age="3651 days")

    await session.load(fresh=True)
    assert session.expires == expires
    assert session.cookie_header() is None


async def test_a_session_keeps_its_own_max_age(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    session = any_site.request(cookie)
    await session.touch(max_age="1 hour")
    header = session.cookie_header()
    assert header is not None
    assert b"Max-Age=3600;" in header

    any_site.clock.advance(30 * MINUTE)
    session = any_site.request(cookie)
    await session.inc("a")
    assert _sent(session) == "set"
    any_site.clock.advance(60 * MINUTE)
    assert await any_site.request(cookie)() == {}


async def test_a_session_whose_own_max_age_is_short_lives_while_it_is_read() -> None:
    site = Site(touch_after="1 hour")
    session = site.request(await site.visitor(a=1))
    await session.touch(max_age="10 minutes")
    cookie = cookie_of(session)

    for _ in range(20):
        site.clock.advance(9 * MINUTE)
        session = await site.request(cookie)()
        assert session == {"a": 1}
        assert _sent(session) == "set"


async def test_a_browser_session_has_a_cookie_without_max_age_until_it_asks_for_one() -> None:
    site = Site(max_age=None)
    session = site.request(None)
    await session.set("a", 1)
    header = session.cookie_header()
    assert header is not None
    assert b"Max-Age" not in header
    cookie = header.partition(b";")[0]

    site.clock.advance(10 * DAY)
    session = await site.request(cookie)()
    assert session == {"a": 1}
    assert _sent(session) is None

    session = site.request(cookie)
    await session.touch(max_age="1 year")
    header = session.cookie_header()
    assert header is not None
    assert b"Max-Age=31536000" in header


@pytest.mark.parametrize("end", ["destroy", "rotate"])
async def test_touching_what_is_gone_is_refused(any_site: Site, end: str) -> None:
    cookie = await any_site.visitor(a=1)
    session = await any_site.request(cookie)()
    await getattr(any_site.request(cookie), end)()

    with pytest.raises(SessionGone):
        await session.touch()
    assert session == {}
    assert _sent(session) is None


async def test_marking_as_modified_touches_at_the_commit(any_site: Site) -> None:
    session = any_site.request(await any_site.visitor(a=1))
    session.mark_modified()
    assert session.modified
    await session.commit()
    await session.commit()

    assert any_site.store.kinds == ["Touch"]


async def test_discarding_takes_the_mark_back_too(any_site: Site) -> None:
    session = any_site.request(await any_site.visitor(a=1))
    session.mark_modified()
    session.discard()
    assert not session.modified
    await session.commit()

    assert any_site.store.trips == 0


# --- keys


async def test_a_cookie_of_an_older_key_is_signed_again_by_the_first_use() -> None:
    old = Site(keys=["old"])
    cookie = await old.visitor(a=1)
    site = Site(old.store, keys=["new", "old"])
    session = await site.request(cookie)()

    assert session == {"a": 1}
    again = cookie_of(session)
    assert again is not None
    assert again != cookie
    assert (await site.request(again)()).cookie_header() is None
    assert await Site(old.store, keys=["new"]).request(again)() == {"a": 1}
    assert await Site(old.store, keys=["new"]).request(cookie)() == {}


async def test_a_forged_cookie_takes_no_trip() -> None:
    site = Site(keys=["key"])
    cookie = await site.visitor(a=1)
    for forged in (cookie[:-1] + b"x", _unknown(), cookie.rpartition(b".")[0], cookie + b"x"):
        assert await site.request(forged)() == {}
    assert site.store.trips == 0


# --- after the response began

Action = Callable[[Session], Awaitable[object]]

_NEED_A_COOKIE: dict[str, Action] = {
    "rotate": lambda session: session.rotate(),
    "login": lambda session: session.login("ann"),
    "regenerate": lambda session: session.regenerate(),
    "remember me": lambda session: session.touch(max_age="1 year"),
}


@pytest.mark.parametrize("action", _NEED_A_COOKIE)
@pytest.mark.parametrize("looked", [True, False])
async def test_what_needs_a_cookie_raises_after_the_start_and_does_nothing(
    any_site: Site, action: str, *, looked: bool
) -> None:
    cookie = await any_site.visitor(a=1)
    session = any_site.request(cookie)
    if looked:
        await session.load()
    session.cookie_header()

    with pytest.raises(ResponseStarted):
        await _NEED_A_COOKIE[action](session)
    assert await any_site.stored(cookie) == {"a": 1}
    assert any_site.store.kinds == (["Load"] if looked else [])


@pytest.mark.parametrize("cookie", [None, _unknown()])
async def test_creating_after_the_start_raises_and_creates_nothing(any_site: Site, cookie: bytes | None) -> None:
    session = any_site.request(cookie)
    session.cookie_header()
    with pytest.raises(ResponseStarted):
        await session.set("a", 1)

    await session.load()
    session["a"] = 1
    with pytest.raises(ResponseStarted):
        await session.commit()
    assert any_site.store.rows == 0


async def test_what_needs_no_cookie_goes_on_after_the_start(any_site: Site) -> None:
    cookie = await any_site.visitor(n=0)
    session = any_site.request(cookie)
    session.cookie_header()
    any_site.clock.advance(2 * DAY)
    await session.inc("n")
    session["more"] = 1
    await session.commit()
    await session.touch()
    assert await any_site.stored(cookie) == {"n": 1, "more": 1}
    await session.destroy()

    assert session.gone
    assert session.cookie_header() is None


_USES: dict[str, Action] = {
    "update": lambda session: session.inc("n"),
    "load": lambda session: session.load(fresh=True),
    "touch": lambda session: session.touch(),
}


@pytest.mark.parametrize("use", _USES)
async def test_what_is_renewed_after_the_start_leaves_the_cookie_to_the_next_response(any_site: Site, use: str) -> None:
    """A websocket can send no cookie; were its renewals the only ones, the browser's would run out."""
    cookie = await any_site.visitor(n=0)
    socket = await any_site.request(cookie)()
    socket.cookie_header()
    for _ in range(14):
        any_site.clock.advance(2 * DAY)
        for _ in range(3):
            await _USES[use](socket)
        request = await any_site.request(cookie)()
        assert _sent(request) == "set"
        assert _sent(await any_site.request(cookie)()) is None


@pytest.mark.parametrize("use", _USES)
async def test_what_is_used_first_after_the_start_leaves_the_cookie_to_the_next_response(
    any_site: Site, use: str
) -> None:
    """A background task may be the first to use a session, which knows nothing of its record then."""
    cookie = await any_site.visitor(n=0)
    for _ in range(14):
        any_site.clock.advance(2 * DAY)
        background = any_site.request(cookie)
        background.cookie_header()
        await _USES[use](background)
        assert _sent(await any_site.request(cookie)()) == "set"
        assert _sent(await any_site.request(cookie)()) is None


async def test_a_rotation_that_waits_while_the_response_starts_is_refused(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    gate = Gate()
    site.store.before = gate
    update = asyncio.ensure_future(session.inc("a"))
    await gate.reached.wait()
    rotation = asyncio.ensure_future(session.rotate())
    await asyncio.sleep(0)
    session.cookie_header()
    gate.open()
    await update

    with pytest.raises(ResponseStarted):
        await rotation
    assert await site.stored(cookie) == {"a": 2}


@pytest.mark.parametrize("verb", ["rotate", "destroy"])
async def test_an_unknown_outcome_is_told_and_gives_no_cookie(site: Site, verb: str) -> None:
    session = await site.request(await site.visitor(a=1))()
    site.store.after = failing(OutcomeUnknown("silent"))
    with pytest.raises(OutcomeUnknown):
        await getattr(session, verb)()

    assert session.cookie_header() is None
    with pytest.raises(SessionGone):
        await session.set("a", 2)
