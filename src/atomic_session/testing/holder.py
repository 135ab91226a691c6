"""Whoever holds a token, and the commands that they can give with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..clock import Instant
from ..commands import Answer, Command, Create, Destroy, Load, Login, OwnerLimit, Rotate, Touch, Update
from ..operators import Operator, When, chain
from ..operators import Update as Operators
from ..record import Lifetimes, new_record
from ..store import Store
from ..token import Token, new_token, renew_token
from ..values import Value, check_value
from .checks import check_sound

__all__ = ["HOUR", "LIFETIMES", "MINUTE", "NOW", "Holder", "ask", "clean", "joined", "started"]

MINUTE = 60_000
HOUR = 60 * MINUTE

NOW: Instant = 2_500_000_000_000
"""When the cases begin: so far in the future that no engine's own sweeping joins in."""

LIFETIMES = Lifetimes(max_age=10 * HOUR)
"""Reads renew after one hour: whatever is looked at within it stays as it is."""


class Holder:
    """One token, and commands given with it."""

    def __init__(self, token: Token | None = None, lifetimes: Lifetimes = LIFETIMES) -> None:
        self.token = new_token() if token is None else token
        self.lifetimes = lifetimes

    @property
    def id(self) -> str:
        """The public id of the session."""
        return self.token.id

    def renewed(self) -> Holder:
        """Return a holder of another token of the same session, as a rotation makes it."""
        return Holder(renew_token(self.id), self.lifetimes)

    def under(self, lifetimes: Lifetimes) -> Holder:
        """Return a holder of the same token under other settings."""
        return Holder(self.token, lifetimes)

    def create(
        self,
        data: Mapping[str, Any] | None = None,
        now: Instant = NOW,
        *,
        max_age: int | None = None,
        owner: str | None = None,
        limit: OwnerLimit | None = None,
    ) -> Create:
        record = new_record(self.id, self.token.digest, now, self.lifetimes, max_age=max_age, owner=owner)
        return Create(record, clean(data or {}), now, limit)

    def load(self, now: Instant = NOW) -> Load:
        return Load(self.id, self.token.digest, now, self.lifetimes)

    def update(self, *items: Operator | When, now: Instant = NOW, known: int | None = None) -> Update:
        return self.updating(joined(*items), now, known)

    def updating(self, update: Operators, now: Instant = NOW, known: int | None = None) -> Update:
        return Update(self.id, self.token.digest, now, self.lifetimes, update, known)

    def touch(self, now: Instant = NOW, max_age: int | None = None) -> Touch:
        return Touch(self.id, self.token.digest, now, self.lifetimes, max_age)

    def rotate(self, new: Holder, now: Instant = NOW, *, grace: int = 0, login: Login | None = None) -> Rotate:
        return Rotate(self.id, self.token.digest, now, self.lifetimes, new.token.digest, grace, login)

    def destroy(self, now: Instant = NOW) -> Destroy:
        return Destroy(self.id, self.token.digest, now)


def joined(*items: Operator | When) -> Operators:
    """Return *items* chained, as an application would."""
    update = Operators()
    for item in items:
        update = chain(update, item)
    return update


def clean(data: Mapping[str, Any]) -> dict[str, Value]:
    """Return a copy of *data* in the exact types that a session holds."""
    return {name: check_value(value, (name,)) for name, value in data.items()}


async def ask(store: Store, command: Command) -> Answer:
    """Give *store* one command, alone."""
    (answer,) = await store.execute((command,))
    return check_sound(answer)


async def started(
    store: Store,
    data: Mapping[str, Any] | None = None,
    now: Instant = NOW,
    *,
    lifetimes: Lifetimes = LIFETIMES,
    max_age: int | None = None,
    owner: str | None = None,
) -> Holder:
    """Create a session and return who holds its token."""
    holder = Holder(lifetimes=lifetimes)
    answer = await ask(store, holder.create(data, now, max_age=max_age, owner=owner))
    if answer.data is None:
        raise AssertionError(f"creating a new session is answered {answer.outcome.name}, and should be DONE")
    return holder
