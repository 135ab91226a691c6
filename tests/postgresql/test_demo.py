"""The demo on PostgreSQL, as `make demo STORE=postgresql://...` runs it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys

import httpx
from tests.harnesses.postgresql import PostgreSQLHarness

TIMES = 50


async def test_fifty_requests_at_once_lose_nothing(harness: PostgreSQLHarness) -> None:
    await harness.make()
    command = [sys.executable, "-m", "atomic_session.demo", "--port", "0", "--wait", "100", "--store", harness.url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"http://\S+", line)
        assert found is not None
        limits = httpx.Limits(max_connections=TIMES)
        async with httpx.AsyncClient(base_url=found[0], limits=limits, timeout=30) as client:
            await client.post("/ours/start")
            races = [client.post("/ours/race", params={"key": f"k{n}"}) for n in range(TIMES)]
            assert {answer.status_code for answer in await asyncio.gather(*races)} == {204}
            state = (await client.get("/ours/state")).json()
        assert sum(f"k{n}" in state for n in range(TIMES)) == TIMES
    finally:
        process.terminate()
        await process.communicate()
