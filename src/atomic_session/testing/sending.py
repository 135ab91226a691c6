"""Many commands at once, as the requests of an application send them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from ..commands import Answer, Command
from ..dispatcher import Dispatcher
from ..store import Store
from .checks import check_sound

__all__ = ["PATIENCE", "dispatcher_of", "dispatchers_of", "in_pieces", "send"]

PATIENCE = 60.0
"""Seconds that a case waits for one call: a busy machine is no finding."""


def dispatcher_of(store: Store) -> Dispatcher:
    """Return a dispatcher to an open *store*."""
    return Dispatcher(store, PATIENCE)


def dispatchers_of(stores: tuple[Store, Store]) -> tuple[Dispatcher, Dispatcher]:
    """Return a dispatcher to each store; one store has only one, or it would be given more than its lanes hold."""
    first = dispatcher_of(stores[0])
    return first, first if stores[0] is stores[1] else dispatcher_of(stores[1])


async def send(store: Store, commands: Iterable[Command]) -> list[Answer]:
    """Give *store* all *commands* at the same time, those on one session in order; return the answers in order."""
    dispatcher = dispatcher_of(store)
    return [check_sound(answer) for answer in await asyncio.gather(*map(dispatcher.submit, commands))]


async def in_pieces(store: Store, commands: Sequence[Command]) -> list[Answer]:
    """Give *store* all *commands* in batches, as large as it takes them."""
    answers: list[Answer] = []
    for start in range(0, len(commands), store.batch_size):
        answers += await store.execute(commands[start : start + store.batch_size])
    return [check_sound(answer) for answer in answers]
