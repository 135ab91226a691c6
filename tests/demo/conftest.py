"""The demo as a process of its own, started as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a demo with the module's OPTIONS answers; it must end in order when it is told to."""
    options = getattr(request.module, "OPTIONS", ())
    command = [sys.executable, "-m", "atomic_session.demo", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            printed = re.search(r"http://\S+", process.stdout.readline())
            assert printed is not None, "the demo printed no address"
            yield printed[0]
        finally:
            process.terminate()
    assert process.returncode == 0
