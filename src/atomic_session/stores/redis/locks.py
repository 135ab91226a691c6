"""Which commands may take several trips, and how those on one session that come after them wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeAlias

from ...commands import Command, Update
from ...lifecycle import login_of
from ...operators import AddToSet, Pull, PullAll, PullWhere
from ...values import Missing, Value

__all__ = ["SessionLocks", "takes_several"]

_Key: TypeAlias = "tuple[asyncio.AbstractEventLoop, str]"

_COMPARED: dict[type, Callable[[Any], Value]] = {
    Pull: lambda pull: pull.value,
    PullAll: lambda pull: pull.values,
    PullWhere: lambda pull: pull.where,
    AddToSet: lambda add: add.values,
}
"""What an operator compares with what is stored."""


def takes_several(command: Command) -> bool:
    """Say whether *command* may take more than one trip: a login, and what may have to compare a `Decimal`."""
    if type(command) is not Update:
        return login_of(command) is not None
    update = command.update
    for part in update.operators:
        compared = _COMPARED.get(type(part))
        if compared is not None and _is_or_has_number(compared(part)):
            return True
    return any(_is_or_has_number(guard.value) for guard in update.guards) if update.guards else False


def _is_or_has_number(value: Value | Missing) -> bool:
    """Say whether there is something in *value* that may equal a `Decimal` of another text."""
    if isinstance(value, dict):
        return any(map(_is_or_has_number, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_or_has_number, value))
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


class SessionLocks:
    """The sessions that are held, each in its event loop; false while there are none."""

    def __init__(self) -> None:
        self._held: dict[_Key, _Lock] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    @asynccontextmanager
    async def of(self, session_id: str, *, waits: bool) -> AsyncIterator[None]:
        """Be alone with a session, in the order of asking; nobody need be who neither *waits* nor finds it held."""
        key = (asyncio.get_running_loop(), session_id)
        held = self._held.get(key)
        if held is None:
            if not waits:
                yield
                return
            held = self._held[key] = _Lock()
        held.users += 1
        try:
            async with held.lock:
                yield
        finally:
            held.users -= 1
            if not held.users:
                del self._held[key]


class _Lock:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
