"""The bounds of what one session may hold, and of what one update may ask."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["DEFAULT_LIMITS", "Limits"]

_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Bounds that are checked before a trip and, by stores that can, on results too.

    Attributes:
        operators: operators in one update.
        depth: containers inside each other, the session itself counted as the first; at most 100.
        name: bytes of one field name in UTF-8.
        field: bytes of one top-level field as canonical JSON.
        record: bytes of all fields together as canonical JSON.
        padding: None values that one operator may add to reach a list index.
    """

    operators: int = 500
    depth: int = 32
    name: int = 256
    field: int = 262_144
    record: int = 1_048_576
    padding: int = 1_000

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if type(value) is not int or value < 1:
                raise ValueError(f"limit {item.name!r} must be a positive whole number, not {value!r}")
        if self.depth > _DEEPEST:
            raise ValueError(f"limit 'depth' must be at most {_DEEPEST}, which every store can hold, not {self.depth}")


DEFAULT_LIMITS = Limits()
