"""
How commands travel: one alone in one trip, several in one unordered bulk write and one find.

The outcome of each statement of a bulk is certain.  Each is an upsert that would insert an `_id` other
than the one it asks for: one that matches is applied, one that does not is answered with an error
at its place (`failures.MISSED`), and nothing is ever inserted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from bson.errors import InvalidBSON
from pymongo import InsertOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, OperationFailure

from ...commands import Answer, Command, Create, Outcome, Update
from ...errors import AtomicSessionError, CorruptRecord, OutcomeUnknown, StoreUnavailable
from ...lifecycle import Fate, answers_of
from ...limits import Limits
from .documents import Document
from .failures import DUPLICATE, MISSED, REFUSALS, door
from .statements import Statement, answer_of, conclude, insertion, state

__all__ = ["Collection", "Trips"]

Collection: TypeAlias = AsyncCollection[Document]

Way: TypeAlias = Callable[[Command], Awaitable[Answer]]

_EXISTS = Answer(Outcome.EXISTS)
_NEVER = {"_id": 0}
_BY_ID = {"_id": 1}
_WITHOUT_DATA = {"data": False}
_NOTHING_BUT_ID = {"_id": True}


class _Work:
    """One command of a batch, and how far it is."""

    __slots__ = ("command", "fate", "statement")

    def __init__(self, command: Command, statement: Statement | None, answer: Answer | None) -> None:
        self.command = command
        self.statement = statement
        self.fate: Fate | None = answer


class Trips:
    """The trips that carry out one batch."""

    def __init__(self, collection: Collection, limits: Limits) -> None:
        self._collection = collection
        self._limits = limits

    async def carry_out(self, commands: Sequence[Command], apart: set[int], way: Way) -> list[Answer]:
        """Carry out *commands*, those of one session one after the other; those whose places are *apart* by a *way*."""
        fates: dict[int, Fate] = {}
        for wave in _waves(commands):
            together = [place for place in wave if place not in apart] if apart else wave
            found = await self._together([commands[place] for place in together])
            fates.update(zip(together, found, strict=True))
            if found and all(isinstance(fate, StoreUnavailable | OutcomeUnknown) for fate in found):
                break
            for place in apart.intersection(wave):
                fates[place] = await _fate_of(way(commands[place]))
        unsent = StoreUnavailable("not sent, since what was sent before it failed")
        return answers_of([fates.get(place, unsent) for place in range(len(commands))])

    async def look(self, command: Command) -> Answer | None:
        """Return what *command* is answered if it changes nothing, None if it would."""
        document = await self._find(command.id)
        if type(command) is Create:
            return None if document is None else _EXISTS
        concluded = conclude(command, document, self._limits)
        return concluded if isinstance(concluded, Answer) else None

    async def alone(self, command: Command) -> Answer:
        """Carry out one command: in one trip, unless its statement finds another document than it hopes for."""
        work = self._work(command)
        while work.fate is None:
            if work.statement is not None:
                work.fate = await self._send(command, work.statement)
            if work.fate is None:
                self._look_at(work, await self._find(command.id))
        if isinstance(work.fate, AtomicSessionError):
            raise work.fate
        return work.fate

    async def _together(self, commands: Sequence[Command]) -> list[Fate]:
        """Carry out *commands*, no two of them of one session."""
        if len(commands) == 1:
            return [await _fate_of(self.alone(commands[0]))]
        works = [self._work(command) for command in commands]
        for work in works:
            if work.statement is not None and work.statement.takes:
                work.statement = None  # a bulk does not tell what was there before
        open_works = [work for work in works if work.fate is None]
        while open_works:
            await self._round(open_works)
            open_works = [work for work in open_works if work.fate is None]
        return [work.fate for work in works if work.fate is not None]

    async def _round(self, works: Sequence[_Work]) -> None:
        hits: dict[str, Statement] = {}
        try:
            await self._write(works, hits)
            found = await self._find_all([work.command.id for work in works if work.fate is None])
        except (OutcomeUnknown, StoreUnavailable) as error:
            for work in works:
                if work.fate is None:
                    work.fate = OutcomeUnknown(error.reason) if work.command.id in hits else error
            return
        for work in works:
            if work.fate is None:
                document, statement = found.get(work.command.id), hits.get(work.command.id)
                if statement is None:
                    self._look_at(work, document)
                else:
                    work.fate = self._answered(work.command, statement, document)

    async def _write(self, works: Sequence[_Work], hits: dict[str, Statement]) -> None:
        """Send all statements together; those that matched come into *hits*, by the ids of their sessions."""
        sent = [(work, work.statement) for work in works if work.statement is not None]
        errors = await self._send_all([statement for _, statement in sent]) if sent else {}
        for place, (work, statement) in enumerate(sent):
            if place in errors:
                work.fate = _refused(statement, errors[place])
            else:
                hits[work.command.id] = statement
                work.fate = statement.answer

    def _work(self, command: Command) -> _Work:
        if type(command) is not Create:
            return _Work(command, state(command, self._limits), None)
        inserted = insertion(command, self._limits)
        if isinstance(inserted, Answer):
            return _Work(command, None, inserted)
        return _Work(command, inserted, None)

    def _look_at(self, work: _Work, document: Document | None) -> None:
        """Decide about a command whose statement matched nothing, or that needs a look first."""
        try:
            concluded = conclude(work.command, document, self._limits)
        except CorruptRecord as error:
            work.fate = error
            return
        if isinstance(concluded, Answer):
            work.fate = concluded
        else:
            work.statement = concluded

    def _answered(self, command: Command, statement: Statement, document: Document | None) -> Fate:
        """Return what becomes of a *command* whose statement matched."""
        try:
            return answer_of(command, statement, document, self._limits)
        except CorruptRecord as error:
            unknown = OutcomeUnknown(f"applied, but {error.reason}")
            unknown.__cause__ = error
            return unknown

    async def _send(self, command: Command, statement: Statement) -> Fate | None:
        """Send one statement and return what becomes of *command*; None where nothing matched."""
        try:
            with door(writing=True):
                if statement.update is None:
                    await self._collection.insert_one(statement.filter)
                    return statement.answer
                document = await self._collection.find_one_and_update(
                    statement.filter,
                    statement.update,
                    projection=_projection(command, statement),
                    return_document=ReturnDocument.BEFORE if statement.takes else ReturnDocument.AFTER,
                )
        except OperationFailure as error:
            return _refused(statement, error.details or {})
        except InvalidBSON:
            document = _unreadable(command.id)
        return None if document is None else self._answered(command, statement, document)

    async def _send_all(self, statements: Sequence[Statement]) -> dict[int, Document]:
        """Send *statements* together, and return the errors of those that did nothing by their places."""
        try:
            with door(writing=True):
                await self._collection.bulk_write([_request(statement) for statement in statements], ordered=False)
        except BulkWriteError as error:
            return _errors(error.details, len(statements))
        return {}

    async def _find(self, session_id: str) -> Document | None:
        try:
            with door(writing=False):
                return await self._collection.find_one({"_id": session_id})
        except InvalidBSON:
            return _unreadable(session_id)

    async def _find_all(self, ids: Sequence[str]) -> dict[str, Document]:
        if not ids:
            return {}
        try:
            with door(writing=False):
                found = self._collection.find({"_id": {"$in": list(ids)}}, batch_size=len(ids) + 1)
                documents = await found.to_list()
        except InvalidBSON:  # of one of them, which the driver does not name
            documents = [document for each in ids if (document := await self._find(each)) is not None]
        return {document["_id"]: document for document in documents}


async def _fate_of(asked: Awaitable[Answer]) -> Fate:
    try:
        return await asked
    except (CorruptRecord, OutcomeUnknown, StoreUnavailable) as error:
        return error


def _unreadable(session_id: str) -> Document:
    """Return what stands for a document that Python cannot read, such as one with a date of the year 20,000."""
    return {"_id": session_id}


def _waves(commands: Sequence[Command]) -> list[list[int]]:
    """Return places in *commands*, in groups with no two of one session; those of one session in order."""
    waves: list[list[int]] = []
    seen: dict[str, int] = {}
    for place, command in enumerate(commands):
        number = seen.get(command.id, 0)
        seen[command.id] = number + 1
        if number == len(waves):
            waves.append([])
        waves[number].append(place)
    return waves


def _request(statement: Statement) -> InsertOne[Document] | UpdateOne:
    if statement.update is None:
        return InsertOne(statement.filter)
    return UpdateOne(statement.filter, {**statement.update, "$setOnInsert": _NEVER}, upsert=True)


def _errors(details: Any, count: int) -> dict[int, Document]:
    """
    Return the errors of those of *count* statements that did nothing by their places.

    Raises:
        OutcomeUnknown: the server does not say of each what became of it.
    """
    errors = {error["index"]: error for error in details.get("writeErrors", ())}
    if details.get("writeConcernErrors") or details["nInserted"] + details["nMatched"] + len(errors) != count:
        codes = sorted({error["code"] for error in errors.values()})
        raise OutcomeUnknown(f"the server could not finish a batch, codes {codes}") from None
    return errors


def _refused(statement: Statement, error: Mapping[str, Any]) -> Fate | None:
    """Return what becomes of a *statement* that did nothing; None where it missed, or an operator does not fit."""
    code = error.get("code")
    if statement.update is None:
        if code == DUPLICATE and error.get("keyPattern", _BY_ID) == _BY_ID:
            return _EXISTS
    elif code in REFUSALS or code in MISSED:
        return None
    return StoreUnavailable(f"the server refuses it with code {code}")


def _projection(command: Command, statement: Statement) -> dict[str, bool] | None:
    if statement.answer is not None:
        return _NOTHING_BUT_ID
    return None if type(command) is Update else _WITHOUT_DATA
