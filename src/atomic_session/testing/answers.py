"""What an answer brings: the record, the touched fields or all data, what was taken, why it was refused."""

from __future__ import annotations

from typing import Any

from ..commands import Answer, Outcome
from ..errors import LimitExceeded, OperatorError
from ..operators import Inc, Push, Rename, Replace, Set, Take, Unset, When
from ..values import MISSING, encode
from .checks import check, check_data, check_equal, check_error, check_outcome
from .harness import Harness, case
from .holder import HOUR, NOW, Holder, ask, started
from .witness import Witness, look

DATA: dict[str, Any] = {"color": "red", "visits": 1, "cart": [{"sku": "A1"}], "nested": {"a": {"b": 1}}}


@case
async def rev_counts_changes_of_data(harness: Harness) -> None:
    """An applied update makes rev one more, whatever it did; nothing else moves it."""
    store = await harness.make()
    holder = await started(store, DATA)
    check_equal(_rev(await ask(store, holder.load())), 1, "the first rev")
    updates = (holder.update(Set.of("a", 1), Inc.of("b", 1)), holder.update(Unset.of("nothing.here")))
    for rev, update in enumerate(updates, start=2):
        check_equal(_rev(await ask(store, update)), rev, "rev after an update")
        check_equal(_rev(await ask(store, holder.load())), rev, "rev at a load after an update")
    new = holder.renewed()
    for command in (
        holder.update(When.of("a", 2), Set.of("a", 3)),
        holder.update(Inc.of("color", 1)),
        holder.touch(NOW + 1),
        holder.touch(NOW + 2, max_age=5 * HOUR),
        holder.load(NOW + 3 * HOUR),
        holder.rotate(new, NOW + 3 * HOUR),
    ):
        check_equal(_rev(await ask(store, command)), 3, f"rev after {type(command).__name__}")
    check_equal(_rev(await ask(store, new.load(NOW + 3 * HOUR))), 3, "rev at the end")


@case
async def updates_answer_touched_fields_to_who_knows_the_rest(harness: Harness) -> None:
    """Who holds the data of the rev before is told the touched fields that are there, and nothing else."""
    store = await harness.make()
    holder = await started(store, DATA)
    items = (Set.of("color", "blue"), Push.of("cart", [7]), Unset.of("visits"), Rename.of("none", "other"))
    answer = await ask(store, holder.update(*items, When.of("nested.a.b", 1), known=1))
    check_outcome(answer, Outcome.DONE, "an update")
    check(not answer.whole, "an update brings all data to who knows the rest")
    told = {"color": "blue", "cart": [{"sku": "A1"}, 7]}
    data = answer.data if answer.data is not None else {}
    check_data({name: data.get(name) for name in data if name != "nested"}, told, "the touched fields")
    check_data(data.get("nested", DATA["nested"]), DATA["nested"], "a field that only a guard looks at")


@case
async def updates_answer_all_data_to_who_does_not_know_it(harness: Harness) -> None:
    """Who holds no data, or that of another rev, is told everything."""
    store = await harness.make()
    holder = await started(store, DATA)
    expected = dict(DATA)
    for number, known in enumerate((None, 1, 5, 0)):
        expected["color"] = number
        answer = await ask(store, holder.update(Set.of("color", number), known=known if number else None))
        check(answer.whole, f"an update at rev {number + 1} brings not all data to who knows rev {known}")
        check_data(answer.data, expected, "all data")


@case
async def replacements_answer_all_data(harness: Harness) -> None:
    """A replacement leaves nothing of what was there, and brings all data to anyone."""
    store = await harness.make()
    holder = await started(store, DATA)
    for rev, known in ((2, 1), (3, None), (4, 1)):
        answer = await ask(store, holder.update(Replace.of({"only": rev}), known=known))
        check_equal(_rev(answer), rev, "rev after a replacement")
        check(answer.whole, "a replacement brings not all data")
        check_data(answer.data, {"only": rev})
        check_data(await look(store, holder.load()), {"only": rev})


@case
async def unmet_guards_change_nothing_and_answer_the_truth(harness: Harness) -> None:
    """Where a guard does not hold nothing changes, not even a deadline, and the answer brings what is there."""
    store = await harness.make()
    holder = await started(store, DATA)
    witness = await Witness.of(store, holder.load())
    late = NOW + 2 * HOUR
    for known in (None, 1, 7):
        update = holder.update(When.of("visits", 2), Set.of("color", "blue"), Take.of("cart"), now=late, known=known)
        answer = await ask(store, update)
        check_outcome(answer, Outcome.UNMET, "a guarded update")
        check_equal(_rev(answer), 1, "rev of an unmet update")
        check(answer.taken is MISSING and not answer.renewed, "an unmet update takes or renews something")
        check_data({**(DATA if known == 1 else {}), **(answer.data or {})}, DATA, f"what who knows rev {known} holds")
        check(answer.whole or known == 1, "an unmet update brings not all data to who does not know it")
        await witness.check_unchanged("an unmet update")


@case
async def all_guards_must_hold(harness: Harness) -> None:
    """An update is applied only where every guard holds; MISSING asks that nothing is there."""
    store = await harness.make()
    holder = await started(store, {"a": 1, "b": None, "log": []})
    for met, guards in (
        (True, [When.of("a", 1), When.of("b", None), When.of("c", MISSING)]),
        (False, [When.of("a", 1), When.of("b", MISSING)]),
        (False, [When.of("c", None)]),
        (False, [When.of("a", 1), When.of("a", 2)]),
        (True, [When.of("a.b.c", MISSING), When.of("log", [])]),
    ):
        answer = await ask(store, holder.update(*guards, Set.of("done", met)))
        check_outcome(answer, Outcome.DONE if met else Outcome.UNMET, f"an update guarded by {guards}")


@case
async def taken_values_are_answered_once(harness: Harness) -> None:
    """What a take removes is in its answer; the next one finds MISSING, and None is not MISSING."""
    store = await harness.make()
    holder = await started(store, {"state": {"x": [1, None]}, "none": None, "list": ["a", "b"]})
    table: tuple[tuple[str, Any, Any], ...] = (
        ("state.x", [1, None], MISSING),
        ("state", {}, MISSING),
        ("none", None, MISSING),
        ("list.0", "a", None),
        ("list.7", MISSING, MISSING),
        ("never.was", MISSING, MISSING),
    )
    for path, first, second in table:
        for expected in (first, second):
            answer = await ask(store, holder.update(Take.of(path), known=None))
            check_outcome(answer, Outcome.DONE, f"a take of {path}")
            check_data(answer.taken, expected, f"what a take of {path} answers")
    check_data(await look(store, holder.load()), {"list": [None, "b"]})


@case
async def refused_updates_change_nothing_and_say_why(harness: Harness) -> None:
    """An operator that does not fit refuses the whole update, and is named; not even a deadline moves."""
    store = await harness.make()
    holder = await started(store, DATA)
    witness = await Witness.of(store, holder.load())
    late = NOW + 2 * HOUR
    for items, verb, path in (
        ((Set.of("a", 1), Inc.of("color", 1), Set.of("b", 1)), "inc", "color"),
        ((Push.of("visits", [1]), Inc.of("color", 1)), "push", "visits"),
        ((Take.of("cart"), Set.of("color.deep", 1)), "set", "color.deep"),
        ((Set.of("x", 1), Push.of(("nested", "a"), [1])), "push", "nested.a"),
    ):
        answer = await ask(store, holder.update(*items, now=late, known=1))
        check_outcome(answer, Outcome.REFUSED, f"an update with {verb} {path}")
        check_error(answer.error, OperatorError(verb, path, ""), "a refused update")
        check(answer.taken is MISSING and not answer.renewed, "a refused update takes or renews something")
        check(answer.data is None, "a refused update brings data")
        await witness.check_unchanged("a refused update")


@case
async def fields_are_bounded(harness: Harness) -> None:
    """A field of exactly the limit is kept; with one byte more the update, or the creation, is refused."""
    store = await harness.make()
    maximum = harness.limits.field
    await _check_bound(harness, "field", maximum, {"f": _text(maximum)}, {"f": _text(maximum + 1)})
    holder = await started(store, {"f": _text(maximum), "g": []})
    witness = await Witness.of(store, holder.load())
    longer = await ask(store, holder.update(Set.of("f", _text(maximum + 1)), Set.of("x", 1)))
    check_error(longer.error, LimitExceeded("field", maximum, 0), "an update that makes a field too large")
    grown = await ask(store, holder.update(Push.of("g", [_text(maximum - 1)])))
    check_error(grown.error, LimitExceeded("field", maximum, 0), "an update that lets a field grow too large")
    await witness.check_unchanged("an update past a limit")
    fits = await ask(store, holder.update(Push.of("g", [_text(maximum - 2)])))
    check_outcome(fits, Outcome.DONE, "an update that fills a field")


@case
async def records_are_bounded(harness: Harness) -> None:
    """All fields together are kept up to the limit; with one byte more the update, or creation, is refused."""
    store = await harness.make()
    limits = harness.limits
    base: dict[str, Any] = {}
    while len(encode({**base, "last": ""})) + limits.field <= limits.record:
        base[f"f{len(base)}"] = _text(limits.field // 2)
    room = limits.record - len(encode({**base, "last": ""}))
    full, over = {**base, "last": _text(room + 2)}, {**base, "last": _text(room + 3)}
    await _check_bound(harness, "record", limits.record, full, over)
    holder = await started(store, full)
    witness = await Witness.of(store, holder.load())
    for update in (holder.update(Set.of("last", _text(room + 3))), holder.update(Set.of("x", 1), known=1)):
        answer = await ask(store, update)
        check_outcome(answer, Outcome.REFUSED, "an update that makes a record too large")
        check_error(answer.error, LimitExceeded("record", limits.record, 0), "an update that makes a record too large")
    await witness.check_unchanged("an update past a limit")


async def _check_bound(harness: Harness, limit: str, maximum: int, full: dict[str, Any], over: dict[str, Any]) -> None:
    """Check that *full* can be created, and *over* cannot."""
    store = await harness.make()
    fits, refused = Holder(), Holder()
    check_outcome(await ask(store, fits.create(full)), Outcome.DONE, f"a creation at the limit of a {limit}")
    answer = await ask(store, refused.create(over))
    check_outcome(answer, Outcome.REFUSED, f"a creation past the limit of a {limit}")
    check_error(answer.error, LimitExceeded(limit, maximum, 0), f"a creation past the limit of a {limit}")
    check_outcome(await ask(store, refused.load()), Outcome.ABSENT, "a load of what was refused")


def _text(size: int) -> str:
    """Return text whose canonical form takes *size* bytes, the quotes among them."""
    return "x" * (size - 2)


@case
async def answers_are_the_receivers_own(harness: Harness) -> None:
    """What is done to the data of an answer, or of a command, never reaches the store."""
    store = await harness.make()
    holder = Holder()
    given: dict[str, Any] = {"log": ["a", {"deep": ["b"]}]}
    create = holder.create(given)
    created = await ask(store, create)
    create.data["log"].append("late")  # type: ignore[union-attr]
    pushed = await ask(store, holder.update(Set.of("more", [["c"]]), known=1))
    loaded = await ask(store, holder.load())
    for answer in (created, pushed, loaded):
        for value in (answer.data or {}).values():
            value.append("late")  # type: ignore[union-attr]
            value[0] = "changed"  # type: ignore[index]
    check_data(await look(store, holder.load()), {**given, "more": [["c"]]})


def _rev(answer: Answer) -> int | None:
    return None if answer.record is None else answer.record.rev
