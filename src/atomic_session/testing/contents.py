"""
What goes in comes out: values of every type, and names and texts that an engine may stumble over.

No name means anything to a store, whatever it looks like: not an operator of the engine, and not
one of the record's own fields.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import UUID

from ..commands import Outcome
from ..operators import Inc, PopLast, Pull, Push, Rename, Replace, Set, SetDefault, Take, Unset, When
from ..store import Store
from .checks import check_data, check_equal, check_outcome
from .harness import Harness, case
from .holder import Holder, ask, clean, started
from .mirror import Mirror
from .witness import look

VALUES: dict[str, Any] = {
    "constants": [None, True, False],
    "integers": [0, 1, -1, 255, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)],
    "floats": [0.0, 1.0, -1.0, 0.1, 1e-7, 123456789.125, 2.0**53, 1e16, 1e22, 1.7976931348623157e308, 5e-324],
    "decimals": [Decimal(text) for text in ("0", "1", "1.10", "-0.5", "1E+5", "1E-400", "9" * 40, "0.00")],
    "bytes": [b"", b"\x00", b"\xff\xfe", bytes(range(256))],
    "instants": [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999000, UTC),
        datetime(2031, 2, 3, 4, 5, 6, 7000, UTC),
        datetime(2031, 2, 3, 4, 5, 6, 789999, timezone(timedelta(hours=5, minutes=45))),
    ],
    "uuids": [UUID(int=0), UUID(int=2**128 - 1), UUID("00112233-4455-6677-8899-aabbccddeeff")],
    "empty": [[], {}, "", b"", [[]], [{}], {"a": []}, {"a": {}}, [[], [[]], {}]],
    "nested": {"a": {"b": {"c": [1, [2, [3, {"d": None}]]]}}},
    "mixed": [1, 1.0, True, "1", b"1", None, Decimal(1), [1], {"1": 1}],
}

TEXTS = (
    *("", " ", "x", "null", "true", "0", "1.5", "NaN", "[]", "{}", '"', "'", "\\", "\\u0000", "\\n", "%s", "$1", ":id"),
    *("\0", "a\0b", "\x01\x1f\x7f", "\t\r\n", "\u2028\u2029", "\ufeff", "\ufffd", "\ud7ff\ue000", "\uffff"),
    *("é", "e\u0301", "ß", "İ", "ﬀ", "日本語", "שלום", "\u202eabc", "😀", "👩‍👩‍👧", "\U0010ffff"),
    *("~", "~~", "~s", "~s~22", "~d2031-02-03T04:05:06.789Z", "~bAA==", "~n1", "~u", "~o", "~x", "a~b"),
    *("'; DROP TABLE atomic_session; --", "{{1}}", "${x}", "<script>", "../..", "a.b.c", "$set", "x" * 10_000),
)

NAMES = (
    *(
        "$",
        "$set",
        "$inc.x",
        "a.b",
        ".",
        "..",
        "a.",
        ".a",
        "[0]",
        "*",
        "?",
        "/",
        "#",
        "@",
        "%",
        "%s",
        ":",
        ";",
        ",",
        "-",
    ),
    *(
        "0",
        "1",
        "01",
        "-1",
        "1e5",
        "+1",
        "null",
        "true",
        "undefined",
        "NaN",
        " ",
        " a",
        "a ",
        "\t",
        "\n",
        "\x01",
        "\x7f",
    ),
    *("'", '"', "`", "\\", "\\0", "[", "]", "{", "}", "(", ")", "~", "~s", "~s~22", "~d", "~n1", "~~", "a~b"),
    *(
        "é",
        "e\u0301",
        "ß",
        "SS",
        "İ",
        "日本語",
        "\u202e",
        "😀",
        "\U0010ffff",
        "\ue000",
        "\u2028",
        "\ufeff",
        "K",
        "\u212a",
    ),
    *("__class__", "__proto__", "constructor", "prototype", "toString", "length", "__dict__", "self", "keys"),
    *(
        "_id",
        "id",
        "digest",
        "rev",
        "created",
        "last_used",
        "renew_at",
        "idle_deadline",
        "absolute_deadline",
        "max_age",
    ),
    *("owner", "authenticated_at", "previous_digest", "previous_until", "grace_until", "destroyed", "data", "purge_at"),
    *("d", "r", "expires", "expireAt", "fields", "raw", "record", "value", "type", "$oid", "$date", "$numberLong"),
    *("x" * 256, "é" * 128, "Name", "name", "NAME"),
)


@case
async def values_come_back_as_they_went_in(harness: Harness) -> None:
    """Every value of every type comes back the same, whether a creation, a set or a push brought it."""
    store = await harness.make()
    values = {**VALUES, "object_ids": _object_ids(), "texts": list(TEXTS)}
    created = await started(store, values)
    check_data(await look(store, created.load()), clean(values), "what was created")
    updated = await started(store)
    await ask(store, updated.update(*[Set.of((name,), value) for name, value in values.items()]))
    check_data(await look(store, updated.load()), clean(values), "what was set")
    flat = [item for value in values.values() if isinstance(value, list) for item in value]
    answer = await ask(store, updated.update(Push.of("flat", flat), Set.of("deep.er", values), known=2))
    expected = clean({"flat": flat, "deep": {"er": values}})
    check_data(answer.data, expected, "the answer to a push and a set")
    check_data(await look(store, updated.load()), {**clean(values), **expected}, "what was pushed")


def _object_ids() -> list[Any]:
    """Return ObjectIds, where bson is installed."""
    if find_spec("bson") is None:
        return []
    make = import_module("bson.objectid").ObjectId
    return [make("0" * 24), make("f" * 24)]


@case
async def names_are_only_names(harness: Harness) -> None:
    """Any legal name is kept as it is, at the top, inside, and as a name in a value; no two become one."""
    store = await harness.make()
    everywhere = {name: {name: number, "list": [{name: None}]} for number, name in enumerate(NAMES)}
    holder = await started(store, everywhere)
    check_data(await look(store, holder.load()), clean(everywhere), "what was created")
    blank = await started(store, {"x": 1})
    for start in range(0, len(NAMES), 50):
        some = NAMES[start : start + 50]
        await ask(store, blank.update(*[Set.of((name, name), {name: name}) for name in some]))
    expected: dict[str, Any] = {"x": 1, **{name: {name: {name: name}} for name in NAMES}}
    check_data(await look(store, blank.load()), expected, "what was set")
    await ask(store, blank.update(Replace.of(everywhere)))
    check_data(await look(store, blank.load()), clean(everywhere), "what was replaced")


@case
async def operators_take_any_name(harness: Harness) -> None:
    """Every operator finds its way to any legal name, and touches nothing else."""
    store = await harness.make()
    for name in NAMES:
        mirror = await Mirror.of(store, {name: {"k": 1}, "beside": {name: [1, 2, 3]}}, harness.limits)
        await mirror.send(
            When.of((name, "k"), 1),
            Inc.of((name, "n"), 2),
            SetDefault.of((name, name), "deep"),
            Push.of(("beside", name), [4]),
        )
        await mirror.send(Rename.of((name, name), ("beside", "moved")), Take.of((name, "k")), lag=1)
        await mirror.send(Rename.of((name,), ("other", name)), Pull.of(("beside", name), 2))
        await mirror.send(PopLast.of(("beside", name)), Unset.of(("other", name, "n")), Set.of((name,), None))
        check_data(mirror.data, {"beside": {name: [1, 3], "moved": "deep"}, "other": {name: {}}, name: None})


@case
async def records_are_out_of_reach(harness: Harness) -> None:
    """Whatever fields an application writes, the record's own attributes are those of the contract."""
    store = await harness.make()
    holder = await started(store, owner="alice")
    before = await ask(store, holder.load())
    awkward: tuple[Any, ...] = (None, 0, 2**62, "mallory", b"\x00" * 32, True, {"$gt": 0}, [])
    for names in (NAMES[::2], NAMES[1::2]):
        for value in awkward:
            answer = await ask(store, holder.update(*[Set.of((name,), value) for name in names]))
            check_outcome(answer, Outcome.DONE, f"an update that sets awkward names to {value!r}")
        await ask(store, holder.update(*[Unset.of((name,)) for name in names]))
    after = await ask(store, holder.load())
    for attribute in ("id", "digest", "created", "idle_deadline", "absolute_deadline", "owner", "previous_digest"):
        found, expected = getattr(after.record, attribute, None), getattr(before.record, attribute, None)
        check_equal(found, expected, f"the record's {attribute}")
    check_equal(await _owned(store), [holder.id], "the sessions of the owner")
    check_equal(getattr(after.record, "rev", None), 19, "the record's rev")


async def _owned(store: Store) -> list[str]:
    return [info.id for info in await store.sessions_of("alice", Holder().load().now)]
