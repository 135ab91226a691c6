"""Updates on Valkey: one alone, and many at once, beside the driver's own call of a plain script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis
from tests.servers.valkey import server

from atomic_session.stores.redis import RedisStore

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, managed, open_session, stored

__all__ = ["measure"]

_WIDTHS = {1: 200, 16: 60, 64: 30}
"""How many tasks at once, and how often each of them updates in a round."""

_PLAIN = """
if redis.call('HGET', KEYS[1], 'digest') ~= ARGV[1] then return false end
redis.call('HSET', KEYS[1], 'color', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'visits', 1)
redis.call('PEXPIRE', KEYS[1], 1209600000)
return redis.call('HGETALL', KEYS[1])
"""
"""What a session needs at least: a guard, a change, a deadline, and the data back."""

_DIGEST = b"x" * 44

Update = Callable[[int], Awaitable[object]]


@dataclass
class _Side:
    """One way to do an update, and how often it was done."""

    update: Update
    done: int = 0

    async def run(self, width: int, times: int) -> float:
        """Have *width* tasks update their sessions *times* each; return the microseconds of one update."""

        async def work(number: int) -> None:
            for _ in range(times):
                await self.update(number)

        start = time.perf_counter()
        await asyncio.gather(*(work(number) for number in range(width)))
        self.done += width * times
        return (time.perf_counter() - start) / (width * times) * 1e6


async def measure(options: Options) -> Figure:
    figure = Figure("redis", "one update (set, inc) of a 0.5 KB session on Valkey with its data back")
    widths = {width: options.times(times) for width, times in _WIDTHS.items() if width <= options.times(64, 16)}
    most = max(widths)
    cases: list[Case] = []
    with server() as valkey:
        async with (
            _sessions(valkey.url, most, figure) as sessions,
            _scripts(valkey.url, most, figure) as scripts,
        ):
            sides = {"ours": sessions, "redis-py, EVALSHA": scripts}
            for width, times in widths.items():
                cases += [_case(f"{name}, {width} at once", side, width, times) for name, side in sides.items()]
            for side in sides.values():
                await side.run(most, 2)
            await record(figure, cases, options.rounds)
    ours, theirs = "ours, {} at once", "redis-py, EVALSHA, {} at once"
    for width in widths:
        if width == 1:
            figure.compare(
                "time of one alone: ours / redis-py", ours.format(1), theirs.format(1), Target("at most", 1.15)
            )
        else:
            target = Target("at least", 1.5) if width == 64 else None
            name = f"updates/s, {width} at once: ours / redis-py"
            figure.compare(name, theirs.format(width), ours.format(width), target)
    return figure


def _case(name: str, side: _Side, width: int, times: int) -> Case:
    async def turn() -> float:
        return await side.run(width, times)

    return Case(name, "us", turn)


@asynccontextmanager
async def _sessions(url: str, count: int, figure: Figure) -> AsyncIterator[_Side]:
    async with managed(RedisStore.from_url(url)) as context:
        made = await create(context, count, data_of())
        before = await stored(context, made, "visits")

        async def update(number: int) -> object:
            return await open_session(context, made[number]).set("color", "red").inc("visits")

        side = _Side(update)
        yield side
        figure.counted["ours: updates acknowledged"] = side.done
        figure.counted["ours: updates stored"] = await stored(context, made, "visits") - before


@asynccontextmanager
async def _scripts(url: str, count: int, figure: Figure) -> AsyncIterator[_Side]:
    client = Redis.from_url(url)
    sha: Any = await client.script_load(_PLAIN)
    fields = {name: msgspec.json.encode(value) for name, value in data_of().items()}
    keys = [f"plain:{number}" for number in range(count)]
    for key in keys:
        await client.hset(key, mapping={"digest": _DIGEST, **fields})

    async def update(number: int) -> object:
        return await client.evalsha(sha, 1, keys[number], _DIGEST, b'"red"')

    side = _Side(update)
    try:
        before = sum([int(await client.hget(key, "visits") or 0) for key in keys])
        yield side
        figure.counted["redis-py, EVALSHA: updates acknowledged"] = side.done
        after = sum([int(await client.hget(key, "visits") or 0) for key in keys])
        figure.counted["redis-py, EVALSHA: updates stored"] = after - before
    finally:
        await client.aclose()
