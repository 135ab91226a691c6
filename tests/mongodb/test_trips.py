"""What is sent to the server, counted in its commands: how many trips, and that each names its one document."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from atomic_session import clock
from atomic_session.commands import Answer, Command, Destroy, Login, Outcome, OwnerLimit
from atomic_session.cookies import CookieCodec, CookieSettings
from atomic_session.dispatcher import Dispatcher
from atomic_session.errors import CorruptRecord, OutcomeUnknown, StoreUnavailable
from atomic_session.manager import SessionManager
from atomic_session.operators import AddToSet, Inc, Pull, Push, Rename, Set, SetDefault, Take, Unset, When
from atomic_session.session import Session, new_session
from atomic_session.stores.mongodb import MongoStore
from atomic_session.testing.holder import HOUR, NOW, Holder, ask, started

DATA = {"n": 1, "l": [1], "d": {"x": 1}}


class Log(CommandListener):
    """Every command that a client sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command:  # the driver shows nothing of how it authenticates
            self.sent.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...

    def take(self) -> list[str]:
        """Return the names of the commands since the last time."""
        names = [next(iter(command)) for command in self.sent]
        self.sent.clear()
        return names


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def store(url: str, log: Log) -> AsyncIterator[MongoStore]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, event_listeners=[log])
    made = MongoStore(client.get_default_database()["sessions"])
    await made.open()
    log.take()
    yield made
    await made.close()
    await client.close()


async def test_a_request_that_does_not_look_costs_nothing_a_read_one_trip_and_an_update_one(
    store: MongoStore, log: Log
) -> None:
    manager = SessionManager(store)
    await manager.open()
    context = manager.context(CookieCodec(CookieSettings(), None))
    first = new_session(context, [], secure=False)
    await first.set("n", 1)
    header = first.cookie_header()
    assert header is not None
    cookie = [(b"cookie", header.partition(b";")[0])]
    log.take()

    def request() -> Session:
        return new_session(context, cookie, secure=False)

    request().cookie_header()
    assert log.take() == []

    await request()()
    assert log.take() == ["find"]

    await request().set("color", "red").inc("n").push("l", 1)
    assert log.take() == ["findAndModify"]

    session = await request()()
    await session.inc("n")
    assert log.take() == ["find", "findAndModify"]

    assert await request().take("color") == "red"
    assert log.take() == ["findAndModify"]
    await manager.close()


@pytest.mark.parametrize(
    ("item", "trips"),
    [
        (Set.of("a", 1), ["findAndModify"]),
        (Unset.of("n"), ["findAndModify"]),
        (Push.of("l", [2]), ["findAndModify"]),
        (Rename.of("n", "m"), ["findAndModify"]),
        (Take.of("n"), ["findAndModify"]),
        (SetDefault.of("new", 1), ["findAndModify"]),
        (SetDefault.of("n", 5), ["findAndModify", "find", "findAndModify"]),
        (AddToSet.of("l", [{"a": 1, "b": 2}]), ["find", "findAndModify"]),
        (Inc.of("d", 1), ["findAndModify", "find"]),
        (When.of("n", 2), ["findAndModify", "find"]),
    ],
    ids=str,
)
async def test_an_update_alone_takes_one_trip_but_for_the_documented_cases(
    store: MongoStore, log: Log, item: Any, trips: list[str]
) -> None:
    holder = await started(store, DATA)
    log.take()
    await ask(store, holder.update(item))
    assert log.take() == trips


async def test_each_other_command_takes_one_trip(store: MongoStore, log: Log) -> None:
    holder = await started(store, DATA)
    assert log.take() == ["insert"]
    new = holder.renewed()
    steps: list[tuple[Command, str]] = [
        (holder.load(), "find"),
        (holder.touch(), "findAndModify"),
        (holder.rotate(new), "findAndModify"),
        (new.touch(max_age=HOUR), "findAndModify"),
        (new.destroy(), "findAndModify"),
    ]
    for command, name in steps:
        assert (await ask(store, command)).outcome is Outcome.DONE
        assert log.take() == [name]


async def test_a_session_with_a_max_age_of_its_own_is_updated_in_one_trip(store: MongoStore, log: Log) -> None:
    holder = await started(store, DATA, max_age=100 * HOUR)
    log.take()
    answer = await ask(store, holder.update(Inc.of("n", 1), now=NOW + HOUR))
    assert log.take() == ["findAndModify"]
    assert answer.record is not None
    assert answer.record.idle_deadline == NOW + 101 * HOUR


async def test_a_renewal_that_is_due_is_read_first_and_the_next_update_is_not(store: MongoStore, log: Log) -> None:
    holder = await started(store, DATA)
    log.take()
    assert (await ask(store, holder.update(Inc.of("n", 1), now=NOW + 2 * HOUR))).renewed
    assert log.take() == ["findAndModify", "find", "findAndModify"]
    assert not (await ask(store, holder.update(Inc.of("n", 1), now=NOW + 2 * HOUR + 1))).renewed
    assert log.take() == ["findAndModify"]


async def test_a_token_in_its_grace_is_looked_at_first(store: MongoStore, log: Log) -> None:
    old = await started(store, DATA)
    await ask(store, old.rotate(old.renewed(), grace=HOUR))
    log.take()
    for command in (old.update(Inc.of("n", 1)), old.touch(), old.destroy()):
        assert (await ask(store, command)).outcome is Outcome.DONE
        assert log.take() == ["findAndModify", "find", "findAndModify"]


async def test_what_waits_together_is_one_bulk_and_one_find(store: MongoStore, log: Log) -> None:
    holders = [await started(store, DATA) for _ in range(20)]
    log.take()
    answers = await store.execute([holder.update(Inc.of("n", 1), known=1) for holder in holders])
    assert log.take() == ["update", "find"]
    assert [answer.data for answer in answers] == [{"n": 2}] * 20


async def test_each_command_of_a_batch_is_told_its_own_outcome_and_only_a_creation_creates(
    store: MongoStore, url: str
) -> None:
    live = [await started(store, DATA) for _ in range(6)]
    dead, rotated = await started(store, DATA), await started(store, DATA)
    await ask(store, dead.destroy())
    await ask(store, rotated.rotate(rotated.renewed()))
    batch: list[tuple[Command, Outcome]] = [
        (live[0].update(Inc.of("n", 1)), Outcome.DONE),
        (Holder().update(Inc.of("n", 1)), Outcome.ABSENT),
        (live[1].renewed().update(Inc.of("n", 1)), Outcome.ABSENT),
        (live[1].update(Inc.of("d", 1)), Outcome.REFUSED),
        (live[2].update(When.of("n", 7), Inc.of("n", 1)), Outcome.UNMET),
        (dead.update(Inc.of("n", 1)), Outcome.DESTROYED),
        (rotated.update(Inc.of("n", 1)), Outcome.ROTATED),
        (live[3].load(), Outcome.DONE),
        (live[3].create({"n": 0}), Outcome.EXISTS),
        (live[4].update(Take.of("n")), Outcome.DONE),
        (live[5].destroy(), Outcome.DONE),
        (live[0].update(Inc.of("n", 1)), Outcome.DONE),
        (live[5].update(Inc.of("n", 1)), Outcome.DESTROYED),
        (Holder().create({"n": 0}), Outcome.DONE),
    ]
    answers = await store.execute([command for command, _ in batch])
    assert [answer.outcome for answer in answers] == [outcome for _, outcome in batch]
    assert answers[9].taken == 1
    assert answers[11].data == {**DATA, "n": 3}
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        assert await client.get_default_database()["sessions"].count_documents({}) == 8 + 1


@pytest.mark.parametrize(
    ("items", "outcome"),
    [
        ([When.of("n", 7), When.of("d.x", 1), Inc.of("n", 1)], Outcome.UNMET),
        ([When.of("n", 7), When.of("n", 7), Inc.of("n", 1)], Outcome.UNMET),
        ([When.of("d", {"x": 7}), When.of("d.x", 7), Inc.of("n", 1)], Outcome.UNMET),
        ([When.of("n", 7), Pull.of("l", 1)], Outcome.UNMET),
        ([Pull.of("l", 1), AddToSet.of("m", [1]), Inc.of("d", 1)], Outcome.REFUSED),
    ],
    ids=str,
)
async def test_an_update_that_asks_twice_about_one_place_and_misses_disturbs_nobody(
    store: MongoStore, items: list[Any], outcome: Outcome
) -> None:
    missing, other = [await started(store, DATA) for _ in range(2)]
    batch = [missing.update(*items), other.update(Inc.of("n", 1)), Holder().update(*items)]
    answers = await store.execute(batch)
    assert [answer.outcome for answer in answers] == [outcome, Outcome.DONE, Outcome.ABSENT]


@pytest.mark.parametrize("place", ["beside others", "alone"])
async def test_what_the_collection_forbids_is_refused_at_once_and_disturbs_nobody(
    store: MongoStore, url: str, place: str
) -> None:
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        await database["sessions"].create_index("data.email", unique=True, sparse=True)
        await database.command("collMod", "sessions", validator={"data.n": {"$not": {"$gt": 100}}})
    holder, other, _ = [await started(store, data) for data in (DATA, DATA, {"email": "a"})]
    for forbidden in (
        holder.update(Set.of("email", "a")),
        holder.update(Set.of("n", 101)),
        holder.update(AddToSet.of("l", [{"a": 1, "b": 2}]), Set.of("n", 101)),
        Holder().create({"email": "a"}),
        Holder().create({"n": 101}),
    ):
        if place == "alone":
            with pytest.raises(StoreUnavailable, match=r"code (11000|121)$"):
                await ask(store, forbidden)
            continue
        refused, done = await store.execute([forbidden, other.update(Inc.of("n", 1))])
        assert isinstance(refused.error, StoreUnavailable)
        assert done.outcome is Outcome.DONE
    assert (await ask(store, holder.load())).data == DATA


async def test_no_outcome_is_guessed_where_many_processes_write_the_same_sessions(url: str, store: MongoStore) -> None:
    holders = [await started(store, {"n": 0}) for _ in range(8)]
    others = [MongoStore(url) for _ in range(3)]
    done = [0] * 8

    async def work(one: MongoStore) -> None:
        for turn in range(25):
            places = [place for place in range(8) if turn % 3 or place % 2]
            guarded = [When.of("n", turn * 2)] if turn % 5 == 0 else []
            batch = [holders[place].update(*guarded, Inc.of("n", 1)) for place in places]
            for place, answer in zip(places, await one.execute(batch), strict=True):
                done[place] += answer.outcome is Outcome.DONE

    await asyncio.gather(*(work(one) for one in (store, *others)))
    looks = [await ask(store, holder.load()) for holder in holders]
    for one in others:
        await one.close()
    assert [look.data for look in looks] == [{"n": count} for count in done]
    assert sum(done) > 400


async def test_every_command_names_its_one_document_by_the_shard_key(store: MongoStore, log: Log) -> None:
    """With `sh.shardCollection("db.sessions", {_id: "hashed"})` each of them goes to one shard."""
    holders = [await started(store, DATA) for _ in range(3)]
    new = holders[1].renewed()
    for command in (
        holders[0].load(),
        holders[0].load(NOW + 2 * HOUR),
        holders[0].update(Inc.of("n", 1), now=NOW + 2 * HOUR),
        holders[0].update(AddToSet.of("l", [{"a": 1, "b": 2}]), now=NOW + 2 * HOUR),
        holders[0].touch(NOW + 2 * HOUR, max_age=HOUR),
        holders[1].rotate(new),
        new.destroy(),
        Destroy(holders[2].id, None, NOW),
    ):
        await ask(store, command)
    await store.execute([holder.update(Set.of("x", 1)) for holder in holders])
    await store.execute([holder.update(Take.of("x"), now=NOW + 2 * HOUR) for holder in holders])
    names = {next(iter(command)) for command in log.sent}
    assert names == {"insert", "find", "findAndModify", "update"}
    assert set(_keys(log.sent)) == {holder.id for holder in holders}


def _keys(sent: Sequence[dict[str, Any]]) -> list[Any]:
    """Return the `_id` that each statement asks for."""
    keys: list[Any] = []
    for command in sent:
        name = next(iter(command))
        if name == "insert":
            keys += [document.get("_id") for document in command["documents"]]
        elif name == "update":
            assert not any(statement.get("multi") for statement in command["updates"])
            keys += [statement["q"].get("_id") for statement in command["updates"]]
        elif name == "find" and isinstance(command["filter"].get("_id"), dict):
            keys += command["filter"]["_id"]["$in"]
        else:
            keys.append((command.get("filter") or command["query"]).get("_id"))
    return keys


async def test_a_login_that_waits_for_its_turn_in_vain_disturbs_nobody(url: str) -> None:
    """Another process may have died in the middle of a login of the same owner."""
    store = MongoStore(url, timeout=2)
    dispatcher = Dispatcher(store, 2)
    new, *others = [await started(store, {"n": 0}) for _ in range(6)]
    turn = {"_id": f"login:{hashlib.sha256(b'alice').hexdigest()}", "until": clock.now() + HOUR}
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        await client.get_default_database()["sessions"].insert_one(turn)
    login = new.rotate(new.renewed(), login=Login("alice", OwnerLimit(3, evict_oldest=True)))
    commands: list[Command] = [*[holder.update(Inc.of("n", 1)) for holder in others], login]
    asked = [dispatcher.submit(command) for command in commands]
    *done, refused = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer.outcome for answer in done if isinstance(answer, Answer)] == [Outcome.DONE] * 5
    assert isinstance(refused, StoreUnavailable)
    await dispatcher.close()


async def test_what_was_applied_beside_a_field_that_is_not_ours_is_not_told_as_left_alone(
    store: MongoStore, url: str
) -> None:
    spoilt, other = [await started(store, {"n": 0}) for _ in range(2)]
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        sessions = client.get_default_database()["sessions"]
        await sessions.update_one({"_id": spoilt.id}, {"$set": {"data.%zz": 1}})
        with pytest.raises(OutcomeUnknown, match="applied"):
            await ask(store, spoilt.update(Inc.of("n", 1)))
        batch = [spoilt.update(Inc.of("n", 1)), other.update(Inc.of("n", 1)), spoilt.update(Inc.of("n", 1))]
        answers = await store.execute(batch)
        found = await sessions.find_one({"_id": spoilt.id}) or {}
    assert [type(answer.error) for answer in answers] == [OutcomeUnknown, type(None), OutcomeUnknown]
    assert answers[1].outcome is Outcome.DONE
    assert found["data"]["n"] == 3


async def test_what_cannot_be_read_at_all_is_told_so_and_has_no_other_update_done_twice(
    store: MongoStore, url: str
) -> None:
    spoilt, *others = [await started(store, {"n": 0}) for _ in range(3)]
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        sessions = client.get_default_database()["sessions"]
        await sessions.update_one({"_id": spoilt.id}, {"$set": {"data.at": DatetimeMS(2**60)}})
    with pytest.raises(CorruptRecord):
        await ask(store, spoilt.load())
    with pytest.raises(OutcomeUnknown, match="applied"):
        await ask(store, spoilt.update(Inc.of("n", 1)))
    dispatcher = Dispatcher(store, 30.0)
    updates = [holder.update(Inc.of("n", 1)) for holder in (others[0], spoilt, others[1])]
    commands: list[Command] = [Holder().load(), *updates]
    results = await asyncio.gather(*map(dispatcher.submit, commands), return_exceptions=True)

    assert [type(result) for result in results] == [Answer, Answer, OutcomeUnknown, Answer]
    assert [(await ask(store, holder.load())).data for holder in others] == [{"n": 1}] * 2
    assert (await ask(store, Destroy(spoilt.id, None, NOW))).outcome is Outcome.DONE


async def test_a_corrupt_record_in_a_batch_fails_alone_and_once(store: MongoStore, url: str) -> None:
    holders = [await started(store, {"n": 0}) for _ in range(3)]
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    change = {"$set": {"data.%zz": 1}}
    await client.get_default_database()["sessions"].update_one({"_id": holders[1].id}, change)
    await client.close()
    dispatcher = Dispatcher(store, 20)
    commands: list[Command] = [
        holders[1].load(),
        *[holder.update(Inc.of("n", 1)) for holder in (holders[0], holders[2])],
    ]
    asked = [dispatcher.submit(command) for command in commands]
    results: list[Answer | BaseException] = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(results[0], CorruptRecord)
    assert [(await ask(store, holder.load())).data for holder in (holders[0], holders[2])] == [{"n": 1}] * 2
