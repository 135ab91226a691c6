"""`make demo STORE=redis://…`, as a user types it: the race is won on a real server too."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis
from tests.servers import valkey

ROOT = Path(__file__).parents[2]
TIMES = 50


@pytest.fixture
def server() -> Iterator[valkey.Valkey]:
    with valkey.server() as made:
        yield made


@pytest.fixture
def address(server: valkey.Valkey, tmp_path: Path) -> Iterator[str]:
    """Where it answers, in the environment of the tests, which has all that the demo's own would have."""
    ready = tmp_path / "demo.ready"
    ready.touch()
    command = ["make", "demo", f"STORE={server.url}?prefix=demo:", "PORT=0", f"PY={sys.executable}"]
    command += [f"DEMO_READY={ready}", "ARGS=--wait 250"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # else it is part of ours
    with subprocess.Popen(
        command, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            printed = re.search(r"http://\S+", process.stdout.readline())
            assert printed is not None, "the demo printed no address"
            yield printed[0]
        finally:
            os.killpg(process.pid, signal.SIGTERM)


async def test_fifty_keys_and_fifty_increments_at_once_are_all_kept_on_redis(
    address: str, server: valkey.Valkey
) -> None:
    limits = httpx.Limits(max_connections=TIMES)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=30) as client:
        await client.post("/ours/start")
        races = [client.post("/ours/race", params={"key": f"k{number}"}) for number in range(TIMES)]
        counts = [client.post("/ours/count") for _ in range(TIMES)]
        answers = await asyncio.gather(*races, *counts)
        assert {answer.status_code for answer in answers} == {204}
        state = (await client.get("/ours/state")).json()
    assert [f"k{number}" in state for number in range(TIMES)] == [True] * TIMES
    assert state["count"] == TIMES
    client_of_its_own = Redis(port=server.port)
    (key,) = client_of_its_own.keys("demo:session:*")
    assert client_of_its_own.hget(key, "count") == b"50"
    client_of_its_own.close()
