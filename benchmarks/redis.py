"""Updates on Valkey: one alone, and many at once, beside the driver's own call of a plain script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis
from tests.servers.valkey import server

from atomic_session.clock import now
from atomic_session.stores.redis import RedisStore

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, managed, open_session, stored
from .sides import Side

__all__ = ["measure"]

_WIDTHS = {1: 200, 16: 60, 64: 30}
"""How many tasks at once, and how often each of them updates in a round."""

_PLAIN = """
local found = redis.call('HMGET', KEYS[1], 'digest', 'deadline')
if found[1] ~= ARGV[1] or tonumber(found[2]) <= tonumber(ARGV[2]) then return false end
redis.call('HSET', KEYS[1], 'color', ARGV[4], 'deadline', ARGV[2] + ARGV[3])
redis.call('HINCRBY', KEYS[1], 'visits', 1)
redis.call('HINCRBY', KEYS[1], 'rev', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""
"""What a session needs at least: a guard, the change, a deadline moved, a number that tells of changes."""

_WAYS = {
    "": "return redis.call('HMGET', KEYS[1], 'rev', 'color', 'visits')",
    ", all fields": "return redis.call('HGETALL', KEYS[1])",
}
"""What comes back: as with ours, what was touched where a session goes on, all where a request has only its cookie."""

_OURS = {"": "", ", all fields": ", each by a request of its own"}

_LARGE = "ours, 20 KB"

_MAX_AGE = 1_209_600_000
_DIGEST = b"x" * 44


async def measure(options: Options) -> Figure:
    figure = Figure("redis", "one update (set, inc) of a 0.5 KB session on Valkey with its data back")
    widths = {width: options.times(times) for width, times in _WIDTHS.items() if width <= options.times(64, 16)}
    most = max(widths)
    cases: list[Case] = []
    async with AsyncExitStack() as stack:
        valkey = stack.enter_context(server())
        sides = {}
        for way in _WAYS:
            sides[f"ours{_OURS[way]}"] = await stack.enter_async_context(_sessions(valkey.url, most, figure, way))
            sides[f"redis-py{way}"] = await stack.enter_async_context(_scripts(valkey.url, most, figure, way))
        large = await stack.enter_async_context(_sessions(valkey.url, 1, figure, "", 20_000))
        cases.append(_case(f"{_LARGE}, 1 at once", large, 1, widths[1]))
        for width, times in widths.items():
            cases += [_case(f"{name}, {width} at once", side, width, times) for name, side in sides.items()]
        for side in sides.values():
            await side.run(most, 2)
        await record(figure, cases, options.rounds)
    for width in widths:
        for way in _WAYS:
            _compare(figure, width, f"ours{_OURS[way]}, {width} at once", f"redis-py{way}, {width} at once")
    figure.compare("time: 20 KB / 0.5 KB", f"{_LARGE}, 1 at once", "ours, 1 at once", Target("at most", 1.5))
    return figure


def _compare(figure: Figure, width: int, ours: str, theirs: str) -> None:
    if width == 1:
        figure.compare(f"time: {ours} / {theirs}", ours, theirs, Target("at most", 1.15))
    else:
        target = Target("at least", 1.5) if width == 64 else None
        figure.compare(f"updates/s: {ours} / {theirs}", theirs, ours, target)


def _case(name: str, side: Side, width: int, times: int) -> Case:
    async def turn() -> float:
        return await side.run(width, times)

    return Case(name, "us", turn)


@asynccontextmanager
async def _sessions(url: str, count: int, figure: Figure, way: str, size: int = 0) -> AsyncIterator[Side]:
    name = f"ours{_OURS[way]}" if size == 0 else _LARGE
    async with managed(RedisStore.from_url(url)) as context:
        made = await create(context, count, data_of(size))
        before = await stored(context, made, "visits")
        kept = [open_session(context, headers) for headers in made]

        async def go_on(number: int) -> object:
            return await kept[number].set("color", "red").inc("visits")

        async def by_request(number: int) -> object:
            return await open_session(context, made[number]).set("color", "red").inc("visits")

        side = Side(by_request if way else go_on)
        yield side
        figure.counted[f"{name}: updates acknowledged"] = side.done
        figure.counted[f"{name}: updates stored"] = await stored(context, made, "visits") - before


@asynccontextmanager
async def _scripts(url: str, count: int, figure: Figure, way: str) -> AsyncIterator[Side]:
    client = Redis.from_url(url)
    sha: Any = await client.script_load(_PLAIN + _WAYS[way])
    fields = {name: msgspec.json.encode(value) for name, value in data_of().items()}
    keys = [f"plain{way}:{number}" for number in range(count)]
    for key in keys:
        await client.hset(key, mapping={"digest": _DIGEST, "deadline": now() + _MAX_AGE, "rev": 1, **fields})

    async def update(number: int) -> object:
        return await client.evalsha(sha, 1, keys[number], _DIGEST, now(), _MAX_AGE, b'"red"')

    side = Side(update)
    try:
        before = sum([int(await client.hget(key, "visits") or 0) for key in keys])
        yield side
        figure.counted[f"redis-py{way}: updates acknowledged"] = side.done
        after = sum([int(await client.hget(key, "visits") or 0) for key in keys])
        figure.counted[f"redis-py{way}: updates stored"] = after - before
    finally:
        await client.aclose()
