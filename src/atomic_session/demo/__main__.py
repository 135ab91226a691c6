"""Run the demo: `python -m atomic_session.demo --port 8000`."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn

from .app import application

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the demo until it is interrupted."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="atomic-session-") as directory:
        file = options.file or Path(directory) / "sessions.db"
        serve(options.store or f"sqlite:///{file}", options.host, options.port)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m atomic_session.demo", description="Three sessions side by side.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="port, 0 for any that is free (default: %(default)s)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--file", type=Path, help="SQLite file to keep (default: one in a temporary directory)")
    place.add_argument("--store", help="store by URL, such as sqlite:///sessions.db or memory://")
    return parser.parse_args(arguments)


def serve(store: str, host: str, port: int) -> None:
    """Print the address once it can be visited, and serve it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        sys.exit(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port")
    with listener:
        name = f"[{host}]" if ":" in host else host
        print(f"atomic-session demo on http://{name}:{listener.getsockname()[1]}  (Ctrl+C ends it)", flush=True)
        config = uvicorn.Config(application(store), log_level="warning", timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
