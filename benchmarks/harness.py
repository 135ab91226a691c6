"""
How a figure is measured and what it is made of.

Rule 1: what is compared takes turns in one run, in another order each round.
Rule 2: a number is a median over rounds; a ratio is one of medians, with the rounds' own ratios as its spread.
Rule 3: nothing here knows what is measured.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

__all__ = ["Case", "Figure", "Options", "Series", "Target", "interleave", "record"]


@dataclass(frozen=True)
class Options:
    """
    How much is to be measured.

    Attributes:
        folder: an empty folder on the file system that is measured.
        rounds: how often each case has its turn.
        quick: hardly anything, to see that it runs; the numbers mean nothing.
        large: the cases that take minutes to prepare, too.
    """

    folder: Path
    rounds: int = 7
    quick: bool = False
    large: bool = False

    def times(self, many: int, few: int = 2) -> int:
        """Return *many*, or *few* in a quick run."""
        return few if self.quick else many


Measure: TypeAlias = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Case:
    """Something that has its turn once a round, and returns one number."""

    name: str
    unit: str
    measure: Measure


@dataclass(frozen=True)
class Series:
    """One number a round."""

    name: str
    unit: str
    rounds: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.rounds)

    def minus(self, other: Series, name: str) -> Series:
        """Return by how much this exceeds *other*, round by round."""
        return Series(name, self.unit, [mine - its for mine, its in zip(self.rounds, other.rounds, strict=True)])


_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "at least": operator.ge,
    "at most": operator.le,
    "above": operator.gt,
}


@dataclass(frozen=True)
class Target:
    """What a ratio must be: "at least", "at most" or "above" *value*."""

    bound: str
    value: float

    def is_met(self, ratio: float) -> bool:
        return _BOUNDS[self.bound](ratio, self.value)

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"


@dataclass(frozen=True)
class Ratio:
    """The median of one series over the median of another."""

    name: str
    over: str
    under: str
    value: float
    lowest: float
    highest: float
    target: Target | None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.is_met(self.value)


@dataclass
class Figure:
    """What was measured under one name."""

    name: str
    about: str
    series: list[Series] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Series:
        return next(series for series in self.series if series.name == name)

    def add(self, *series: Series) -> None:
        self.series += series

    def compare(self, name: str, over: str, under: str, target: Target | None = None) -> None:
        """Add the ratio of two of the series, and what it must be."""
        top, bottom = self[over], self[under]
        each = [a / b for a, b in zip(top.rounds, bottom.rounds, strict=True) if b]
        value = top.median / bottom.median
        self.ratios.append(Ratio(name, over, under, value, min(each), max(each), target))

    def as_data(self) -> dict[str, Any]:
        """Return all of it in plain types, as it is written down."""
        return {
            "name": self.name,
            "about": self.about,
            "series": [asdict(series) | {"median": series.median} for series in self.series],
            "ratios": [asdict(ratio) | {"met": ratio.met} for ratio in self.ratios],
            "counted": self.counted,
            "notes": self.notes,
        }


async def interleave(cases: Sequence[Case], rounds: int) -> list[Series]:
    """Give each case its turn in each round, beginning with another one every time."""
    numbers: Mapping[str, list[float]] = {case.name: [] for case in cases}
    for turn in range(rounds):
        start = turn % len(cases)
        for case in (*cases[start:], *cases[:start]):
            gc.collect()
            numbers[case.name].append(await case.measure())
    return [Series(case.name, case.unit, numbers[case.name]) for case in cases]


async def record(figure: Figure, cases: Sequence[Case], rounds: int) -> None:
    """Measure *cases* and add what comes out to *figure*."""
    figure.add(*await interleave(cases, rounds))
