"""A pgbouncer in transaction mode, of Debian's package or whatever `pgbouncer` is on the path."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from .postgresql import free_port, identity

__all__ = ["find_pgbouncer", "pooled"]

_PATIENCE = 20.0
_SETTINGS = """
[databases]
* = host={host} port={server} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
"""


def find_pgbouncer() -> str | None:
    """Return where the program is, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def pooled(url: str) -> Iterator[str]:
    """Run a pgbouncer with three connections to the server at *url*, and return the URL of it."""
    program = find_pgbouncer()
    if program is None:
        raise RuntimeError("pgbouncer is not installed")
    parts = urlsplit(url)
    folder, port = Path(tempfile.mkdtemp(prefix="atomic-session-pgbouncer-")), free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(_SETTINGS.format(host=parts.hostname, server=parts.port, port=port))
    folder.chmod(0o755)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, str(settings)], stdout=output, stderr=output, **identity(folder))
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"pgbouncer does not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)
        host = parts.netloc.rpartition("@")[0]
        yield urlunsplit(parts._replace(netloc=f"{host}@127.0.0.1:{port}"))
    finally:
        process.kill()
        process.wait(_PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
