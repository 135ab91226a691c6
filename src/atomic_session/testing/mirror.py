"""
One session in a store, and what `operators.apply` says that it must be.

The mirror also plays the receiver of the answers, who must be current after each of them with no
more than what the answer brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..commands import Answer, Outcome
from ..errors import AtomicSessionError, LimitExceeded, OperatorError
from ..limits import Limits
from ..operators import Applied, Operator, When, apply
from ..operators import Update as Operators
from ..store import Store
from ..values import Value
from .checks import check, check_data, check_equal, check_error, check_outcome
from .holder import Holder, ask, clean, joined, started
from .witness import look

__all__ = ["Mirror"]


class Mirror:
    """A session, its data by the reference, and a receiver's view of it."""

    def __init__(self, store: Store, holder: Holder, data: dict[str, Value], limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._rev = 1
        self._view = dict(data)
        self.holder = holder
        self.data = data

    @classmethod
    async def of(cls, store: Store, data: Mapping[str, Any], limits: Limits) -> Mirror:
        """Start a session with *data*."""
        mirror = cls(store, await started(store, data), clean(data), limits)
        await mirror.check_kept("a creation")
        return mirror

    async def send(self, *items: Operator | When, lag: int = 0) -> None:
        """Send *items* as one update, and check what becomes of it."""
        await self.send_update(joined(*items), lag=lag)

    async def send_update(self, update: Operators, lag: int = 0) -> None:
        """Send *update* for a receiver whose data is *lag* changes old, and check what becomes of it."""
        answer = await ask(self._store, self.holder.updating(update, known=self._rev - lag))
        what = f"{update} on {self.data!r}"
        try:
            applied = apply(self.data, update, self._limits)
        except (OperatorError, LimitExceeded) as error:
            self._check_refused(answer, error, what)
        else:
            self._check_taken(answer, applied, what)
            self._receive(answer, update, lag, what)
        check_equal(None if answer.record is None else answer.record.rev, self._rev, f"{what}: rev")
        await self.check_kept(what)

    async def check_kept(self, what: str) -> None:
        """Fail unless the store keeps what the reference says."""
        check_data(await look(self._store, self.holder.load()), self.data, f"{what}: what is kept")

    def _check_refused(self, answer: Answer, error: AtomicSessionError, what: str) -> None:
        check_outcome(answer, Outcome.REFUSED, what)
        check_error(answer.error, error, what)

    def _check_taken(self, answer: Answer, applied: Applied | None, what: str) -> None:
        if applied is None:
            check_outcome(answer, Outcome.UNMET, what)
            return
        check_outcome(answer, Outcome.DONE, what)
        check_data(answer.taken, applied.taken, f"{what}: what was taken")
        self.data = applied.data
        self._rev += 1

    def _receive(self, answer: Answer, update: Operators, lag: int, what: str) -> None:
        """Become current as a receiver does."""
        check(answer.data is not None, f"{what}: the answer brings no data")
        brought = answer.data or {}
        if answer.whole:
            self._view = brought
        else:
            check(lag == 0, f"{what}: the answer brings not all data to who does not know it")
            for name in update.fields or ():
                self._view.pop(name, None)
            self._view.update(brought)
        check_data(self._view, self.data, f"{what}: what a receiver holds after the answer")
