"""A session is a dict: once it is loaded in every way, and before that in none that could mislead."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from tests.session.kit import Site

from atomic_session import Session, SessionNotLoaded

READS: dict[str, Callable[[Any], Any]] = {
    "[]": lambda s: s["a"],
    "get": lambda s: s.get("a"),
    "in": lambda s: "a" in s,
    "not in": lambda s: "a" not in s,
    "len": len,
    "bool": bool,
    "iter": iter,
    "list": list,
    "sorted": sorted,
    "reversed": reversed,
    "keys": lambda s: s.keys(),
    "values": lambda s: s.values(),
    "items": lambda s: s.items(),
    "==": lambda s: s == {},
    "== from the left": lambda s: s == {},
    "!=": lambda s: s != {},
    "|": lambda s: s | {},
    "| from the left": lambda s: {} | s,
    "|= from the left": lambda s: dict.__ior__({}, s),
    "copy": lambda s: s.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "dict": dict,
    "dict with more": lambda s: dict(s, z=1),
    "**": lambda s: {**s},
    "** arguments": lambda s: _arguments(**s),
    "* arguments": lambda s: _arguments(*s),
    "update of another": lambda s: dict[str, Any]().update(s),
    "max": lambda s: max(s, default=None),
    "format_map": "{a}".format_map,
    "match": lambda s: _match(s),  # noqa: PLW0108 - it comes further down
    "json.dumps": json.dumps,
    "json.dumps with indent": lambda s: json.dumps(s, indent=1),
    "json.dumps inside": lambda s: json.dumps({"inside": [s]}),
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "[]=": lambda s: s.__setitem__("b", 2),
    "del": lambda s: s.__delitem__("a"),
    "pop": lambda s: s.pop("a"),
    "pop with a default": lambda s: s.pop("nothing", None),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("b", []),
    "update": lambda s: s.update(b=2),
    "|=": lambda s: s.__ior__({"b": 2}),
    "clear": lambda s: s.clear(),
}


def _arguments(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


def _match(value: Any) -> bool:
    match value:
        case {"a": _}:
            return True
        case _:
            return False


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_an_unloaded_session_raises_instead_of_looking_empty(site: Site, name: str) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    with pytest.raises(SessionNotLoaded):
        (READS | WRITES)[name](session)

    assert session.accessed
    assert site.store.trips == 0
    assert await session() == {"a": 1}


@pytest.mark.parametrize(
    "encode", [orjson.dumps, msgspec.json.encode, msgspec.msgpack.encode, lambda s: orjson.dumps({"inside": [s]})]
)
async def test_an_encoder_that_reads_past_our_methods_fails_too(site: Site, encode: Callable[[Any], Any]) -> None:
    session = site.request(await site.visitor(a=1))

    with pytest.raises((SessionNotLoaded, TypeError)):
        encode(session)


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_a_loaded_session_does_what_a_dict_does(site: Site, name: str) -> None:
    session = await site.request(await site.visitor(a=1))()
    plain = {"a": 1}
    use = (READS | WRITES)[name]
    ours, theirs = use(session), use(plain)

    assert dict(session) == plain
    if ours is session:
        assert theirs is plain
    elif isinstance(ours, (bool, int, str, bytes, tuple, dict, list)) and name != "pickle":
        assert ours == theirs


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_a_session_without_a_cookie_is_a_dict_at_once(site: Site, name: str) -> None:
    session = site.request(None)
    plain: dict[str, Any] = {}
    use = (READS | WRITES)[name]
    errors: list[type[Exception] | None] = []
    for each in (session, plain):
        try:
            use(each)
        except Exception as error:  # noqa: BLE001 - whatever a dict raises
            errors.append(type(error))
        else:
            errors.append(None)

    assert errors[0] == errors[1]
    assert dict(session) == plain
    assert site.store.trips == 0


@pytest.mark.parametrize(
    "encode",
    [json.dumps, orjson.dumps, msgspec.json.encode, lambda s: json.dumps(s, indent=2), lambda s: orjson.dumps([s])],
)
async def test_encoders_see_the_data_of_a_loaded_session(site: Site, encode: Callable[[Any], Any]) -> None:
    session = await site.request(await site.visitor(a=1, b={"c": [1]}))()

    assert encode(session) == encode({"a": 1, "b": {"c": [1]}})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(session)) == {"a": 1, "b": {"c": [1]}}


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: pickle.loads(pickle.dumps(s, protocol=0)),
        lambda s: s.copy(),
        dict,
        lambda s: s | {},
        lambda s: {} | s,
    ],
)
async def test_a_copy_is_a_plain_dict(site: Site, duplicate: Callable[[Any], Any]) -> None:
    session = await site.request(await site.visitor(a={"b": 1}))()
    made = duplicate(session)

    assert type(made) is dict
    assert made == {"a": {"b": 1}}
    made["x"] = 1
    assert "x" not in session


async def test_a_session_has_no_hash(site: Site) -> None:
    session = site.request(await site.visitor(a=1))
    with pytest.raises(TypeError):
        hash(session)
    await session.load()
    with pytest.raises(TypeError):
        hash(session)


async def test_a_session_takes_no_attributes(site: Site) -> None:
    with pytest.raises(AttributeError):
        site.request(None).user = "ann"  # type: ignore[attr-defined]


async def test_error_messages_call_it_a_session_whatever_it_is_inside(site: Site) -> None:
    session = site.request(await site.visitor(a=1))
    for _ in ("unloaded", "pristine", "changed"):
        with pytest.raises(AttributeError, match=r"^'Session' object has no attribute 'incr'"):
            session.incr("a")  # type: ignore[attr-defined]
        if session.loaded:
            session["a"] = 2
        await session()


async def test_the_repr_never_holds_the_token(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    secret = cookie.partition(b".")[2].decode()
    shown = [repr(session), str(session), f"{session}", repr(session._exchange)]
    await session()
    await session.rotate()
    shown += [repr(session), str(session), f"{session}", repr(session._exchange)]

    assert shown[0] == "<session not loaded>"
    assert shown[4] == "{'a': 1}"
    assert not any(secret in text for text in shown)


async def test_isinstance_and_the_type_say_dict(site: Site) -> None:
    session = site.request(None)

    assert isinstance(session, dict)
    assert isinstance(session, Session)
    await session()
    assert type(session) is Session


async def test_a_blind_update_makes_a_session_readable(site: Site) -> None:
    session = site.request(await site.visitor(a=1))
    assert not session.loaded
    await session.inc("a")

    assert session["a"] == 2
    assert session.loaded


async def test_discarding_takes_back_what_was_not_committed(site: Site) -> None:
    cookie = await site.visitor(a=1, b={"c": [1]}, d=2)
    session = await site.request(cookie)()
    session["a"] = 2
    await session.commit()
    session["b"]["c"].append(2)
    session["e"] = object()
    del session["d"]
    session.discard()
    assert session == {"a": 2, "b": {"c": [1]}, "d": 2}

    session.clear()
    session.discard()
    assert session == {"a": 2, "b": {"c": [1]}, "d": 2}
    assert not session.modified
    await session.commit()
    assert await site.stored(cookie) == {"a": 2, "b": {"c": [1]}, "d": 2}


async def test_discarding_what_nobody_looked_at_does_nothing(site: Site) -> None:
    session = site.request(await site.visitor(a=1))
    session.discard()

    assert not session.accessed
    fresh = site.request(None)
    fresh["a"] = 1
    fresh.discard()
    assert fresh == {}
