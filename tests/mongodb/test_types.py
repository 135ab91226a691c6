"""Values are kept as BSON's own types, so that other clients of the collection see what they are, and come back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from pymongo import MongoClient

from atomic_session.operators import Push, Set
from atomic_session.stores.mongodb import MongoStore
from atomic_session.testing.checks import check_data
from atomic_session.testing.holder import ask, started

DAY = datetime(2031, 2, 3, 4, 5, 6, 789000, UTC)
WIDE = Decimal("9" * 40)


@pytest.mark.parametrize(
    ("value", "alias", "kept"),
    [
        (None, "null", None),
        (True, "bool", True),
        (7, "int", 7),
        (2**31, "long", Int64(2**31)),
        (2**63 - 1, "long", Int64(2**63 - 1)),
        (-(2**63), "long", Int64(-(2**63))),
        (1.0, "double", 1.0),
        ("é😀\0", "string", "é😀\0"),
        (b"\x00\xff", "binData", b"\x00\xff"),
        (DAY, "date", DAY),
        (ObjectId("0123456789ab0123456789ab"), "objectId", ObjectId("0123456789ab0123456789ab")),
        (UUID(int=7), "binData", Binary(UUID(int=7).bytes, 4)),
        (Decimal("1.10"), "decimal", Decimal128("1.10")),
        (WIDE, "binData", Binary(str(WIDE).encode(), 0x80)),
        ([1, [2]], "array", [1, [2]]),
        ({"a": {"b": 1}}, "object", {"a": {"b": 1}}),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_value_is_kept_as_its_bson_type_and_comes_back(
    url: str, store: MongoStore, value: Any, alias: str, kept: Any
) -> None:
    created = await started(store, {"x": value})
    changed = await started(store, {})
    await ask(store, changed.update(Set.of("x", value), Push.of("l", [value])))
    with MongoClient[dict[str, Any]](url, tz_aware=True, tzinfo=UTC) as client:
        sessions = client.get_default_database()["sessions"]
        for holder in (created, changed):
            found = sessions.find_one({"_id": holder.id, "$expr": {"$eq": [{"$type": "$data.x"}, alias]}})
            assert found is not None
            assert (type(found["data"]["x"]), found["data"]["x"]) == (type(kept), kept)
    check_data((await ask(store, created.load())).data, {"x": value})
    check_data((await ask(store, changed.load())).data, {"x": value, "l": [value]})
