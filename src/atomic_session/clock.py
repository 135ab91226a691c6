"""
The only module that reads the time.

An `Instant` is a whole number of milliseconds since the Unix epoch.  Everything below the
edges receives it as an argument, so tests never wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

__all__ = ["Clock", "Instant", "now", "to_datetime"]

Instant: TypeAlias = int
Clock: TypeAlias = Callable[[], Instant]


def now() -> Instant:
    """Return this machine's time in whole milliseconds."""
    return time.time_ns() // 1_000_000


def to_datetime(instant: Instant) -> datetime:
    """Return *instant* as whoever writes an application reads time: aware, in UTC."""
    return datetime.fromtimestamp(instant / 1000, UTC)
