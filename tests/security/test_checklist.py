"""Rows of the security checklist (docs/security.md) that no other test is about, on every store."""

from __future__ import annotations

import ast
import asyncio
import logging
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.security.kit import HOST, Reply, Shop, call, one_token
from tests.session.kit import Site, cookie_of
from tests.stores import KINDS, AnyHarness

from atomic_session import InvalidPath, InvalidValue, LimitExceeded, OperatorError, Session, SessionGone
from atomic_session.record import Record
from atomic_session.store import Store
from atomic_session.testing import CASES
from atomic_session.token import new_token

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "atomic_session"


@pytest.fixture
def site(inner: Store) -> Site:
    return Site(inner)


# --- tokens and identity


async def test_an_unknown_token_is_never_adopted_on_any_store(site: Site) -> None:
    planted = new_token()
    session = site.request(b"sid=" + planted.value.encode())
    session.create_csrf()
    await session.set("n", 1)

    assert session.id != planted.id
    assert (await site.request(b"sid=" + planted.value.encode())()).is_new
    assert await site.stored(cookie_of(session) or b"") == {"n": 1}
    await site.manager.close()


async def test_a_planted_session_does_not_survive_a_login(site: Site) -> None:
    planted = await site.visitor(mine="attacker's")
    victim = site.request(planted)
    await victim.login("ada")

    assert (await site.request(planted)()).gone
    assert (await site.request(cookie_of(victim))()).owner == "ada"
    with pytest.raises(SessionGone):
        await site.request(planted).set("cart", "mine")
    await site.manager.close()


async def test_what_is_listed_opens_nothing(site: Site) -> None:
    session = site.request()
    await session.login("ada")
    cookie = cookie_of(session)
    assert cookie is not None
    (listed,) = await site.manager.sessions_of("ada")
    secret = cookie.partition(b".")[2].decode()

    assert secret not in repr(listed)
    for text in (listed.id, f"{listed.id}.", f"{listed.id}.{'A' * 43}"):
        assert (await site.request(b"sid=" + text.encode())()).is_new
    await site.manager.close()


async def test_no_byte_of_a_secret_is_in_what_the_store_keeps_or_its_driver_logs(
    any_harness: AnyHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site = Site(await any_harness.make())
    session = site.request()
    made = session.create_csrf()
    await session.set("n", 1)
    await session.rotate()
    cookie = cookie_of(session)
    assert cookie is not None
    await site.request(cookie).login("ada")
    await site.manager.close()
    secret = cookie.partition(b".")[2]
    kept = await any_harness.dump()
    asked = repr(site.store.commands).encode()
    logged = "\n".join(repr(vars(record)) for record in caplog.records).encode()

    assert str(session.id).encode() in kept
    assert str(session.id).encode() in asked
    for place in range(len(secret) - 12):
        assert secret[place : place + 12] not in kept + asked + logged
    assert made.encode() not in kept + asked + logged
    assert b"session_created" in logged


# --- data that looks like something else

RESERVED = sorted(set(Record.__annotations__) | {"_id", "data", "owner", "exp", "expires", "version", "csrf"})


@pytest.mark.parametrize("name", RESERVED)
async def test_no_name_of_a_field_reaches_the_record_itself(site: Site, name: str) -> None:
    cookie = await site.visitor()
    before = await site.request(cookie)()
    known = (before.id, before.created, before.owner, before.authenticated_at)
    for write in ("set", "set_default", "inc", "unset"):
        session = site.request(cookie)
        arguments: dict[str, tuple[Any, ...]] = {"set": (None,), "set_default": (0,), "inc": (10**6,), "unset": ()}
        try:
            await getattr(session, write)(name, *arguments[write])
        except OperatorError:
            assert write == "inc"
    after = await site.request(cookie)()

    assert (after.id, after.created, after.owner, after.authenticated_at) == known
    assert not after.gone
    await site.manager.close()


HOSTILE: list[dict[str, Any]] = [
    {"$set": {"owner": "root"}},
    {"$where": "sleep(1000)"},
    {"$ne": None},
    {"$gt": ""},
    {"a.b": {"$inc": 1}},
    {"__class__": {"__init__": {"__globals__": 1}}},
    {"__proto__": {"admin": True}},
    {"'; DROP TABLE sessions; --": "'; DROP TABLE sessions; --"},
    {"$": "$", ".": ".", '"': '"', "]": "]", "\\": "\\", "%": "%24set", "[0]": 1},
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: next(iter(value)))
async def test_data_that_looks_like_a_command_is_data(site: Site, value: dict[str, Any]) -> None:
    cookie, bystander = await site.visitor(n=1), await site.visitor(n=2)
    await site.request(cookie).set("field", value).push("list", value)
    for name, inner in value.items():
        await site.request(cookie).set((name,), inner)
    session = site.request(cookie)
    await session()
    session["dict"] = value
    await session.commit()
    stored = await site.stored(cookie)

    assert stored == {"n": 1, "field": value, "list": [value], "dict": value, **value}
    assert await site.stored(bystander) == {"n": 2}
    assert await site.request(cookie).when("field", value).set("n", 3)
    assert not await site.request(cookie).when("n", {"$ne": None}).set("n", 4)
    await site.manager.close()


@pytest.mark.parametrize("given", [{"$ne": None}, ["n"], 5, None, b"n", re.compile(".*"), object()])
async def test_what_is_no_name_never_reaches_the_store(site: Site, given: Any) -> None:
    cookie = await site.visitor(n=1)
    session = site.request(cookie)
    refusals: list[Callable[[], object]] = [
        lambda: session.set(given, 1),
        lambda: session.unset(given),
        lambda: session.rename("n", given),
    ]
    for refused in refusals:
        with pytest.raises((InvalidPath, TypeError)):
            refused()
    for ask in (site.manager.destroy, site.request(cookie).login):
        with pytest.raises((TypeError, InvalidValue)):
            await ask(given)

    assert site.store.trips == 0
    await site.manager.close()


@pytest.mark.parametrize("text", ["\u00e9", "\u212b", "\ufb01", "\u1e9b\u0323"])
async def test_names_are_compared_as_they_are_written(site: Site, text: str) -> None:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")} | {text}
    session = site.request()
    for place, form in enumerate(sorted(forms)):
        await session.set((form,), place)
    stored = await site.stored(cookie_of(session) or b"")

    assert len(forms) > 1
    assert stored == {form: place for place, form in enumerate(sorted(forms))}
    await site.manager.close()


async def test_names_of_pythons_own_change_no_class(site: Site) -> None:
    before = {name: id(value) for name, value in vars(Session).items()}
    session = site.request()
    await session.set("__class__.__init__.__globals__", 1).set("__dict__", {"x": 1}).set("load", "mine")
    loaded = await site.request(cookie_of(session))()

    assert loaded["__class__"] == {"__init__": {"__globals__": 1}}
    assert callable(loaded.load)
    assert {name: id(value) for name, value in vars(Session).items()} == before
    await site.manager.close()


async def test_nobody_can_make_a_record_grow_without_end(site: Site) -> None:
    cookie = await site.visitor(n=1)
    with pytest.raises(LimitExceeded):
        await site.request(cookie).set("text", "x" * 10_000_000)

    assert await site.stored(cookie) == {"n": 1}
    await site.manager.close()


# --- caches, flooding, events


async def test_through_a_shared_cache_nobody_gets_a_token_of_somebody_else(inner: Store) -> None:
    """A cache that keeps whatever it may, and gives it to whoever asks with the same headers."""
    shop = Shop(one_token, inner, headers=[(b"cache-control", b"public, max-age=3600")])
    kept: dict[tuple[object, ...], Reply] = {}

    async def get(cookie: bytes | None) -> Reply:
        headers = [HOST] if cookie is None else [HOST, (b"cookie", cookie)]
        if ("any",) in kept:
            return kept["any",]
        if ("cookie", cookie) in kept:
            return kept["cookie", cookie]
        reply = await call(shop.app, "GET", headers)
        if b"no-store" not in b",".join(reply.all(b"cache-control")):
            kept[("cookie", cookie) if reply.all(b"vary") else ("any",)] = reply
        return reply

    first, second = await get(None), await get(None)

    assert first.body != second.body
    assert first.cookie != second.cookie
    assert kept == {}
    await shop.manager.close()


async def test_a_thousand_visitors_with_tokens_leave_no_row(inner: Store) -> None:
    shop = Shop(one_token, inner)
    pages = [await shop.visit() for _ in range(500)]
    for page in pages:
        await shop.visit(page.cookie)
        await shop.visit(page.cookie, "POST", (b"x-csrf-token", page.body))

    assert shop.store.trips == 0
    assert len({page.cookie for page in pages}) == 500
    await shop.manager.close()


async def test_unknown_cookies_leave_nothing_in_any_store(any_harness: AnyHarness) -> None:
    site = Site(await any_harness.make())
    before = await site.visitor(n=1)
    tokens = [new_token() for _ in range(1_000)]
    for number, token in enumerate(tokens):
        session = site.request(b"sid=" + token.value.encode())
        if number % 2:
            assert (await session()).is_new
        else:
            await session.destroy()
    kept = await any_harness.dump()

    assert site.store.rows == 0
    assert not any(token.id.encode() in kept for token in tokens)
    assert before.partition(b"=")[2].partition(b".")[0] in kept
    await site.manager.close()


async def test_every_event_of_a_life_reaches_the_callback_with_the_public_id_only(inner: Store) -> None:
    async def live(session: Session) -> None:
        await session.set("n", 1)
        await session.rotate()
        await session.login("ada")
        await session.destroy()
        with pytest.raises(SessionGone):
            await session.set("n", 2)

    shop = Shop(live, inner)
    await shop.visit()
    await shop.visit(b"__Host-sid=nonsense")
    token, other = new_token().value.encode(), new_token().value.encode()
    await shop.visit(b"__Host-sid=" + token + b"; __Host-sid=" + other)
    await shop.visit(b"__Host-sid=" + token)
    names = [name for name, _, _ in shop.events if name != "session_renewed"]

    life = ["session_created", "session_rotated", "session_rotated", "session_login", "session_destroyed"]
    assert names[:6] == [*life, "write_after_destroy"]
    assert names[6:8] == ["malformed_cookie", "session_created"]
    assert names.count("duplicate_cookie") == names.count("unknown_token") == 1
    said = repr(shop.events).encode()
    assert token.partition(b".")[2] not in said
    assert all(session_id is None or len(session_id) == 22 for _, session_id, _ in shop.events)
    await shop.manager.close()


async def test_a_callback_that_fails_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop(one_token)

    def broken(*_: object) -> None:
        raise ValueError("no")

    shop.app._on_event = broken
    reply = await shop.visit(b"__Host-sid=nonsense")

    assert reply.status == 200
    assert "on_event failed at malformed_cookie" in caplog.text


async def test_requests_at_once_keep_their_tokens_apart(inner: Store) -> None:
    async def slowly(session: Session) -> str:
        made = session.create_csrf()
        await asyncio.sleep(0)
        assert session.check_csrf(made)
        return made

    shop = Shop(slowly, inner)
    pages = await asyncio.gather(*(shop.visit() for _ in range(200)))
    again = await asyncio.gather(
        *(shop.visit(page.cookie, "POST", (b"x-csrf-token", page.body)) for page in pages),
        *(
            shop.visit(page.cookie, "POST", (b"x-csrf-token", pages[place - 1].body))
            for place, page in enumerate(pages)
        ),
    )

    assert [reply.status for reply in again] == [200] * 200 + [403] * 200
    await shop.manager.close()


# --- what the code may not contain

MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_runs_data_or_guesses_randomness(path: Path) -> None:
    banned_modules = {"pickle", "marshal", "shelve", "dill", "cPickle", "uuid1", "http.cookies", "ssl.wrap_socket"}
    banned_calls = {"eval", "exec", "compile", "__import__", "uuid1", "uuid4", "md5", "sha1"}
    if path.is_relative_to(PACKAGE / "stores" / "redis"):
        banned_calls.discard("sha1")  # how Redis names a script: no secret hangs on it
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name in banned_modules]
            case ast.ImportFrom(module=str(module)) if module in banned_modules:
                found.append(module)
            case ast.Call(func=ast.Name(id=called)) if called in banned_calls:
                found.append(called)
            case ast.Call(func=ast.Attribute(attr=called)) if called in banned_calls - {"compile"}:
                found.append(called)

    assert found == []


# --- the table itself


EVERY_STORE = {"any_harness", "any_site", "inner"}
"""The fixtures that stand for each store of the package in turn."""


def _functions(folder: Path) -> dict[str, set[str]]:
    """Return the arguments of each function that is defined below *folder*."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
                if path.parent.name == "security" and "site" in arguments:
                    arguments.add("inner")  # the site of these tests is on it
                found.setdefault(node.name, set()).update(arguments)
    return found


def _cited() -> list[tuple[str, str]]:
    """Return every test that the table cites, and the row that cites it."""
    rows = re.findall(r"^\| ([CV]-\d\d) .*$", (ROOT / "docs" / "security.md").read_text("utf-8"), re.MULTILINE)
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    cited = []
    for line in text.splitlines():
        row = re.match(r"\| ([CV]-\d\d) ", line)
        if row is not None:
            tests = line.rpartition(" | ")[2]
            cited += [(row[1], name) for name in re.findall(r"`(\w+)`", tests)]
            assert re.search(r"`\w+`", tests), line
    assert len(rows) == len(set(rows))
    return cited


def test_the_table_has_every_row() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    wanted = {f"C-{number:02}" for number in range(1, 39) if number not in (8, 9)}
    wanted |= {f"V-{number:02}" for number in range(1, 26)}

    assert set(re.findall(r"^\| ([CV]-\d\d) ", text, re.MULTILINE)) == wanted


def test_every_test_that_the_table_marks_runs_on_every_store() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    tests, suite = _functions(ROOT / "tests"), {case.__name__ for case in CASES}
    marked = re.findall(r"`(\w+)`\*", text)
    elsewhere = [name for name in marked if name not in suite and not tests.get(name, set()) & EVERY_STORE]

    assert elsewhere == []
    assert len(marked) > 40
    assert set(KINDS) >= {"memory", "sqlite", "mongodb", "redis"}


def test_every_test_that_the_table_cites_exists() -> None:
    known = {name for name in _functions(ROOT / "tests") if name.startswith("test_")}
    known |= {case.__name__ for case in CASES}
    missing = [(row, name) for row, name in _cited() if name not in known]

    assert missing == []
    assert len(_cited()) > 60
