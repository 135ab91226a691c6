"""Awaited updates, and the plain changes that travel with them."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest
from tests.session.kit import Gate, Site

from atomic_session import ConflictingUpdate, InvalidPath, InvalidValue, LimitExceeded, Limits, OperatorError, Session
from atomic_session.commands import Command


async def _loaded(site: Site, **fields: Any) -> tuple[bytes, Session]:
    cookie = await site.visitor(**fields)
    return cookie, await site.request(cookie)()


# --- writing one, awaiting it


async def test_an_update_that_is_never_awaited_warns(site: Site) -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        site.request(None).set("a", 1).inc("b")
    assert site.store.trips == 0


async def test_awaiting_twice_raises_and_applies_once(site: Site) -> None:
    cookie = await site.visitor(n=0)
    update = site.request(cookie).inc("n")
    await update

    with pytest.raises(RuntimeError, match="awaited already"):
        await update
    with pytest.raises(RuntimeError, match="awaited already"):
        update.inc("m")
    assert await site.stored(cookie) == {"n": 1}


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda session: session.set("", 1), InvalidPath),
        (lambda session: session.set("a", 1).inc("\0"), InvalidPath),
        (lambda session: session.set("a", object()), InvalidValue),
        (lambda session: session.set("a", 1).push("b", {1: 2}), InvalidValue),
        (lambda session: session.inc("a").inc("a"), ConflictingUpdate),
        (lambda session: session.inc("a").take("b").take("c"), ConflictingUpdate),
        (lambda session: session.set("a", 1).pull("b"), TypeError),
        (lambda session: session.set("a", 1).pull("b", 1, where={"x": 1}), TypeError),
        (lambda session: session.set("a", 1).pull("b", 1, 2), TypeError),
        (lambda session: session.set("a", 1).pull_all("b", "xyz"), TypeError),
        (lambda session: session.set("a", 1).pull_all("b", 5), TypeError),
        (lambda session: session.set("a", 1).push("b", 1, at="x"), TypeError),
        (lambda session: session.inc("a").rename("b", "b.c"), InvalidPath),
        (lambda session: session.inc("a").when("", 1), InvalidPath),
        (lambda session: session.inc("a").unset("b", ""), InvalidPath),
        (lambda session: session.inc("a").set("d", [[[[1]]]]), LimitExceeded),
    ],
)
async def test_what_cannot_be_written_raises_at_once_and_only_once(write: Any, error: type[Exception]) -> None:
    site = Site(limits=Limits(depth=3))
    session = site.request(None)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error):
            write(session)
        gc.collect()
    assert site.store.trips == 0


async def test_one_update_of_many_operators_is_all_or_nothing(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, word="x", n=1)

    with pytest.raises(OperatorError) as caught:
        await session.inc("n").set("a", 1).inc("word")
    assert (caught.value.operator, caught.value.path) == ("inc", "word")
    assert session == {"word": "x", "n": 1}
    assert await any_site.stored(cookie) == {"word": "x", "n": 1}


async def test_take_gives_the_value_to_exactly_one(any_site: Site) -> None:
    cookie = await any_site.visitor(state="s3")

    taken = await asyncio.gather(*(any_site.request(cookie).take("state", "none") for _ in range(20)))
    assert sorted(taken) == ["none"] * 19 + ["s3"]


async def test_taking_none_is_not_taking_nothing(any_site: Site) -> None:
    cookie = await any_site.visitor(state=None)

    assert await any_site.request(cookie).take("state", "default") is None
    assert await any_site.request(cookie).take("state", "default") == "default"


async def test_compare_and_set_lets_one_through(any_site: Site) -> None:
    cookie = await any_site.visitor(step=2)

    won = await asyncio.gather(*(any_site.request(cookie).when("step", 2).set("step", 3) for _ in range(20)))
    assert sorted(won) == [False] * 19 + [True]


async def test_an_update_leaves_the_session_current(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0)
    await any_site.request(cookie).set("theirs", [1])
    await session.inc("n")

    assert session == {"n": 1, "theirs": [1]}


@pytest.mark.parametrize("between", ["touch", "rotate", "login", "refused"])
async def test_an_update_leaves_the_session_current_whatever_came_before(any_site: Site, between: str) -> None:
    cookie, session = await _loaded(any_site, n=0, word="x")
    await any_site.request(cookie).set("theirs", 1)
    if between == "refused":
        with pytest.raises(OperatorError):
            await session.inc("word")
    elif between == "login":
        await session.login("ann")
    else:
        await getattr(session, between)()
    await session.inc("n")

    assert session == {"n": 1, "word": "x", "theirs": 1}


async def test_an_unmet_guard_leaves_the_session_current(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0)
    await any_site.request(cookie).set("n", 5)

    assert not await session.when("n", 0).set("n", 1)
    assert session == {"n": 5}


# --- plain changes that travel


async def test_a_carried_change_waits_where_the_guard_does_not_hold(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0)
    session["mine"] = 1
    session.setdefault("log", []).append("a")

    assert not await session.when("n", 7).set("m", 1)
    assert session == {"n": 0, "mine": 1, "log": ["a"]}
    assert await any_site.stored(cookie) == {"n": 0}
    await session.commit()
    assert await any_site.stored(cookie) == {"n": 0, "mine": 1, "log": ["a"]}


async def test_a_guard_on_what_plain_code_changed_sees_the_change(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, step=1)
    session["step"] = 2

    assert await session.when("step", 2).set("step", 3)
    assert await any_site.stored(cookie) == {"step": 3}


@pytest.mark.parametrize(
    ("change", "update", "result"),
    [
        (lambda s: s.update(n=5), lambda s: s.inc("n"), {"n": 6, "d": {"x": 1}, "l": [1]}),
        (lambda s: s.update(n="text"), lambda s: s.set("n", 1), {"n": 1, "d": {"x": 1}, "l": [1]}),
        (lambda s: s["l"].append(2), lambda s: s.push("l", 3), {"n": 0, "d": {"x": 1}, "l": [1, 2, 3]}),
        (lambda s: s["l"].append(2), lambda s: s.pull("l", 1), {"n": 0, "d": {"x": 1}, "l": [2]}),
        (lambda s: s["d"].update(y=2), lambda s: s.set("d", {}), {"n": 0, "d": {}, "l": [1]}),
        (lambda s: s["d"].update(y=2), lambda s: s.unset("d"), {"n": 0, "l": [1]}),
        (lambda s: s.pop("d"), lambda s: s.set("d.z", 3), {"n": 0, "d": {"z": 3}, "l": [1]}),
        (lambda s: s["d"].update(y=2), lambda s: s.rename("d", "e"), {"n": 0, "e": {"x": 1, "y": 2}, "l": [1]}),
        (lambda s: s.clear(), lambda s: s.set("a", 1), {"a": 1}),
        (lambda s: s.clear(), lambda s: s.inc("n"), {"n": 1}),
    ],
)
async def test_a_plain_change_comes_before_the_update_that_follows_it(
    any_site: Site, change: Any, update: Any, result: dict[str, Any]
) -> None:
    cookie, session = await _loaded(any_site, n=0, d={"x": 1}, l=[1])
    change(session)
    await update(session)

    assert session == result
    assert await any_site.stored(cookie) == result
    await session.commit()
    assert await any_site.stored(cookie) == result


async def test_taking_what_plain_code_has_set_gives_it(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0)
    session["state"] = "s3"

    assert await session.take("state") == "s3"
    assert await any_site.stored(cookie) == {"n": 0}


async def test_a_delta_that_no_longer_fits_sets_its_field_whole(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, log=["a"], cart={"x": 1})
    await any_site.request(cookie).set("log", 7).set("cart", None)
    session["log"].append("b")
    session["cart"]["y"] = 2
    await session.commit()

    assert await any_site.stored(cookie) == {"log": ["a", "b"], "cart": {"x": 1, "y": 2}}
    assert session == {"log": ["a", "b"], "cart": {"x": 1, "y": 2}}


async def test_only_the_field_that_no_longer_fits_is_set_whole(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, log=["a"], cart={"x": 1}, more={"m": 1})
    await any_site.request(cookie).set("log", 7).set("cart.theirs", 2).set("more", 7)
    session["log"].append("b")
    session["cart"]["mine"] = 3
    session["more"]["n"] = 2
    await session.commit()

    expected = {"log": ["a", "b"], "cart": {"x": 1, "theirs": 2, "mine": 3}, "more": {"m": 1, "n": 2}}
    assert await any_site.stored(cookie) == expected
    assert session == expected


async def test_a_delta_that_no_longer_fits_does_not_keep_an_update_from_applying(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, log=["a"], n=0)
    await any_site.request(cookie).set("log", 7)
    session["log"].append("b")
    await session.inc("n")

    assert await any_site.stored(cookie) == {"log": ["a", "b"], "n": 1}


async def test_a_refused_update_does_not_take_the_plain_changes_with_it(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, word="x")
    session["mine"] = 1

    with pytest.raises(OperatorError):
        await session.inc("word")
    await session.commit()
    assert await any_site.stored(cookie) == {"word": "x", "mine": 1}


async def test_a_change_made_while_the_fallback_is_under_way_is_not_forgotten(site: Site) -> None:
    cookie, session = await _loaded(site, log=["a"], n=0)
    await site.request(cookie).set("log", 7)
    session["log"].append("b")
    late: list[int] = []

    async def change_late(_command: Command) -> None:
        late.append(len(late))
        session["log"].append(late[-1])
        session[f"late{late[-1]}"] = 1

    site.store.after = change_late
    await session.inc("n")
    site.store.after = None
    await session.commit()

    assert len(late) > 2
    expected = {"log": ["a", "b", *late], "n": 1} | {f"late{number}": 1 for number in late}
    assert await site.stored(cookie) == expected
    assert session == expected


@pytest.mark.parametrize(
    ("late", "result"),
    [
        (lambda s: s.update(n=9), {"n": 9, "d": {"x": 1}, "l": [1], "m": 1}),
        (lambda s: s["d"].update(y=2), {"n": 1, "d": {"x": 1, "y": 2}, "l": [1], "m": 1}),
        (lambda s: s["l"].append(2), {"n": 1, "d": {"x": 1}, "l": [1, 2], "m": 1}),
        (lambda s: s.pop("d"), {"n": 1, "l": [1], "m": 1}),
        (lambda s: s.update(m=5), {"n": 1, "d": {"x": 1}, "l": [1], "m": 5}),
        (lambda s: s.clear(), {}),
        (lambda s: (s.clear(), s.update(z=1)), {"z": 1}),
    ],
)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_change_made_while_an_update_is_under_way_stays_and_is_committed(
    any_site: Site, late: Any, result: dict[str, Any], side: str
) -> None:
    cookie, session = await _loaded(any_site, n=0, d={"x": 1}, l=[1])
    session["m"] = 1
    gate = Gate()
    setattr(any_site.store, side, gate)
    update = asyncio.ensure_future(session.inc("n"))
    await gate.reached.wait()
    late(session)
    gate.open()
    await update
    setattr(any_site.store, side, None)

    assert session == result
    await session.commit()
    assert await any_site.stored(cookie) == result
    assert session == result


async def test_clearing_twice_around_an_update_clears_twice(site: Site) -> None:
    cookie, session = await _loaded(site, n=0)
    session.clear()
    session["a"] = 1
    gate = Gate()
    site.store.before = gate
    commit = asyncio.ensure_future(session.commit())
    await gate.reached.wait()
    session.clear()
    gate.open()
    await commit
    site.store.before = None
    await site.request(cookie).set("theirs", 1)
    await session.commit()

    assert await site.stored(cookie) == {}


async def test_a_late_change_that_no_session_can_hold_is_told_at_the_commit(site: Site) -> None:
    cookie, session = await _loaded(site, n=0, d={"x": 1})
    gate = Gate()
    site.store.before = gate
    update = asyncio.ensure_future(session.set("d.y", 2))
    await gate.reached.wait()
    session["d"]["bad"] = object()
    gate.open()

    assert await update
    site.store.before = None
    with pytest.raises(InvalidValue) as caught:
        await session.commit()
    assert caught.value.path == "d.bad"
    assert await site.stored(cookie) == {"n": 0, "d": {"x": 1, "y": 2}}
    del session["d"]["bad"]
    await session.commit()


async def test_clear_removes_what_others_have_added(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0)
    await any_site.request(cookie).set("theirs", 1)
    session.clear()
    session["a"] = 1
    await session.commit()

    assert session == {"a": 1}
    assert await any_site.stored(cookie) == {"a": 1}


async def test_removing_every_key_is_not_clearing(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0, m=0)
    await any_site.request(cookie).set("theirs", 1)
    for name in list(session):
        del session[name]
    await session.commit()

    assert await any_site.stored(cookie) == {"theirs": 1}
    assert session == {"theirs": 1}


async def test_a_fresh_load_keeps_changes_that_were_not_committed_on_top(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0, log=["a"], d={"x": 1})
    session["log"].append("mine")
    session["d"]["y"] = 2
    del session["n"]
    await any_site.request(cookie).push("log", "theirs").set("d.x", 5).set("n", 3).set("other", 1)
    await session.load(fresh=True)

    assert session == {"log": ["a", "theirs", "mine"], "d": {"x": 5, "y": 2}, "other": 1}
    await session.commit()
    assert await any_site.stored(cookie) == session


async def test_a_fresh_load_after_clear_stays_clear(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, n=0)
    session.clear()
    session["a"] = 1
    await any_site.request(cookie).set("theirs", 1)
    await session.load(fresh=True)

    assert session == {"a": 1}
    await session.commit()
    assert await any_site.stored(cookie) == {"a": 1}


# --- what a session cannot hold, at the commit


async def test_a_value_no_session_can_hold_stops_the_commit_and_changes_nothing(any_site: Site) -> None:
    cookie, session = await _loaded(any_site, a=1)
    session["a"] = 2
    session["bad"] = {"deep": [object()]}

    with pytest.raises(InvalidValue) as caught:
        await session.commit()
    assert caught.value.path == "bad.deep.0"
    assert await any_site.stored(cookie) == {"a": 1}
    with pytest.raises(InvalidValue):
        await session.inc("n")
    assert await any_site.stored(cookie) == {"a": 1}

    del session["bad"]
    await session.commit()
    assert await any_site.stored(cookie) == {"a": 2}


async def test_a_new_session_with_a_value_it_cannot_hold_is_not_created(site: Site) -> None:
    session = site.request(None)
    session["good"] = 1
    session["bad"] = {1, 2}

    with pytest.raises(InvalidValue):
        await session.commit()
    assert site.store.rows == 0
    assert session.cookie_header() is None


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300, "\ud800"])
async def test_a_name_that_can_be_no_field_stops_the_commit(site: Site, name: str) -> None:
    cookie, session = await _loaded(site, a=1)
    session["a"] = 2
    session[name] = 1
    with pytest.raises((InvalidPath, InvalidValue, LimitExceeded)):
        await session.commit()
    assert await site.stored(cookie) == {"a": 1}

    fresh = site.request(None)
    fresh[name] = 1
    with pytest.raises((InvalidPath, InvalidValue, LimitExceeded)):
        await fresh.commit()
    assert fresh.cookie_header() is None


async def test_a_field_that_is_too_large_stops_the_commit_and_changes_nothing() -> None:
    limits = Limits(field=200, record=1_000)
    site = Site(limits=limits)
    site.store.inner._limits = limits  # type: ignore[attr-defined]
    cookie, session = await _loaded(site, a=1)
    session["a"] = 2
    session["big"] = "x" * 300

    with pytest.raises(LimitExceeded) as caught:
        await session.commit()
    assert caught.value.limit == "field"
    with pytest.raises(LimitExceeded):
        await session.inc("n")
    assert await site.stored(cookie) == {"a": 1}
    assert await site.request(cookie).inc("n")


async def test_a_delta_of_too_many_operators_sets_whole_fields_instead() -> None:
    site = Site(limits=Limits(operators=10))
    cookie, session = await _loaded(site, d={"x": 1}, e={"x": 1})
    session["d"].update({f"k{i}": i for i in range(20)})
    session["e"]["y"] = 2
    await session.commit()

    assert len((await site.stored(cookie))["d"]) == 21
    assert (await site.stored(cookie))["e"] == {"x": 1, "y": 2}


async def test_more_changed_fields_than_operators_are_refused() -> None:
    site = Site(limits=Limits(operators=10))
    cookie, session = await _loaded(site, a=1)
    session.update({f"k{i}": i for i in range(11)})

    with pytest.raises(LimitExceeded) as caught:
        await session.commit()
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("operators", 10, 11)
    assert await site.stored(cookie) == {"a": 1}


async def test_an_update_and_a_delta_that_are_too_many_together_go_one_by_one() -> None:
    site = Site(limits=Limits(operators=2))
    cookie, session = await _loaded(site, a=1)
    session.update(b=1, c=1)
    await session.inc("a").inc("n")

    assert await site.stored(cookie) == {"a": 2, "b": 1, "c": 1, "n": 1}
    assert site.store.kinds == ["Load", "Update", "Update"]


async def test_a_new_session_may_begin_with_any_number_of_fields(site: Site) -> None:
    session = site.request(None)
    session.update({f"k{i}": i for i in range(1_000)})
    await session.commit()

    assert site.store.kinds == ["Create"]


async def test_a_container_that_holds_itself_is_refused(site: Site) -> None:
    _, session = await _loaded(site, a={})
    session["a"]["self"] = session["a"]

    with pytest.raises(LimitExceeded):
        await session.commit()
