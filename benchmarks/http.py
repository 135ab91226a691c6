"""Requests per second of a real server, beside the same application with Starlette's signed-cookie session."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .harness import Case, Figure, Options, Series, Target, interleave
from .sessions import cookie_of, create, data_of, managed, signed, sqlite_url, stored

__all__ = ["MISSING", "Server", "measure", "serving", "write_cookies"]

_SCRIPT = Path(__file__).parent / "wrk.lua"
_SESSIONS = 64
_CONNECTIONS = 64
_STARTED = 10.0
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

_ABOVE = Target("above", 1)
MISSING = "wrk is not installed, so nothing was measured; on Debian and Ubuntu: apt-get install wrk"


@dataclass
class Server:
    """One process that serves, and what is known of its work so far."""

    port: int
    pid: int
    cookies: Path
    acknowledged: int = 0
    cpu: dict[str, list[float]] = field(default_factory=dict)
    slowest: dict[str, list[float]] = field(default_factory=dict)

    async def load(self, route: str, seconds: float) -> float:
        """Return how many requests a second *route* serves."""
        before = _cpu_seconds(self.pid)
        result = await _run_wrk(f"http://127.0.0.1:{self.port}/{route}", self.cookies, seconds)
        if result["failed"] or result["refused"]:
            raise RuntimeError(f"not every request to {route} was served: {result}")
        self.acknowledged += result["requests"] * (route in ("write", "dict"))
        self.cpu.setdefault(route, []).append((_cpu_seconds(self.pid) - before) / result["requests"] * 1e6)
        self.slowest.setdefault(route, []).append(result["p99_us"] / 1000)
        return result["requests"] / result["us"] * 1e6


async def measure(options: Options) -> Figure:
    figure = Figure(
        "http", f"requests per second: uvicorn, one worker; wrk, {_CONNECTIONS} connections, {_SESSIONS} sessions"
    )
    if shutil.which("wrk") is None:
        figure.notes.append(MISSING)
        return figure
    path = options.folder / "served.db"
    async with managed(sqlite_url(path)) as context:
        made = await create(context, _SESSIONS, data_of())
        before = await stored(context, made, "hits")
    ours = write_cookies(options.folder / "ours.txt", [cookie_of(headers) for headers in made])
    theirs = write_cookies(options.folder / "theirs.txt", [cookie_of(signed(data_of()))])
    async with (
        serving("ours", ours, "--store", sqlite_url(path)) as our_server,
        serving("starlette", theirs) as their_server,
        serving("none", theirs) as bare_server,
    ):
        servers = {"ours": our_server, "starlette": their_server, "no session": bare_server}
        await _measure(figure, servers, options)
        acknowledged = our_server.acknowledged
    async with managed(sqlite_url(path)) as context:
        figure.counted["ours: updates acknowledged"] = acknowledged
        figure.counted["ours: updates stored"] = await stored(context, made, "hits") - before
    return figure


async def _measure(figure: Figure, servers: dict[str, Server], options: Options) -> None:
    seconds = 0.5 if options.quick else 2.0
    cases = [
        Case(f"{who}, {route}", "/s", partial(servers[who].load, route, seconds))
        for route, several in (
            ("untouched", ("ours", "starlette", "no session")),
            ("read", ("ours", "starlette")),
            ("write", ("ours", "starlette")),
            ("dict", ("ours",)),
        )
        for who in several
    ]
    for case in cases:
        await case.measure()
    for server in servers.values():
        server.cpu.clear()
        server.slowest.clear()
    figure.add(*await interleave(cases, options.rounds))
    for who, server in servers.items():
        figure.add(*(Series(f"{who}, {route}: processor time", "us", each) for route, each in server.cpu.items()))
        figure.add(*(Series(f"{who}, {route}: p99", "ms", each) for route, each in server.slowest.items()))
    for route in ("untouched", "read", "write"):
        figure.compare(f"requests/s, {route}: ours / Starlette's", f"ours, {route}", f"starlette, {route}", _ABOVE)
    figure.compare("requests/s, dict style: ours / Starlette's write", "ours, dict", "starlette, write")
    for route in ("untouched", "read", "write"):
        over, under = f"ours, {route}: processor time", f"starlette, {route}: processor time"
        if figure[under].median:
            figure.compare(f"processor time, {route}: ours / Starlette's", over, under)


@asynccontextmanager
async def serving(kind: str, cookies: Path, *arguments: str) -> AsyncIterator[Server]:
    """Run the application with one kind of session, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.web", kind, *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=Path(__file__).parents[1], stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    if process.stdout is None:
        raise RuntimeError("a server was started without a pipe to read its port from")
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), _STARTED))
        yield Server(port, process.pid, cookies)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), _STARTED)


async def _run_wrk(url: str, cookies: Path, seconds: float) -> dict[str, int]:
    """Let wrk ask for *url* for some seconds, and return what it counted."""
    length = f"{max(seconds, 1):.0f}s"
    options = ["-t", "1", "-c", str(_CONNECTIONS), "-d", length, "-s", str(_SCRIPT), url, "--", str(cookies)]
    process = await asyncio.create_subprocess_exec("wrk", *options, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    line = next((line for line in output.decode().splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk said nothing of its result, and ended with {process.returncode}")
    result: dict[str, int] = json.loads(line.removeprefix("RESULT "))
    return result


def write_cookies(path: Path, cookies: list[str]) -> Path:
    path.write_text("".join(f"{cookie}\n" for cookie in cookies), "ascii")
    return path


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that the process has used so far; 0 where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
