"""What counts as a change: whatever changes the canonical text of a field, however alike the two may look."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from atomic_session.errors import InvalidValue
from atomic_session.snapshot import Snapshot
from atomic_session.testing.strategies import data
from atomic_session.values import check_value, encode

MOMENT = datetime(2031, 2, 3, 4, 5, 6, 789_000, UTC)
KEY = UUID(int=7)


class Level(IntEnum):
    LOW = 1


class Color(StrEnum):
    RED = "red"


LOOKALIKES: list[list[Any]] = [
    [1, 1.0, True, Decimal(1), Decimal("1.0"), "1", Level.LOW],
    [0, 0.0, False, None, "", Decimal(0)],
    [KEY, str(KEY)],
    [b"red", base64.b64encode(b"red").decode()],
    ["red", Color.RED, ["red"], {"red"}, {"red": None}],
    [MOMENT, MOMENT.astimezone(timezone(timedelta(hours=2))), MOMENT.isoformat(), "2031-02-03T04:05:06.789Z"],
    [[1, 2], (1, 2), {1, 2}, [1, 2.0], [2, 1]],
    [{"1": 2}, {1: 2}, {"1": 2.0}, {"1": True}],
    [Decimal("1.10"), Decimal("1.1"), 1.1, "1.10"],
    [None, float("nan"), "null", 2**70, object()],
]
PAIRS = [(old, new) for group in LOOKALIKES for old in group for new in group]


def _stored(value: Any) -> bytes | None:
    """Return the text that a store would get of *value*; None where it would get none."""
    try:
        return encode(check_value(value, ("field",)))
    except InvalidValue:
        return None


def _clean(value: Any) -> bool:
    return _stored(value) is not None


def _snapshot(fields: dict[str, Any]) -> Snapshot:
    snapshot = Snapshot(fields, encode(fields))
    snapshot.separate()
    return snapshot


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if _clean(pair[0])])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda value: {"inside": [value]}])
def test_what_a_store_would_tell_apart_is_a_change(old: Any, new: Any, wrap: Any) -> None:
    before = {"other": "x", "field": check_value(wrap(old), ("field",))}
    changed = _snapshot(before).changed({"other": "x", "field": wrap(new)})
    if _stored(wrap(old)) != _stored(wrap(new)):
        assert changed == ["field"]


@pytest.mark.parametrize("same", [value for group in LOOKALIKES for value in group if _clean(value)])
def test_what_was_not_touched_is_no_change(same: Any) -> None:
    value = check_value({"field": [same], "other": {"a": same}}, ())
    assert isinstance(value, dict)
    snapshot = _snapshot(value)
    assert snapshot.changed(value) == []
    snapshot.overlay({"new": b"7"})
    assert snapshot.changed({**value, "new": 7}) == []
    assert snapshot.changed(value) == ["new"]


@given(data(), data())
def test_changed_are_the_fields_whose_texts_differ(before: dict[str, Any], after: dict[str, Any]) -> None:
    mixed = {**before, **after}
    names = {name for name in {*before, *mixed} if _text(before, name) != _text(mixed, name)}
    snapshot = _snapshot(before)
    assert set(snapshot.changed(mixed)) == names
    snapshot.overlay({name: _text(mixed, name) for name in names})
    assert snapshot.changed(mixed) == []
    assert set(snapshot.changed(before)) == names


@given(data())
def test_nothing_that_is_thawed_is_shared(before: dict[str, Any]) -> None:
    snapshot = _snapshot(before)
    thawed = snapshot.thaw(before)
    for value in thawed.values():
        if isinstance(value, list):
            value.append("more")
        elif isinstance(value, dict):
            value["more"] = 1
    assert snapshot.changed(before) == []


def _text(fields: dict[str, Any], name: str) -> bytes | None:
    return encode(fields[name]) if name in fields else None
