"""A Cluster: requests go to the master of their key, and follow it when it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, RedisClusterException

from ...errors import StoreUnavailable
from .failures import LOST, lost
from .multiplexer import Multiplexer
from .servers import Calls, Reply, Request, after_scripts, refreshed, with_scripts
from .wire import pack

__all__ = ["ClusterServers"]

_MOST_MOVES = 8
"""How often a request follows its key before it gives up."""

_ASKING = pack(("ASKING",))


class ClusterServers:
    """The masters of a Cluster, with one trip to each of those that a batch needs, all at once."""

    def __init__(self, client: Any, timeout: float, *, owned: bool) -> None:
        self._client = client
        self._timeout = timeout
        self._owned = owned
        self.opening = asyncio.Lock()
        self.calls = Calls()
        self._learning = asyncio.Lock()
        self._known = False
        self._multiplexers: dict[str, Multiplexer] = {}

    async def send(self, requests: Sequence[Request]) -> list[Reply]:
        replies: list[Reply] = [StoreUnavailable("the key moved again and again")] * len(requests)
        waiting = list(range(len(requests)))
        for _ in range(_MOST_MOVES):
            if not waiting:
                break
            found = await self._round([requests[place] for place in waiting])
            for place, reply in zip(waiting, found, strict=True):
                replies[place] = reply
            moved = [place for place in waiting if isinstance(replies[place], MovedError)]
            if moved:
                await self._follow([replies[place] for place in moved])
            elif any(isinstance(reply, StoreUnavailable | ClusterDownError) for reply in found):
                await self._learn()  # so that the next ones find the way
            waiting = moved
        return [StoreUnavailable("the key moved") if isinstance(reply, MovedError) else reply for reply in replies]

    async def close(self) -> None:
        self._known = False
        await asyncio.gather(*[multiplexer.close() for multiplexer in self._multiplexers.values()])
        if self._owned:
            await self._client.aclose()

    async def _round(self, requests: Sequence[Request]) -> list[Reply]:
        """Send each request to where its key is thought to be, then follow those that are being moved."""
        replies: list[Reply] = [None] * len(requests)
        groups: dict[Any, list[int]] = {}
        for place, request in enumerate(requests):
            node = await self._node_of(request)
            if isinstance(node, StoreUnavailable):
                replies[place] = node
            else:
                groups.setdefault(node, []).append(place)
        await asyncio.gather(*[self._visit(node, requests, places, replies) for node, places in groups.items()])
        return replies

    async def _visit(self, node: Any, requests: Sequence[Request], places: list[int], replies: list[Reply]) -> None:
        multiplexer, texts = self._multiplexer_of(node), [requests[place].text for place in places]
        answers = await with_scripts(multiplexer, texts, await multiplexer.put(texts))
        for place, answer in zip(places, answers, strict=True):
            asked = type(answer) is AskError  # what says MOVED is a kind of it
            replies[place] = await self._asked(answer, requests[place]) if asked else answer

    async def _asked(self, error: AskError, request: Request) -> Reply:
        """Send one request to the master that is taking over its key."""
        node = self._client.get_node(host=error.host, port=error.port)
        if node is None:
            return StoreUnavailable("its key is being moved to a server that is not known yet")
        pair = [_ASKING, request.text]
        multiplexer = self._multiplexer_of(node)
        _, reply = await multiplexer.put(pair)
        if isinstance(reply, NoScriptError):
            _, reply = await after_scripts(multiplexer, pair)
        return reply

    def _multiplexer_of(self, node: Any) -> Multiplexer:
        multiplexer = self._multiplexers.get(node.name)
        if multiplexer is None:
            multiplexer = self._multiplexers[node.name] = Multiplexer(_Member(node), self._timeout)
        return multiplexer

    async def _node_of(self, request: Request) -> Any:
        try:
            if not self._known:
                async with asyncio.timeout(self._timeout / 2), self._learning:  # who waits for others waits no longer
                    await self._client.initialize()
                    self._known = True
            return self._client.get_node_from_key(request.key)
        except (RedisClusterException, *LOST) as error:
            return lost(error, sent=False)

    async def _follow(self, errors: Sequence[MovedError]) -> None:
        for error in errors:
            await self._client.nodes_manager.move_slot(error)

    async def _learn(self) -> None:
        """Ask again which server has which keys; nobody waits where somebody asks already."""
        if not self._known or self._learning.locked():
            return
        try:
            async with self._learning, asyncio.timeout(self._timeout / 2):
                await self._client.nodes_manager.initialize()
        except (RedisClusterException, *LOST):
            return


class _Member:
    """One server of a Cluster."""

    def __init__(self, node: Any) -> None:
        self._node = node

    async def acquire(self) -> Any:
        connection = self._node.acquire_connection()
        try:
            await refreshed(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            self._node.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        self._node.release(connection)
