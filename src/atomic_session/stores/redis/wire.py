"""How requests are written: one text for all of a trip, so that the socket is given one piece."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

__all__ = ["Part", "pack", "pack_plainly"]

Part: TypeAlias = bytes | str | int
"""One argument of a request."""

Request: TypeAlias = Sequence[Part]


def pack(requests: Sequence[Request]) -> bytes:
    """Return the text of *requests*, one after the other."""
    return b"".join([_pack_one(tuple(request)) for request in requests])


def pack_plainly(request: Request) -> bytes:
    """Return the text of one request, as the server reads it."""
    texts = [part if isinstance(part, bytes) else str(part).encode() for part in request]
    return b"*%d\r\n%b" % (len(texts), b"".join([b"$%d\r\n%b\r\n" % (len(text), text) for text in texts]))


def _packer() -> Callable[[Request], bytes]:
    """Return what packs quickest: hiredis comes with the extra, but the driver works without it."""
    try:
        packer: Callable[[Request], bytes] = importlib.import_module("hiredis").pack_command
    except ImportError:
        return pack_plainly
    return packer


_pack_one = _packer()
