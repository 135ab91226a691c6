"""What a session may hold, when two values are equal, and the one text of each."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import types
from collections import OrderedDict, UserDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal, localcontext
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given

from atomic_session.errors import InvalidValue, LimitExceeded
from atomic_session.limits import Limits
from atomic_session.testing.strategies import scalars, texts, values
from atomic_session.values import MISSING, Value, check_value, decode, decode_name, encode, encode_name, equal, same

NOON = datetime(2031, 2, 3, 12, 0, 0, 5_000, UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")
AWKWARD = '"\\[]{}'


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Real(float):
    pass


class Moment(datetime):
    pass


class Point(NamedTuple):
    x: int
    y: int


class OtherUUID(UUID):
    pass


class Stand:
    """Stands in for `bson.ObjectId`, which values know by its module alone."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stand) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


@pytest.fixture
def bson(monkeypatch: pytest.MonkeyPatch) -> type:
    module = types.ModuleType("bson.objectid")
    module.ObjectId = Stand  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bson", types.ModuleType("bson"))
    monkeypatch.setitem(sys.modules, "bson.objectid", module)
    return Stand


# --- checking


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        (None, None),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (1.0, 1.0),
        (5e-324, 5e-324),
        ("", ""),
        ("NUL \0 is text", "NUL \0 is text"),
        (b"\xff", b"\xff"),
        (ID, ID),
        (Decimal("1.10"), Decimal("1.10")),
        (NOON, NOON),
        ([], []),
        ({}, {}),
        ({"": 1, "$set": {"a.b": None}}, {"": 1, "$set": {"a.b": None}}),
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Real(0.5), 0.5),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ({Color.RED: Level.HIGH}, {"red": 3}),
        (Moment(2031, 2, 3, 12, 0, 0, 5_999, UTC), NOON),
        (OtherUUID(int=ID.int), ID),
        (datetime(2031, 2, 3, 13, 0, 0, 5_999, timezone(timedelta(hours=1))), NOON),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)),
    ],
)
def test_a_value_comes_out_in_exact_types(given_value: object, kept: Value) -> None:
    checked = check_value(given_value, ("field",))

    assert same(checked, kept)
    assert type(checked) is type(kept)


def test_names_come_out_as_plain_text() -> None:
    checked = check_value({Color.RED: 1}, ("field",))

    assert isinstance(checked, dict)
    assert [type(name) for name in checked] == [str]


def test_a_datetime_comes_out_in_the_one_utc() -> None:
    checked = check_value(datetime(2031, 2, 3, tzinfo=timezone(timedelta(0), "UTC")), ("field",))

    assert isinstance(checked, datetime)
    assert checked.tzinfo is UTC


@pytest.mark.parametrize("zero", [-0.0, Decimal("-0"), Decimal("-0.00")])
def test_zero_has_no_sign(zero: Any) -> None:
    assert str(check_value(zero, ("field",))) == str(abs(zero))


def test_a_value_never_aliases_what_it_was_made_from() -> None:
    inner: list[int] = [1]
    outer = {"list": inner, "dict": {"list": inner}}
    checked = check_value(outer, ("field",))
    inner.append(2)
    outer["more"] = {}

    assert checked == {"list": [1], "dict": {"list": [1]}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**63, "the integer does not fit into 64 bits"),
        (-(2**63) - 1, "the integer does not fit into 64 bits"),
        (float("nan"), "the number is not finite"),
        (float("-inf"), "the number is not finite"),
        (Decimal("NaN"), "the number is not finite"),
        (Decimal("sNaN"), "the number is not finite"),
        (Decimal("Infinity"), "the number is not finite"),
        ("\ud800", "the text holds half a character (a lone surrogate)"),
        (datetime(2031, 2, 3), "the datetime has no time zone"),  # noqa: DTZ001
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "the datetime is out of range"),
        ({1: "x"}, "a name in it is int, not text"),
        ({None: "x"}, "a name in it is NoneType, not text"),
        ({"a\0": "x"}, "a name in it holds NUL"),
        ({"\udfff": "x"}, "the text holds half a character (a lone surrogate)"),
        ({1}, "a session cannot hold set"),
        (frozenset(), "a session cannot hold frozenset"),
        (bytearray(b"x"), "a session cannot hold bytearray"),
        (memoryview(b"x"), "a session cannot hold memoryview"),
        (1j, "a session cannot hold complex"),
        (Fraction(1, 2), "a session cannot hold Fraction"),
        (date(2031, 2, 3), "a session cannot hold date"),
        (timedelta(1), "a session cannot hold timedelta"),
        (UserDict(), "a session cannot hold UserDict"),
        (iter([]), "a session cannot hold list_iterator"),
        (object, "a session cannot hold type"),
        (MISSING, "a session cannot hold Missing"),
    ],
)
def test_what_a_session_cannot_hold_is_refused_where_it_is(value: object, reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_value({"ok": 1, "a": [0, {"b": value}]}, ("field",))

    assert caught.value.path == "field.a.1.b"
    assert caught.value.reason == reason


def test_an_enumeration_of_integers_is_measured_at_once() -> None:
    class Large(IntEnum):
        SIZE = 2**62

    assert check_value(Large.SIZE, ("field",)) == 2**62


@pytest.mark.parametrize("path", [(), ("a",), ("a", "b")])
def test_depth_counts_every_container_from_the_session_down(path: tuple[str, ...]) -> None:
    limits = Limits(depth=4)
    value: Any = "x"
    for _ in range(4 - len(path)):
        value = [value]

    assert check_value(value, path, limits) == value
    with pytest.raises(LimitExceeded) as caught:
        check_value([value], path, limits)
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("depth", 4, 5)


@pytest.mark.parametrize("depth", [32, 100])
@pytest.mark.parametrize("kind", [list, dict])
def test_what_contains_itself_is_too_deep(kind: type, depth: int) -> None:
    value = kind()
    if kind is list:
        value.append(value)
    else:
        value["a"] = value

    with pytest.raises(LimitExceeded) as caught:
        check_value(value, ("field",), Limits(depth=depth))
    assert caught.value.limit == "depth"


@pytest.mark.parametrize(("name", "size"), [("x" * 9, 9), ("ééééé", 10)])
def test_a_name_is_measured_in_bytes(name: str, size: int) -> None:
    limits = Limits(name=8)
    check_value({"éééé": 1, "12345678": 1}, ("field",), limits)

    with pytest.raises(LimitExceeded) as caught:
        check_value([{name: 1}], ("field",), limits)
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("name", 8, size)


def test_missing_is_one_and_says_so() -> None:
    assert repr(MISSING) == "MISSING"
    assert bool(MISSING)
    assert copy.deepcopy(MISSING) is MISSING
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING


def test_an_object_id_is_a_value_where_bson_is(bson: type) -> None:
    value = bson("0123456789abcdef01234567")

    assert check_value([value], ("field",)) == [value]
    assert encode([value]) == b'["~o0123456789abcdef01234567"]'
    assert decode(encode(value)) == value
    with pytest.raises(ValueError, match="canonical"):
        decode(b'"~o0123456789ABCDEF01234567"')


def test_an_object_id_is_no_value_where_bson_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bson", "bson.objectid"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(InvalidValue):
        check_value(Stand("0123456789abcdef01234567"), ("field",))
    with pytest.raises(TypeError):
        encode(Stand("0123456789abcdef01234567"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no bson package"):
        decode(b'"~o0123456789abcdef01234567"')


# --- comparing

ALIKE = [
    (1, 1.0),
    (1, Decimal("1.00")),
    (0.5, Decimal("0.5")),
    (2**53, float(2**53)),
    (Decimal("1.10"), Decimal("1.1")),
    (0.0, -0.0),
    ([1, {"a": 2}], [1.0, {"a": Decimal(2)}]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
]
DIFFERENT = [
    (True, 1),
    (False, 0),
    (False, 0.0),
    (True, Decimal(1)),
    (None, False),
    (None, 0),
    (None, MISSING),
    (0, MISSING),
    ("", None),
    ("1", 1),
    ("a", b"a"),
    (str(ID), ID),
    (NOON.isoformat(), NOON),
    (2**53 + 1, float(2**53)),
    (0.1, Decimal("0.1")),
    (Decimal("1E+999999999"), 1),
    (Decimal("1E+999999999"), 1e308),
    ([], {}),
    ([], None),
    ([1], [1, 1]),
    ([1, 2], [2, 1]),
    ([True], [1]),
    ({"a": 1}, {"a": 1, "b": 1}),
    ({"a": 1}, {"b": 1}),
    ({"a": None}, {"b": None}),
    ({"a": {"b": True}}, {"a": {"b": 1}}),
    (NOON, NOON + timedelta(milliseconds=1)),
]


@pytest.mark.parametrize(("a", "b"), ALIKE)
def test_operators_find_these_equal(a: Any, b: Any) -> None:
    assert equal(a, b)
    assert equal(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_operators_find_these_different(a: Any, b: Any) -> None:
    assert not equal(a, b)
    assert not equal(b, a)
    assert not same(a, b)
    assert not same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 1.0), (1.0, Decimal(1)), (Decimal("1.10"), Decimal("1.1")), ([1], [1.0]), ({"a": [1]}, {"a": [1.0]})],
)
def test_what_is_equal_but_of_another_type_is_not_the_same(a: Any, b: Any) -> None:
    assert equal(a, b)
    assert not same(a, b)
    assert not same(b, a)


def test_missing_equals_itself() -> None:
    assert equal(MISSING, MISSING)
    assert same(MISSING, MISSING)


NUMBERS = [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, 0.1, 1.0, 2.0**53, 2.0**63, 5e-324, 1e308]
EXACT: list[Any] = NUMBERS + [Decimal(number) for number in ("0.1", "1.0", 2**53 + 1, 0.1, "1E+400", 0)]


@pytest.mark.parametrize("a", EXACT, ids=repr)
def test_every_two_numbers_are_compared_by_exact_value(a: Any) -> None:
    for b in EXACT:
        assert equal(a, b) is (Fraction(a) == Fraction(b))


@given(values(), values())
def test_what_is_the_same_is_equal(a: Value, b: Value) -> None:
    assert same(a, a)
    assert equal(a, a)
    assert same(a, b) is same(b, a)
    assert equal(a, b) is equal(b, a)
    assert equal(a, b) or not same(a, b)


# --- one text for each value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        (-0.0, "0.0"),
        (Decimal("-0.0"), '"~n0.0"'),
        (2**63 - 1, "9223372036854775807"),
        ("plain é 😀 a~b", '"plain é 😀 a~b"'),
        ("", '""'),
        ("~", '"~s~7e"'),
        ("~s", '"~s~7es"'),
        ('"', '"~s~22"'),
        ("a\\b~", '"~sa~5cb~7e"'),
        ("[x]{y}", '"~s~5bx~5d~7by~7d"'),
        ("\0\n\x1f", '"~s~00~0a~1f"'),
        ("\x7f\u2028", '"\x7f\u2028"'),
        (b"", '"~b"'),
        (b"\xff\xfe\xfd", '"~b//79"'),
        (ID, '"~u12345678-1234-5678-1234-567812345678"'),
        (NOON, '"~d2031-02-03T12:00:00.005Z"'),
        (datetime(1, 1, 1, tzinfo=UTC), '"~d0001-01-01T00:00:00.000Z"'),
        (Decimal("1.10"), '"~n1.10"'),
        (Decimal("1E+5"), '"~n1E+5"'),
        ([], "[]"),
        ({}, "{}"),
        ([1, [2.5, []], {}], "[1,[2.5,[]],{}]"),
        ({"a": {"~": 1, "b]": [NOON]}}, '{"a":{"~s~7e":1,"~sb~5d":["~d2031-02-03T12:00:00.005Z"]}}'),
        (["-0.0", 0.0, -0.0], '["-0.0",0.0,0.0]'),
    ],
)
def test_a_value_has_this_text(value: Value, text: str) -> None:
    assert encode(value) == text.encode()
    assert same(decode(text.encode()), value)


@given(values(12))
def test_a_value_survives_its_text(value: Value) -> None:
    assert same(decode(encode(value)), value)


@given(values(12))
def test_the_text_is_json_in_which_strings_can_be_skipped_blindly(value: Value) -> None:
    raw = encode(value)
    parts = raw.split(b'"')  # every second one is the inside of a string

    assert b"\\" not in raw
    assert not set(b"".join(parts[1::2])) & set(AWKWARD.encode() + bytes(range(32)))
    assert set(b"".join(parts[::2])) <= set(b"[]{},:+-.0123456789eEtruefalsn")


@given(scalars() | values(4), scalars() | values(4))
def test_two_values_share_a_text_only_if_they_are_the_same(a: Value, b: Value) -> None:
    assert same(a, b) is (_ordered(encode(a)) == _ordered(encode(b)))


def _ordered(raw: bytes) -> str:
    return json.dumps(json.loads(raw), sort_keys=True)


PAIRS: list[Any] = [
    *(None, True, False, 0, 1, 0.0, 1.0, "", "0", "null", "~", b"", b"~", [], {}, [None], {"": None}),
    *(ID, str(ID), f"~u{ID}", NOON, NOON.isoformat(), "~d2031-02-03T12:00:00.005Z", "2031-02-03T12:00:00.005Z"),
    *(Decimal(0), Decimal("0.0"), Decimal(1), Decimal("1.0"), Decimal("1E+1"), Decimal(10), "~n1", "~n", "~b", "~o"),
    *("~s", "~s~7e", "~7e", "~~", "[", "~5b", "~s~5b", "\\", '"', '\\"', "\n", "\\n", "\0", "~00"),
]


@pytest.mark.parametrize("a", PAIRS, ids=ascii)
def test_every_two_of_these_have_different_texts(a: Any) -> None:
    for b in PAIRS:
        assert (encode(a) == encode(b)) is (a is b)
        assert (encode([a]) == encode([b])) is (a is b)


@given(texts(), texts())
def test_a_name_survives_its_text_and_shares_it_with_none(a: str, b: str) -> None:
    assert decode_name(encode_name(a)) == a
    assert (encode_name(a) == encode_name(b)) is (a == b)
    assert encode({a: 1}) == b'{"' + encode_name(a).encode() + b'":1}'


@pytest.mark.parametrize("awkward", [*AWKWARD, *map(chr, range(32))])
def test_every_awkward_character_is_escaped_wherever_it_stands(awkward: str) -> None:
    for text in (awkward, f"a{awkward}", f"{awkward}a", f"~{awkward}", awkward * 2):
        escaped = encode_name(text)
        assert awkward not in escaped
        assert escaped.startswith("~s")
        assert decode_name(escaped) == text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[1,]",
        b"nan",
        b"1e400",
        b'"\xff"',
        b'"\\u0061"',
        b'"\\n"',
        b'"a\nb"',
        b"[" * 100_000,
        b'"~"',
        b'"~x"',
        b'"~S~22"',
        b'"~s"',
        b'"~splain"',
        b'"~s~61"',
        b'"~s~5B"',
        b'"~s~2"',
        b'"~s~"',
        b'"~s["',
        b'"~d2031-02-03T12:00:00.005+00:00"',
        b'"~d2031-02-03T12:00:00Z"',
        b'"~d2031-02-03T12:00:00.005678Z"',
        b'"~d2031-02-03"',
        b'"~d"',
        b'"~bx"',
        b'"~b//78="',
        b'"~b//7 9"',
        b'"~u12345678123456781234567812345678"',
        b'"~u12345678-1234-5678-1234-56781234567G"',
        b'"~nNaN"',
        b'"~nsNaN"',
        b'"~n-0"',
        b'"~n1e5"',
        b'"~n1_0"',
        b'"~n"',
        b'"~n1E+99999999999999999999"',
        b'"~oabc"',
        b'{"~":1}',
        b'{"~n1":1}',
        b'{"~sa":1}',
        b'["~u",{"a":1}]',
    ],
    ids=lambda raw: ascii(raw[:40]),
)
def test_a_text_that_we_never_write_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each has its own message
        decode(raw)


@pytest.mark.parametrize("text", ["~", "~x", "~s", "~splain", "~s~61", "~s~5B", "[", 'a"', "\n", "~n1"])
def test_a_name_that_we_never_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="canonical"):
        decode_name(text)


def test_an_error_never_carries_what_the_text_holds() -> None:
    for raw in (b'"~dhunter2"', b'"~uhunter2"', b'"~nhunter2"', b'"~bhunter2"', b'"hunter2\xff"', b'{"hunter2":'):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            decode(raw)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [(1,), {1: 2}, {1}, Level.HIGH, Color.RED, OrderedDict(), object(), MISSING, bytearray(), date(2031, 2, 3)],
    ids=repr,
)
def test_what_was_not_checked_has_no_text_of_another_type(value: Any) -> None:
    hiding: list[Any] = [value, [value], {"a": [value]}]
    for hidden in hiding:
        with pytest.raises(TypeError):
            encode(hidden)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        "\ud800",
        datetime(2031, 2, 3),  # noqa: DTZ001
        datetime(2031, 2, 3, 0, 0, 0, 1, UTC),
        datetime(2031, 2, 3, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=ascii,
)
def test_what_was_not_checked_has_no_text_of_another_value(value: Any) -> None:
    hiding: list[Any] = [value, [value], {"a": [value]}]
    for hidden in hiding:
        with pytest.raises(ValueError):  # noqa: PT011  # each has its own message
            encode(hidden)


@pytest.mark.parametrize("extended", [None, NOON])
def test_what_contains_itself_has_no_text(extended: Any) -> None:
    value: Any = {"extended": extended}
    value["self"] = [value]

    with pytest.raises(ValueError, match="contains itself"):
        encode(value)


def test_the_text_of_a_decimal_does_not_depend_on_the_context() -> None:
    value = Decimal("1.23456789E+20")
    with localcontext(Context(prec=3, capitals=0)):
        assert encode(value) == b'"~n1.23456789E+20"'
        assert same(decode(b'"~n1.23456789E+20"'), value)
