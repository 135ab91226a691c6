"""
What becomes of a session that one request ends while others write to it: in every order.

The requests go through real sessions, with a barrier at every call to the store.  Whatever the
order, nothing may happen to a session after its end was acknowledged, nothing that was
acknowledged may be missing, and no request may be told an untruth.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import combinations_with_replacement
from typing import TypeAlias

from ..commands import Create, Outcome
from ..errors import SessionGone
from ..store import Store
from .checks import check, check_data, check_equal, check_outcome
from .gate import Gate, in_every_order
from .harness import Harness, case
from .holder import Holder, ask, clean
from .requests import DATA, UPDATERS, WRITERS, dict_code_and_update, take
from .scenes import DESTROYERS, LATE, OWNER, ROTATORS, Ender, Scene, expire
from .site import Handler, Visit
from .witness import look

Verify: TypeAlias = Callable[[Scene, Handler, Visit, Visit, str], Awaitable[None]]


async def _race(store: Store, ender: Ender, writers: Sequence[Handler], verify: Verify) -> None:
    """Let *writers* race *ender* in every order, and *verify* what came of each of them."""

    async def play(gate: Gate) -> None:
        scene = await Scene.of(gate, store)
        *written, ended = await gate.run(*[scene.visit(writer) for writer in writers], ender(scene))
        what = f"{', '.join(writer.__name__ for writer in writers)} against {ender.__name__}"
        check(ended.error is None, f"{what}: the end fails with {ended.error!r}")
        scene.history.check(scene.holder.id, OWNER)
        for writer, visit in zip(writers, written, strict=True):
            await verify(scene, writer, visit, ended, what)

    orders = await in_every_order(play)
    check(orders > len(writers), f"{len(writers)} writers race in {orders} orders only")


async def _race_each(harness: Harness, enders: Sequence[Ender], verify: Verify) -> None:
    store = await harness.make()
    for ender in enders:
        for writer in WRITERS:
            await _race(store, ender, [writer], verify)


@case
async def nothing_is_written_after_destroy(harness: Harness) -> None:
    """A session that was destroyed is never written and never comes back, and late requests are told so."""
    await _race_each(harness, DESTROYERS, _verify_destroyed)


async def _verify_destroyed(scene: Scene, writer: Handler, written: Visit, _ended: Visit, what: str) -> None:
    scene.check_truth(written, writer, what)
    await _check_destroyed(scene, what)


async def _check_destroyed(scene: Scene, what: str) -> None:
    check_outcome(await ask(scene.store, scene.holder.load()), Outcome.DESTROYED, f"{what}: a load at the end")
    listed = [info.id for info in await scene.store.sessions_of(OWNER, scene.site.clock())]
    check_equal(listed, [], f"{what}: the owner's sessions at the end")


@case
async def nothing_is_written_under_a_rotated_token(harness: Harness) -> None:
    """What was acknowledged before a rotation is in the session, what comes late with the old token is not."""
    await _race_each(harness, ROTATORS, _verify_rotated)


async def _verify_rotated(scene: Scene, writer: Handler, written: Visit, ended: Visit, what: str) -> None:
    scene.check_truth(written, writer, what)
    await _check_rotated(scene, ended, what)


async def _check_rotated(scene: Scene, ended: Visit, what: str) -> None:
    if ended.token is None:
        raise AssertionError(f"{what}: whoever rotates holds no token")
    new = Holder(ended.token)
    check_equal(new.id, scene.holder.id, f"{what}: the id after a rotation")
    check_outcome(await ask(scene.store, scene.holder.load()), Outcome.ROTATED, f"{what}: a load with the old token")
    expected = scene.history.replay(scene.holder.id, clean(DATA))
    check_data(await look(scene.store, new.load()), expected, f"{what}: the data at the end")


@case
async def nothing_is_written_after_expiry(harness: Harness) -> None:
    """A session that has expired is never written; a late request finds nothing, or begins with nothing."""
    await _race_each(harness, [expire], _verify_expired)


async def _verify_expired(scene: Scene, writer: Handler, written: Visit, _ended: Visit, what: str) -> None:
    gone = isinstance(written.error, SessionGone)
    check(written.error is None or gone, f"{what}: a request fails with {written.error!r}")
    for event in scene.history.of(scene.holder.id):
        late = event.command.now >= LATE and event.done
        check(not late, f"{what}: {type(event.command).__name__} succeeds after the deadline")
    check_outcome(await ask(scene.store, scene.holder.load(LATE)), Outcome.ABSENT, f"{what}: a load at the end")
    if written.token is not None and written.token.id != scene.holder.id:
        fresh = await scene.site.visit(None, writer)
        if fresh.token is None:
            raise AssertionError(f"{what}: a request begins a session, and without a cookie it does not")
        expected = await look(scene.store, Holder(fresh.token).load(LATE))
        check_data(await look(scene.store, Holder(written.token).load(LATE)), expected, f"{what}: a session begun late")
        created = [event for event in scene.history.events if isinstance(event.command, Create) and event.done]
        check_equal(len(created), 2, f"{what}: the sessions that were begun")


@case
async def requests_race_the_end_of_a_session_in_threes(harness: Harness) -> None:
    """Two writers and an end keep every rule at once."""
    store = await harness.make()

    async def verify(scene: Scene, _writer: Handler, written: Visit, ended: Visit, what: str) -> None:
        check(
            written.error is None or isinstance(written.error, SessionGone), f"{what}: it fails with {written.error!r}"
        )
        await (_check_destroyed(scene, what) if ended.token is None else _check_rotated(scene, ended, what))

    for ender in (*DESTROYERS, *ROTATORS):
        await _race(store, ender, [dict_code_and_update, take], verify)


@case
async def writers_keep_each_others_changes(harness: Harness) -> None:
    """Of two requests that write at the same time each finds its change in the session, in every order."""
    store = await harness.make()

    async def play(gate: Gate, pair: tuple[Handler, Handler]) -> None:
        scene = await Scene.of(gate, store)
        visits = await gate.run(*[scene.visit(writer) for writer in pair])
        what = " against ".join(writer.__name__ for writer in pair)
        for visit in visits:
            check(visit.error is None, f"{what}: it fails with {visit.error!r}")
        updates = scene.history.updates(scene.holder.id)
        unmet = sum(visit.result is False for visit in visits)
        check_equal(len(updates), 2 - unmet, f"{what}: the updates that were applied")
        check(unmet < 2, f"{what}: no update is applied")
        expected = scene.history.replay(scene.holder.id, clean(DATA))
        check_data(await look(scene.store, scene.holder.load()), expected, f"{what}: the data at the end")

    for pair in combinations_with_replacement(UPDATERS, 2):

        async def play_pair(gate: Gate, pair: tuple[Handler, Handler] = pair) -> None:
            await play(gate, pair)

        await in_every_order(play_pair)


@case
async def ends_race_each_other(harness: Harness) -> None:
    """Of two requests that end one session each is told whether it was the one: once destroyed, it stays so."""
    store = await harness.make()

    async def play(gate: Gate, pair: tuple[Ender, Ender]) -> None:
        scene = await Scene.of(gate, store)
        visits = await gate.run(*[ender(scene) for ender in pair])
        what = " against ".join(ender.__name__ for ender in pair)
        scene.history.check(scene.holder.id, OWNER)
        for ender, visit in zip(pair, visits, strict=True):
            check(visit.error is None or isinstance(visit.error, SessionGone), f"{what}: it fails with {visit.error!r}")
            if ender in DESTROYERS and visit.error is None:
                await _check_not_live(scene, [seen for seen in visits if seen.token is not None], what)
        if all(ender in ROTATORS for ender in pair):
            winners = [visit for visit in visits if visit.error is None]
            check_equal(len(winners), 1, f"{what}: the rotations that succeed")
            await _check_rotated(scene, winners[0], what)

    for pair in combinations_with_replacement((*DESTROYERS, *ROTATORS), 2):

        async def play_pair(gate: Gate, pair: tuple[Ender, Ender] = pair) -> None:
            await play(gate, pair)

        await in_every_order(play_pair)


async def _check_not_live(scene: Scene, visits: Sequence[Visit], what: str) -> None:
    """Fail if any token that a browser holds, or held, opens the session; a login after the end begins another."""
    for holder in [scene.holder, *[Holder(visit.token) for visit in visits]]:
        if holder.id == scene.holder.id:
            answer = await ask(scene.store, holder.load())
            check_outcome(answer, (Outcome.DESTROYED, Outcome.ROTATED), f"{what}: a load at the end")
        else:
            check_data(await look(scene.store, holder.load()), {}, f"{what}: a session begun after the end")
