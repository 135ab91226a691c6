"""Updates of a session that nobody has read: what came back is kept, and is right when somebody looks."""

from __future__ import annotations

import pytest
from tests.session.kit import Site

from atomic_session.errors import CorruptRecord
from atomic_session.lifecycle import Stored
from atomic_session.stores.memory import MemoryStore


async def test_what_unread_updates_bring_back_adds_up(site: Site) -> None:
    cookie = await site.visitor(a=1, b={"c": 1}, gone=True)
    session = site.request(cookie)
    await session.inc("a")
    await session.set("b.d", 2).unset("gone")
    assert dict(session) == {"a": 2, "b": {"c": 1, "d": 2}}


async def test_an_unread_session_sees_what_others_wrote_in_between(site: Site) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    await session.inc("a")
    await site.request(cookie).set("b", 1)
    await session.inc("a")
    assert dict(session) == {"a": 3, "b": 1}
    assert await site.stored(cookie) == {"a": 3, "b": 1}


async def test_an_unread_session_that_is_destroyed_forgets_what_it_knew(site: Site) -> None:
    session = site.request(await site.visitor(a=1))
    await session.inc("a")
    await session.regenerate()
    assert dict(session) == {}
    await session.inc("a")
    assert dict(session) == {"a": 1}


async def test_damage_beside_an_update_is_told_to_who_looks(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    cookie = await site.visitor(a=1)
    session = site.request(cookie)
    damaged = b'{"a":1,"b":"~?"}'
    record = (await session.load())._look().link.record
    assert record is not None
    assert isinstance(site.store.inner, MemoryStore)
    site.store.inner._records[record.id] = Stored(record, damaged)

    unread = site.request(cookie)
    await unread.inc("a")  # needs no more than its own field
    with caplog.at_level("ERROR"), pytest.raises(CorruptRecord):
        unread["a"]
    (told,) = [entry.message for entry in caplog.records]
    assert told.startswith(f"corrupt_record session={record.id} reason=")
    assert site.store.inner._records[record.id].raw == damaged.replace(b"1", b"2")
