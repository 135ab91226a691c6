"""The demo over HTTP: what the page will find, without the page."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

# A long time between load and change, so that fifty requests overlap on a slow machine too.
OPTIONS = ["--wait", "250"]
STORES = ("sqlite", "mongodb")
TIMES = 50
PEERS = ["cookie", "whole"]
LANES = [*PEERS, "ours"]
LIMITS = httpx.Limits(max_connections=TIMES)


def _client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, limits=LIMITS, timeout=30)


async def _change(client: httpx.AsyncClient, path: str, **query: object) -> httpx.Response:
    answer = await client.post(path, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 204
    return answer


async def _state(client: httpx.AsyncClient, lane: str) -> dict[str, Any]:
    answer = await client.get(f"/{lane}/state")
    state: dict[str, Any] = answer.json()
    return state


async def _race(address: str, lane: str) -> int:
    async with _client(address) as client:
        await _change(client, f"/{lane}/start")
        await asyncio.gather(*(_change(client, f"/{lane}/race", key=f"k{n}") for n in range(TIMES)))
        state = await _state(client, lane)
    return sum(f"k{n}" in state for n in range(TIMES))


async def _count(address: str, lane: str) -> int:
    async with _client(address) as client:
        await _change(client, f"/{lane}/start")
        await asyncio.gather(*(_change(client, f"/{lane}/count") for _ in range(TIMES)))
        count: int = (await _state(client, lane))["count"]
    return count


async def _fill_cart(address: str, lane: str) -> dict[str, int]:
    async with _client(address) as client:
        await _change(client, f"/{lane}/start")
        await asyncio.gather(*(_change(client, f"/{lane}/cart", sku=f"s{n}", n=n) for n in range(1, 7)))
        cart: dict[str, int] = (await _state(client, lane))["cart"]
    return cart


# --- many requests at once


async def test_fifty_keys_at_once_are_all_kept_by_ours(address: str) -> None:
    assert await _race(address, "ours") == TIMES


@pytest.mark.parametrize("lane", PEERS)
async def test_fifty_keys_at_once_are_mostly_lost_by_a_session_that_is_saved_whole(address: str, lane: str) -> None:
    assert 1 <= await _race(address, lane) < TIMES


async def test_fifty_increments_at_once_are_all_counted_by_ours(address: str) -> None:
    assert await _count(address, "ours") == TIMES


@pytest.mark.parametrize("lane", PEERS)
async def test_fifty_increments_at_once_are_mostly_lost_by_a_session_that_is_saved_whole(
    address: str, lane: str
) -> None:
    assert 1 <= await _count(address, lane) < TIMES


async def test_a_cart_in_plain_dict_code_keeps_what_two_tabs_add_at_once(address: str) -> None:
    assert await _fill_cart(address, "ours") == {f"s{n}": n for n in range(1, 7)}


@pytest.mark.parametrize("lane", PEERS)
async def test_a_cart_that_is_saved_whole_loses_what_two_tabs_add_at_once(address: str, lane: str) -> None:
    assert 1 <= len(await _fill_cart(address, lane)) < 6


@pytest.mark.parametrize("lane", LANES)
async def test_things_added_one_after_the_other_are_kept_by_all_three(address: str, lane: str) -> None:
    async with _client(address) as client:
        await _change(client, f"/{lane}/cart", sku="tea", n=1)
        await _change(client, f"/{lane}/cart", sku="bread", n=2)
        await _change(client, f"/{lane}/cart", sku="tea", n=3)

        assert (await _state(client, lane))["cart"] == {"tea": 3, "bread": 2}


# --- a logout while a slow request is under way


async def _log_out_meanwhile(client: httpx.AsyncClient, lane: str) -> httpx.Response:
    """Log out between a slow request's load and its change, and return the slow request's answer."""
    gate = {"gate": f"{lane}-http"}
    await _change(client, f"/{lane}/login")
    assert (await _state(client, lane))["user"] == "Ada"
    slow = asyncio.create_task(client.post(f"/{lane}/slow", params=gate))
    await client.get("/slow/began", params=gate)
    await _change(client, f"/{lane}/logout")
    assert await _state(client, lane) == {}
    assert not slow.done()
    await _change(client, "/slow/finish", **gate)
    return await slow


async def test_a_logout_of_ours_is_final_and_the_slow_request_is_told(address: str) -> None:
    async with _client(address) as client:
        answer = await _log_out_meanwhile(client, "ours")

        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert await _state(client, "ours") == {}


@pytest.mark.parametrize("lane", PEERS)
async def test_a_session_that_is_saved_whole_comes_back_after_the_logout(address: str, lane: str) -> None:
    async with _client(address) as client:
        answer = await _log_out_meanwhile(client, lane)

        assert answer.status_code == 204
        assert (await _state(client, lane))["user"] == "Ada"


# --- the list of one's sessions


async def _sessions(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = (await client.get("/ours/sessions")).json()["sessions"]
    return sessions


async def test_a_visitor_who_is_not_signed_in_sees_no_sessions(address: str) -> None:
    async with _client(address) as visitor:
        await _change(visitor, "/ours/start")

        assert (await visitor.get("/ours/sessions")).json() == {"owner": None, "sessions": []}


async def test_the_others_are_logged_out_and_this_session_stays(address: str) -> None:
    async with _client(address) as laptop, _client(address) as phone:
        await _change(laptop, "/ours/login")
        await _change(phone, "/ours/login")
        before = await _sessions(laptop)
        await _change(laptop, "/ours/end_others")
        after = await _sessions(laptop)

        assert len(before) >= 2
        assert [session["this"] for session in before].count(True) == 1
        assert [session["this"] for session in after] == [True]
        assert (await _state(laptop, "ours"))["user"] == "Ada"
        assert await _state(phone, "ours") == {}


async def test_one_session_of_several_is_logged_out(address: str) -> None:
    async with _client(address) as laptop, _client(address) as phone, _client(address) as tablet:
        for device in (laptop, phone, tablet):
            await _change(device, "/ours/login")
        (wanted,) = (session["id"] for session in await _sessions(phone) if session["this"])
        await _change(laptop, "/ours/end_one", id=wanted)

        assert await _state(phone, "ours") == {}
        assert (await _state(tablet, "ours"))["user"] == "Ada"
        assert wanted not in {session["id"] for session in await _sessions(laptop)}


async def test_a_stranger_ends_nobodys_session(address: str) -> None:
    async with _client(address) as laptop, _client(address) as stranger:
        await _change(laptop, "/ours/login")
        (wanted,) = (session["id"] for session in await _sessions(laptop) if session["this"])
        await _change(stranger, "/ours/end_one", id=wanted)
        await _change(stranger, "/ours/end_others")

        assert (await _state(laptop, "ours"))["user"] == "Ada"


# --- the page and the command


async def test_the_page_and_all_that_it_names_come_from_this_server(address: str) -> None:
    async with _client(address) as client:
        page = await client.get("/")
        named = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
        answers = [await client.get(name) for name in named]

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert [name for name in named if not name.startswith("/")] == []
    assert [answer.status_code for answer in answers] == [200] * len(named)
    assert len(named) >= 2


async def test_the_page_shows_the_handlers_as_they_are_written(address: str, engine: str) -> None:
    async with _client(address) as client:
        about = (await client.get("/about")).json()

    assert (about["store"], about["wait"]) == (engine, 250)
    for handlers in about["code"].values():
        assert sorted(handlers) == sorted(LANES)
    assert "await session.inc(" in about["code"]["count"]["ours"]


def test_a_named_file_is_kept_and_a_temporary_one_is_not_made(tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    command = [sys.executable, "-m", "atomic_session.demo", "--port", "0", "--file", str(kept)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        assert httpx.post(f"{address}/ours/start").status_code == 204
        process.send_signal(signal.SIGINT)
        complaint = process.communicate(timeout=30)[1]

    assert (process.returncode, complaint) == (0, "")
    assert kept.read_bytes().startswith(b"SQLite format 3\0")


def _refused(*options: str) -> str:
    """Start the demo with options that cannot work, and return what it says."""
    command = [sys.executable, "-m", "atomic_session.demo", "--port", "0", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    return result.stderr


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        complaint = _refused("--port", port)

    assert complaint.count("\n") == 1
    assert f"port {port}" in complaint


def test_a_file_that_is_no_database_is_said_in_one_line_and_left_as_it_is(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader, " * 100)
    complaint = _refused("--file", str(letter))

    assert complaint.count("\n") == 1
    assert str(letter) in complaint
    assert letter.read_text() == "Dear reader, " * 100


def test_a_store_that_does_not_exist_is_said_in_one_line() -> None:
    complaint = _refused("--store", "papyrus://scroll")

    assert complaint.count("\n") == 1
    assert "papyrus" in complaint
