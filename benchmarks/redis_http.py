"""Requests per second with sessions on one Valkey: ours, starsessions and Litestar's server-side ones."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import httpx
from tests.servers.valkey import server

from .harness import Case, Figure, Options, Series, Target, interleave
from .http import MISSING, Server, serving, write_cookies
from .sessions import cookie_of, create, data_of, managed, stored, with_cookie

__all__ = ["measure"]

_SESSIONS = 64
_PEERS = ("starsessions", "litestar")
_ROUTES = ("read", "write")
_TWICE = Target("at least", 2)


async def measure(options: Options) -> Figure:
    figure = Figure(
        "redis_http", "requests per second with sessions on Valkey: uvicorn, one worker; wrk, 64 connections"
    )
    if shutil.which("wrk") is None:
        figure.notes.append(MISSING)
        return figure
    with server() as valkey:
        async with managed(valkey.url) as context:
            made = await create(context, _SESSIONS, data_of())
            before = await stored(context, made, "hits")
        ours = write_cookies(options.folder / "ours.txt", [cookie_of(headers) for headers in made])
        others = {peer: options.folder / f"{peer}.txt" for peer in _PEERS}
        async with (
            serving("ours", ours, "--store", valkey.url) as our_server,
            serving("starsessions", others["starsessions"], "--store", valkey.url) as starsessions,
            serving("litestar", others["litestar"], "--store", valkey.url) as litestar,
        ):
            servers = {"ours": our_server, "starsessions": starsessions, "litestar": litestar}
            for peer, path in others.items():
                await _start_sessions(servers[peer], path)
            await _measure(figure, servers, options)
        async with managed(valkey.url) as context:
            figure.counted["ours: updates acknowledged"] = our_server.acknowledged
            figure.counted["ours: updates stored"] = await stored(context, made, "hits") - before
    return figure


async def _start_sessions(peer: Server, path: Path) -> None:
    """Have *peer* start sessions with the same data as ours, and write down their cookies."""
    cookies = []
    for _ in range(_SESSIONS):
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(f"http://127.0.0.1:{peer.port}/start")
            answer.raise_for_status()
            pair = answer.headers["set-cookie"].partition(";")[0]
        cookies.append(cookie_of(with_cookie(pair.encode("ascii"))))
    write_cookies(path, cookies)


async def _measure(figure: Figure, servers: dict[str, Server], options: Options) -> None:
    seconds = 0.5 if options.quick else 2.0
    cases = [
        Case(f"{who}, {route}", "/s", partial(each.load, route, seconds))
        for route in _ROUTES
        for who, each in servers.items()
    ]
    for case in cases:
        await case.measure()
    for each in servers.values():
        each.cpu.clear()
        each.slowest.clear()
    figure.add(*await interleave(cases, options.rounds))
    for who, each in servers.items():
        figure.add(*(Series(f"{who}, {route}: processor time", "us", rounds) for route, rounds in each.cpu.items()))
        figure.add(*(Series(f"{who}, {route}: p99", "ms", rounds) for route, rounds in each.slowest.items()))
    for route in _ROUTES:
        for peer in _PEERS:
            figure.compare(f"requests/s, {route}: ours / {peer}", f"ours, {route}", f"{peer}, {route}", _TWICE)
