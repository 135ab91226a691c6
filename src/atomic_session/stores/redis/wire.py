"""A connection of the driver's making, over which requests go and replies come back by hiredis, in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import RedisError

from .failures import lost

__all__ = ["Part", "Pipeline", "Reply", "Wire", "pack"]

Part: TypeAlias = bytes | str | int
"""One argument of a request."""

Reply: TypeAlias = Any
"""What the server answered; a `ResponseError` it answered; `StoreUnavailable` or `OutcomeUnknown` where it did not."""

_NOTHING_YET = object()

pack: Callable[[tuple[Part, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub says one
"""Return the text of a request."""


class Pipeline:
    """
    Requests that leave together, and the replies to them.

    Attributes:
        text: the requests as they are written.
        count: how many there are.
        deadline: when it is given up, by the event loop's clock.
        replies: those that have come.
        done: has all replies once they have come, or what there is instead.
    """

    __slots__ = ("count", "deadline", "done", "replies", "text")

    def __init__(self, text: bytes, count: int, deadline: float, done: asyncio.Future[list[Reply]]) -> None:
        self.text = text
        self.count = count
        self.deadline = deadline
        self.replies: list[Reply] = []
        self.done = done

    def fail(self, error: BaseException, *, sent: bool) -> None:
        """Give up: replies that came are kept, the others became what *error* says."""
        missing = self.count - len(self.replies)
        self.deliver([*self.replies, *(lost(error, sent=sent) for _ in range(missing))])

    def deliver(self, replies: list[Reply]) -> None:
        if not self.done.done():  # its task may have been cancelled
            self.done.set_result(replies)


class Wire(asyncio.Protocol):
    """
    One connection in use: what is written, and what is waited for.

    Attributes:
        connection: the driver's own, which made it.
        under_way: what was written and is not answered yet, in order.
        is_open: whether it can be written to at all.
        is_clear: whether the other side takes more at the moment.
        is_worn: whether nothing more is to be written to it.
        used: when it was last written to, by the event loop's clock.
    """

    def __init__(self, connection: Any, moved: Callable[[], None]) -> None:
        """*moved* is called whenever there is room for more, or none will ever be again."""
        self.connection = connection
        self.under_way: deque[Pipeline] = deque()
        self.is_open = True
        self.is_clear = True
        self.is_worn = False
        self.used = 0.0
        self._moved = moved
        self._reader = hiredis.Reader(replyError=DefaultParser.parse_error, notEnoughData=_NOTHING_YET)
        self._former, self._transport = _taken_over(connection, self)

    def write(self, pipelines: Sequence[Pipeline]) -> None:
        self.under_way.extend(pipelines)
        self._transport.write(
            pipelines[0].text if len(pipelines) == 1 else b"".join([pipeline.text for pipeline in pipelines])
        )

    def drop(self, error: BaseException) -> None:
        """Break the connection: nobody may read what is still answered on it."""
        if self.is_open:
            self.is_open = False
            self._transport.abort()
            left, self.under_way = self.under_way, deque()
            for pipeline in left:
                pipeline.fail(error, sent=True)
            self._moved()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        reader, under_way = self._reader, self.under_way
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING_YET:
                if type(reply) is hiredis.PushNotification:
                    continue
                pipeline = under_way[0]
                pipeline.replies.append(reply)
                if len(pipeline.replies) == pipeline.count:
                    under_way.popleft()
                    pipeline.deliver(pipeline.replies)
        except (hiredis.HiredisError, IndexError) as error:
            self.drop(ConnectionError(f"the server does not speak the protocol: {type(error).__name__}"))
        self._moved()

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(exc or ConnectionError("the server closed the connection"))
        self._former.connection_lost(exc)

    def pause_writing(self) -> None:
        self.is_clear = False

    def resume_writing(self) -> None:
        self.is_clear = True
        self._moved()


def _taken_over(connection: Any, wire: Wire) -> tuple[asyncio.BaseProtocol, asyncio.Transport]:
    """
    Have *wire* hear what comes over *connection* from now on; return who heard it before, and the transport.

    The driver connects, shakes hands and finds the master, but has no public way to give away what it
    has connected: this is the one place that knows how it keeps that.
    """
    writer = getattr(connection, "_writer", None)
    if not isinstance(writer, asyncio.StreamWriter):
        raise RedisError("this release of redis-py keeps its connections in another way than atomic-session knows")
    transport = cast("asyncio.Transport", writer.transport)
    former = transport.get_protocol()
    transport.set_protocol(wire)
    return former, transport
