"""
The shapes that operators come in, and how the arguments of an application are checked for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self, TypeAlias

from msgspec import Struct

from ..errors import InvalidValue
from ..limits import DEFAULT_LIMITS, Limits
from ..paths import Path, parse_path, show_path
from ..values import Value, check_value
from .draft import type_name

__all__ = ["AtPath", "Number", "RawPath", "WithNumber", "WithRank", "WithValue", "WithValues", "check_elements"]

RawPath: TypeAlias = str | tuple[str, ...]
Number: TypeAlias = int | float


class AtPath(Struct, frozen=True):
    """An operator that needs no more than a path."""

    path: Path

    @classmethod
    def of(cls, path: RawPath, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
        """
        return cls(parse_path(path, limits))


class WithValue(Struct, frozen=True):
    """An operator that takes any value."""

    path: Path
    value: Value

    @classmethod
    def of(cls, path: RawPath, value: object, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: a session cannot hold *value*.
            LimitExceeded: *value* is too deep, or a name in it too long.
        """
        names = parse_path(path, limits)
        return cls(names, check_value(value, names, limits))


class WithNumber(Struct, frozen=True):
    """An operator that calculates: bool and Decimal are no numbers to it."""

    path: Path
    by: Number

    @classmethod
    def of(cls, path: RawPath, by: object, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: *by* is no integer of 64 bits and no finite float.
        """
        names = parse_path(path, limits)
        number = check_value(by, names, limits)
        if type(number) is int or type(number) is float:
            return cls(names, number)
        raise InvalidValue(show_path(names), f"the operand must be int or float, not {type_name(number)}")


class WithRank(Struct, frozen=True):
    """An operator that asks which is the greater of two numbers, or of two datetimes."""

    path: Path
    value: Number | datetime

    @classmethod
    def of(cls, path: RawPath, value: object, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: *value* is no number and no datetime with a time zone.
        """
        names = parse_path(path, limits)
        rank = check_value(value, names, limits)
        if type(rank) is int or type(rank) is float or type(rank) is datetime:
            return cls(names, rank)
        raise InvalidValue(show_path(names), f"the operand must be int, float or datetime, not {type_name(rank)}")


class WithValues(Struct, frozen=True):
    """An operator that takes several values."""

    path: Path
    values: tuple[Value, ...]

    @classmethod
    def of(cls, path: RawPath, values: Iterable[object], limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: a session cannot hold one of *values*.
            LimitExceeded: one of *values* is too deep, or a name in it too long.
        """
        names = parse_path(path, limits)
        return cls(names, check_elements(values, names, limits))


def check_elements(values: Iterable[object], path: Path, limits: Limits) -> tuple[Value, ...]:
    """
    Return *values*, which are to be elements of the list at *path*, checked.

    Raises:
        InvalidValue, LimitExceeded: as `check_value` does.
    """
    return tuple(check_value(value, (*path, str(index)), limits) for index, value in enumerate(values))
