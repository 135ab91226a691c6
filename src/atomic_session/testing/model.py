"""
Whole lives of sessions, drawn at random, on the store and on a model of it: no answer may differ.

The model is the memory store, whose every command is the pure `lifecycle.perform` on a dict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..clock import Instant
from ..commands import Answer, Command, Destroy, Login, OwnerLimit, Update
from ..lifecycle import is_limited
from ..operators import Inc, Push, Replace, Set, Take, When
from ..record import MEMORY, Lifetimes
from ..store import Store
from ..stores.memory import MemoryStore
from .checks import check_data, check_equal, check_error
from .harness import Harness, case
from .holder import HOUR, NOW, Holder, ask
from .properties import holds
from .sending import in_pieces

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SLOTS = 3
OWNERS = ("alice", "bob")
LIMITS = (None, OwnerLimit(1, evict_oldest=True), OwnerLimit(2, evict_oldest=False))
SETTINGS = (
    Lifetimes(max_age=10 * HOUR),
    Lifetimes(max_age=10 * HOUR, max_lifetime=24 * HOUR),
    Lifetimes(max_age=HOUR, max_lifetime=3 * HOUR, touch_after=0),
)
WAITS = (1, 2, 5_000, MEMORY - 1, MEMORY, HOUR, 9 * HOUR, 10 * HOUR)
KINDS = (
    *("create", "load", "load", "update", "update", "update", "take", "guarded", "refused", "refused", "replace"),
    *("touch", "touch", "remember", "rotate", "grace", "login", "login", "destroy", "end", "list", "sweep"),
)


class Step(NamedTuple):
    """
    One thing that happens.

    Attributes:
        kind: what.
        slot: to which of a few sessions.
        age: with which of its tokens, counted from the newest; past them all is a stranger's.
        wait: how many milliseconds after the step before.
        choice: whatever else there is to choose.
        alone: whether it ends the batch.
    """

    kind: str
    slot: int
    age: int
    wait: int
    choice: int
    alone: bool


class World:
    """A store and its model, and the tokens that anyone ever held."""

    def __init__(self, store: Store, model: Store) -> None:
        self._stores = (store, model)
        self._waiting: list[Command] = []
        self._tokens: list[list[Holder]] = [[Holder()] for _ in range(SLOTS)]
        self._now: Instant = NOW

    async def take(self, step: Step) -> None:
        """Let one step happen, or wait for others that go with it."""
        self._now += step.wait
        if step.kind in ("list", "sweep"):
            await self.flush()
            await self._ask_about_owner(step)
            return
        command = self._command(step)
        looks_at_others = is_limited(command)
        if looks_at_others:  # in one batch the order of commands on different sessions is the store's
            await self.flush()
        self._waiting.append(command)
        if step.alone or looks_at_others:
            await self.flush()

    async def flush(self) -> None:
        """Send what waits, as a batch to the store and one by one to the model."""
        store, model = self._stores
        commands, self._waiting = self._waiting, []
        answers = await in_pieces(store, commands)
        for command, answer in zip(commands, answers, strict=True):
            _check_same(answer, await ask(model, command), command)

    async def end(self) -> None:
        """Look at everything once more."""
        await self.flush()
        for tokens in self._tokens:
            self._waiting += [holder.load(self._now) for holder in tokens]
        await self.flush()

    async def _ask_about_owner(self, step: Step) -> None:
        owner = OWNERS[step.choice % len(OWNERS)]
        keep = self._tokens[step.slot][-1].id if step.choice % 3 else None
        found = []
        for store in self._stores:
            count = await store.destroy_all(owner, keep, self._now) if step.kind == "sweep" else None
            found.append((count, [msgspec.structs.asdict(info) for info in await store.sessions_of(owner, self._now)]))
        check_equal(found[0], found[1], f"what {step.kind} answers for {owner}")

    def _command(self, step: Step) -> Command:
        tokens, now, choice = self._tokens[step.slot], self._now, step.choice
        settings, limit = SETTINGS[choice % len(SETTINGS)], LIMITS[choice // 3 % len(LIMITS)]
        owner = OWNERS[choice % len(OWNERS)]
        if step.kind == "create":
            tokens[:] = [Holder()]
            some = owner if choice % 4 else None
            return tokens[0].under(settings).create({"n": 0, "log": []}, now, owner=some, limit=limit)
        known = step.age < len(tokens)
        holder = (tokens[-1 - step.age] if known else tokens[-1].renewed()).under(settings)
        if step.kind in ("rotate", "grace", "login"):
            new = holder.renewed()
            if step.age == 0:
                tokens.append(new)
            login = Login(owner, limit) if step.kind == "login" else None
            return holder.rotate(new, now, grace=0 if step.kind != "grace" else WAITS[choice % 5], login=login)
        if step.kind == "end":
            return Destroy(holder.id, None, now)
        return _plain(step, holder, now)


def _plain(step: Step, holder: Holder, now: Instant) -> Command:
    """Return a command that leaves the tokens as they are."""
    choice = step.choice
    known = choice % 6 or None
    simple: dict[str, Command] = {
        "load": holder.load(now),
        "update": holder.update(Inc.of("n", choice), Push.of("log", [choice], keep=3), now=now, known=known),
        "take": holder.update(Take.of("log"), now=now, known=known),
        "guarded": holder.update(When.of("n", choice % 3), Set.of("n", 0), now=now, known=known),
        "refused": holder.update(Set.of("other", choice), Inc.of("log", 1), now=now, known=known),
        "replace": holder.update(Replace.of({"n": choice}), now=now, known=known),
        "touch": holder.touch(now),
        "remember": holder.touch(now, max_age=WAITS[choice % len(WAITS)] + HOUR),
        "destroy": holder.destroy(now),
    }
    return simple[step.kind]


def _check_same(answer: Answer, expected: Answer, command: Command) -> None:
    """Fail unless the store's answer is the model's; all data, where touched fields would do, is no fault."""
    what = f"the answer to {command}"
    check_equal(answer.outcome, expected.outcome, what)
    check_equal(answer.record, expected.record, f"{what}: the record")
    check_equal(answer.renewed, expected.renewed, f"{what}: whether it renews")
    check_data(answer.taken, expected.taken, f"{what}: what was taken")
    if expected.error is not None:
        check_error(answer.error, expected.error, what)
    if answer.whole == expected.whole:
        check_data([answer.data], [expected.data], f"{what}: the data")
    elif isinstance(command, Update):
        names = command.update.fields or ()
        brought = {name: value for name, value in (answer.data or {}).items() if name in names}
        check_data(brought, expected.data or {}, f"{what}: the touched fields")
        check_equal(answer.whole, True, f"{what}: whether it brings all data")


def _steps() -> SearchStrategy[list[Step]]:
    from hypothesis import strategies as st  # noqa: PLC0415  # an extra: only this needs it

    age, wait = st.sampled_from((0, 0, 0, 0, 1, 1, 2, 9)), st.sampled_from((1, 1, 1, *WAITS))
    steps = st.builds(
        Step, st.sampled_from(KINDS), st.integers(0, SLOTS - 1), age, wait, st.integers(0, 11), st.booleans()
    )
    return st.lists(steps, min_size=5, max_size=40)


@case
async def random_lives_are_those_of_the_model(harness: Harness) -> None:
    """Whatever happens to some sessions, in whatever batches, every answer is that of the reference."""
    store = await harness.make()

    async def law(steps: Sequence[Step]) -> None:
        model = MemoryStore(limits=harness.limits)
        for owner in OWNERS:
            await store.destroy_all(owner, None, NOW)
        world = World(store, model)
        for slot in range(SLOTS):
            await world.take(Step("create", slot, age=0, wait=1, choice=slot, alone=False))
        for step in steps:
            await world.take(step)
        await world.end()

    await holds(law, _steps(), examples=60)
