"""A figure as a table for people, and as a file for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .harness import Figure, Ratio

__all__ = ["show", "verdicts", "write"]


def write(figure: Figure, folder: Path, run: dict[str, Any]) -> Path:
    """Write *figure* and the *run* that it comes from to `folder/<name>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{figure.name}.json"
    path.write_text(json.dumps({**run, **_rounded(figure.as_data())}, indent=1) + "\n", "utf-8")
    return path


def show(figure: Figure) -> str:
    """Return *figure* as text."""
    lines = [f"{figure.name}: {figure.about}"]
    rows = [[s.name, _number(s.median), s.unit, _spread(s.rounds)] for s in figure.series]
    if rows:
        lines += _table(["", "median", "", "lowest .. highest"], rows)
    if figure.ratios:
        lines += ["", *_table(["ratio of medians", "", "lowest .. highest", "must be", ""], map(_ratio, figure.ratios))]
    if figure.counted:
        lines += ["", *_table(["counted", ""], [[name, str(count)] for name, count in figure.counted.items()])]
    return "\n".join([*lines, *(f"note: {note}" for note in figure.notes)])


def verdicts(figures: Iterable[Figure]) -> str:
    """Return the ratios that have a target, of all *figures*, as one table."""
    rows = [[figure.name, *_ratio(ratio)] for figure in figures for ratio in figure.ratios if ratio.target]
    return "\n".join(_table(["", "ratio of medians", "", "lowest .. highest", "must be", ""], rows)) if rows else ""


def _ratio(ratio: Ratio) -> list[str]:
    verdict = "" if ratio.met is None else "met" if ratio.met else "MISSED"
    must = "" if ratio.target is None else str(ratio.target)
    return [ratio.name, _number(ratio.value), _spread([ratio.lowest, ratio.highest]), must, verdict]


def _spread(numbers: Sequence[float]) -> str:
    return f"{_number(min(numbers))} .. {_number(max(numbers))}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Lay out columns, the first one to the left and the others to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  " + "  ".join(_cell(*cell) for cell in zip(line, widths, range(99), strict=False)).rstrip() for line in lines
    ]


def _cell(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column and text[:1].isdigit() | (text[:1] == "-") else text.ljust(width)


def _rounded(value: Any) -> Any:
    """Return *value* with every float cut to six significant digits, which is more than a clock knows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
