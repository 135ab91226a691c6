"""`python -m benchmarks [NAME...]`: measure, show, and write down."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from .harness import Figure, Options
from .machine import default_folder, describe
from .report import show, verdicts, write

__all__ = ["FIGURES", "main"]

FIGURES = (
    "counts",
    "updates",
    "loads",
    "untouched",
    "csrf",
    "pauses",
    "growth",
    "mongodb",
    "redis",
    "redis_http",
    "postgresql",
    "purge",
    "http",
)

_RESULTS = Path(__file__).parent / "results"
_QUICK_ROUNDS = 2

Measure = Callable[[Options], Awaitable[Figure]]
MakeLoop = Callable[[], asyncio.AbstractEventLoop]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what *arguments* name, all without; write the results unless the run is a quick one."""
    chosen = _parse(arguments)
    output = chosen.output or (None if chosen.quick else _RESULTS)
    figures = []
    for name in chosen.names or FIGURES:
        with tempfile.TemporaryDirectory(prefix="atomic-session-", dir=chosen.folder) as folder:
            run = describe(Path(folder))
            options = Options(Path(folder), chosen.rounds, chosen.quick, chosen.large)
            figure = _measure(name, options)
        print(show(figure), end="\n\n", flush=True)
        figures.append(figure)
        if output is not None:
            write(figure, output, {"run": run, "quick": chosen.quick, "round_count": chosen.rounds})
    print(verdicts(figures))
    return 0


def _parse(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the library beside its alternatives.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(FIGURES)} (all)")
    parser.add_argument("--rounds", type=int, help="how often each case has its turn (7)")
    parser.add_argument("--quick", action="store_true", help="hardly anything, to see that it runs; writes no results")
    parser.add_argument("--large", action="store_true", help="growth with a million sessions in the file, too")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="where temporary files go: on a disk")
    parser.add_argument("--output", type=Path, help="where results go (benchmarks/results)")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(FIGURES))
    if unknown:
        parser.error(f"no figure is called {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    chosen.rounds = chosen.rounds or (_QUICK_ROUNDS if chosen.quick else 7)
    return chosen


def _measure(name: str, options: Options) -> Figure:
    """Run one figure in an event loop of its own kind: the one it asks for, else the one that servers use."""
    module = importlib.import_module(f".{name}", __package__)
    measure: Measure = module.measure
    make_loop: MakeLoop = getattr(module, "make_loop", _server_loop)
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(_awaited(measure(options)))


async def _awaited(figure: Awaitable[Figure]) -> Figure:
    return await figure


def _server_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    sys.exit(main())
