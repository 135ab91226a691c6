"""Stores with one fault each, all of them faults that real stores have had: the suite has to find every one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from tests.harnesses.outside import OutsideStore, Server, live_of, row, stored

from atomic_session import clock
from atomic_session.clock import Instant
from atomic_session.commands import Answer, Command, Create, Destroy, Load, Outcome, Rotate, Touch, Update
from atomic_session.errors import CorruptRecord
from atomic_session.lifecycle import Stored, tombstone
from atomic_session.limits import DEFAULT_LIMITS
from atomic_session.operators import Pull, PullAll, Set
from atomic_session.record import new_record
from atomic_session.store import Store
from atomic_session.testing.holder import LIFETIMES
from atomic_session.values import MISSING, decode

Rows = dict[str, bytes]


def changed(command: Command, **attributes: Any) -> Command:
    return msgspec.structs.replace(command, **attributes)


class Broken(OutsideStore):
    """Has no fault yet."""

    async def _carry_out(self, rows: Rows, command: Command) -> Answer:
        found = rows.get(command.id)
        if found is not None:
            command = self._before(command, stored(found), rows)
        answer = await super()._carry_out(rows, command)
        kept = rows.get(command.id)
        if kept is not None:
            answer = self._after(command, answer, stored(kept), rows)
        return answer

    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        """Spoil a command on what is there."""
        return command

    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        """Spoil what is kept, or the answer."""
        return answer


class UpsertsUpdates(Broken):
    async def _carry_out(self, rows: Rows, command: Command) -> Answer:
        if type(command) is Update and command.id not in rows:
            record = new_record(command.id, command.digest, command.now, command.lifetimes)
            rows[command.id] = row(Stored(record, b"{}"))
        return await super()._carry_out(rows, command)


class IgnoresDigests(Broken):
    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        return command if isinstance(command, Create) else changed(command, digest=kept.record.digest)


class SavesWholeSessions(Broken):
    """Loads, changes and saves, without holding anything in between: the last writer wins."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        rows = dict(self._server.rows)
        answers = [await self._carry_out(rows, command) for command in commands]
        self._server.rows.update({command.id: rows[command.id] for command in commands if command.id in rows})
        return answers


class ForgetsTombstones(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if kept.record.destroyed:
            del rows[command.id]
        return answer


class ForgetsRotations(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if type(command) is Rotate:
            rows[command.id] = row(Stored(changed_record(kept, previous_digest=None), kept.raw))
        return answer


class LetsRotatedTokensIn(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if type(command) is Rotate and answer.outcome is Outcome.DONE:
            late = kept.record.previous_until
            rows[command.id] = row(Stored(changed_record(kept, grace_until=late), kept.raw))
        return answer


class ComparesLoosely(Broken):
    """Finds equal what `==` does: True is 1 to it."""

    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        if type(command) is not Update:
            return command
        data: Any = decode(kept.raw)
        items = [
            PullAll(item.path, (item.value, *[value for value in data.get(item.path[0], []) if value == item.value]))
            if isinstance(item, Pull)
            else item
            for item in command.update.operators
        ]
        return changed(command, update=msgspec.structs.replace(command.update, operators=tuple(items)))


class KeepsNumbersAsDoubles(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        data = json.loads(kept.raw, parse_int=lambda text: int(float(text)))
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
        rows[command.id] = row(Stored(kept.record, text))
        return answer


class TurnsEmptyDictsIntoLists(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        rows[command.id] = row(Stored(kept.record, kept.raw[:1] + kept.raw[1:].replace(b"{}", b"[]")))
        return answer


class JoinsNamesWithDots(Broken):
    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        if type(command) is not Update:
            return command
        items = [
            Set(tuple(".".join(item.path).split(".")), item.value) if isinstance(item, Set) else item
            for item in command.update.operators
        ]
        return changed(command, update=msgspec.structs.replace(command.update, operators=tuple(items)))


class AppliesHalfUpdates(Broken):
    """Carries out the operators one by one, up to the one that does not fit."""

    async def _carry_out(self, rows: Rows, command: Command) -> Answer:
        if type(command) is not Update or len(command.update.operators) < 2:
            return await super()._carry_out(rows, command)
        answers = []
        for item in command.update.operators:
            one = msgspec.structs.replace(command.update, operators=(item,))
            answers.append(await super()._carry_out(rows, changed(command, update=one)))
            if answers[-1].outcome is not Outcome.DONE:
                break
        return answers[-1]


class NeverCaps(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if type(command) is Touch and answer.outcome is Outcome.DONE:
            idle = command.now + command.lifetimes.max_age
            rows[command.id] = row(Stored(changed_record(kept, idle_deadline=idle, absolute_deadline=None), kept.raw))
        return answer


class RenewsAtEveryRead(Broken):
    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        if type(command) is Load:
            rows[command.id] = row(Stored(changed_record(kept, renew_at=0), kept.raw))
        return command


class ExpiresLate(Broken):
    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        return changed(command, now=command.now - 1)


class ReadsItsOwnClock(Broken):
    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        return changed(command, now=clock.now())


class Overwrites(Broken):
    async def _carry_out(self, rows: Rows, command: Command) -> Answer:
        if type(command) is Create:
            rows.pop(command.id, None)
        return await super()._carry_out(rows, command)


class AnswersTooLittle(Broken):
    """Brings the touched fields, whether the caller knows the others or not."""

    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        found = answer.opened().data
        if type(command) is not Update or found is None or command.update.fields is None:
            return answer
        data = {name: found[name] for name in command.update.fields if name in found}
        return msgspec.structs.replace(answer, data=data, raw=None, whole=False)


class GivesStaleText(Broken):
    """Answers with the new data, and with the text of the old."""

    def _before(self, command: Command, kept: Stored, rows: Rows) -> Command:
        self._stale = kept.raw
        return command

    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        return msgspec.structs.replace(answer, raw=self._stale) if type(command) is Update and answer.whole else answer


class TakesNoneForMissing(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        return msgspec.structs.replace(answer, taken=None if answer.taken is MISSING else answer.taken)


class CountsRevAtTouch(Broken):
    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if type(command) is Touch and answer.outcome is Outcome.DONE:
            rows[command.id] = row(Stored(changed_record(kept, rev=kept.record.rev + 1), kept.raw))
        return answer


class SharesItsAnswers(Broken):
    """Keeps what it has decoded, and gives the very same objects to everybody."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._decoded: dict[bytes, Any] = {}

    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if not answer.whole:
            return answer
        return msgspec.structs.replace(answer, data=self._decoded.setdefault(row(kept), answer.opened().data))


class CountsOwnersEarly(Broken):
    """Counts an owner's sessions before it has the lock."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        self._seen = dict(self._server.rows)
        await asyncio.sleep(0)
        return await super().execute(commands)

    def _make_room(self, rows: Rows, command: Command) -> None:
        super()._make_room(dict(self._seen), command)


class SweepsWithoutLock(Broken):
    """Looks for an owner's sessions, and ends them as it saw them, whatever happened to them meanwhile."""

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        rows = dict(self._server.rows)
        ended = [record for record in live_of(rows, owner, now) if record.id != keep]
        for record in ended:
            await asyncio.sleep(0)
            rows[record.id] = row(Stored(tombstone(record, now), b"{}"))
        self._server.rows = rows
        return len(ended)


class SweepsByTheFirstDeadline(Broken):
    """Remembers when a session was to end when it began, and sweeps it then."""

    async def purge(self, now: Instant, limit: int) -> int:
        rows = self._server.rows
        over = [key for key, kept in rows.items() if stored(kept).record.created + LIFETIMES.max_age <= now][:limit]
        for key in over:
            del rows[key]
        return len(over)


class AppliesHalfWhenCancelled(Broken):
    """Has a lane of its own for each command, and notices between two operators that nobody waits any more."""

    lanes = 0

    async def _carry_out(self, rows: Rows, command: Command) -> Answer:
        if type(command) is not Update or len(command.update.operators) < 2:
            return await super()._carry_out(rows, command)
        first, *others = command.update.operators
        one = msgspec.structs.replace(command.update, operators=(first,))
        await super()._carry_out(rows, changed(command, update=one))
        self._server.rows = dict(rows)
        rest = msgspec.structs.replace(command.update, operators=tuple(others))
        return await super()._carry_out(rows, changed(command, update=rest))


class KeepsHalfBatches(Broken):
    """Where one command of a batch fails, those before it stay applied, and are applied again."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        async with self._server.lock:
            return [await self._carry_out(self._server.rows, command) for command in commands]


class StopsAtRefusals(Broken):
    """Rolls a whole batch back when one of its commands is refused."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        before = self._server.rows
        answers = await super().execute(commands)
        if any(answer.outcome is Outcome.REFUSED for answer in answers):
            self._server.rows = before
        return answers


class MixesUpItsAnswers(Broken):
    """Answers in the order of ids, as a query for several rows does."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        answers = await super().execute(commands)
        order = sorted(range(len(commands)), key=lambda place: commands[place].id)
        return [answers[place] for place in order]


class TakesCorruptForEmpty(Broken):
    async def _carry_out(self, rows: Rows, command: Command) -> Answer:
        try:
            return await super()._carry_out(rows, command)
        except CorruptRecord:
            rows[command.id] = row(Stored(stored(rows[command.id]).record, b"{}"))
            return await super()._carry_out(rows, command)


class LeavesDestroyedListed(Broken):
    """Forgets to take a destroyed session off its owner's list."""

    def _after(self, command: Command, answer: Answer, kept: Stored, rows: Rows) -> Answer:
        if type(command) is Destroy and answer.outcome is Outcome.DONE:
            rows[command.id] = row(Stored(changed_record(kept, owner="alice"), kept.raw))
        return answer


def changed_record(kept: Stored, **attributes: Any) -> Any:
    return msgspec.structs.replace(kept.record, **attributes)


class BrokenHarness:
    """Makes stores of one broken kind."""

    limits = DEFAULT_LIMITS

    def __init__(self, kind: type[Broken]) -> None:
        self._kind = kind

    async def make(self) -> Store:
        self._server = Server()
        return await self.another()

    async def another(self) -> Store:
        return self._kind(self._server)

    async def corrupt(self, session_id: str) -> None:
        record = stored(self._server.rows[session_id]).record
        self._server.rows[session_id] = row(Stored(record, b'{"n":'))
