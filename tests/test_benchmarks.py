"""The benchmarks run, write down what they should, and count what the design promises.  No time is asserted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from benchmarks.__main__ import FIGURES, main
from benchmarks.harness import Case, Figure, Series, Target, interleave
from benchmarks.report import show

Quick: TypeAlias = Callable[[str], dict[str, Any]]

ABOUT_THE_MACHINE = {
    "python",
    "packages",
    "sqlite",
    "system",
    "release",
    "machine",
    "cpus",
    "load",
    "file_system",
    "sync_us",
}
IN_PROCESS = [name for name in FIGURES if not name.endswith("http")]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Quick:
    """Return a function that runs a figure as quickly as it goes, once, and returns what it wrote down."""
    output = tmp_path_factory.mktemp("results")
    folder = tmp_path_factory.mktemp("measured")

    def run(name: str) -> dict[str, Any]:
        path = output / f"{name}.json"
        if not path.exists():
            assert main([name, "--quick", "--folder", str(folder), "--output", str(output)]) == 0
            assert list(folder.iterdir()) == [], "a benchmark left files behind"
        written: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return written

    return run


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_figure_writes_down_its_rounds_and_nothing_about_the_machine_but_its_kind(name: str, quick: Quick) -> None:
    written = quick(name)

    assert written["name"] == name
    assert written["quick"] is True
    assert set(written["run"]) == ABOUT_THE_MACHINE
    assert all(len(series["rounds"]) == 2 for series in written["series"])
    assert {ratio["over"] for ratio in written["ratios"]} <= {series["name"] for series in written["series"]}
    assert tempfile.gettempdir() not in json.dumps(written)


def test_a_request_makes_exactly_the_trips_that_were_promised(quick: Quick) -> None:
    counted = quick("counts")["counted"]
    together = counted.pop("transactions for 64 updates that wait together, at most 2")

    assert together in (1, 2)
    assert counted == {
        "untouched: trips": 0,
        "read: trips": 1,
        "read: load": 1,
        "read by two tasks at once: trips": 1,
        "read by two tasks at once: load": 1,
        "update: trips": 1,
        "update: update": 1,
        "read, then update: trips": 2,
        "read, then update: load": 1,
        "read, then update: update": 1,
        "read, then changed as a dict: trips": 2,
        "read, then changed as a dict: load": 1,
        "read, then changed as a dict: update": 1,
        "read by a visitor without a cookie: trips": 0,
        "first update of a visitor: trips": 1,
        "first update of a visitor: create": 1,
    }


def test_every_acknowledged_update_is_stored_and_the_rival_commits_each_of_its_own(quick: Quick) -> None:
    counted = quick("updates")["counted"]

    for side in ("ours, durable", "ours, relaxed", "aiosqlite, durable", "aiosqlite, relaxed"):
        assert counted[f"{side}: updates stored"] == counted[f"{side}: updates acknowledged"] > 0
    assert counted["aiosqlite: commits for 64 updates at once"] == 64
    assert 1 <= counted["ours: commits for 64 updates at once"] < 64


def test_an_unknown_figure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])

    assert "no figure is called speed" in capsys.readouterr().err


def test_without_names_every_figure_is_measured_and_each_name_is_a_module() -> None:
    folder = Path(__file__).parents[1] / "benchmarks"

    assert [name for name in FIGURES if not (folder / f"{name}.py").is_file()] == []


async def test_cases_take_turns_and_another_one_begins_each_round() -> None:
    order: list[str] = []

    def case(name: str) -> Case:
        async def turn() -> float:
            order.append(name)
            return len(order)

        return Case(name, "us", turn)

    first, second = await interleave([case("a"), case("b")], 3)

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert (first.rounds, second.rounds) == ([1, 4, 5], [2, 3, 6])


def test_a_ratio_is_one_of_medians_and_its_spread_that_of_the_rounds() -> None:
    figure = Figure("x", "")
    figure.add(Series("ours", "us", [1, 2, 6]), Series("theirs", "us", [4, 4, 3]))
    figure.compare("speed", "theirs", "ours", Target("at least", 2))
    figure.compare("time", "ours", "theirs", Target("above", 0.5))
    (speed, time) = figure.ratios

    assert (speed.value, speed.lowest, speed.highest, speed.met) == (2, 0.5, 4, True)
    assert (time.value, time.met) == (0.5, False)
    assert "MISSED" in show(figure)
