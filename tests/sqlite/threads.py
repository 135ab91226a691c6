"""The writers' threads that one test has started."""

from __future__ import annotations

import threading

__all__ = ["Writers"]


class Writers:
    """Those that run now and did not yet when this was made: what others have left is not counted."""

    def __init__(self) -> None:
        self._elders = set(_running())

    def __call__(self) -> list[threading.Thread]:
        return [thread for thread in _running() if thread not in self._elders]


def _running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("atomic-session")]
