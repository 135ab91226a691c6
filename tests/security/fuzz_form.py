"""
Fuzz the form scanner and the cookie parser by coverage: `python -m tests.security.fuzz_form -max_total_time=60`.

It needs atheris (`pip install atheris`), and is no part of `make test`.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from atomic_session.cookies import CookieCodec, CookieSettings
    from atomic_session.csrf import parse_origin
    from atomic_session.csrf_form import scanner_for

CODEC = CookieCodec(CookieSettings())


def _scan(kind: str, body: bytes, size: int) -> tuple[str | None, str | None]:
    scanner = scanner_for(kind, "_csrf", 4_096)
    if scanner is None:
        return None, None
    for start in range(0, len(body), size):
        if scanner.feed(body[start : start + size]):
            break
    else:
        scanner.end()
    if (scanner.value is None) == (scanner.problem is None):
        raise AssertionError(f"{kind}: neither or both")
    return scanner.value, scanner.problem


def test_one(data: bytes) -> None:
    """Whatever comes is decided, and the pieces in which it comes make no difference."""
    given = atheris.FuzzedDataProvider(data)
    kind = given.PickValueInList(["application/x-www-form-urlencoded", "multipart/form-data; boundary=xyz", ""])
    kind = kind or given.ConsumeUnicodeNoSurrogates(80)
    size = given.ConsumeIntInRange(1, 64)
    body = given.ConsumeBytes(sys.maxsize)
    if _scan(kind, body, size) != _scan(kind, body, max(len(body), 1)):
        raise AssertionError("the pieces make a difference")
    CODEC.read([(b"cookie", body)], secure=True)
    parse_origin(body.decode("latin-1"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one)
    atheris.Fuzz()
