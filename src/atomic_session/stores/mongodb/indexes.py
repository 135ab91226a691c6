"""The two indexes of a collection, made where they are missing, and looked at where they are not."""

from __future__ import annotations

from typing import Any

from pymongo import IndexModel

from ...errors import StoreUnavailable
from .documents import Document
from .trips import Collection

__all__ = ["prepare"]

_INDEXES = (
    IndexModel({"sweep_at": 1}, name="sweep", expireAfterSeconds=0),
    IndexModel({"owner": 1}, name="owner", partialFilterExpression={"owner": {"$type": "string"}}),
)
_OLDEST = (4, 4)
_HARMLESS = ("background", "key", "name", "ns", "v")


async def prepare(collection: Collection) -> None:
    """
    Create what is missing of *collection*.

    Raises:
        StoreUnavailable: the server is too old, or what is there is of another kind; nothing is repaired.
    """
    information = await collection.database.client.server_info()
    version = tuple(information["versionArray"][:2])
    if version < _OLDEST:
        raise StoreUnavailable(f"MongoDB {_dotted(version)} is too old; it must be {_dotted(_OLDEST)} or newer")
    await _check_kind(collection)
    present = {_keys(index): index for index in await (await collection.list_indexes()).to_list()}
    missing = []
    for index in _INDEXES:
        found = present.get(_keys(index.document))
        if found is None:
            missing.append(index)
        elif _traits(found) != _traits(index.document):
            raise StoreUnavailable(
                f"{collection.full_name} has an index {found['name']!r} of another definition: {_traits(found)}, "
                f"where {_traits(index.document)} is needed; drop it, and open the store again"
            )
    if missing:
        await collection.create_indexes(missing)


async def _check_kind(collection: Collection) -> None:
    listed = await collection.database.list_collections(filter={"name": collection.name})
    for found in await listed.to_list():
        if found.get("type", "collection") != "collection" or found["options"].get("capped"):
            raise StoreUnavailable(f"{collection.full_name} is no ordinary collection")
        if "collation" in found["options"]:
            raise StoreUnavailable(f"{collection.full_name} has a collation, under which texts are equal that are not")


def _keys(index: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, int(order) if isinstance(order, float | int) else order) for name, order in index["key"].items()
    )


def _traits(index: Any) -> Document:
    """Return all that an index does besides having keys."""
    return {name: value for name, value in index.items() if name not in _HARMLESS}


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
