"""One load on SQLite, beside the bare read that it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import apsw
import msgspec

from atomic_session.session import Session

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, id_of, managed, open_session, sqlite_url

__all__ = ["measure"]

_SESSIONS = 256
_READ = "SELECT data FROM atomic_session WHERE id = ?"

Read = Callable[[str], object]


async def measure(options: Options) -> Figure:
    figure = Figure("loads", "one load of a 0.5 KB session from SQLite")
    path = options.folder / "loads.db"
    async with managed(sqlite_url(path)) as context:
        made = await create(context, _SESSIONS, data_of())
        ids = [id_of(context, headers) for headers in made]
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        times = options.times(40, 1)

        async def load() -> float:
            spent = 0.0
            for _ in range(times):
                sessions = [_with_cookie_read(open_session(context, headers)) for headers in made]
                start = time.perf_counter()
                for session in sessions:
                    await session.load()
                    session["user_id"]
                spent += time.perf_counter() - start
            return spent / (times * _SESSIONS) * 1e6

        async def load_by_request() -> float:
            start = time.perf_counter()
            for _ in range(times):
                for headers in made:
                    session = await open_session(context, headers)()
                    session["user_id"]
            return (time.perf_counter() - start) / (times * _SESSIONS) * 1e6

        async def bare(read: Read) -> float:
            start = time.perf_counter()
            for _ in range(times):
                for key in ids:
                    read(key)
            return (time.perf_counter() - start) / (times * _SESSIONS) * 1e6

        decode = msgspec.json.Decoder().decode
        reads: dict[str, Read] = {
            "apsw, primary-key read": lambda key: connection.execute(_READ, (key,)).get,
            "apsw, primary-key read and decode": lambda key: decode(connection.execute(_READ, (key,)).get),
        }
        cases = [
            Case("ours, load", "us", load),
            Case("ours, load by a request of its own, cookie and all", "us", load_by_request),
            *(Case(name, "us", partial(bare, read)) for name, read in reads.items()),
        ]
        await load()
        await record(figure, cases, options.rounds)
        connection.close()
    figure.compare("time: ours / bare read", "ours, load", "apsw, primary-key read", Target("at most", 4))
    by_request = "ours, load by a request of its own, cookie and all"
    figure.compare("time: by a request / bare read", by_request, "apsw, primary-key read")
    figure.compare("time: ours / bare read and decode", "ours, load", "apsw, primary-key read and decode")
    return figure


def _with_cookie_read(session: Session) -> Session:
    """Return *session* as it is when something has asked for its id: all but the load itself is done."""
    if session.id is None:
        raise RuntimeError("the session was not found")
    return session
