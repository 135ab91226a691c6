"""
What one request knows of its session's record, and the commands that it sends about it.

Rule 1: one command of a request is under way at a time.
Rule 2: a delta counts as sent once it may have been applied, so that it is never applied twice.
Rule 3: a cookie changes only after the store has said that the change is done.
"""

from __future__ import annotations

import asyncio
from typing import Any

from . import commands
from .commands import Answer, Command, Login, Outcome
from .delta import DeltaTracker
from .dispatcher import Dispatcher
from .errors import (
    ConflictingUpdate,
    LimitExceeded,
    OperatorError,
    OutcomeUnknown,
    ResponseStarted,
    SessionGone,
    StoreUnavailable,
)
from .events import emit
from .operators import Update, apply, chain
from .record import Record, new_record
from .settings import Settings
from .snapshot import Frozen
from .token import Token, new_token, renew_token
from .values import Value, check_value

__all__ = ["Exchange"]

_NOTHING: Frozen = {}
_ID_DRAWS = 3
"""A second draw is not expected in the lifetime of the universe; a third says that the source is broken."""


class Exchange:
    """
    One request's dealings with the store.

    *view* is always the dict that the application sees.

    Attributes:
        token: what opens the session; None while there is none.
        record: the record as last seen; None before the first answer.
        tracker: what plain dict code changed.
        gone: why the session is over for this request; None while it is not.
        cookie: what the response is to do with the cookie: "set", "clear" or None.
        started: the response has begun, so that no cookie can be sent any more.
        max_age: the idle time (milliseconds) to create the session with; None for the settings'.
    """

    __slots__ = (
        "_arrived",
        "_dispatcher",
        "_resign",
        "_settings",
        "_stale",
        "_turn",
        "cookie",
        "gone",
        "max_age",
        "record",
        "started",
        "token",
        "tracker",
    )

    def __init__(
        self, settings: Settings, dispatcher: Dispatcher, token: Token | None, *, resign: bool, started: bool
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._turn = asyncio.Lock()
        self._resign = resign
        self._stale = False
        self._arrived: Answer | None = None
        self.token = token
        self.tracker = DeltaTracker(settings.limits)
        self.record: Record | None = None
        self.gone: Outcome | None = None
        self.cookie: str | None = None
        self.started = started
        self.max_age: int | None = None

    # What a request may ask, one at a time.

    def settle(self, view: dict[str, Any]) -> bool:
        """Make *view* readable if that takes no trip, and say whether it is."""
        tracker = self.tracker
        if tracker.loaded:
            return True
        arrived = self._arrived
        if arrived is not None and arrived.data is not None:
            tracker.reset(view, arrived.data, arrived.raw)
            self._arrived = None
        elif self.token is None:
            tracker.reset(view, {})
        return tracker.loaded

    async def load(self, view: dict[str, Any], *, fresh: bool) -> None:
        if self.settle(view) and not self._stale and not fresh:
            return
        async with self._turn:
            if not self.settle(view) or self._stale or fresh:
                await self._fetch(view)

    async def update(self, view: dict[str, Any], update: Update) -> Answer:
        async with self._turn:
            await self._become_current(view)
            if self.token is not None:
                answer = await self._update_with_delta(view, update)
                if self.token is not None:
                    return answer
            return await self._create_by(view, update)

    async def commit(self, view: dict[str, Any], *, renew: bool) -> None:
        """Send the delta; one that finds its session gone is dropped."""
        if not renew and not self.tracker.is_changed(view):
            return
        async with self._turn:
            try:
                await self._commit(view, renew=renew)
            except SessionGone as error:
                emit("delta_dropped", error.session_id)

    async def touch(self, view: dict[str, Any], max_age: int | None) -> None:
        async with self._turn:
            await self._become_current(view)
            await self._touch(view, max_age)

    async def rotate(self, view: dict[str, Any], grace: int) -> None:
        if self.started:
            raise ResponseStarted("rotate the session")
        async with self._turn:
            await self._become_current(view)
            if self.token is not None:
                await self._rotate(view, self.token, grace, None)
                self._raise_if_gone()

    async def login(self, view: dict[str, Any], owner: str) -> None:
        if self.started:
            raise ResponseStarted("log in")
        async with self._turn:
            if self.gone is not None and self.gone is not Outcome.ROTATED:
                self._start_over(view)
            await self._become_current(view)
            if self.token is not None:
                await self._send_delta(view)
                await self._rotate(view, self.token, 0, Login(owner, self._settings.owner_limit))
                if self.gone is Outcome.ROTATED:
                    self._raise_if_gone()
                if self.gone is not None:
                    self._start_over(view)
            if self.token is None:
                await self._create(view, self._local(view), owner)
            emit("session_login", self._id)

    async def destroy(self, view: dict[str, Any]) -> None:
        async with self._turn:
            if self.gone is Outcome.ROTATED:
                self._raise_if_gone()
            elif self.token is None or self.gone is not None:
                self.tracker.reset(view, {})
            elif (await self._destroy(view, self.token)) is Outcome.ROTATED:
                self._raise_if_gone()

    async def regenerate(self, view: dict[str, Any]) -> None:
        if self.started:
            raise ResponseStarted("regenerate the session")
        async with self._turn:
            if self.token is not None:
                if self.gone is None:
                    await self._destroy(view, self.token)
                self.cookie = "clear"
            self._start_over(view)

    # How it is done, under the turn.

    @property
    def _id(self) -> str:
        return "" if self.token is None else self.token.id

    def _raise_if_gone(self) -> None:
        if self.gone is not None:
            raise SessionGone(self._id)

    async def _become_current(self, view: dict[str, Any]) -> None:
        """Be ready to write: a session that is gone is refused, a stale one is read again."""
        if self.gone is not None:
            emit("write_after_destroy", self._id)
        self._raise_if_gone()
        self.settle(view)
        if self._stale:
            await self._fetch(view)
            self._raise_if_gone()

    async def _fetch(self, view: dict[str, Any]) -> None:
        if self.token is None or self.gone is not None:
            self.settle(view)
            return
        lifetimes = self._settings.lifetimes
        load = commands.Load(self.token.id, self.token.digest, self._settings.clock(), lifetimes)
        answer = await self._submit(view, load)
        self._stale = False
        if answer.data is not None:
            self.tracker.absorb(view, None, answer.data, answer.raw)
        self.settle(view)

    async def _update_with_delta(self, view: dict[str, Any], update: Update) -> Answer:
        joined = self._joined(view, update)
        if joined is None:
            await self._send_delta(view)
            joined = update
        answer = await self._send(view, joined)
        if answer.outcome is Outcome.REFUSED and joined is not update:
            await self._send_delta(view)  # what was refused may be of the delta, which has a way out
            answer = await self._send(view, update)
        if answer.error is not None:
            raise answer.error
        return answer

    def _joined(self, view: dict[str, Any], update: Update) -> Update | None:
        """Return delta and *update* as one, or None where they cannot be one."""
        delta = self.tracker.operators(view)
        if not delta:
            return update
        joined = Update(delta)
        try:
            for item in (*update.guards, *update.operators):
                joined = chain(joined, item, self._settings.limits)
        except (ConflictingUpdate, LimitExceeded, OperatorError):
            return None
        return joined

    async def _send(self, view: dict[str, Any], update: Update) -> Answer:
        """Send *update*, which has the delta in it, and take over what comes back."""
        token = self.token
        if token is None:
            raise RuntimeError("there is no session to update")
        known = self.record.rev if self.record is not None and self.tracker.loaded else None
        carried = self.tracker.freeze(view)
        settings = self._settings
        command = commands.Update(token.id, token.digest, settings.clock(), settings.lifetimes, update, known)
        answer = await self._submit(view, command, carried)
        if answer.outcome is Outcome.DONE:
            self.tracker.mark_sent(carried)
        if answer.data is not None and self.tracker.loaded:
            self.tracker.absorb(view, None if answer.whole else update.fields, answer.data)
        elif answer.data is not None:
            self._arrived = answer
        self._raise_if_gone()
        return answer

    async def _commit(self, view: dict[str, Any], *, renew: bool) -> None:
        if self.gone is not None:
            dict.clear(view)
            self._raise_if_gone()
        if self.token is None:
            local = self._local(view)
            if local:
                await self._create(view, local, None)
        elif self.tracker.is_changed(view):
            await self._send_delta(view)
        elif renew:
            await self._touch(view, None)

    async def _send_delta(self, view: dict[str, Any]) -> None:
        delta = self.tracker.operators(view)
        if not delta:
            return
        answer = await self._send(view, Update(delta))
        if isinstance(answer.error, OperatorError):
            answer = await self._send(view, Update(self.tracker.whole_fields(view)))
        if answer.error is not None:
            raise answer.error

    async def _touch(self, view: dict[str, Any], max_age: int | None) -> None:
        if self.token is None:
            self.max_age = self.max_age if max_age is None else max_age
            return
        settings = self._settings
        touch = commands.Touch(self.token.id, self.token.digest, settings.clock(), settings.lifetimes, max_age)
        await self._submit(view, touch)
        self._raise_if_gone()

    async def _rotate(self, view: dict[str, Any], old: Token, grace: int, login: Login | None) -> None:
        new = renew_token(old.id)
        settings = self._settings
        now = settings.clock()
        rotate = commands.Rotate(old.id, old.digest, now, settings.lifetimes, new.digest, grace, login)
        answer = await self._submit(view, rotate)
        if answer.error is not None:
            raise answer.error
        if answer.outcome is Outcome.DONE:
            self.token = new
            self.cookie = "set"
            emit("session_rotated", new.id)

    async def _destroy(self, view: dict[str, Any], token: Token) -> Outcome:
        answer = await self._submit(view, commands.Destroy(token.id, token.digest, self._settings.clock()))
        if answer.outcome is not Outcome.ROTATED:
            self.token = token
            self._lose(view, Outcome.DESTROYED)
            self.cookie = None if self.started else "clear"
            emit("session_destroyed", token.id)
        return answer.outcome

    async def _create_by(self, view: dict[str, Any], update: Update) -> Answer:
        """Create the session that *update* makes out of nothing; what makes nothing creates nothing."""
        applied = apply(self._local(view), update, self._settings.limits)
        if applied is None:
            return Answer(Outcome.UNMET)
        if applied.data:
            await self._create(view, applied.data, None)
        else:
            self.tracker.reset(view, {})
        return Answer(Outcome.DONE, taken=applied.taken)

    async def _create(self, view: dict[str, Any], data: dict[str, Value], owner: str | None) -> None:
        if self.started:
            raise ResponseStarted("create a session")
        self.settle(view)
        carried = self.tracker.freeze(view)
        settings = self._settings
        for _ in range(_ID_DRAWS):
            token = new_token()
            now = settings.clock()
            record = new_record(token.id, token.digest, now, settings.lifetimes, max_age=self.max_age, owner=owner)
            answer = await self._submit(view, commands.Create(record, data, now, settings.owner_limit))
            if answer.outcome is not Outcome.EXISTS:
                break
        if answer.error is not None:
            raise answer.error
        if answer.data is None:
            raise StoreUnavailable("every new session id was taken already")
        self.token = token
        self.cookie = "set"
        self.tracker.mark_sent(carried)
        self.tracker.absorb(view, None, answer.data)
        emit("session_created", token.id)

    def _local(self, view: dict[str, Any]) -> dict[str, Value]:
        """Return what the view of a session without a record holds, clean."""
        if not self.tracker.loaded:
            return {}
        limits = self._settings.limits
        return {name: check_value(value, (name,), limits) for name, value in dict.items(view)}

    async def _submit(self, view: dict[str, Any], command: Command, carried: Frozen = _NOTHING) -> Answer:
        try:
            answer = await self._dispatcher.submit(command)
        except (asyncio.CancelledError, OutcomeUnknown):
            self._stale = self.token is not None
            self.tracker.mark_sent(carried)
            raise
        if answer.record is not None:
            self.record = answer.record
        if answer.outcome is Outcome.DONE:
            self._renew_cookie(answer)
        elif answer.outcome is Outcome.ABSENT and self.record is None:
            emit("unknown_token", command.id)
            self.token = None
        elif answer.outcome in (Outcome.ABSENT, Outcome.DESTROYED, Outcome.ROTATED):
            self._lose(view, answer.outcome)
        return answer

    def _renew_cookie(self, answer: Answer) -> None:
        if self.started or answer.record is None:
            return
        persistent = self._settings.persistent or answer.record.max_age is not None
        if self._resign or (answer.renewed and persistent):
            self._resign = False
            self.cookie = "set"

    def _lose(self, view: dict[str, Any], why: Outcome) -> None:
        """The session is over: it reads as empty, and what was not sent yet is dropped."""
        if self.tracker.is_changed(view):
            emit("delta_dropped", self._id)
        self.gone = why
        self.cookie = None
        self._stale = False
        self._arrived = None
        self.tracker.reset(view, {})

    def _start_over(self, view: dict[str, Any]) -> None:
        """Become a session that has no record yet."""
        self.token = None
        self.record = None
        self.gone = None
        self._stale = False
        self._arrived = None
        self.tracker.reset(view, {})
