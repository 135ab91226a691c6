"""What becomes of a command: one trip, and the few that take more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ...commands import Answer, Command, Create, Login, Outcome, Rotate, Update
from ...errors import AtomicSessionError, CorruptRecord, LimitExceeded, OutcomeUnknown, StoreUnavailable
from ...fields import encode_fields
from ...lifecycle import Fate, Stored, is_limited, login_of, perform
from ...limits import Limits
from .answers import AGAIN, answer_of
from .compile import compile_command
from .failures import refused
from .locks import SessionLocks, takes_several
from .owners import SLACK, Owners, stay_of
from .records import HOT, STATIC, Kept, Texts, hot_of, kept_of, ours_of, size_of, texts_in, texts_in_raw
from .scripts import CREATE, REPLACE
from .servers import Reply, Request, plain, running
from .updates import pack_update
from .wire import Part

__all__ = ["Work"]

Send: TypeAlias = Callable[[Sequence[Request]], Awaitable[list[Reply]]]

_SLOW_TRIES = 200
"""How often the slow path is gone again because somebody else was quicker."""


class Work:
    """Carry out commands; *send* makes a trip and never raises."""

    def __init__(self, send: Send, key_of: Callable[[str], bytes], owners: Owners, limits: Limits) -> None:
        self._send = send
        self.key_of = key_of
        self._owners = owners
        self._limits = limits
        self._locks = SessionLocks()

    def one(self, command: Command) -> Awaitable[Fate]:
        """
        Carry out *command*, after those on its session that were asked for before.

        The server keeps their order where each takes one trip.  One that may take several holds up
        those that come after it.
        """
        if self._locks or takes_several(command):
            return self._in_turn(command)
        return self._carried_out(command)

    async def _in_turn(self, command: Command) -> Fate:
        async with self._locks.of(command.id, waits=takes_several(command)):
            return await (self.limited(command) if is_limited(command) else self._carried_out(command))

    async def _carried_out(self, command: Command) -> Fate:
        login = login_of(command)
        try:
            request = self._request(command)
        except LimitExceeded as error:
            return Answer(Outcome.REFUSED, error=error)
        if login is not None and (problem := await self._announced(command, login)) is not None:
            return problem
        (reply,) = await self._send((request,))
        if type(command) is Update and _is_left_to_us(reply):
            fate = await self._slowly(command, reply[0])
        else:
            fate = self._fate(command, reply)
        if type(fate) is Answer and fate.renewed and fate.record is not None:
            await self._owners.refresh(fate.record, command.now)
        if login is not None and _failed(fate):
            await self._owners.give_up(login.owner, command.id)
        return fate

    async def limited(self, command: Command) -> Fate:
        """Carry out a login that must find room; whoever gives way to it is destroyed once it is done."""
        login = login_of(command)
        if login is None or login.limit is None:
            return await self._carried_out(command)
        try:
            going = await self._owners.admit(login.owner, command.id, login.limit, command.now, _stay(command))
        except LimitExceeded as error:
            return await self._full(command, error)
        except AtomicSessionError as error:
            return _as_unavailable(error)
        (reply,) = await self._send([self._request(command)])
        fate = self._fate(command, reply)
        try:
            return await self._seated(command, login, fate, going)
        except (CorruptRecord, OutcomeUnknown, StoreUnavailable) as error:
            return OutcomeUnknown(error.reason)  # the login is done; who should have given way may live on

    async def _seated(self, command: Command, login: Login, fate: Fate, going: Sequence[str]) -> Fate:
        owner, now = login.owner, command.now
        if isinstance(fate, Answer) and fate.outcome is Outcome.DONE and fate.record is not None:
            await self._owners.bury(owner, going, now)
            if not await self._owners.settle(owner, command.id, stay_of(fate.record, now)):
                await self._owners.bury(owner, [command.id], now)
        elif _failed(fate):
            await self._owners.restore(owner, going, _stay(command))
            await self._owners.give_up(owner, command.id)
        return fate

    async def _full(self, command: Command, error: LimitExceeded) -> Fate:
        """Refuse a login for want of room, unless it would have failed all the same."""
        kept = await self._kept(command)
        if isinstance(kept, AtomicSessionError):
            return _as_unavailable(kept)
        try:
            _, answer = perform(command, None if kept is None else kept.stored, self._limits)
        except CorruptRecord as corrupt:
            return corrupt
        return Answer(Outcome.REFUSED, error=error) if answer.outcome is Outcome.DONE else answer

    async def _announced(self, command: Command, login: Login) -> AtomicSessionError | None:
        """Write a login into its owner's list; return why it cannot be."""
        try:
            await self._owners.announce(login.owner, command.id, command.now, _stay(command))
        except AtomicSessionError as error:
            return _as_unavailable(error)
        return None

    def _request(self, command: Command) -> Request:
        """
        Return the request that carries out *command*.

        Raises:
            LimitExceeded: it creates what is too large.
        """
        key = self.key_of(command.id)
        if type(command) is Update:
            return Request(key, pack_update(command, key, self._limits))
        if type(command) is not Create:
            script, arguments = compile_command(command)
            return running(script, key, arguments)
        texts = texts_in_raw(encode_fields(command.data, self._limits))
        fields = {**ours_of(command.record, size_of(texts)), **texts}
        stay = command.record.idle_deadline - command.now + SLACK
        return running(CREATE, key, [stay, *_flat(fields)])

    def _fate(self, command: Command, reply: Reply) -> Fate:
        """Return what a reply means that is the last one."""
        if isinstance(reply, Exception):
            return _fate_of(reply, command)
        if type(command) is Create:
            return perform(command, None, self._limits)[1] if reply == 1 else Answer(Outcome.EXISTS)
        try:
            return answer_of(command, reply)
        except (CorruptRecord, OutcomeUnknown) as error:
            return error

    async def _slowly(self, command: Update, flat: Sequence[bytes]) -> Fate:
        """Apply to what the script found, and replace if nobody has touched the record since; else load it again."""
        kept = _kept_in(command, flat)
        for _ in range(_SLOW_TRIES):
            if isinstance(kept, AtomicSessionError):
                return _as_unavailable(kept)
            before = None if kept is None else kept.stored
            try:
                after, answer = perform(command, before, self._limits)
            except CorruptRecord as error:
                return error
            if kept is None or after is None or after is before:
                return answer
            (reply,) = await self._send([self._replacement(kept, after, command.now)])
            if reply == 1:
                return answer
            if isinstance(reply, Exception):
                return _fate_of(reply, command)
            kept = await self._kept(command)
        return StoreUnavailable("others change this session all the time")

    def _replacement(self, kept: Kept, after: Stored, now: int) -> Request:
        old, new = texts_in(kept.fields), texts_in_raw(after.raw)
        gone = [name for name in old if name not in new]
        changed = {HOT: hot_of(after.record, size_of(new))}
        changed |= {name: text for name, text in new.items() if old.get(name) != text}
        guard: list[Part] = [kept.fields[HOT], kept.fields[STATIC], after.record.idle_deadline - now + SLACK]
        return running(REPLACE, self.key_of(after.record.id), [*guard, len(gone), *gone, *_flat(changed)])

    async def _kept(self, command: Command) -> Kept | AtomicSessionError | None:
        (reply,) = await self._send([plain("HGETALL", self.key_of(command.id))])
        if isinstance(reply, Exception):
            return _fate_of(reply, command)
        return _kept_in(command, _flattened(reply))


def _is_left_to_us(reply: Reply) -> bool:
    """Say whether a script asks for the slow path."""
    return type(reply) is list and reply[-1] == AGAIN


def _fate_of(reply: Exception, command: Command) -> AtomicSessionError:
    return reply if isinstance(reply, AtomicSessionError) else refused(reply, command.id)


def _kept_in(command: Command, flat: Sequence[bytes]) -> Kept | AtomicSessionError | None:
    try:
        return kept_of(command.id, flat)
    except CorruptRecord as error:
        return error


def _failed(fate: Fate) -> bool:
    """Say whether it is certain that nothing happened."""
    return not isinstance(fate, OutcomeUnknown) and not (isinstance(fate, Answer) and fate.outcome is Outcome.DONE)


def _as_unavailable(error: AtomicSessionError) -> AtomicSessionError:
    """Return what an error before the command itself means to it: nothing happened."""
    return StoreUnavailable(error.reason) if isinstance(error, OutcomeUnknown) else error


def _stay(command: Command) -> int:
    """Return how many milliseconds a session may live after a login without a renewal, by what is known before it."""
    now = command.now
    if type(command) is Create:
        return stay_of(command.record, now)
    if type(command) is not Rotate:
        return 0
    return command.lifetimes.renew_at(now, None) - now + command.lifetimes.max_age


def _flat(fields: Texts) -> list[Part]:
    return [part for pair in fields.items() for part in pair]


def _flattened(reply: Reply) -> Sequence[bytes]:
    """Return names and values in turn, which the newer protocol sends as a map."""
    return [part for pair in reply.items() for part in pair] if isinstance(reply, dict) else reply
