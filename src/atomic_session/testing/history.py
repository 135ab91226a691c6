"""
What was asked of a store, when it began, when it was acknowledged, and the rules that no history may break.

Two calls that overlap may have happened in either order.  One that began after another was
acknowledged came after it, and must show that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hmac import compare_digest
from itertools import count
from typing import NamedTuple

from ..clock import Instant
from ..commands import Answer, Command, Create, Destroy, Outcome, Rotate, Update
from ..operators import Operator, apply
from ..store import SessionInfo, Store
from ..values import Value
from .checks import check

__all__ = ["Event", "History", "RecordingStore", "Sweep"]


class Event(NamedTuple):
    """One command and its answer; *began* and *ended* number all beginnings and ends of a history."""

    began: int
    ended: int
    command: Command
    answer: Answer

    @property
    def done(self) -> bool:
        """Whether it happened."""
        return self.answer.outcome is Outcome.DONE

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators of an update."""
        return self.command.update.operators if isinstance(self.command, Update) else ()

    def shows(self, digest: bytes) -> bool:
        """Say whether the command shows this digest."""
        shown = None if isinstance(self.command, Create) else self.command.digest
        return shown is not None and compare_digest(shown, digest)


class Sweep(NamedTuple):
    """One `destroy_all`."""

    began: int
    ended: int
    owner: str
    keep: str | None


class History:
    """All that was asked of the stores that write it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sweeps: list[Sweep] = []
        self._ticks = count()

    def tick(self) -> int:
        """Return a number higher than all before."""
        return next(self._ticks)

    def of(self, session_id: str) -> list[Event]:
        """Return what was asked about one session, in the order of acknowledgement."""
        return sorted((event for event in self.events if event.command.id == session_id), key=lambda event: event.ended)

    def updates(self, session_id: str) -> list[Event]:
        """Return the updates of one session that were applied, in the order of acknowledgement."""
        return [event for event in self.of(session_id) if event.done and isinstance(event.command, Update)]

    def check(self, session_id: str, owner: str | None = None) -> None:
        """
        Fail if anything happened to the session after it was acknowledged as over.

        It is over when it was destroyed, or its *owner*'s sessions were; a token is, when it was rotated away.
        """
        events = self.of(session_id)
        ends = [event.ended for event in events if event.done and isinstance(event.command, Destroy)]
        ends += [sweep.ended for sweep in self.sweeps if sweep.owner == owner and sweep.keep != session_id]
        for ended in ends:
            _check_over(ended, events, "was destroyed")
        for event in events:
            if event.done and isinstance(event.command, Rotate) and not event.command.grace:
                _check_rotation(event, event.command, events)

    def replay(self, session_id: str, data: dict[str, Value]) -> dict[str, Value]:
        """Return what *data* must have become, where the updates did not overlap."""
        for event in self.updates(session_id):
            if isinstance(event.command, Update):
                applied = apply(data, event.command.update)
                data = data if applied is None else applied.data
        return data


def _check_rotation(rotation: Event, command: Rotate, events: Iterable[Event]) -> None:
    old = [event for event in events if event.shows(command.digest)]
    _check_over(rotation.ended, old, "was rotated away")
    rivals = [event for event in old if event.done and isinstance(event.command, Rotate)]
    check(len(rivals) == 1, f"{len(rivals)} rotations of one token succeed, and should be 1")


def _check_over(ended: int, events: Iterable[Event], why: str) -> None:
    for event in events:
        late = event.began > ended and event.done
        check(not late, f"{type(event.command).__name__} succeeds after the session {why}")


class RecordingStore:
    """A store that writes down what it is asked."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    @property
    def lanes(self) -> int:
        return self._store.lanes

    @property
    def batch_size(self) -> int:
        return self._store.batch_size

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        """Leave the store open: the case wants it."""

    async def execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        began = self._history.tick()
        answers = await self._store.execute(commands)
        ended = self._history.tick()
        for command, answer in zip(commands, answers, strict=True):
            self._history.events.append(Event(began, ended, command, answer))
        return answers

    async def sessions_of(self, owner: str, now: Instant) -> Sequence[SessionInfo]:
        return await self._store.sessions_of(owner, now)

    async def destroy_all(self, owner: str, keep: str | None, now: Instant) -> int:
        began = self._history.tick()
        count = await self._store.destroy_all(owner, keep, now)
        self._history.sweeps.append(Sweep(began, self._history.tick(), owner, keep))
        return count

    async def purge(self, now: Instant, limit: int) -> int:
        return await self._store.purge(now, limit)
