"""CSRF tokens of a session: what they are bound to, when they die, and what they cost."""

from __future__ import annotations

import pytest
from tests.security.kit import Shop, one_token
from tests.session.kit import Site, cookie_of, failing

from atomic_session import CSRFError, OutcomeUnknown, ResponseStarted, Session, StoreUnavailable
from atomic_session.store import Store
from atomic_session.token import is_session_id


@pytest.fixture
def site(inner: Store) -> Site:
    return Site(inner)


async def test_making_and_checking_take_no_trip(site: Site) -> None:
    cookie = await site.visitor(n=1)
    made = site.request(cookie).create_csrf()

    assert site.request(cookie).check_csrf(made) is True
    site.request(cookie).assert_csrf(made)
    assert site.store.trips == 0
    await site.manager.close()


async def test_a_wrong_token_is_an_error_that_shows_nothing_of_it(site: Site) -> None:
    cookie, other = await site.visitor(n=1), await site.visitor(n=2)
    made = site.request(other).create_csrf()
    session = site.request(cookie)

    assert session.check_csrf(made) is False
    with pytest.raises(CSRFError) as caught:
        session.assert_csrf(made)
    assert made not in str(caught.value)
    assert caught.value.status == 403
    await site.manager.close()


@pytest.mark.parametrize("change", ["rotate", "login", "regenerate", "destroy"])
async def test_a_token_dies_when_the_sessions_token_does(site: Site, change: str) -> None:
    cookie = await site.visitor(n=1)
    session = site.request(cookie)
    made = session.create_csrf()
    await (session.login("ada") if change == "login" else getattr(session, change)())
    later = site.request(cookie_of(session))

    assert session.check_csrf(made) is False
    assert later.check_csrf(made) is False
    await site.manager.close()


@pytest.mark.parametrize("change", ["rotate", "login"])
async def test_a_token_made_after_the_change_lives(site: Site, change: str) -> None:
    session = site.request(await site.visitor(n=1))
    await (session.login("ada") if change == "login" else session.rotate())
    made = session.create_csrf()

    assert site.request(cookie_of(session)).check_csrf(made)
    await site.manager.close()


async def test_an_update_leaves_the_tokens_alone(site: Site) -> None:
    cookie = await site.visitor(n=1)
    session = site.request(cookie)
    made = session.create_csrf()
    await session.inc("n")

    assert site.request(cookie).check_csrf(made)
    await site.manager.close()


async def test_a_visitor_gets_a_cookie_and_no_record(site: Site) -> None:
    session = site.request()
    made = session.create_csrf()
    header = session.cookie_header()

    assert header is not None
    assert b"Max-Age" not in header
    assert site.request(header.partition(b";")[0]).check_csrf(made)
    assert (session.id, session.is_new, site.store.trips) == (None, True, 0)


async def test_a_visitor_keeps_the_cookie_over_several_pages(site: Site) -> None:
    session = site.request()
    first = session.create_csrf()
    cookie = cookie_of(session)
    page = await site.request(cookie)()
    second = page.create_csrf()

    assert cookie_of(page) is None
    assert all(site.request(cookie).check_csrf(made) for made in (first, second))
    assert site.store.rows == 0
    await site.manager.close()


async def test_the_visitors_cookie_is_never_the_token_of_a_record(site: Site) -> None:
    session = site.request()
    made = session.create_csrf()
    cookie = cookie_of(session)
    assert cookie is not None
    later = site.request(cookie)
    assert later.check_csrf(made)
    await later.set("n", 1)
    given = cookie_of(later)

    assert given is not None
    assert given != cookie
    assert (later.id or "").encode() not in cookie
    assert await site.stored(given) == {"n": 1}
    assert (await site.request(cookie)()).is_new
    await site.manager.close()


@pytest.mark.parametrize("written", ["plain", "update", "login"])
async def test_a_session_created_behind_its_token_is_created_under_what_nobody_has_seen(
    site: Site, written: str
) -> None:
    session = await site.request()()
    made = session.create_csrf()
    if written == "plain":
        session["n"] = 1
        await session.commit()
    elif written == "update":
        await session.set("n", 1)
    else:
        await session.login("ada")
    cookie = cookie_of(session)

    assert site.request(cookie).check_csrf(made)
    assert site.store.rows == 1
    await site.manager.close()


async def test_a_token_made_behind_changes_over_an_unknown_cookie_fits_the_session_to_come(site: Site) -> None:
    old = site.request()
    old.create_csrf()
    session = await site.request(cookie_of(old))()
    session["n"] = 1
    made = session.create_csrf()
    await session.commit()

    assert site.request(cookie_of(session)).check_csrf(made)
    await site.manager.close()


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OutcomeUnknown("cut off")])
async def test_a_session_that_may_have_been_created_gives_nobody_its_cookie(site: Site, error: Exception) -> None:
    session = site.request()
    made = session.create_csrf()
    site.store.after = failing(error)
    with pytest.raises(type(error)):
        await session.set("n", 1)

    assert session.check_csrf(made) is False
    assert session.cookie_header() is None
    await site.manager.close()


async def test_a_page_behind_a_logout_has_a_token_of_the_cookie_that_replaces_the_old_one(site: Site) -> None:
    cookie = await site.visitor(n=1)
    session = site.request(cookie)
    await session.destroy()
    made = session.create_csrf()
    given = cookie_of(session)

    assert session.check_csrf(made)
    assert given is not None
    assert given != cookie
    assert site.request(given).check_csrf(made)
    assert (await site.request(given)()).is_new
    await site.manager.close()


async def test_a_token_for_a_session_that_others_ended_leaves_the_cookie_alone(site: Site) -> None:
    cookie = await site.visitor(n=1)
    session = site.request(cookie)
    await site.request(cookie).destroy()
    await session()
    session.create_csrf()

    assert session.gone
    assert session.cookie_header() is None
    await site.manager.close()


async def test_a_visitor_whose_response_has_begun_gets_no_token(site: Site) -> None:
    session = site.request()
    assert session.cookie_header() is None
    with pytest.raises(ResponseStarted):
        session.create_csrf()


async def test_a_token_of_a_live_session_can_be_made_while_the_response_streams(site: Site) -> None:
    cookie = await site.visitor(n=1)
    session = site.request(cookie)
    session.cookie_header()

    assert site.request(cookie).check_csrf(session.create_csrf())
    await site.manager.close()


async def test_without_any_cookie_no_token_verifies(site: Site) -> None:
    made = site.request(await site.visitor(n=1)).create_csrf()

    assert site.request().check_csrf(made) is False
    assert site.request(b"sid=nonsense").check_csrf(made) is False
    await site.manager.close()


async def test_a_token_outlives_a_change_of_the_signing_key() -> None:
    before, after = Site(keys=["old"]), Site(keys=["new", "old"])
    after.context = after.context._replace(dispatcher=before.context.dispatcher)
    cookie = await before.visitor(n=1)
    made = before.request(cookie).create_csrf()
    session = after.request(cookie)
    await session.load()

    assert cookie_of(session) != cookie
    assert after.request(cookie).check_csrf(made)


async def test_a_token_that_dies_in_the_request_that_made_it_is_told(inner: Store) -> None:
    async def outdate(session: Session) -> str:
        made = session.create_csrf()
        await session.set("n", 1)
        return made

    shop = Shop(outdate, inner)
    first = await Shop(one_token).visit()
    reply = await shop.visit(first.cookie)

    assert reply.cookie is not None
    assert reply.cookie != first.cookie
    assert len(shop.heard("csrf_outdated")) == 1
    assert all(session_id is None or is_session_id(session_id) for _, session_id, _ in shop.events)
    await shop.manager.close()


async def test_a_page_with_a_token_is_stored_by_no_cache_and_depends_on_the_cookie(inner: Store) -> None:
    shop = Shop(one_token, inner, headers=[(b"cache-control", b"public, max-age=60")])
    fresh = await shop.visit()
    again = await shop.visit(fresh.cookie)

    for reply in (fresh, again):
        assert reply.all(b"cache-control") == [b"no-store"]
        assert reply.all(b"vary") == [b"Cookie"]
    assert again.cookie is None
    assert shop.store.trips == 0
