"""The demo as a process of its own, started as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the demo answers; it must end in order when it is told to."""
    command = [sys.executable, "-m", "atomic_session.demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            printed = re.search(r"http://\S+", process.stdout.readline())
            assert printed is not None, "the demo printed no address"
            yield printed[0]
        finally:
            process.terminate()
    assert process.returncode == 0
