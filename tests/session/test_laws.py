"""Laws of the dict view, over random data, random edits and random company."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import given
from hypothesis.strategies import DataObject
from tests.session.kit import Site

from atomic_session import OperatorError, Session
from atomic_session.values import Value, same

_NAMES = st.sampled_from(["a", "b", "c", "0", "1", "a.b", "$set", "~", "é"])
_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -1.5, 1e300]),
    st.sampled_from(["", "1", "~x", '"', "é", "12345678-1234-5678-1234-567812345678"]),
    st.binary(max_size=3),
    st.sampled_from([datetime(2031, 2, 3, tzinfo=UTC), datetime(2031, 2, 3, 4, 5, 6, 789_000, UTC)]),
    st.just(UUID("12345678-1234-5678-1234-567812345678")),
    st.sampled_from([Decimal("1.0"), Decimal("1.10"), Decimal(1)]),
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.just(""), inner, max_size=3),
    max_leaves=6,
)
_DATA = st.dictionaries(_NAMES, _VALUES, max_size=4)


async def _awaited(update: Any) -> Any:
    return await update


def _stored(site: Site, cookie: bytes) -> dict[str, Any]:
    return asyncio.run(site.stored(cookie))


def _loaded(site: Site, cookie: bytes) -> Session:
    return asyncio.run(site.request(cookie).load())


def _is(given: Any, wanted: Value) -> bool:
    return same(dict(given), wanted)


# --- what is changed in the dict is what is stored


def _containers(value: Any) -> list[Any]:
    found = [value]
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            found += _containers(item)
    return found


_DICT_EDITS: list[Callable[[dict[str, Any], str, Any], object]] = [
    lambda place, name, value: place.__setitem__(name, value),
    lambda place, name, _: place.pop(name, None),
    lambda place, name, value: place.setdefault(name, value),
    lambda place, name, value: place.update({name: value}),
    lambda place, *_: place.popitem() if place else None,
]
_LIST_EDITS: list[Callable[[list[Any], int, Any], object]] = [
    lambda place, _, value: place.append(value),
    lambda place, at, _: place.pop(at % len(place)) if place else None,
    lambda place, at, value: place.insert(at, value),
    lambda place, at, value: place.__setitem__(at % len(place), value) if place else None,
    lambda place, *_: place.reverse(),
    lambda place, _, value: place.extend([value, value]),
]


def _edit(view: Any, data: DataObject) -> None:
    """Change something in *view*, anywhere, as plain code would."""
    place, value = data.draw(st.sampled_from(_containers(view))), data.draw(_VALUES)
    if isinstance(place, dict):
        data.draw(st.sampled_from(_DICT_EDITS))(place, data.draw(_NAMES), value)
    else:
        data.draw(st.sampled_from(_LIST_EDITS))(place, data.draw(st.integers(0, 3)), value)


@given(_DATA, st.data())
def test_what_plain_code_makes_of_a_session_is_what_is_stored(before: dict[str, Any], data: DataObject) -> None:
    site = Site()
    cookie = asyncio.run(site.visitor(**before))
    session = _loaded(site, cookie)
    for _ in range(data.draw(st.integers(1, 6))):
        _edit(session, data)
        if data.draw(st.booleans()):
            asyncio.run(session.commit())
    wanted = dict(session)
    asyncio.run(session.commit())

    assert _is(_stored(site, cookie), wanted)
    assert _is(session, wanted)
    assert not session.modified


@given(_DATA, _DATA)
def test_a_session_that_is_made_another_is_stored_as_that(before: dict[str, Any], after: dict[str, Any]) -> None:
    site = Site()
    cookie = asyncio.run(site.visitor(**before))
    session = _loaded(site, cookie)
    for name in list(session):
        if name not in after:
            del session[name]
    session.update(after)
    asyncio.run(session.commit())

    assert _is(_stored(site, cookie), after)


@given(_DATA, _DATA)
def test_clear_replaces_everything(before: dict[str, Any], after: dict[str, Any]) -> None:
    site = Site()
    cookie = asyncio.run(site.visitor(**before))
    session = _loaded(site, cookie)
    asyncio.run(_awaited(site.request(cookie).set("theirs", 1)))
    session.clear()
    session.update(after)
    asyncio.run(session.commit())

    assert _is(_stored(site, cookie), after)
    assert _is(session, after)


@given(_DATA)
def test_a_new_session_is_stored_as_it_was_filled(data: dict[str, Any]) -> None:
    site = Site()
    session = site.request(None)
    session.update(data)
    asyncio.run(session.commit())
    header = session.cookie_header()

    assert (header is None) == (not data)
    if header is not None:
        assert _is(_stored(site, header.partition(b";")[0]), data)


# --- two requests at once

_PATHS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=3).map(tuple)
_DELETED = object()
_TREES = st.recursive(
    _SCALARS, lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), inner, max_size=3), max_leaves=8
)
_EDITS = st.dictionaries(_PATHS, _VALUES | st.just(_DELETED), max_size=4)


def _change(view: Any, path: tuple[str, ...], value: Any) -> None:
    """Change one name in a dict, at any depth; what is no dict stays as it is."""
    for name in path[:-1]:
        if value is _DELETED and name not in view:
            return
        view = view.setdefault(name, {})
        if not isinstance(view, dict):
            return
    if value is _DELETED:
        view.pop(path[-1], None)
    else:
        view[path[-1]] = value


def _apart(mine: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    shorter = min(len(mine), len(theirs))
    return mine[:shorter] != theirs[:shorter]


@given(
    before=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), _TREES, max_size=4),
    first=_EDITS,
    second=_EDITS,
    swapped=st.booleans(),
)
def test_changes_to_different_names_at_any_depth_survive_each_other(
    before: dict[str, Any], first: dict[tuple[str, ...], Any], second: dict[tuple[str, ...], Any], *, swapped: bool
) -> None:
    second = {path: value for path, value in second.items() if all(_apart(path, other) for other in first)}
    site = Site()
    cookie = asyncio.run(site.visitor(**before))
    sessions = [_loaded(site, cookie), _loaded(site, cookie)]
    wanted = _loaded(site, cookie).copy()
    for session, edits in zip(sessions, (first, second), strict=True):
        for path, value in edits.items():
            _change(session, path, value)
            _change(wanted, path, value)
    for session in reversed(sessions) if swapped else sessions:
        asyncio.run(session.commit())

    assert _is(_stored(site, cookie), wanted)


@given(_DATA, st.lists(_SCALARS, max_size=3), st.lists(_SCALARS, max_size=3))
def test_appends_to_one_list_survive_each_other(before: dict[str, Any], mine: list[Any], theirs: list[Any]) -> None:
    site = Site()
    cookie = asyncio.run(site.visitor(**before | {"log": ["first"]}))
    sessions = [_loaded(site, cookie), _loaded(site, cookie)]
    for session, items in zip(sessions, (mine, theirs), strict=True):
        session["log"].extend(items)
    for session in sessions:
        asyncio.run(session.commit())

    assert _is(_stored(site, cookie), before | {"log": ["first", *mine, *theirs]})


# --- in company

_FIELDS = st.sampled_from(["a", "b", "c", "a.b", "b.0", "c.d"])


_OPERATORS: list[Callable[[Session, str, Any], Any]] = [
    lambda session, path, value: session.set(path, value),
    lambda session, path, _: session.unset(path),
    lambda session, path, _: session.inc(path),
    lambda session, path, value: session.push(path, value),
    lambda session, path, value: session.pull(path, value),
    lambda session, path, value: session.set_default(path, value),
    lambda session, path, _: session.pop_last(path),
    lambda session, path, _: session.set("taken", 1).take(path),
    lambda session, path, value: session.when(path, value).set("met", 1),
    lambda session, path, value: session.add_to_set(path, value),
]


def _operate(session: Session, data: DataObject) -> bool:
    """Await one operator, and say whether it applied."""
    write = data.draw(st.sampled_from(_OPERATORS))
    try:
        asyncio.run(_awaited(write(session, data.draw(_FIELDS), data.draw(_VALUES))))
    except OperatorError:
        return False
    return True


@given(_DATA, st.data())
def test_a_session_in_company_is_what_the_store_holds_once_nothing_is_pending(
    before: dict[str, Any], data: DataObject
) -> None:
    site = Site()
    cookie = asyncio.run(site.visitor(**before))
    session = _loaded(site, cookie)
    for _ in range(data.draw(st.integers(1, 8))):
        match data.draw(st.sampled_from(["edit", "operate", "theirs", "their edit", "commit", "fresh", "touch"])):
            case "edit":
                _edit(session, data)
            case "operate":
                if _operate(session, data) and not session.modified:
                    assert _is(session, _stored(site, cookie))
            case "theirs":
                _operate(site.request(cookie), data)
            case "their edit":
                other = _loaded(site, cookie)
                _edit(other, data)
                asyncio.run(other.commit())
            case "commit":
                sent = session.modified
                asyncio.run(session.commit())
                assert not session.modified
                assert not sent or _is(session, _stored(site, cookie))
            case "fresh":
                asyncio.run(session.load(fresh=True))
            case _:
                asyncio.run(session.touch())
    asyncio.run(session.commit())
    asyncio.run(session.load(fresh=True))

    assert not session.modified
    assert _is(session, _stored(site, cookie))
