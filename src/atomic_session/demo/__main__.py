"""Run the demo: `python -m atomic_session.demo --port 8000`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from ..errors import StoreUnavailable
from ..manager import SessionManager
from .app import application
from .pace import PACE

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the demo until it is interrupted."""
    options = parse(arguments)
    PACE.seconds = max(options.wait, 0) / 1000
    logging.basicConfig(format="%(name)s: %(message)s")  # the logout experiment makes an event or two
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the temporary file goes too
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="atomic-session-") as directory:
        file = options.file or Path(directory) / "sessions.db"
        app = prepare(options.store or f"sqlite:///{file}")
        with listen(options.host, options.port) as listener:
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
            Server(config).run(sockets=[listener])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m atomic_session.demo", description="Three sessions side by side.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="port, 0 for any that is free (default: %(default)s)")
    parser.add_argument("--wait", default=15, type=int, help="milliseconds a handler takes (default: %(default)s)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--file", type=Path, help="SQLite file to keep (default: one in a temporary directory)")
    place.add_argument("--store", help="store by URL, such as sqlite:///sessions.db or memory://")
    return parser.parse_args(arguments)


def prepare(store: str) -> Starlette:
    """Return the application, or say in one line why its store cannot be used."""
    try:
        app = application(store)
        asyncio.run(try_out(app.state.manager))
    except (StoreUnavailable, ImportError, ValueError) as error:
        sys.exit(str(error))
    return app


async def try_out(manager: SessionManager) -> None:
    """Open the store and close it; serving opens it again."""
    await manager.open()
    await manager.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections, or say in one line why there is none."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        sys.exit(f"cannot listen on {host}, port {port} ({error}); choose another with --port (make demo PORT=…)")


class Server(uvicorn.Server):
    """A server that prints its address once it can be visited."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"atomic-session demo on http://{shown}:{port}  (Ctrl+C ends it)", flush=True)


if __name__ == "__main__":
    main()
