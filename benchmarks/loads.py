"""One load on SQLite, beside the bare read that it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import apsw
import msgspec

from .harness import Case, Figure, Options, Target, record
from .sessions import create, data_of, id_of, managed, open_session, sqlite_url

__all__ = ["measure"]

_SESSIONS = 256
_READ = "SELECT data FROM atomic_session WHERE id = ?"

Read = Callable[[str], object]


async def measure(options: Options) -> Figure:
    figure = Figure("loads", "one load of a 0.5 KB session from SQLite, by a request of its own")
    path = options.folder / "loads.db"
    async with managed(sqlite_url(path)) as context:
        made = await create(context, _SESSIONS, data_of())
        ids = [id_of(context, headers) for headers in made]
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        times = options.times(40, 1)

        async def load() -> float:
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
            *(Case(name, "us", partial(bare, read)) for name, read in reads.items()),
        ]
        await load()
        await record(figure, cases, options.rounds)
        connection.close()
    figure.compare("time: ours / bare read", "ours, load", "apsw, primary-key read", Target("at most", 4))
    figure.compare("time: ours / bare read and decode", "ours, load", "apsw, primary-key read and decode")
    return figure
