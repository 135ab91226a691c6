"""What an application asks about all sessions, and what it may decide about them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.session.kit import DAY, MINUTE, Site, SpyStore, cookie_of

from atomic_session import InvalidValue, OutcomeUnknown, SessionManager, StoreNotSet, StoreUnavailable
from atomic_session.clock import to_datetime
from atomic_session.store import SessionInfo
from atomic_session.stores.memory import MemoryStore
from atomic_session.stores.sqlite import SQLiteStore


async def _login(site: Site, owner: str) -> tuple[str, bytes]:
    session = site.request(None)
    await session.login(owner)
    cookie = cookie_of(session)
    assert cookie is not None
    assert session.id is not None
    return session.id, cookie


async def test_an_owner_sees_their_sessions_the_latest_used_first(any_site: Site) -> None:
    first, cookie = await _login(any_site, "ann")
    any_site.clock.advance(MINUTE)
    second, _ = await _login(any_site, "ann")
    await _login(any_site, "bob")
    assert [info.id for info in await any_site.manager.sessions_of("ann")] == [second, first]

    any_site.clock.advance(MINUTE)
    await any_site.request(cookie).set("a", 1)
    infos = await any_site.manager.sessions_of("ann")
    assert [info.id for info in infos] == [first, second]
    now = to_datetime(any_site.clock.now)
    assert [infos[0].created, infos[0].last_used] == [now - timedelta(minutes=2), now]
    assert infos[0].expires == now + timedelta(days=14)
    assert await any_site.manager.sessions_of("nobody") == []


async def test_a_session_can_be_ended_by_its_public_id(any_site: Site) -> None:
    session_id, cookie = await _login(any_site, "ann")

    assert await any_site.manager.destroy(session_id)
    assert not await any_site.manager.destroy(session_id)
    assert (await any_site.request(cookie)()).gone
    assert await any_site.manager.sessions_of("ann") == []


@pytest.mark.parametrize("nonsense", ["", "x", "../..", "a.b", "A" * 22 + "\n"])
async def test_what_is_no_sessions_id_ends_nothing_and_takes_no_trip(site: Site, nonsense: str) -> None:
    assert not await site.manager.destroy(nonsense)
    assert site.store.trips == 0


async def test_an_id_that_no_session_has_ends_nothing(any_site: Site) -> None:
    assert not await any_site.manager.destroy("A" * 22)


async def test_all_other_sessions_of_an_owner_can_be_ended(any_site: Site) -> None:
    kept, cookie = await _login(any_site, "ann")
    others = [await _login(any_site, "ann") for _ in range(3)]
    bob, _ = await _login(any_site, "bob")

    assert await any_site.manager.destroy_all("ann", keep=kept) == 3
    assert [info.id for info in await any_site.manager.sessions_of("ann")] == [kept]
    assert [info.id for info in await any_site.manager.sessions_of("bob")] == [bob]
    assert not (await any_site.request(cookie)()).gone
    assert all([(await any_site.request(other)()).gone for _, other in others])
    assert await any_site.manager.destroy_all("ann") == 1


@pytest.mark.parametrize("nobody", [42, None, b"42", ["42"], "", "a\nb", "x" * 257])
async def test_an_owner_that_no_login_takes_is_refused_and_ends_nothing(any_site: Site, nobody: Any) -> None:
    await _login(any_site, "42")
    for ask in (any_site.manager.sessions_of, any_site.manager.destroy_all):
        with pytest.raises((TypeError, InvalidValue), match="owner"):
            await ask(nobody)

    assert len(await any_site.manager.sessions_of("42")) == 1


@pytest.mark.parametrize("nonsense", [42, b"A" * 22, ["A" * 22]])
async def test_an_id_that_is_no_text_is_refused_and_ends_nothing(any_site: Site, nonsense: Any) -> None:
    await _login(any_site, "ann")
    with pytest.raises(TypeError, match="keep"):
        await any_site.manager.destroy_all("ann", keep=nonsense)
    with pytest.raises(TypeError, match="session_id"):
        await any_site.manager.destroy(nonsense)

    assert len(await any_site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("nobodys", ["", "x", "a\0b", "\ud800", "A" * 22 + "\n"])
async def test_what_is_no_sessions_id_keeps_nothing(any_site: Site, nobodys: str) -> None:
    await _login(any_site, "ann")
    assert await any_site.manager.destroy_all("ann", keep=nobodys) == 1


async def test_a_purge_takes_any_number(any_site: Site) -> None:
    for limit in (2**31, 2**63, 10**30):
        assert await any_site.manager.purge(limit) == 0


@pytest.mark.parametrize("nonsense", [0, -1, 1.5, "10", True, None])
async def test_a_purge_takes_a_positive_number(any_site: Site, nonsense: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        await any_site.manager.purge(nonsense)


async def test_what_has_expired_is_purged_in_steps(any_site: Site) -> None:
    for _ in range(3):
        await any_site.visitor(a=1)
    any_site.clock.advance(60 * DAY)

    assert await any_site.manager.purge(limit=2) <= 2
    assert await any_site.manager.purge() <= 3


async def test_without_a_store_everything_says_so() -> None:
    manager = SessionManager()

    for work in (
        manager.open(),
        manager.sessions_of("ann"),
        manager.destroy("AAAAAAAAAAAAAAAAAAAAAA"),
        manager.destroy_all("ann"),
        manager.purge(),
    ):
        with pytest.raises(StoreNotSet):
            await work
    with pytest.raises(StoreNotSet):
        manager.store  # noqa: B018 - looking is what raises
    await manager.close()


async def test_a_store_can_be_set_until_the_first_use(tmp_path: Path) -> None:
    manager = SessionManager()
    manager.store = MemoryStore()
    manager.store = f"sqlite:///{tmp_path}/sessions.db"
    assert isinstance(manager.store, SQLiteStore)
    await manager.open()

    with pytest.raises(RuntimeError, match="in use"):
        manager.store = MemoryStore()
    await manager.close()
    manager.store = MemoryStore()


async def test_a_closed_manager_opens_again_at_the_next_use(any_site: Site) -> None:
    cookie = await any_site.visitor(a=1)
    await any_site.manager.close()
    await any_site.manager.close()

    assert await any_site.request(cookie)() == {"a": 1}


class _SlowStore(SpyStore):
    """A remote store that does not answer."""

    lanes = 1

    async def sessions_of(self, owner: str, now: int) -> Sequence[SessionInfo]:
        await asyncio.Event().wait()
        return []

    async def destroy_all(self, owner: str, keep: str | None, now: int) -> int:
        await asyncio.Event().wait()
        return 0

    async def purge(self, now: int, limit: int) -> int:
        await asyncio.Event().wait()
        return 0


async def test_every_question_is_bounded_in_time() -> None:
    manager = SessionManager(_SlowStore(), timeout="20 ms")

    with pytest.raises(StoreUnavailable):
        await manager.sessions_of("ann")
    with pytest.raises(OutcomeUnknown):
        await manager.destroy_all("ann")
    with pytest.raises(OutcomeUnknown):
        await manager.purge()


async def test_a_list_of_sessions_has_no_outcome_that_could_be_unknown() -> None:
    class Silent(SpyStore):
        async def sessions_of(self, owner: str, now: int) -> Sequence[SessionInfo]:
            raise OutcomeUnknown("the wire is cut")

    with pytest.raises(StoreUnavailable, match="the wire is cut"):
        await SessionManager(Silent()).sessions_of("ann")


@pytest.mark.parametrize(
    "settings",
    [
        {"max_age": "soon"},
        {"max_age": 0},
        {"max_age": -5},
        {"max_age": True},
        {"max_age": "101 years"},
        {"max_age": timedelta(days=3_651)},
        {"max_lifetime": "never"},
        {"max_lifetime": timedelta(0)},
        {"touch_after": "14 days"},
        {"touch_after": 0},
        {"timeout": 0},
        {"timeout": "x"},
        {"timeout": None},
        {"max_sessions_per_owner": 0},
        {"max_sessions_per_owner": 1.5},
        {"max_sessions_per_owner": True},
        {"on_session_limit": "ask"},
        {"limits": 5},
        {"limits": None},
        {"clock": 1_900_000_000_000},
        {"on_event": "print"},
        {"store": 5},
        {"store": Path("sessions.db")},
        {"store": SQLiteStore},
    ],
)
def test_nonsense_raises_when_the_manager_is_made_and_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        SessionManager(**settings)
    (name,) = settings
    assert name in str(caught.value)


def test_no_setting_lets_a_browser_forget_the_cookie_of_a_session_in_use() -> None:
    with pytest.raises(ValueError, match="touch_after must be shorter than 400 days"):
        SessionManager(max_age="10 years", touch_after="400 days")
    SessionManager(max_age="10 years", touch_after="399 days")


@pytest.mark.parametrize("url", ["x://", "sqlite:///", "sqlite:///a.db?durability=none", "sessions.db", ""])
def test_a_url_that_names_no_store_raises_when_the_manager_is_made(url: str) -> None:
    with pytest.raises(ValueError, match=r"store|sqlite|durability"):
        SessionManager(url)


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [("1 month", 30 * DAY), (timedelta(hours=1), 60 * MINUTE), (90, 90_000), (0.5, 500), ("1 year", 365 * DAY)],
)
def test_durations_are_words_numbers_or_timedeltas(written: Any, milliseconds: int) -> None:
    manager = SessionManager(max_age=written, touch_after="1 ms", max_lifetime=written, timeout=written)

    assert manager.settings.lifetimes.max_age == milliseconds
    assert manager.settings.lifetimes.max_lifetime == milliseconds
    assert manager.settings.timeout == milliseconds / 1000
