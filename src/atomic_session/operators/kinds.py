"""
The operators: every change that can be made to one place.

Rule 1: an operator is made from an application's arguments by `of`, which checks them; what its
constructor is given has been checked.
Rule 2: `change` says what becomes of the value that was found, MISSING where there is none.  What is
put in is always a copy, so that a session never shares a container with the operator.
Rule 3: None is a value that is there: not a number, not a list, not a parent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from math import isfinite
from typing import ClassVar, Self, TypeAlias, final

from msgspec import Struct

from ..errors import InvalidPath, InvalidValue
from ..limits import DEFAULT_LIMITS, Limits
from ..paths import Path, overlaps, parse_path, show_path
from ..values import INT64, MISSING, Missing, Value, check_value, equal
from .draft import Refusal, copy_value, type_name
from .shapes import AtPath, Number, RawPath, WithNumber, WithRank, WithValue, WithValues, check_elements

__all__ = [
    "AddToSet",
    "Change",
    "Inc",
    "Max",
    "Min",
    "Mul",
    "Operator",
    "PopFirst",
    "PopLast",
    "Pull",
    "PullAll",
    "PullWhere",
    "Push",
    "Rename",
    "Replace",
    "Set",
    "SetDefault",
    "Take",
    "Unset",
    "paths_of",
]

Found: TypeAlias = "Value | Missing"


@final
class Set(WithValue, frozen=True):
    """Put *value* at *path*, whatever was there."""

    verb: ClassVar[str] = "set"

    def change(self, _old: Found) -> Found:
        return copy_value(self.value)


@final
class SetDefault(WithValue, frozen=True):
    """Put *value* at *path* if nothing is there."""

    verb: ClassVar[str] = "set_default"

    def change(self, old: Found) -> Found:
        return copy_value(self.value) if old is MISSING else old


@final
class Unset(AtPath, frozen=True):
    """Remove what is at *path*, if anything is; an element of a list becomes None."""

    verb: ClassVar[str] = "unset"


@final
class Take(AtPath, frozen=True):
    """Remove what is at *path* as `Unset` does, and answer it: at most one in an update."""

    verb: ClassVar[str] = "take"


@final
class Rename(Struct, frozen=True):
    """
    Move what is at *path* to *to*, over what is there.

    Nothing at *path* is no change.  Into, out of and inside lists it is refused.
    """

    verb: ClassVar[str] = "rename"

    path: Path
    to: Path

    @classmethod
    def of(cls, path: RawPath, to: RawPath, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: one of the paths names no place, or one lies inside the other.
        """
        source, target = parse_path(path, limits), parse_path(to, limits)
        if overlaps(source, target):
            raise InvalidPath(to, f"it lies on the path {show_path(source)!r} that is to be renamed")
        return cls(source, target)


@final
class Inc(WithNumber, frozen=True):
    """Add *by* to the number at *path*; a missing one becomes *by*."""

    verb: ClassVar[str] = "inc"

    def change(self, old: Found) -> Found:
        return self.by if old is MISSING else _bounded(_number(old) + self.by)


@final
class Mul(WithNumber, frozen=True):
    """Multiply the number at *path* by *by*; a missing one becomes a zero of the type of *by*."""

    verb: ClassVar[str] = "mul"

    def change(self, old: Found) -> Found:
        return type(self.by)(0) if old is MISSING else _bounded(_number(old) * self.by)


@final
class Min(WithRank, frozen=True):
    """Put *value* at *path* if nothing is there, or something greater of its kind: number or datetime."""

    verb: ClassVar[str] = "min"

    def change(self, old: Found) -> Found:
        return self.value if old is MISSING or _compare(self.value, old) < 0 else old


@final
class Max(WithRank, frozen=True):
    """Put *value* at *path* if nothing is there, or something less of its kind: number or datetime."""

    verb: ClassVar[str] = "max"

    def change(self, old: Found) -> Found:
        return self.value if old is MISSING or _compare(self.value, old) > 0 else old


@final
class Push(Struct, frozen=True):
    """
    Put *values* into the list at *path*, in their order; a missing one becomes a list of them.

    They go to its end, or before position *at*, which counts from the end when it is negative.
    Then only the last *keep* elements stay, if a number is given.
    """

    verb: ClassVar[str] = "push"

    path: Path
    values: tuple[Value, ...]
    at: int | None = None
    keep: int | None = None

    @classmethod
    def of(
        cls,
        path: RawPath,
        values: Iterable[object],
        at: int | None = None,
        keep: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: a session cannot hold one of *values*, *keep* is negative, or it or *at* takes more
                than 64 bits.
            LimitExceeded: one of *values* is too deep, or a name in it too long.
            TypeError: *at* or *keep* is no integer.
        """
        names = parse_path(path, limits)
        for name, number, least in (("at", at, INT64.start), ("keep", keep, 0)):
            if number is None:
                continue
            if type(number) is not int:
                raise TypeError(f"{name} must be int, not {type_name(number)}")
            if number < least or number not in INT64:
                raise InvalidValue(show_path(names), f"{name} is out of range")
        return cls(names, check_elements(values, names, limits), at, keep)

    def change(self, old: Found) -> Found:
        result = [] if old is MISSING else list(_list(old))
        place = len(result) if self.at is None else self.at
        result[place:place] = map(copy_value, self.values)
        return result if self.keep is None else result[max(len(result) - self.keep, 0) :]


@final
class AddToSet(WithValues, frozen=True):
    """Put those of *values* at the end of the list at *path* that equal none in it; a missing one becomes a list."""

    verb: ClassVar[str] = "add_to_set"

    def change(self, old: Found) -> Found:
        result = [] if old is MISSING else list(_list(old))
        for value in self.values:
            if not _holds(result, value):
                result.append(copy_value(value))
        return result


@final
class Pull(WithValue, frozen=True):
    """Remove every element that equals *value* from the list at *path*."""

    verb: ClassVar[str] = "pull"

    def change(self, old: Found) -> Found:
        return old if old is MISSING else [item for item in _list(old) if not equal(item, self.value)]


@final
class PullAll(WithValues, frozen=True):
    """Remove every element that equals one of *values* from the list at *path*."""

    verb: ClassVar[str] = "pull_all"

    def change(self, old: Found) -> Found:
        return old if old is MISSING else [item for item in _list(old) if not _holds(self.values, item)]


@final
class PullWhere(Struct, frozen=True):
    """Remove every dict from the list at *path* that has all names of *where*, each with an equal value."""

    verb: ClassVar[str] = "pull"

    path: Path
    where: dict[str, Value]

    @classmethod
    def of(cls, path: RawPath, where: object, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the arguments of an application, and return the operator.

        Raises:
            InvalidPath: *path* names no place.
            InvalidValue: a session cannot hold *where*, or it names nothing.
            LimitExceeded: *where* is too deep, or a name in it too long.
            TypeError: *where* is no dict.
        """
        names = parse_path(path, limits)
        wanted = check_value(where, (*names, "0"), limits)
        if type(wanted) is not dict:
            raise TypeError(f"where must be a dict, not {type_name(wanted)}")
        if not wanted:
            raise InvalidValue(show_path(names), "where must name a field; to remove everything, set an empty list")
        return cls(names, wanted)

    def change(self, old: Found) -> Found:
        return old if old is MISSING else [item for item in _list(old) if not self._matches(item)]

    def _matches(self, item: Value) -> bool:
        return type(item) is dict and all(equal(item.get(name, MISSING), value) for name, value in self.where.items())


@final
class PopFirst(AtPath, frozen=True):
    """Remove the first element of the list at *path*, if there is one."""

    verb: ClassVar[str] = "pop_first"

    def change(self, old: Found) -> Found:
        return old if old is MISSING else _list(old)[1:]


@final
class PopLast(AtPath, frozen=True):
    """Remove the last element of the list at *path*, if there is one."""

    verb: ClassVar[str] = "pop_last"

    def change(self, old: Found) -> Found:
        return old if old is MISSING else _list(old)[:-1]


@final
class Replace(Struct, frozen=True):
    """Put *value* in the place of all data; no other operator stands beside it."""

    verb: ClassVar[str] = "replace"

    value: dict[str, Value]

    @classmethod
    def of(cls, value: object, limits: Limits = DEFAULT_LIMITS) -> Self:
        """
        Check the argument of an application, and return the operator.

        Raises:
            InvalidPath: a name in *value* can be no field.
            InvalidValue: a session cannot hold *value*.
            LimitExceeded: *value* is too deep, or a name in it too long.
            TypeError: *value* is no dict.
        """
        data = check_value(value, (), limits)
        if type(data) is not dict:
            raise TypeError(f"all data must be a dict, not {type_name(data)}")
        for name in data:
            parse_path((name,), limits)
        return cls(data)


Change: TypeAlias = (
    Set | SetDefault | Inc | Mul | Min | Max | Push | AddToSet | Pull | PullAll | PullWhere | PopFirst | PopLast
)
"""The operators that make a new value of the one that is there."""

Operator: TypeAlias = Change | Unset | Take | Rename | Replace


def paths_of(operator: Operator) -> tuple[Path, ...]:
    """Return the places that *operator* touches, with all that is inside them."""
    if type(operator) is Replace:
        return ((),)
    return (operator.path, operator.to) if type(operator) is Rename else (operator.path,)


def _compare(value: Number | datetime, old: Value) -> int:
    """Return -1, 0 or 1 as *value* is less than *old*, equals it or is greater."""
    if isinstance(value, datetime):
        if type(old) is datetime:
            return (value > old) - (value < old)
        raise Refusal(f"it is {type_name(old)}, not datetime")
    number = _number(old)
    return (value > number) - (value < number)


def _number(value: Value) -> Number:
    if type(value) is int or type(value) is float:
        return value
    raise Refusal(f"it is {type_name(value)}, not int or float")


def _bounded(result: Number) -> Number:
    if type(result) is int and result not in INT64:
        raise Refusal("the result does not fit into 64 bits")
    if not isfinite(result):
        raise Refusal("the result is not finite")
    return result or abs(result)  # zero has no sign


def _list(value: Value) -> list[Value]:
    if type(value) is list:
        return value
    raise Refusal(f"it is {type_name(value)}, not list")


def _holds(values: Iterable[Value], wanted: Value) -> bool:
    return any(equal(value, wanted) for value in values)
