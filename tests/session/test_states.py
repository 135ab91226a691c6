"""The table of states, row by row: what reading gives, what writing does, what becomes of the cookie."""

from __future__ import annotations

import pytest
from tests.session.kit import DAY, MINUTE, Site, cookie_of, failing

from atomic_session import OutcomeUnknown, SessionGone, SessionNotLoaded, StoreUnavailable
from atomic_session.token import new_token

NOT_OURS = [None, b"sid=nonsense", b"other=1", b"sid=", b"sid=" + b"x" * 5_000, b"sid=a.b; sid=c.d"]


@pytest.mark.parametrize("cookie", NOT_OURS)
async def test_without_a_cookie_of_ours_reading_is_empty_and_takes_no_trip(
    any_site: Site, cookie: bytes | None
) -> None:
    session = await any_site.request(cookie)()

    assert session == {}
    assert session.is_new
    assert not session.gone
    assert session.cookie_header() is None
    assert any_site.store.trips == 0


@pytest.mark.parametrize("cookie", NOT_OURS)
async def test_without_a_cookie_of_ours_writing_creates_under_a_fresh_token(
    any_site: Site, cookie: bytes | None
) -> None:
    session = any_site.request(cookie)
    await session.set("a", 1)

    kept = cookie_of(session)
    assert kept is not None
    assert kept != cookie
    assert await any_site.stored(kept) == {"a": 1}
    assert any_site.store.kinds == ["Create"]


@pytest.mark.parametrize("fact", ["created", "expires", "owner", "authenticated_at"])
async def test_what_the_record_says_is_not_answered_before_it_was_seen(any_site: Site, fact: str) -> None:
    session = any_site.request(await any_site.visitor(n=0))
    with pytest.raises(SessionNotLoaded):
        getattr(session, fact)
    assert any_site.store.trips == 0

    await session.inc("n")
    assert (getattr(session, fact) is None) == (fact in ("owner", "authenticated_at"))
    assert getattr(any_site.request(None), fact) is None
    await session.destroy()
    assert getattr(session, fact) is None


async def test_an_unknown_token_reads_empty_and_its_cookie_is_left_alone(any_site: Site) -> None:
    session = await any_site.request(b"sid=" + new_token().value.encode())()

    assert session == {}
    assert session.is_new
    assert not session.gone
    assert session.cookie_header() is None


async def test_an_unknown_token_is_never_adopted(any_site: Site) -> None:
    planted = new_token()
    session = any_site.request(b"sid=" + planted.value.encode())
    await session.set("a", 1)

    assert any_site.store.kinds == ["Update", "Create"]
    assert session.id != planted.id
    kept = cookie_of(session)
    assert kept is not None
    assert planted.value.encode() not in kept
    assert await any_site.stored(kept) == {"a": 1}
    assert await any_site.stored(b"sid=" + planted.value.encode()) == {}


async def test_plain_dict_code_under_an_unknown_token_creates_a_session_too(any_site: Site) -> None:
    session = await any_site.request(b"sid=" + new_token().value.encode())()
    session["a"] = 1
    await session.commit()

    kept = cookie_of(session)
    assert kept is not None
    assert await any_site.stored(kept) == {"a": 1}


async def test_an_expired_session_is_as_an_unknown_one(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    any_site.clock.advance(14 * DAY)

    session = await any_site.request(cookie)()
    assert session == {}
    assert session.is_new
    assert not session.gone

    await session.set("b", 2)
    kept = cookie_of(session)
    assert kept is not None
    assert kept != cookie
    assert await any_site.stored(kept) == {"b": 2}


async def test_a_session_lives_until_the_last_millisecond(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    any_site.clock.advance(14 * DAY - 1)

    assert await any_site.request(cookie)() == {"a": 1}


async def test_a_live_session_is_read_and_written_in_one_trip_each(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)

    session = await any_site.request(cookie)()
    assert session == {"a": 1}
    assert any_site.store.kinds == ["Load"]

    await session.inc("a")
    assert session == {"a": 2}
    assert any_site.store.kinds == ["Load", "Update"]
    assert session.cookie_header() is None


async def test_a_destroyed_session_reads_empty_and_gone(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    await any_site.request(cookie).destroy()

    late = await any_site.request(cookie)()
    assert late == {}
    assert late.gone
    assert late.cookie_header() is None


async def test_a_rotated_token_reads_empty_and_gone(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    winner = any_site.request(cookie)
    await winner.rotate()

    late = await any_site.request(cookie)()
    assert late == {}
    assert late.gone
    assert late.cookie_header() is None
    kept = cookie_of(winner)
    assert kept is not None
    assert await any_site.stored(kept) == {"a": 1}


@pytest.mark.parametrize("end", ["destroy", "rotate"])
@pytest.mark.parametrize("loaded", [True, False])
async def test_writing_to_a_session_that_ended_raises_and_sends_no_cookie(
    any_site: Site, end: str, *, loaded: bool
) -> None:
    cookie = await any_site.visitor(a=1)
    late = any_site.request(cookie)
    if loaded:
        await late.load()
    await getattr(any_site.request(cookie), end)()

    for _ in range(2):
        with pytest.raises(SessionGone):
            await late.set("b", 2)
    assert late.gone
    assert late == {}
    assert late.cookie_header() is None
    assert any_site.store.rows == 0


async def test_a_session_that_expires_under_a_request_is_gone_and_not_new(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    session = await any_site.request(cookie)()
    any_site.clock.advance(14 * DAY)

    with pytest.raises(SessionGone):
        await session.set("b", 2)
    assert session.gone


async def test_who_is_gone_is_nobody_any_more(any_site: Site) -> None:
    session = any_site.request(None)
    await session.login("ann")
    cookie = cookie_of(session)
    watching = await any_site.request(cookie)()
    assert watching.owner == "ann"
    await any_site.request(cookie).destroy()

    await watching.load(fresh=True)
    assert watching.gone
    assert [watching.owner, watching.authenticated_at, watching.created, watching.expires] == [None] * 4


async def test_a_tombstone_is_forgotten_after_a_minute(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    await any_site.request(cookie).destroy()
    any_site.clock.advance(MINUTE)

    session = await any_site.request(cookie)()
    assert not session.gone
    assert session.is_new


class NodeDown(StoreUnavailable):
    """What a store may make of an error."""

    def __init__(self, node: str, port: int) -> None:
        super().__init__(f"{node} is down at {port}")


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OutcomeUnknown("silent"), NodeDown("n1", 27017)])
async def test_a_store_that_fails_changes_no_cookie(any_site: Site, error: Exception) -> None:
    cookie = await any_site.visitor(a=1)
    session = any_site.request(cookie)

    any_site.store.before = failing(error)
    with pytest.raises(StoreUnavailable):  # reading has no outcome that could be unknown
        await session.load()
    any_site.store.before = failing(error)
    with pytest.raises(type(error)):
        await session.set("b", 2)
    assert session.cookie_header() is None
    any_site.store.before = None
    assert await any_site.stored(cookie) == {"a": 1}


async def test_a_store_that_cannot_create_gives_no_cookie(any_site: Site) -> None:
    session = any_site.request(None)
    any_site.store.before = failing(StoreUnavailable("down"))

    with pytest.raises(StoreUnavailable):
        await session.set("a", 1)
    assert session.cookie_header() is None
