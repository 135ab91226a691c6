"""What the three applications share: the time that a handler takes, and the answer that carries nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["PACE", "done", "finish_slow_work", "slow_work", "slow_work_began", "work"]

PATIENCE = 10.0
"""Seconds that one request waits for another, whose page may have been closed."""


class Pace:
    """How many seconds every handler takes between load and change, as for one call to another service."""

    seconds = 0.015


class Gate:
    """Where one slow request waits, so that the logout comes before its end on any machine."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()


PACE = Pace()
_gates: defaultdict[str, Gate] = defaultdict(Gate)


def done() -> Response:
    """Return the answer to a change."""
    return Response(status_code=204)


async def work() -> None:
    """Take the time that a handler takes."""
    await asyncio.sleep(PACE.seconds)


async def slow_work(request: Request) -> None:
    """Take the time until the page says that the work is over."""
    name = request.query_params["gate"]
    gate = _gates[name]
    gate.reached.set()
    with suppress(TimeoutError):
        await asyncio.wait_for(gate.opened.wait(), PATIENCE)
    del _gates[name]


async def slow_work_began(request: Request) -> Response:
    """Answer once the slow request has loaded its session and is at work."""
    with suppress(TimeoutError):
        await asyncio.wait_for(_gates[request.query_params["gate"]].reached.wait(), PATIENCE)
    return done()


async def finish_slow_work(request: Request) -> Response:
    """Say to the slow request that its work is over."""
    if (gate := _gates.get(request.query_params["gate"])) is not None:
        gate.opened.set()
    return done()
