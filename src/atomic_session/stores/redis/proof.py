"""What `open` does: prove on keys that nobody else has that every script runs, and look at the server's settings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ...commands import Command, Create, Destroy, Load, Outcome, OwnerLimit, Rotate, Touch, Update
from ...errors import AtomicSessionError, CorruptRecord, OutcomeUnknown, StoreUnavailable
from ...operators import Set, Unset
from ...operators import Update as Operators
from ...record import Lifetimes, new_record
from ...token import Token, new_token, renew_token
from .owners import Owners
from .servers import Request, Servers, plain
from .wire import pack
from .work import Work

__all__ = ["prove"]

_LIFETIMES = Lifetimes(max_age=1000, touch_after=0)
_NOW = 1


async def prove(servers: Servers, work: Work, owners: Owners) -> None:
    """
    Run every script once, and remove what it leaves.

    Where the server may throw keys away to make room, a warning says so.

    Raises:
        StoreUnavailable: one of them does not run; the message says why.
    """
    token = new_token()
    keys = [work.key_of(token.id), owners.key_of(token.id)]
    try:
        for command in _trial(token):
            fate = await work.limited(command)
            if isinstance(fate, AtomicSessionError):
                raise fate
            if fate.outcome is not Outcome.DONE:
                raise StoreUnavailable(f"a trial {type(command).__name__} ends as {fate.outcome.name}")
        await owners.destroy_all(token.id, None, _NOW)
        await owners.live(token.id, _NOW + 10**9)
    except (CorruptRecord, OutcomeUnknown, StoreUnavailable) as error:
        raise StoreUnavailable(f"the server is not fit for sessions: {error.reason}") from error
    finally:
        await servers.send([plain("DEL", key) for key in keys])
    await _warn_of_eviction(servers, keys[0])


def _trial(token: Token) -> Sequence[Command]:
    """Return commands that between them need all that the store ever asks of a server."""
    id, old, new = token.id, token.digest, renew_token(token.id).digest
    record = new_record(id, old, _NOW, _LIFETIMES, owner=id)
    update = Operators((Set(("a",), 1), Unset(("b",))))
    return (
        Create(record, {"b": 1}, _NOW, OwnerLimit(1, evict_oldest=True)),
        Update(id, old, _NOW, _LIFETIMES, update),
        Touch(id, old, _NOW, _LIFETIMES),
        Load(id, old, _NOW, _LIFETIMES),
        Rotate(id, old, _NOW, _LIFETIMES, new),
        Destroy(id, new, _NOW),
    )


async def _warn_of_eviction(servers: Servers, key: bytes) -> None:
    names = ("maxmemory", "maxmemory-policy")
    replies = await servers.send([Request(key, pack(("CONFIG", "GET", name))) for name in names])
    values = [_setting(reply) for reply in replies]
    if None not in values and values[0] != b"0" and values[1] != b"noeviction":
        policy = (values[1] or b"").decode()
        warnings.warn(
            f"the server's maxmemory-policy is {policy}: when its memory is full it ends sessions to make room; "
            "set it to noeviction",
            RuntimeWarning,
            stacklevel=2,
        )


def _setting(reply: object) -> bytes | None:
    """Return the value of a setting, None where we may not know it."""
    if isinstance(reply, dict):
        return next(iter(reply.values()), None)
    return reply[1] if isinstance(reply, list) and len(reply) == 2 else None
