"""
One request's dealings with the store: the dict that it sees, the record behind it, and what goes between them.

Rule 1: one command of a request is under way at a time.
Rule 2: a delta counts as sent once it may have been applied, so that it is never applied twice.
Rule 3: what became of a delta is known before the response starts, or the commit says that it is not.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .commands import Answer, Outcome
from .delta import DeltaTracker, Parcel
from .errors import OutcomeUnknown, SessionGone
from .events import emit
from .limits import Limits
from .link import Link
from .operators import Update, apply
from .values import Value

__all__ = ["Exchange"]


class Exchange:
    """
    Keep the dict that the application sees, the *view*, and the record behind *link* in step.

    Attributes:
        link: what is known of the record.
        tracker: what plain dict code changed.
        turn: held while a command is under way.
    """

    __slots__ = ("_arrived", "_limits", "_rev", "link", "tracker", "turn")

    def __init__(self, link: Link, limits: Limits) -> None:
        self.turn = asyncio.Lock()
        self._limits = limits
        self._arrived: Answer | None = None  # data that nobody has looked at yet
        self._rev: int | None = None  # of the data that came last, which `link.record` may be ahead of
        self.link = link
        self.tracker = DeltaTracker(limits)

    # What a request may ask, one at a time.

    def settle(self, view: dict[str, Any]) -> bool:
        """Make *view* readable if that takes no trip, and say whether it is."""
        if self.tracker.loaded:
            return True
        if self._arrived is not None:
            self._open(view, self.link.opened(self._arrived))
        elif self.link.token is None:
            self.tracker.reset(view, {})
        return self.tracker.loaded

    def load_at_once(self, view: dict[str, Any], fresh: bool) -> bool:
        """Load if that takes no wait, and say whether *view* is loaded now."""
        link = self.link
        if self.settle(view) and not link.stale and not fresh:
            return True
        if link.token is None or link.gone is not None or self.turn.locked():
            return False
        answer = link.load_at_once()
        if answer is not None:
            self._take_load(view, answer)
        return answer is not None

    async def load(self, view: dict[str, Any], *, fresh: bool) -> None:
        async with self.turn:
            if not self.settle(view) or self.link.stale or fresh:
                await self._fetch(view)

    async def update(self, view: dict[str, Any], update: Update) -> Answer:
        link = self.link
        async with self.turn:
            if link.stale or link.gone is not None:
                await self._become_current(view)
            if link.token is not None:
                parcel = self.tracker.pack(view)
                answer = await (self._send_with(view, update, parcel) if parcel else self._send(view, update, None))
                if answer.error is not None:
                    raise answer.error
                if link.token is not None:
                    return answer
            self.settle(view)
            return await self._create_by(view, update)

    async def commit(self, view: dict[str, Any], *, renew: bool) -> None:
        async with self.turn:
            await self._commit(view, renew=renew)

    async def touch(self, view: dict[str, Any], max_age: int | None) -> None:
        async with self.turn:
            if max_age is not None:
                self.link.need_a_cookie_to("change max_age")
            await self._become_current(view)
            await self._touch(view, max_age)

    async def rotate(self, view: dict[str, Any], grace: int) -> None:
        async with self.turn:
            self.link.need_a_cookie_to("rotate the session")
            await self._become_current(view)
            if self.link.token is not None:
                await self.link.rotate(grace)
                self._end_if_gone(view)

    async def login(self, view: dict[str, Any], owner: str) -> None:
        link = self.link
        async with self.turn:
            link.need_a_cookie_to("log in")
            if not self.settle(view):
                await self._fetch(view)
            if link.token is not None and link.gone is None:
                await self._rotate_to(view, owner)
            if link.gone is Outcome.ROTATED:
                link.raise_gone()
            if link.gone is not None:
                self._start_over(view)
            if link.token is None:
                await self._create(view, self.tracker.clean(view), owner)
            emit("session_login", link.id)

    async def destroy(self, view: dict[str, Any]) -> None:
        async with self.turn:
            await self._destroy(view)

    async def regenerate(self, view: dict[str, Any]) -> None:
        async with self.turn:
            self.link.need_a_cookie_to("regenerate the session")
            await self._destroy(view)
            if self.link.token is not None:
                emit("session_regenerated", self.link.id)
            self._start_over(view)

    # How it is done, under the turn.

    def _forget(self, view: dict[str, Any]) -> None:
        self._arrived = None
        self._rev = None
        self.tracker.reset(view, {})

    def _end_if_gone(self, view: dict[str, Any]) -> None:
        if self.link.gone is not None:
            self._forget(view)
            self.link.raise_gone()

    async def _become_current(self, view: dict[str, Any]) -> None:
        """Be ready to write: a session that is gone is refused, a stale one is read again."""
        if self.link.stale:
            await self._fetch(view)
        if self.link.gone is not None:
            self.link.raise_gone()

    async def _fetch(self, view: dict[str, Any]) -> None:
        if self.link.token is not None and self.link.gone is None:
            self._take_load(view, await self.link.load())
        self.settle(view)

    def _take_load(self, view: dict[str, Any], answer: Answer) -> None:
        if answer.data is None:  # it is gone, or there was none
            if self.tracker.is_changed(view):
                emit("delta_dropped", self.link.id)
            self._forget(view)
        elif self.tracker.loaded:
            self._take_over(view, answer, None)
        else:
            self._open(view, answer)

    def _open(self, view: dict[str, Any], answer: Answer) -> None:
        """Make readable what came, all data of it, where nothing was so far."""
        self._rev = None if answer.record is None else answer.record.rev
        self._arrived = None
        self.tracker.open(view, answer.data or {}, answer.raw)

    def _take_over(self, view: dict[str, Any], answer: Answer, update: Update | None) -> None:
        """Bring *view* up to date with an answer that has data: all of it, or that of the fields of *update*."""
        if answer.data is None and answer.raw is None:
            return
        self._rev = None if answer.record is None else answer.record.rev
        names = None if answer.whole or update is None else update.fields
        arrived = self._arrived
        if self.tracker.loaded:
            answer = self.link.opened(answer)
            self.tracker.absorb(view, names, answer.data or {}, answer.raw)
        elif arrived is None or names is None:
            self._arrived = answer
        else:
            self._arrived = _merged(self.link.opened(arrived), names, answer)

    async def _send_with(self, view: dict[str, Any], update: Update, parcel: Parcel) -> Answer:
        """Send the delta and *update*: together, unless the delta has to go first."""
        joined = parcel.joined_with(update, self._limits)
        if joined is not None:
            answer = await self._send(view, joined, parcel)
            if answer.outcome is not Outcome.REFUSED:
                return answer  # else what was refused may be of the delta, which has a way out
        await self._send_delta(view)
        return await self._send(view, update, None)

    async def _send(self, view: dict[str, Any], update: Update, parcel: Parcel | None) -> Answer:
        """Send *update*, which carries *parcel*, and take over what comes back."""
        try:
            answer = await self.link.update(update, self._rev)
        except (asyncio.CancelledError, OutcomeUnknown):
            if parcel is not None:
                self.tracker.doubt(parcel)
            raise
        self._end_if_gone(view)
        if parcel is not None and answer.outcome is Outcome.DONE:
            self.tracker.mark_sent(parcel)
        self._take_over(view, answer, update)
        return answer

    async def _send_delta(self, view: dict[str, Any]) -> bool:
        """Send the delta, and say whether there was one; a field that does not fit what is stored is set whole."""
        whole: set[str] = set()
        while (parcel := self.tracker.pack(view, whole)) is not None:
            answer = await self._send(view, Update(parcel.operators), parcel)
            misfits = parcel.misfits(answer.error) - whole
            if answer.error is not None and not misfits:
                raise answer.error
            if answer.error is None:
                return True
            whole |= misfits
        return False

    async def _commit(self, view: dict[str, Any], *, renew: bool) -> None:
        link, tracker = self.link, self.tracker
        if tracker.doubtful:
            await self._become_current(view)
            if tracker.is_unconfirmed(view):
                raise OutcomeUnknown("plain changes went with an update that had no answer")
        if link.gone is not None and tracker.is_changed(view):
            self._forget(view)
            link.raise_gone()
        if link.gone is not None:
            return
        if link.token is None:
            data = tracker.clean(view)
            if data:
                await self._create(view, data, None)
        elif not await self._send_delta(view) and renew:
            await self._touch(view, None)

    async def _touch(self, view: dict[str, Any], max_age: int | None) -> None:
        link = self.link
        if link.token is not None:
            await link.touch(max_age)
            self._end_if_gone(view)
        if link.token is None and max_age is not None:
            link.max_age = max_age

    async def _rotate_to(self, view: dict[str, Any], owner: str) -> None:
        """Log in over the session that is there, unless it turns out to be gone."""
        try:
            await self._become_current(view)
            await self._send_delta(view)
        except SessionGone:
            return
        await self.link.rotate(owner=owner)

    async def _destroy(self, view: dict[str, Any]) -> None:
        link = self.link
        if link.token is not None and link.gone is None:
            await link.destroy()
        self._forget(view)
        if link.gone is Outcome.ROTATED:
            link.raise_gone()

    def _start_over(self, view: dict[str, Any]) -> None:
        self.link.start_over()
        self._forget(view)

    async def _create_by(self, view: dict[str, Any], update: Update) -> Answer:
        """Create the session that *update* makes out of nothing; what makes nothing creates nothing."""
        applied = apply(self.tracker.clean(view), update, self._limits)
        if applied is None:
            return Answer(Outcome.UNMET)
        if applied.data:
            await self._create(view, applied.data, None)
        else:
            self._forget(view)
        return Answer(Outcome.DONE, taken=applied.taken)

    async def _create(self, view: dict[str, Any], data: dict[str, Value], owner: str | None) -> None:
        self.link.need_a_cookie_to("create a session")
        self.settle(view)
        parcel = self.tracker.pack_all(view)
        answer = await self.link.create(data, owner)
        self.tracker.mark_sent(parcel)
        self._take_over(view, answer, None)


def _merged(arrived: Answer, names: frozenset[str], answer: Answer) -> Answer:
    """Return an answer with all that has *arrived*, in which the fields *names* are as *answer* has them now."""
    data, touched = arrived.data or {}, answer.data or {}
    data.update(touched)
    for name in names.difference(touched):
        data.pop(name, None)
    return Answer(answer.outcome, answer.record, data, whole=True)
