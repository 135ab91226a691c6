"""
What one request knows of its record, and how each answer of the store changes that.

Rule 1: a cookie changes only after the store has said that the change is done.
Rule 2: a session that is gone stays gone for this request, and its cookie is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

import msgspec

from . import commands
from .clock import Instant
from .commands import Answer, Command, Login, Outcome
from .dispatcher import Dispatcher
from .errors import CorruptRecord, OutcomeUnknown, ResponseStarted, SessionGone, StoreUnavailable
from .events import emit
from .operators import Update
from .record import Lifetimes, Record, new_record
from .settings import Settings
from .token import Token, new_token, renew_token
from .values import Value

__all__ = ["Link"]

_ID_DRAWS = 3
"""A second draw is not expected in the lifetime of the universe; a third says that the source is broken."""

_OVER = (Outcome.ABSENT, Outcome.DESTROYED, Outcome.ROTATED)
_EVENTS = {
    CorruptRecord: "corrupt_record",
    OutcomeUnknown: "outcome_unknown",
    StoreUnavailable: "store_unavailable",
}


class Link:
    """
    The way from one request to its record.

    Attributes:
        token: what opens the session; None while there is none.
        record: the record as last seen; None before the first answer, and when the session is gone.
        gone: why the session is over for this request; None while it is not.
        stale: a command was sent whose answer never came.
        cookie: what the response is to do with the cookie: "set", "clear" or None.
        started: the response has begun, so that no cookie can be sent any more.
        max_age: the idle time (milliseconds) to create the session with; None for the settings'.
        held: the token that the browser holds once it has the response, whether or not it opens
            anything; None for none.
        cookie_came: whether a cookie of our name came at all, whatever is in it.
        drawn: a token that only this request knows: the response gives it to a visitor without a
            session, or the session is created under it.
        shared: something secret was derived from the cookie for the page, which no cache may store.
    """

    __slots__ = (
        "_dispatcher",
        "_resign",
        "_settings",
        "cookie",
        "cookie_came",
        "drawn",
        "gone",
        "held",
        "max_age",
        "record",
        "shared",
        "stale",
        "started",
        "token",
    )

    def __init__(
        self, settings: Settings, dispatcher: Dispatcher, token: Token | None, resign: bool, started: bool
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._resign = resign
        self.token = token
        self.record: Record | None = None
        self.gone: Outcome | None = None
        self.stale = False
        self.cookie: str | None = None
        self.started = started
        self.max_age: int | None = None
        self.held = token
        self.cookie_came = token is not None
        self.drawn: Token | None = None
        self.shared = False

    @property
    def id(self) -> str:
        """The public id; empty while there is no session."""
        return "" if self.token is None else self.token.id

    def need_a_cookie_to(self, action: str) -> None:
        """
        Make sure that a cookie can still be sent.

        Raises:
            ResponseStarted: it cannot; nothing was done.
        """
        if self.started:
            raise ResponseStarted(action)

    def hand_out(self, *, renew: bool) -> Token:
        """
        Return what CSRF tokens are made from, and draw it where the browser holds nothing.

        *renew* draws it also where the session will be created under another token than came.

        Raises:
            ResponseStarted: it cannot be sent any more.
        """
        if self.held is None or (renew and self.drawn is None):
            self.need_a_cookie_to("make a CSRF token")
            self.held = self.drawn = new_token()
            self.cookie = "set"
        self.shared = True
        return self.held

    def offer(self) -> tuple[Token | None, int | None]:
        """Return what a cookie would give to the browser, and for how many milliseconds; None: until it ends."""
        record, settings = self.record, self._settings
        if self.token is None or record is None:
            return self.drawn, None  # for a visitor without a session, who got a CSRF token
        if not settings.persistent and record.max_age is None:
            return self.token, None
        return self.token, max(record.idle_deadline - settings.clock(), 1)

    def raise_gone(self) -> NoReturn:
        raise SessionGone(self.id)

    def start_over(self) -> None:
        """Become the link to a session that has no record yet."""
        self.token = None
        self.record = None
        self.gone = None
        self.stale = False

    # The commands; but for `create` they are for a session that has a token and is not gone.

    def load_at_once(self) -> Answer | None:
        """Load without waiting, if the store can; else nothing was done."""
        command = self._loading()
        try:
            answer = self._dispatcher.load_at_once(command)
        except (CorruptRecord, StoreUnavailable) as error:
            self._note_failure(command, error)
            raise
        if answer is not None:
            self.stale = False
            self._note(answer)
        return answer

    def opened(self, answer: Answer) -> Answer:
        """Return *answer* with its data, which may be text so far."""
        try:
            return answer.opened()
        except CorruptRecord as error:
            emit("corrupt_record", self.id, reason=error.reason)
            raise

    async def load(self) -> Answer:
        answer = await self._submit(self._loading())
        self.stale = False
        return answer

    def update(self, update: Update, known_rev: int | None) -> Coroutine[Any, Any, Answer]:
        token, now = self._key, self._settings.clock()
        return self._submit(commands.Update(token.id, token.digest, now, self._lifetimes(now), update, known_rev))

    async def touch(self, max_age: int | None) -> None:
        token, now = self._key, self._settings.clock()
        await self._submit(commands.Touch(token.id, token.digest, now, self._lifetimes(now), max_age))

    async def rotate(self, grace: int = 0, owner: str | None = None) -> None:
        """Give the session a new token; with an *owner* it is a login."""
        old, settings = self._key, self._settings
        new = renew_token(old.id)
        login = None if owner is None else Login(owner, settings.owner_limit)
        answer = await self._submit(
            commands.Rotate(old.id, old.digest, settings.clock(), settings.lifetimes, new.digest, grace, login)
        )
        if answer.error is not None:
            raise answer.error
        if answer.outcome is Outcome.DONE:
            self.token = self.held = new
            self.cookie = "set"
            emit("session_rotated", new.id)
            if self.shared:
                emit("csrf_outdated", new.id)

    async def destroy(self) -> None:
        """End the session.  One that is gone already is left at that; an unknown one is none any more."""
        token = self._key
        answer = await self._submit(commands.Destroy(token.id, token.digest, self._settings.clock()))
        if answer.outcome is Outcome.DONE:
            self._lose(Outcome.DESTROYED)
            emit("session_destroyed", token.id)
        if (answer.outcome is Outcome.DONE or self.token is None) and not self.started:
            self.cookie = "clear"
            self.held = self.drawn = None

    async def create(self, data: dict[str, Value], owner: str | None) -> Answer:
        """
        Bring the session into being, under a token that nobody has held.

        Raises:
            LimitExceeded: *data* is too large, or the owner has as many sessions as they may.
        """
        settings = self._settings
        outdated = self.shared and self.drawn is None
        for _ in range(_ID_DRAWS):
            token = self._draw()
            now = settings.clock()
            record = new_record(token.id, token.digest, now, settings.lifetimes, max_age=self.max_age, owner=owner)
            answer = await self._submit(commands.Create(record, data, now, settings.owner_limit))
            if answer.outcome is not Outcome.EXISTS:
                break
        else:
            raise StoreUnavailable("every new session id was taken already")
        if answer.error is not None:
            raise answer.error
        self.token = self.held = token
        self.drawn = None
        self.cookie = "set"
        emit("session_created", token.id)
        if outdated:
            emit("csrf_outdated", token.id)
        return answer

    # How it is asked, and what the answers mean.

    def _loading(self) -> commands.Load:
        token, now = self._key, self._settings.clock()
        return commands.Load(token.id, token.digest, now, self._lifetimes(now))

    def _lifetimes(self, now: Instant) -> Lifetimes:
        """Return the settings' own; but what is renewed when no cookie can be sent stays due for the next response."""
        lifetimes = self._settings.lifetimes
        if self.started and (self.record is None or now >= self.record.renew_at):
            return msgspec.structs.replace(lifetimes, touch_after=0)
        return lifetimes

    def _draw(self) -> Token:
        """Return a token for a record: the one that only this request knows, or a new one."""
        drawn = self.drawn
        if drawn is None:
            return new_token()
        self.held = self.drawn = None  # should the creation fail, it must never be sent
        return drawn

    @property
    def _key(self) -> Token:
        if self.token is None:
            raise RuntimeError("there is no session to ask about")
        return self.token

    async def _submit(self, command: Command) -> Answer:
        try:
            answer = await self._dispatcher.submit(command)
        except asyncio.CancelledError:
            self.stale = self.token is not None
            raise
        except (CorruptRecord, OutcomeUnknown, StoreUnavailable) as error:
            self._note_failure(command, error)
            raise
        self._note(answer)
        return answer

    def _note_failure(self, command: Command, error: CorruptRecord | OutcomeUnknown | StoreUnavailable) -> None:
        self.stale = self.token is not None and (self.stale or isinstance(error, OutcomeUnknown))
        event = next(event for kind, event in _EVENTS.items() if isinstance(error, kind))
        emit(event, command.id, reason=error.reason)

    def _note(self, answer: Answer) -> None:
        if answer.record is not None:
            self.record = answer.record
            if (answer.renewed or self._resign) and not self.started:
                self._renew_cookie(answer.record, renewed=answer.renewed)
        elif answer.outcome in _OVER and self.token is not None:
            self._find_over(answer.outcome)

    def _renew_cookie(self, record: Record, *, renewed: bool) -> None:
        persistent = self._settings.persistent or record.max_age is not None
        if self._resign or (renewed and persistent):
            self._resign = False
            self.cookie = "set"
            emit("session_renewed", record.id)

    def _find_over(self, outcome: Outcome) -> None:
        """Tell a token that opens nothing, which is no session at all, from a session that ended."""
        if outcome is Outcome.ABSENT and self.record is None:
            emit("unknown_token", self.id)
            self.start_over()
        else:
            self._lose(outcome)

    def _lose(self, why: Outcome) -> None:
        self.gone = why
        self.record = None
        self.cookie = None
        self.stale = False
