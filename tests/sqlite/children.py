"""Other processes: each runs a piece of code that imports from here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def child(
    code: str, *arguments: object, options: Sequence[str] = (), prefix: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Start *code*, with these arguments as text in `sys.argv`; *prefix* is a command that runs another."""
    command = [*prefix, sys.executable, "-W", "error", *options, "-c", code, *map(str, arguments)]
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def output(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that *process* prints, which must end well."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out.splitlines()


def ran(code: str, *arguments: object, options: Sequence[str] = (), prefix: Sequence[str] = ()) -> list[str]:
    """Return the lines that *code* prints."""
    return output(child(code, *arguments, options=options, prefix=prefix))


def await_go() -> None:
    """Say that this process is ready, and wait until the test lets all of them go."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def let_go(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Wait until each of *processes* is ready, and let all of them go."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
