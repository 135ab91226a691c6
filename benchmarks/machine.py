"""What the numbers depend on: versions, processors, the cost of a sync.  No names of hosts, users or folders."""

from __future__ import annotations

import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import apsw

__all__ = ["default_folder", "describe"]

_PACKAGES = (
    "atomic-session",
    "aiosqlite",
    "apsw",
    "httptools",
    "itsdangerous",
    "msgspec",
    "pymongo",
    "starlette",
    "uvicorn",
    "uvloop",
)
_PERSISTENT = Path("/var/tmp")
"""Kept across restarts by convention, and so on a disk; /tmp often is memory, where a sync costs nothing."""


def default_folder() -> Path:
    """Return where temporary files are likely to be on a disk."""
    return _PERSISTENT if os.access(_PERSISTENT, os.W_OK) else Path(tempfile.gettempdir())


def describe(folder: Path) -> dict[str, Any]:
    """Return what a reader needs to judge the numbers, *folder* being where the files are."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "sqlite": {"apsw": apsw.sqlite_lib_version(), "sqlite3": sqlite3.sqlite_version},
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "file_system": _file_system(folder),
        "sync_us": round(_sync_cost(folder), 1),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _file_system(folder: Path) -> str | None:
    """Return the kind of file system that *folder* is on, where the system tells."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return None
    inside = folder.resolve()
    found = [line.split()[1:3] for line in mounts.read_text("utf-8").splitlines()]
    around = [(point, kind) for point, kind in found if inside.is_relative_to(point)]
    return max(around, key=lambda item: len(item[0]))[1] if around else None


def _sync_cost(folder: Path) -> float:
    """Return the microseconds that making 4 KiB durable takes."""
    sync = getattr(os, "fdatasync", os.fsync)
    path = folder / "sync"
    each = []
    with path.open("wb", buffering=0) as file:
        for _ in range(100):
            start = time.perf_counter()
            file.write(bytes(4_096))
            sync(file.fileno())
            each.append((time.perf_counter() - start) * 1e6)
    path.unlink()
    return median(each)
