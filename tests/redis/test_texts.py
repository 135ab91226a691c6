"""What scripts write is what the codec writes."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import strategies as st
from tests.harnesses.redis import RedisHarness

from atomic_session.commands import Outcome
from atomic_session.errors import OperatorError
from atomic_session.operators import Inc, Max, Mul, Push, Set, Update, apply
from atomic_session.stores.redis import answers
from atomic_session.stores.redis.scripts import UPDATE
from atomic_session.testing.holder import Holder, ask, started
from atomic_session.testing.properties import holds
from atomic_session.testing.sending import send
from atomic_session.values import INT64, decode, encode

_EDGES = (0, 1, 9, 10**7 - 1, 10**7, 10**14, 10**15 - 1, 10**15, 2**53 - 1, 2**53, 2**53 + 1, 3_037_000_500, 2**62)
INTEGERS = tuple(sorted({sign * number for number in (*_EDGES, 2**63 - 1, 99_999_999_999_999) for sign in (1, -1)}))
FLOATS = (1e15, 1e16, 1e-5, 1e-6, 123456789.125, 0.1, 1 / 3, 2.5e-7, 1e22, 9007199254740993.0, 5e-324, 1e-300, 1.7e308)


def test_the_scripts_and_the_client_number_what_became_of_a_command_alike() -> None:
    said = re.search(r"^local (DONE, .*) = (0, .*)$", UPDATE.text.decode(), re.MULTILINE)
    assert said is not None
    numbers = dict(zip(said[1].split(", "), map(int, said[2].split(", ")), strict=True))

    assert (numbers.pop("AGAIN"), numbers.pop("CORRUPT")) == (answers.AGAIN, answers.CORRUPT)
    assert [name for name, _ in sorted(numbers.items(), key=lambda pair: pair[1])] == [
        outcome.name for outcome in answers.OUTCOMES
    ]


async def test_sums_and_products_of_integers_are_exact_or_refused(harness: RedisHarness) -> None:
    store = await harness.make()
    table = [(old, kind(("n",), by)) for kind in (Inc, Mul) for old, by in itertools.product(INTEGERS, INTEGERS)]
    holders = [Holder() for _ in table]
    await send(store, [holder.create({"n": old}) for holder, (old, _) in zip(holders, table, strict=True)])
    updates = [holder.updating(Update((item,))) for holder, (_, item) in zip(holders, table, strict=True)]
    for (old, item), answer in zip(table, await send(store, updates), strict=True):
        exact = old + item.by if isinstance(item, Inc) else old * item.by
        if exact in INT64:
            assert (answer.outcome, answer.data) == (Outcome.DONE, {"n": exact}), (old, item)
        else:
            assert isinstance(answer.error, OperatorError), (old, item)


async def test_any_two_integers_are_added_multiplied_and_compared_exactly(harness: RedisHarness) -> None:
    store = await harness.make()
    numbers = st.integers(INT64.start, INT64.stop - 1)

    async def law(pair: tuple[int, int]) -> None:
        old, by = pair
        for item in (Inc(("n",), by), Mul(("n",), by), Max(("n",), by), Max(("n",), float(by))):
            holder = await started(store, {"n": old})
            answer = await ask(store, holder.update(item))
            try:
                applied = apply({"n": old}, Update((item,)))
            except OperatorError:
                assert isinstance(answer.error, OperatorError)
            else:
                assert applied is not None
                assert encode(answer.data or {}) == encode(applied.data)

    await holds(law, st.tuples(numbers, numbers), examples=60)


async def test_floats_are_written_as_the_codec_writes_them(harness: RedisHarness) -> None:
    store = await harness.make()
    for number, by in itertools.product(FLOATS, (0.0, 1.0, -0.5)):
        holder = await started(store, {"n": number})
        answer = await ask(store, holder.update(Inc(("n",), by)))
        assert answer.raw == encode({"n": number + by}), (number, by)


async def test_the_text_of_all_data_is_canonical(harness: RedisHarness) -> None:
    store = await harness.make()
    data = {"a.b": 1.5, '"quoted"': ["[", {"~": "\\"}], "é": {}, "list": []}
    holder = await started(store, data)
    await ask(store, holder.update(Push(("list",), (1, "x"))))
    answer = await ask(store, holder.load())
    assert answer.raw is not None
    assert decode(answer.raw) == {**data, "list": [1, "x"]}
    assert encode(decode(answer.raw)) == answer.raw


@pytest.mark.parametrize("count", [1, 16, 17, 200])
async def test_names_that_look_like_gaps_are_names(harness: RedisHarness, count: int) -> None:
    """What updates of one shape have in common is a template: no name and no value may be taken for a part of it."""
    store = await harness.make()
    names = [f"{mark}{number}" for number in range(count) for mark in ("%", "%d", "%b", "%%", "$1\r\n", "%(n)s")][
        :count
    ]
    holder = await started(store, {})
    for turn in ("%d", "%b", "100 %"):
        answer = await ask(store, holder.update(*(Set.of((name, "%d"), turn) for name in names)))
        assert answer.outcome is Outcome.DONE
        assert (await ask(store, holder.load())).data == {name: {"%d": turn} for name in names}
