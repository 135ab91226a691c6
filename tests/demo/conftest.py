"""The demo as a process of its own, started as a user starts it, on each of a module's STORES."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.mongodb.harness import forget, fresh_url
from tests.servers.mongodb import mongodb_url

_DEFAULT = ("sqlite",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", getattr(metafunc.module, "STORES", _DEFAULT), scope="module")


@pytest.fixture(scope="module")
def address(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a demo with the module's OPTIONS answers; it must end in order when it is told to."""
    with ExitStack() as stack:
        options = [*getattr(request.module, "OPTIONS", ())]
        if engine == "mongodb":
            url = fresh_url(stack.enter_context(mongodb_url()))
            stack.callback(forget, url)
            options += ["--store", url]
        yield from _served(options)


def _served(options: list[str]) -> Iterator[str]:
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
