"""Tasks that are cancelled, and stores that do not say what happened: never doubled, never told otherwise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.session.kit import Gate, Site, failing

from atomic_session import OutcomeUnknown, Session, SessionGone, StoreUnavailable


async def _loaded(site: Site, **fields: Any) -> tuple[bytes, Session]:
    cookie = await site.visitor(**fields)
    return cookie, await site.request(cookie)()


async def _cancel(site: Site, work: Any, side: str) -> None:
    """Cancel *work* while its command is on its way to the store, or the answer on its way back."""
    gate = Gate()
    setattr(site.store, side, gate)
    task = asyncio.ensure_future(work)
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    setattr(site.store, side, None)


async def test_a_cancelled_update_that_landed_is_seen_by_the_next_one_and_not_doubled(site: Site) -> None:
    cookie, session = await _loaded(site, n=0, log=["a"])
    session["log"].append("b")
    await _cancel(site, session.inc("n"), "after")

    await session.inc("m")
    assert session == {"n": 1, "log": ["a", "b"], "m": 1}
    await session.commit()
    assert await site.stored(cookie) == {"n": 1, "log": ["a", "b"], "m": 1}


async def test_a_cancelled_update_that_landed_is_seen_by_the_next_load(site: Site) -> None:
    _, session = await _loaded(site, n=0)
    await _cancel(site, session.inc("n"), "after")

    assert await session.load() == {"n": 1}


async def test_a_commit_after_a_cancelled_update_that_landed_sends_nothing_twice(site: Site) -> None:
    cookie, session = await _loaded(site, n=0, log=["a"])
    session["log"].append("b")
    await _cancel(site, session.inc("n"), "after")
    session["late"] = 1
    await session.commit()

    assert await site.stored(cookie) == {"n": 1, "log": ["a", "b"], "late": 1}
    assert session == {"n": 1, "log": ["a", "b"], "late": 1}


async def test_a_commit_says_when_it_cannot_know_what_became_of_a_carried_change(site: Site) -> None:
    cookie, session = await _loaded(site, n=0, log=["a"])
    session["log"].append("b")
    await _cancel(site, session.inc("n"), "before")

    with pytest.raises(OutcomeUnknown):
        await session.commit()
    assert await site.stored(cookie) == {"n": 0, "log": ["a"]}
    await session.commit()


async def test_a_second_doubt_about_a_field_does_not_hide_the_first(site: Site) -> None:
    cookie, session = await _loaded(site, cart={}, n=0)
    session["cart"]["A1"] = 1
    await _cancel(site, session.inc("n"), "before")
    await session.load()
    session["cart"]["B2"] = 2
    await _cancel(site, session.inc("n"), "after")

    with pytest.raises(OutcomeUnknown):
        await session.commit()
    assert await site.stored(cookie) == {"cart": {"B2": 2}, "n": 1}
    await session.commit()


@pytest.mark.parametrize("later", ["operator", "plain"])
async def test_what_was_seen_to_have_landed_is_in_doubt_no_more(site: Site, later: str) -> None:
    cookie, session = await _loaded(site, n=0, log=["a"])
    session["log"].append("b")
    await _cancel(site, session.inc("n"), "after")
    await session.load()
    if later == "operator":
        await session.push("log", "c")
    else:
        session["log"].append("c")
    await session.commit()

    assert await site.stored(cookie) == {"n": 1, "log": ["a", "b", "c"]}


async def test_a_change_made_again_after_a_cancelled_update_is_committed(site: Site) -> None:
    cookie, session = await _loaded(site, n=0)
    session["color"] = "red"
    await _cancel(site, session.inc("n"), "before")
    await session.load()
    assert session == {"n": 0}
    session["color"] = "red"
    await session.commit()

    assert await site.stored(cookie) == {"n": 0, "color": "red"}


@pytest.mark.parametrize("second", ["yes", "maybe"])
async def test_a_lost_append_is_not_hidden_by_another_one(site: Site, second: str) -> None:
    cookie, session = await _loaded(site, votes=["no"], n=0)
    session["votes"].append("yes")
    await _cancel(site, session.inc("n"), "before")
    session["votes"].append(second)
    await session.inc("n")

    with pytest.raises(OutcomeUnknown):
        await session.commit()
    assert await site.stored(cookie) == {"votes": ["no", second], "n": 1}
    await session.commit()


async def test_a_cancelled_update_without_plain_changes_does_not_trouble_the_commit(site: Site) -> None:
    cookie, session = await _loaded(site, n=0)
    await _cancel(site, session.inc("n"), "before")
    await session.commit()

    assert site.store.kinds == ["Load", "Update"]
    assert await site.stored(cookie) == {"n": 0}


async def test_a_cancelled_clear_is_not_made_again(site: Site) -> None:
    cookie, session = await _loaded(site, n=0)
    session.clear()
    await _cancel(site, session.commit(), "after")
    await site.request(cookie).set("theirs", 1)
    await session.load()

    assert session == {"theirs": 1}


async def test_a_cancelled_load_is_loaded_by_the_next_one(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    await _cancel(site, session.load(), "before")

    assert await session.load() == {"a": 1}


async def test_one_of_many_that_wait_for_a_load_may_be_cancelled(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    gate = Gate()
    site.store.before = gate
    first, second, third = (asyncio.ensure_future(session.load()) for _ in range(3))
    await gate.reached.wait()
    second.cancel()
    await asyncio.sleep(0)
    gate.open()

    assert await first == await third == {"a": 1}
    assert second.cancelled()
    assert site.store.trips == 1


async def test_a_task_cancelled_while_it_waits_for_its_turn_has_done_nothing(site: Site) -> None:
    cookie, session = await _loaded(site, n=0)
    gate = Gate()
    site.store.before = gate
    first = asyncio.ensure_future(session.inc("n"))
    await gate.reached.wait()
    second = asyncio.ensure_future(session.inc("n"))
    await asyncio.sleep(0)
    second.cancel()
    gate.open()
    await first

    assert session == {"n": 1}
    assert await site.stored(cookie) == {"n": 1}
    assert site.store.kinds == ["Load", "Update"]


async def test_a_creation_that_was_cancelled_is_made_again_under_another_token(site: Site) -> None:
    session = site.request(None)
    session["a"] = 1
    await _cancel(site, session.commit(), "after")
    assert session.is_new
    await session.commit()

    first, second = site.store.commands
    assert first.id != second.id
    assert session.id == second.id


async def test_a_cancelled_destroy_leaves_a_session_that_knows_that_it_is_gone(site: Site) -> None:
    _, session = await _loaded(site, n=0)
    await _cancel(site, session.destroy(), "after")

    with pytest.raises(SessionGone):
        await session.set("a", 1)
    assert session == {}


@pytest.mark.parametrize("landed", [True, False])
async def test_an_unknown_outcome_is_told_and_then_looked_up(site: Site, *, landed: bool) -> None:
    cookie, session = await _loaded(site, n=0, log=["a"])
    session["log"].append("b")
    setattr(site.store, "after" if landed else "before", failing(OutcomeUnknown("silent")))
    with pytest.raises(OutcomeUnknown):
        await session.inc("n")

    expected = {"n": 1, "log": ["a", "b"]} if landed else {"n": 0, "log": ["a"]}
    assert await session.load() == expected
    if not landed:
        with pytest.raises(OutcomeUnknown):
            await session.commit()
    await session.commit()
    assert await site.stored(cookie) == expected


async def test_an_unavailable_store_leaves_plain_changes_to_be_sent(site: Site) -> None:
    cookie, session = await _loaded(site, n=0, log=["a"])
    session["log"].append("b")
    site.store.before = failing(StoreUnavailable("down"))
    with pytest.raises(StoreUnavailable):
        await session.inc("n")
    assert session == {"n": 0, "log": ["a", "b"]}
    await session.commit()

    assert await site.stored(cookie) == {"n": 0, "log": ["a", "b"]}


async def test_a_commit_waits_for_what_is_under_way(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    gate = Gate()
    site.store.after = gate
    rotation = asyncio.ensure_future(session.rotate())
    await gate.reached.wait()
    commit = asyncio.ensure_future(session.commit())
    await asyncio.sleep(0)
    assert not commit.done()
    gate.open()
    await commit

    assert rotation.done()
    header = session.cookie_header()
    assert header is not None
    assert await site.stored(header.partition(b";")[0]) == {"a": 1}


async def test_discarding_ends_the_doubt_about_a_carried_change(site: Site) -> None:
    cookie, session = await _loaded(site, n=0)
    session["a"] = 1
    await _cancel(site, session.inc("n"), "before")
    session.discard()
    await session.commit()

    assert site.store.kinds == ["Load", "Update"]
    assert await site.stored(cookie) == {"n": 0}
