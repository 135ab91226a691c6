"""What becomes of commands: one statement for all of them, and the few that take more."""

from __future__ import annotations

from collections.abc import Sequence

from ...commands import Answer, Command, Create, Load, Outcome, Update
from ...errors import AtomicSessionError, CorruptRecord, LimitExceeded, OutcomeUnknown, StoreUnavailable
from ...fields import decode_fields
from ...lifecycle import Fate, evicted, is_limited, login_of, perform
from ...limits import Limits
from ...values import encode_name
from .answers import AGAIN, UNTRIED, Row, answer_of, answer_of_plain, outcome_of, place_of, stored_of
from .compile import Request, arguments_of, put, request_of
from .plain import Batch, batch_of
from .schema import Queries
from .trips import Connection, Trips

__all__ = ["Work"]

_SLOW_TRIES = 200
"""How often the slow path is gone again because somebody else was quicker."""


class Work:
    """Carry out commands over *trips*."""

    def __init__(self, trips: Trips, queries: Queries, limits: Limits) -> None:
        self._trips = trips
        self._queries = queries
        self._limits = limits

    async def all_of(self, commands: Sequence[Command]) -> list[Fate]:
        """
        Carry out *commands* in one statement, unless limited logins are among them.

        Raises:
            StoreUnavailable, OutcomeUnknown, CorruptRecord: none of them was carried out, or any may have been.
        """
        batch = batch_of(commands, self._limits)
        if batch is not None:
            return await self._plainly(commands, batch)
        if any(map(is_limited, commands)):
            return await self._in_turn(commands)
        return await self._by_run(commands)

    async def _plainly(self, commands: Sequence[Command], batch: Batch) -> list[Fate]:
        """Carry out *commands*, which are a *batch* of plain updates; `run` knows why one was left out."""
        rows = await self._trips.fetch(self._queries[batch.query], batch.arguments, batch.updates[0].id)
        fates: dict[str, Fate] = {}
        for row in rows:
            update = batch.updates[place_of(row)]
            fates[update.id] = _plain_fate(update, row)
        if len(fates) < len(commands):
            left = [command for command in commands if command.id not in fates]
            fates.update(zip(map(_id_of, left), await self._left(left), strict=True))
        return [fates[command.id] for command in commands]

    async def _left(self, commands: Sequence[Command]) -> Sequence[Fate]:
        """Carry out what was left out: its neighbours are done, so whatever fails is its own fate."""
        try:
            return await self._by_run(commands)
        except CorruptRecord:
            return [await self._apart(command) for command in commands]
        except AtomicSessionError as error:
            return [error] * len(commands)

    async def _apart(self, command: Command) -> Fate:
        try:
            return (await self._by_run((command,)))[0]
        except AtomicSessionError as error:
            return error

    async def _by_run(self, commands: Sequence[Command]) -> list[Fate]:
        """Carry out *commands* of any kinds in one call of `run`."""
        fates: dict[int, Fate] = {}
        requests: dict[int, Request] = {}
        written = {command.id for command in commands if type(command) is not Load}
        for place in sorted(range(len(commands)), key=lambda place: commands[place].id):
            command = commands[place]
            try:
                requests[place] = request_of(command, self._limits, alone=command.id not in written)
            except LimitExceeded as error:
                fates[place] = Answer(Outcome.REFUSED, error=error)
        rows = await self._run(list(requests.values())) if requests else ()
        left: list[tuple[int, Row]] = []
        for place, row in zip(requests, rows, strict=True):
            if outcome_of(row) in (AGAIN, UNTRIED):
                left.append((place, row))
            else:
                fates[place] = self._fate(commands[place], row)
        for place, row in left:
            fates[place] = await self._later(commands[place], row)
        return [fates[place] for place in range(len(commands))]

    async def _in_turn(self, commands: Sequence[Command]) -> list[Fate]:
        """Carry out commands of which some are limited logins, each on its own."""
        fates: list[Fate] = []
        for command in commands:
            try:
                fates.append(await self._limited(command))
            except AtomicSessionError as error:
                fates.append(error)
        return fates

    async def _limited(self, command: Command) -> Fate:
        """
        Carry out a command; for a login that must find room, whoever gives way to it is destroyed with it.

        Raises:
            StoreUnavailable, OutcomeUnknown, CorruptRecord: it was not carried out, or may have been.
        """
        login = login_of(command)
        if login is None or login.limit is None:
            return (await self.all_of([command]))[0]
        owner, limit = encode_name(login.owner), login.limit
        try:
            request = request_of(command, self._limits, alone=False)
        except LimitExceeded as error:
            return Answer(Outcome.REFUSED, error=error)

        async def log_in(connection: Connection) -> Fate:
            others = await connection.fetchval(self._queries["take_turn"], owner, command.id, command.now)
            (row,) = await connection.fetch(self._queries["run"], *arguments_of([request], self._limits))
            fate = self._fate(command, row)
            if isinstance(fate, Answer) and fate.outcome is Outcome.DONE:
                going = evicted(limit, others)
                if going:
                    await connection.execute(self._queries["bury"], list(going), command.now)
            return fate

        try:
            fate: Fate = await self._trips.transact(log_in, command.id)
        except LimitExceeded as error:
            return Answer(Outcome.REFUSED, error=error)
        return fate

    async def _run(self, requests: Sequence[Request]) -> Sequence[Row]:
        arguments = arguments_of(requests, self._limits)
        return await self._trips.fetch(self._queries["run"], arguments, requests[0].id)

    def _fate(self, command: Command, row: Row) -> Fate:
        if type(command) is Create and outcome_of(row) == 0:
            return perform(command, None, self._limits)[1]
        try:
            return answer_of(command, row)
        except (CorruptRecord, OutcomeUnknown) as error:
            return error

    async def _later(self, command: Command, row: Row) -> Fate:
        """Carry out what the batch left: the neighbours are done, so whatever fails is this one's own fate."""
        try:
            if outcome_of(row) == AGAIN and type(command) is Update:
                return await self._slowly(command, row)
        except AtomicSessionError as error:
            return error
        return await self._apart(command)

    async def _slowly(self, command: Update, row: Row) -> Fate:
        """Apply to what the server found, and put it back if nobody has changed the data since; else try again."""
        for _ in range(_SLOW_TRIES):
            before = stored_of(command.id, row)
            after, answer = perform(command, before, self._limits)
            if after is None or after is before:
                return answer
            (row,) = await self._run([put(command, before.record.rev, decode_fields(after.raw))])
            if outcome_of(row) == 0:
                return _put_answer(answer, answer_of(command, row))
            if outcome_of(row) != AGAIN:
                return self._fate(command, row)
        return StoreUnavailable("others change this session all the time")


def _id_of(command: Command) -> str:
    return command.id


def _plain_fate(update: Update, row: Row) -> Fate:
    try:
        return answer_of_plain(update, row)
    except OutcomeUnknown as error:
        return error


def _put_answer(applied: Answer, stored: Answer) -> Answer:
    """Return the answer to an update that was applied here, with the record that the server has made."""
    return Answer(
        applied.outcome, stored.record, applied.data, applied.whole, applied.raw, applied.taken, stored.renewed
    )
