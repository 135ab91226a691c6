"""When a session ends, what moves that, and what a read or an update costs it."""

from __future__ import annotations

from ..clock import Instant
from ..commands import Answer, Login, Outcome
from ..operators import Inc
from ..record import Lifetimes, Record
from .checks import check, check_equal, check_outcome
from .harness import Harness, case
from .holder import HOUR, LIFETIMES, NOW, Holder, ask, started
from .witness import Witness

CAPPED = Lifetimes(max_age=10 * HOUR, max_lifetime=24 * HOUR)


def _record(answer: Answer) -> Record:
    check_outcome(answer, Outcome.DONE, "a command on a live session")
    if answer.record is None:
        raise AssertionError("the answer to a command on a live session has no record")
    return answer.record


def _check_times(answer: Answer, *, used: Instant, idle: Instant, renew: Instant, what: str) -> None:
    record = _record(answer)
    found = (record.last_used - NOW, record.idle_deadline - NOW, record.renew_at - NOW)
    check_equal(found, (used - NOW, idle - NOW, renew - NOW), f"last use, deadline and renewal after {what}")


@case
async def updates_move_the_idle_deadline(harness: Harness) -> None:
    """Every applied update moves the idle deadline; the cookie is sent again only when that is due."""
    store = await harness.make()
    holder = await started(store, {"n": 0})
    renew = NOW + HOUR
    for now in (NOW + 1, NOW + HOUR - 1, NOW + HOUR, NOW + HOUR + 5, NOW + 2 * HOUR, NOW + 11 * HOUR):
        answer = await ask(store, holder.update(Inc.of("n", 1), now=now))
        due = now >= renew
        renew = now + HOUR if due else renew
        _check_times(answer, used=now, idle=now + 10 * HOUR, renew=renew, what=f"an update {now - NOW} ms later")
        check_equal(answer.renewed, due, f"the renewal of an update {now - NOW} ms later")
        kept = await ask(store, holder.load(NOW))
        check_equal(kept.record, answer.record, "the record that is kept")


@case
async def updates_renew_as_often_as_settings_say(harness: Harness) -> None:
    """Where renewals are due soon, an update says so each time, however little the deadline has moved."""
    store = await harness.make()
    holder = await started(store, {"n": 0}, lifetimes=Lifetimes(max_age=10 * HOUR, touch_after=1_000))
    renew = NOW + 1_000
    for now in (NOW + 999, NOW + 1_000, NOW + 1_001, NOW + 1_999, NOW + 2_000, NOW + 5_000):
        answer = await ask(store, holder.update(Inc.of("n", 1), now=now))
        due = now >= renew
        renew = now + 1_000 if due else renew
        _check_times(answer, used=now, idle=now + 10 * HOUR, renew=renew, what=f"an update {now - NOW} ms later")
        check_equal(answer.renewed, due, f"the renewal of an update {now - NOW} ms later")
        kept = await ask(store, holder.load(NOW))
        check_equal(kept.record, answer.record, "the record that is kept")


@case
async def reads_renew_only_when_that_is_due(harness: Harness) -> None:
    """A read leaves the record alone until a renewal is due; then it moves the deadline, in the same step."""
    store = await harness.make()
    holder = await started(store, {"n": 0})
    witness = await Witness.of(store, holder.load())
    early = await ask(store, holder.load(NOW + HOUR - 1))
    check(not early.renewed, "a read that is not due renews")
    await witness.check_unchanged("a read that is not due")
    due = await ask(store, holder.load(NOW + HOUR))
    _check_times(due, used=NOW + HOUR, idle=NOW + 11 * HOUR, renew=NOW + 2 * HOUR, what="a read that is due")
    check(due.renewed, "a read that is due does not say so")
    kept = await ask(store, holder.load(NOW + HOUR + 1))
    check_equal(kept.record, due.record, "the record that a read renewed")
    check(not kept.renewed, "a read just after a renewal renews again")


@case
async def a_read_in_the_last_moment_renews_whatever_travels_with_it(harness: Harness) -> None:
    """Each command has an instant of its own, and none of them ends the session of another."""
    store = await harness.make()
    holder, over = await started(store, {"n": 0}), await started(store)
    last = NOW + 10 * HOUR - 1
    renewed, absent = await store.execute([holder.load(last), over.load(last + 1)])
    check_outcome(absent, Outcome.ABSENT, "a read one moment later")
    _check_times(renewed, used=last, idle=last + 10 * HOUR, renew=last + HOUR, what="a read in the last moment")
    check(renewed.renewed, "a read in the last moment does not say that it renews")
    check_equal((await ask(store, holder.load(last + 1))).record, renewed.record, "the record that it renewed")


@case
async def touch_after_says_when_reads_renew(harness: Harness) -> None:
    """Settings may let reads renew at once, or late."""
    store = await harness.make()
    for wait in (0, 1, 7 * HOUR):
        lifetimes = Lifetimes(max_age=10 * HOUR, touch_after=wait)
        holder = await started(store, lifetimes=lifetimes)
        if wait:
            check(not (await ask(store, holder.load(NOW + wait - 1))).renewed, f"a read renews before {wait} ms")
        answer = await ask(store, holder.load(NOW + wait))
        check(answer.renewed, f"a read does not renew after {wait} ms")
        now = NOW + wait
        _check_times(answer, used=now, idle=now + 10 * HOUR, renew=now + wait, what="a read that is due")


@case
async def touch_moves_the_deadline_and_keeps_data(harness: Harness) -> None:
    """A touch moves the idle deadline at any time; it brings no data and changes none."""
    store = await harness.make()
    holder = await started(store, {"n": 0})
    for now, renew, due in ((NOW + 1, NOW + HOUR, False), (NOW + HOUR, NOW + 2 * HOUR, True)):
        answer = await ask(store, holder.touch(now))
        _check_times(answer, used=now, idle=now + 10 * HOUR, renew=renew, what="a touch")
        check_equal(answer.renewed, due, "the renewal of a touch")
        check_equal(answer.data, None, "the data that a touch brings")
        loaded = await ask(store, holder.load(NOW))
        check_equal((loaded.record, loaded.data), (answer.record, {"n": 0}), "what is kept after a touch")


@case
async def sessions_may_have_an_idle_time_of_their_own(harness: Harness) -> None:
    """A max_age that a touch or a creation gives is kept, and counts from then on for everything."""
    store = await harness.make()
    created, touched = await started(store, {"n": 0}, max_age=30 * HOUR), await started(store, {"n": 0})
    answer = await ask(store, touched.touch(NOW, max_age=30 * HOUR))
    _check_times(answer, used=NOW, idle=NOW + 30 * HOUR, renew=NOW + 3 * HOUR, what="a touch with a max_age")
    check(answer.renewed, "a touch with a max_age sends no cookie")
    first = await ask(store, created.load())
    _check_times(first, used=NOW, idle=NOW + 30 * HOUR, renew=NOW + 3 * HOUR, what="a creation with a max_age")
    for holder in (created, touched):
        now = NOW + 29 * HOUR
        updated = await ask(store, holder.update(Inc.of("n", 1), now=now))
        _check_times(updated, used=now, idle=now + 30 * HOUR, renew=now + 3 * HOUR, what="an update")
        now += 29 * HOUR
        new = holder.renewed()
        rotated = await ask(store, holder.rotate(new, now))
        _check_times(rotated, used=now, idle=now + 30 * HOUR, renew=now + 3 * HOUR, what="a rotation")
        now += 29 * HOUR
        read = await ask(store, new.load(now))
        _check_times(read, used=now, idle=now + 30 * HOUR, renew=now + 3 * HOUR, what="a read")
        check_equal(_record(read).max_age, 30 * HOUR, "the record's own max_age")
        shorter = await ask(store, new.touch(now, max_age=HOUR))
        _check_times(shorter, used=now, idle=now + HOUR, renew=now + HOUR // 10, what="a touch with a shorter one")


@case
async def settings_of_the_day_count(harness: Harness) -> None:
    """A renewal goes by the lifetimes that its command brings, not by those of the creation."""
    store = await harness.make()
    holder = await started(store, {"n": 0})
    short = holder.under(Lifetimes(max_age=2 * HOUR))
    for now, command in (
        (NOW + HOUR, short.load(NOW + HOUR)),
        (NOW + 2 * HOUR, short.touch(NOW + 2 * HOUR)),
        (NOW + 3 * HOUR, short.update(Inc.of("n", 1), now=NOW + 3 * HOUR)),
    ):
        answer = await ask(store, command)
        _check_times(answer, used=now, idle=now + 2 * HOUR, renew=now + HOUR // 5, what="a command with other settings")


@case
async def nothing_extends_past_the_absolute_deadline(harness: Harness) -> None:
    """The idle deadline never passes the absolute one, whatever the session is asked."""
    store = await harness.make()
    end = NOW + 24 * HOUR
    first = await started(store, {"n": 0}, lifetimes=CAPPED)
    long = await started(store, {"n": 0}, lifetimes=CAPPED, max_age=100 * HOUR)
    check_equal(_record(await ask(store, long.load())).idle_deadline, end, "the deadline of a long max_age")
    new = first.renewed()
    for holder, command in (
        (first, first.update(Inc.of("n", 1), now=NOW + 9 * HOUR)),
        (first, first.touch(NOW + 18 * HOUR)),
        (first, first.load(NOW + 20 * HOUR)),
        (first, first.update(Inc.of("n", 1), now=NOW + 21 * HOUR)),
        (first, first.touch(NOW + 22 * HOUR, max_age=100 * HOUR)),
        (new, first.rotate(new, NOW + 23 * HOUR)),
        (new, new.load(end - 1)),
        (new, new.touch(end - 1)),
    ):
        record = _record(await ask(store, command))
        idle = command.now + (record.max_age or CAPPED.max_age)
        check_equal(record.idle_deadline - NOW, min(idle, end) - NOW, f"the deadline after {type(command).__name__}")
        check_equal(record.absolute_deadline, end, "the absolute deadline")
        kept = await ask(store, holder.load(NOW))
        check_equal(kept.record, record, "the record that is kept")
    check_outcome(await ask(store, new.load(end)), Outcome.ABSENT, "a load at the absolute deadline")


@case
async def only_a_login_restarts_the_absolute_deadline(harness: Harness) -> None:
    """A login makes the session its owner's, and its absolute time begins again; creation stays what it was."""
    store = await harness.make()
    first = await started(store, {"n": 0}, lifetimes=CAPPED)
    holder, end = first, NOW + 24 * HOUR
    for number, owner in enumerate(("alice", "alice", "bob"), start=1):
        now = NOW + number * 9 * HOUR
        new = holder.renewed()
        record = _record(await ask(store, holder.rotate(new, now, login=Login(owner))))
        end = now + 24 * HOUR
        check_equal(record.absolute_deadline, end, "the absolute deadline after a login")
        check_equal((record.owner, record.authenticated_at), (owner, now), "owner and time of a login")
        check_equal((record.created, record.rev), (NOW, 1), "creation and rev after a login")
        check_equal(record.idle_deadline, now + 10 * HOUR, "the idle deadline after a login")
        check_equal(_record(await ask(store, new.load(NOW))), record, "the record that is kept")
        holder = new
    await ask(store, holder.touch(end - 15 * HOUR))
    plain = holder.renewed()
    rotated = _record(await ask(store, holder.rotate(plain, end - 6 * HOUR)))
    check_equal((rotated.absolute_deadline, rotated.owner), (end, "bob"), "deadline and owner after a plain rotation")
    unbounded = Holder(plain.token, LIFETIMES)
    free = unbounded.renewed()
    record = _record(await ask(store, unbounded.rotate(free, end - 1, login=Login("bob"))))
    check_equal(record.absolute_deadline, None, "the absolute deadline after a login without max_lifetime")


@case
async def rotation_changes_the_digest_and_nothing_else(harness: Harness) -> None:
    """A rotation keeps the data, renews the session, and lets the new token in at once."""
    store = await harness.make()
    old = await started(store, {"n": 5}, owner="alice")
    new = old.renewed()
    before = _record(await ask(store, old.load()))
    answer = await ask(store, old.rotate(new, NOW + 5, grace=0))
    record = _record(answer)
    check(answer.renewed, "a rotation sends no cookie")
    _check_times(answer, used=NOW + 5, idle=NOW + 5 + 10 * HOUR, renew=NOW + 5 + HOUR, what="a rotation")
    kept = (record.id, record.created, record.owner, record.authenticated_at, record.max_age, record.rev)
    was = (before.id, before.created, before.owner, before.authenticated_at, before.max_age, before.rev)
    check_equal(kept, was, "what a rotation keeps")
    loaded = await ask(store, new.load(NOW + 5))
    check_equal((loaded.record, loaded.data), (record, {"n": 5}), "what the new token opens")
