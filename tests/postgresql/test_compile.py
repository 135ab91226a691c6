"""How values go to the server: text that it reads as exactly the value that it was."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harnesses.postgresql import PostgreSQLHarness

from atomic_session.commands import Outcome
from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.operators import AddToSet, Inc, Mul, Push, Set, Unset, When
from atomic_session.stores.postgresql.compile import digests, numbers, request_of, text_of, texts
from atomic_session.stores.postgresql.plain import batch_of
from atomic_session.testing.holder import Holder, ask, clean, started
from atomic_session.testing.strategies import data, updates
from atomic_session.values import Value, decode, same

FLOATS: tuple[tuple[float, str], ...] = (
    (1.0, "1.0"),
    (0.1, "0.1"),
    (1e16, "10000000000000000.0"),
    (2.0**53, "9007199254740992.0"),
    (2.0**62, "4611686018427387904.0"),
    (2.0**63, "9223372036854775808.0"),
    (-(2.0**63), "-9223372036854775808.0"),
    (2.0**64, "18446744073709552000.0"),
    (1e22, "1" + "0" * 22 + ".0"),
    (1e-7, "0.0000001"),
    (1.5e-10, "0.00000000015"),
    (5e-324, "0." + "0" * 323 + "5"),
)


@pytest.mark.parametrize(("number", "text"), FLOATS)
def test_a_float_is_written_without_an_exponent(number: float, text: str) -> None:
    assert text_of(number) == text
    assert text_of({"a": [number, "1e16"]}) == f'{{"a":[{text},"1e16"]}}'


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_comes_back_and_is_no_integer(number: float) -> None:
    text = text_of(number + 0.0)
    back = decode(text.encode())
    assert same(back, number + 0.0)
    assert "." in text
    assert "e" not in text


@given(st.floats(-(2.0**63), 2.0**63))
def test_a_float_that_an_integer_may_equal_is_written_exactly(number: float) -> None:
    if number.is_integer():
        assert Decimal(text_of(number + 0.0)) == int(number)


@given(data())
def test_all_data_comes_back(values: dict[str, Value]) -> None:
    assert same(decode(text_of(values).encode()), values)


@given(st.data())
def test_what_an_update_asks_for_is_one_line(drawn: st.DataObject) -> None:
    update = drawn.draw(updates(drawn.draw(data())))
    command = Holder().update(*update.guards, *update.operators)
    batch = batch_of((command,), DEFAULT_LIMITS)

    told = () if batch is None else batch.arguments
    asked = (request_of(command, DEFAULT_LIMITS, alone=True).detail, *told)
    assert not [text for text in asked if isinstance(text, str) and "\n" in text]


def test_a_list_is_a_text_of_lines_of_which_an_empty_one_is_missing() -> None:
    assert texts(["a", None, "b"]) == "a\n\nb"
    assert numbers([1, None, -2]) == "1\n\n-2"
    assert digests([b"\x00\xff", None]) == "\\x00ff\n"


def test_an_update_is_one_text() -> None:
    holder = Holder()
    guarded = (When.of("a", 1), When.of("b.c", None), Set.of("x", "y"), Inc.of("n.m", 1e16), Unset.of("z"))
    request = request_of(holder.update(*guarded, known=3), DEFAULT_LIMITS, alone=False)
    assert request.detail is not None
    detail: list[Any] = json.loads(request.detail)
    assert (detail[0], set(detail[1].split("["))) == (3, {"a", "b", "x", "n", "z"})
    assert detail[2:] == [
        ["when", "a", 1],
        ["when", "b[c", None],
        ["set", "x", "y"],
        ["inc", "n[m", 1e16],
        ["unset", "z"],
    ]


async def test_the_database_keeps_numbers_that_people_can_read(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    await started(store, {"int": 2**63 - 1, "float": 1.0, "big": 1e22, "list": [], "dict": {}, "none": None})
    connection = await harness.connect()
    kept = await connection.fetchval(f"SELECT data::text FROM {harness.schema}.records")
    await connection.close()
    assert json.loads(kept) == {"int": 2**63 - 1, "float": 1.0, "big": 1e22, "list": [], "dict": {}, "none": None}
    assert '"float": 1.0' in kept
    assert "1" + "0" * 22 + ".0" in kept


async def test_text_of_every_kind_comes_back(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    texts = ["\0", "a\0b", "\\u0000", '"', "\\", "[{", "~", "~n1", "\x1f\x7f", "\u2028", "é😀", "x" * 5000, ""]
    names = {name: number for number, name in enumerate(texts) if name and "\0" not in name and len(name) < 100}
    holder = await started(store, clean({"list": texts, "names": names, **names}))
    answer = await ask(store, holder.update(Push.of("list", texts)))
    assert answer.data is not None
    assert answer.data["list"] == texts * 2
    assert answer.data["names"] == names
    assert {name: answer.data[name] for name in names} == names


async def test_an_owner_may_have_any_name(harness: PostgreSQLHarness) -> None:
    store = await harness.make()
    for owner in ("a\0b", "'; DROP TABLE records; --", "~", "[x]", "😀", "A" * 300):
        holder = await started(store, owner=owner)
        infos = await store.sessions_of(owner, holder.load().now)
        assert [info.id for info in infos] == [holder.id], owner
        record = (await ask(store, holder.load())).record
        assert record is not None
        assert record.owner == owner


@pytest.mark.parametrize("number", [1e23, -1e23, 2.0**63, 2.0**64, 2.0**70, 1e300])
async def test_a_float_that_was_calculated_equals_one_that_was_sent(harness: PostgreSQLHarness, number: float) -> None:
    """The server and Python may write one float with different digits."""
    store = await harness.make()
    for doubled in (Inc.of("set.0", number / 2), Mul.of("set.0", 2.0)):
        holder = await started(store, {"set": [number / 2]})
        await ask(store, holder.update(doubled))
        answer = await ask(store, holder.update(When.of("set.0", number), AddToSet.of("set", [number])))
        assert answer.outcome is Outcome.DONE
        assert answer.data == {"set": [number]}


async def test_arithmetic_stays_exact_where_settings_of_the_server_differ(harness: PostgreSQLHarness) -> None:
    """`extra_float_digits` of a session or a database changes how the server shows floats, and nothing here."""
    await harness.make()
    from atomic_session.stores.postgresql import PostgreSQLStore

    store = PostgreSQLStore.from_url(f"{harness.url}&extra_float_digits=0&timezone=Asia/Tokyo&datestyle=german")
    holder = await started(store, {"n": 0.1})
    answer = await ask(store, holder.update(Inc.of("n", 0.2)))
    assert answer.data == {"n": 0.1 + 0.2}
    answer = await ask(store, holder.update(Mul.of("n", 1 / 3)))
    assert answer.data == {"n": (0.1 + 0.2) * (1 / 3)}
    await store.close()
