"""What a path names, and what is no path."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomic_session.errors import InvalidPath
from atomic_session.limits import Limits
from atomic_session.paths import Path, list_index, overlaps, parse_path, show_path
from atomic_session.testing.strategies import names

LIMITS = Limits(depth=3, name=8)


class Field(str, Enum):  # noqa: UP042  # what applications have is as often this one
    CART = "cart.items"
    SKU = "sku"


@pytest.mark.parametrize(
    ("path", "parsed"),
    [
        ("visits", ("visits",)),
        ("cart.items.0", ("cart", "items", "0")),
        (("a.b", "c"), ("a.b", "c")),
        ("$set.__class__.😀", ("$set", "__class__", "😀")),
        (" . ", (" ", " ")),
        (("..",), ("..",)),
        (Field.CART, ("cart", "items")),
        ((Field.CART, Field.SKU), ("cart.items", "sku")),
    ],
)
def test_a_path_is_read_as_names(path: Any, parsed: Path) -> None:
    found = parse_path(path)

    assert found == parsed
    assert {type(name) for name in found} == {str}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "it is empty"),
        ((), "it is empty"),
        (".", "a name in it is empty"),
        ("a.", "a name in it is empty"),
        (".a", "a name in it is empty"),
        ("a..b", "a name in it is empty"),
        (("a", ""), "a name in it is empty"),
        ("a\0", "a name in it holds NUL"),
        (("a", "b\0c"), "a name in it holds NUL"),
        ("a.\ud800", "a name in it holds half a character (a lone surrogate)"),
        (("\udfff",), "a name in it holds half a character (a lone surrogate)"),
        ("a.b.c.d", "it has more than 3 names"),
        (("a",) * 4, "it has more than 3 names"),
        ("123456789", "a name in it is longer than 8 bytes"),
        ("ééééé", "a name in it is longer than 8 bytes"),
        (("a", 1), "a name in it is not text"),
        ((b"a",), "a name in it is not text"),
        (None, "it must be text, or a tuple of names"),
        (1, "it must be text, or a tuple of names"),
        (b"a", "it must be text, or a tuple of names"),
        (["a"], "it must be text, or a tuple of names"),
    ],
)
def test_what_names_no_place_is_refused(path: Any, reason: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        parse_path(path, LIMITS)

    assert caught.value.path == path
    assert caught.value.reason == reason


def test_a_path_at_the_limits_is_accepted() -> None:
    assert parse_path("12345678.éééé.c", LIMITS) == ("12345678", "éééé", "c")


def test_each_limit_has_its_own_answer_for_the_same_path() -> None:
    assert parse_path("a.b.c", Limits(depth=3)) == ("a", "b", "c")
    with pytest.raises(InvalidPath):
        parse_path("a.b.c", Limits(depth=2))
    with pytest.raises(InvalidPath):
        parse_path("abc", Limits(name=2))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("0", 0),
        ("7", 7),
        ("10", 10),
        ("1000000", 1_000_000),
        ("00", None),
        ("01", None),
        ("-1", None),
        ("+1", None),
        ("1 ", None),
        ("1\n", None),
        ("1_0", None),
        ("1.0", None),
        ("", None),
        ("a", None),
        ("²", None),
        ("١", None),
    ],
)
def test_only_a_plain_number_is_a_position(name: str, index: int | None) -> None:
    assert list_index(name) == index


def test_a_number_of_any_length_is_a_position_past_every_end() -> None:
    position = list_index("9" * 5_000)

    assert position is not None
    assert position >= 10**18


@pytest.mark.parametrize(
    ("a", "b", "related"),
    [
        ("a", "a", True),
        ("a", "a.b", True),
        ("a.b.c", "a", True),
        ("a", "b", False),
        ("a.b", "a.c", False),
        ("a.b", "b.a", False),
        ("a", "ab", False),
        ("a.1", "a.01", False),
        (("a.b",), "a", False),
    ],
)
def test_paths_overlap_when_one_lies_on_the_way_to_the_other(a: Any, b: Any, *, related: bool) -> None:
    assert overlaps(parse_path(a), parse_path(b)) is related
    assert overlaps(parse_path(b), parse_path(a)) is related


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("a",), "a"),
        (("cart", "items", "0"), "cart.items.0"),
        (("a.b", "c"), "('a.b', 'c')"),
        (("a.b",), "('a.b',)"),
        (("a", ""), "('a', '')"),
        ((), "()"),
    ],
)
def test_a_path_is_shown_with_dots_where_that_is_unambiguous(path: Path, shown: str) -> None:
    assert show_path(path) == shown


PATHS = st.lists(names() | st.sampled_from(["", "('a", "b', 'c')", "()"]), max_size=3).map(tuple)


@given(PATHS, PATHS)
def test_no_two_paths_are_shown_alike(a: Path, b: Path) -> None:
    assert (show_path(a) == show_path(b)) is (a == b)


@given(st.lists(names().filter(lambda name: "." not in name), min_size=1, max_size=4).map(tuple))
def test_a_shown_path_without_dots_in_names_can_be_read_again(path: Path) -> None:
    if not path[0].startswith("("):
        assert parse_path(show_path(path)) == path


@pytest.mark.parametrize(
    "path",
    ["x" * 1_000_000, ("x" * 1_000_000,), ("a",) * 100_000, {"password": "hunter2"}, ("a", {"password": "hunter2"})],
)
def test_the_message_is_short_and_shows_no_data(path: Any) -> None:
    with pytest.raises(InvalidPath) as caught:
        parse_path(path)

    assert len(str(caught.value)) < 500
    assert "hunter2" not in str(caught.value)
    assert caught.value.path is path
