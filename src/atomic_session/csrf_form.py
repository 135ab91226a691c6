"""
Find the CSRF token in the beginning of a form, without parsing the form.

The scanner is fed what comes, in any pieces, looks at a bounded number of bytes, and stops at
the first thing that decides.  It is strict where parsers are lenient: what it cannot read has no
token, and a request without one is refused.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

__all__ = ["FormScanner", "scanner_for"]

_LONGEST_TYPE = 1_024
_LONGEST_VALUE = 128
_LONGEST_HEADERS = 8_192
_MOST_PARTS = 32
_EMPTY_LINE = b"\r\n\r\n"

_URLENCODED = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rb"[ \t]*(" + _TOKEN + rb"/" + _TOKEN + rb")")
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(" + _TOKEN + rb')=("(?:[^"\\]|\\.)*"|' + _TOKEN + rb")[ \t]*", re.DOTALL)
_DISPOSITION = re.compile(rb"[ \t]*(form-data)", re.IGNORECASE)
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


def scanner_for(content_type: str | None, field: str, limit: int) -> FormScanner | None:
    """Return what searches a body of this type for *field* in its first *limit* bytes; None if it is no form."""
    if content_type is None or len(content_type) > _LONGEST_TYPE:
        return None
    raw = content_type.encode("latin-1", "replace")
    media = _MEDIA_TYPE.match(raw)
    if media is None:
        return None
    parameters = _parameters(raw, media.end())
    if parameters is None:
        return None
    kind = media[1].lower()
    if kind == _URLENCODED:
        return _PairScanner(field.encode(), limit)
    boundary = parameters.get(b"boundary")
    if kind != _MULTIPART or boundary is None or _BOUNDARY.fullmatch(boundary) is None:
        return None
    return _PartScanner(field.encode(), limit, boundary)


def _parameters(raw: bytes, at: int) -> dict[bytes, bytes] | None:
    """Read `; name=value` from there to the end; None if it is anything else, or says one thing twice."""
    found: dict[bytes, bytes] = {}
    while at < len(raw):
        match = _PARAMETER.match(raw, at)
        if match is None or match[1].lower() in found:
            return None
        value = match[2]
        found[match[1].lower()] = (
            re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL) if value[:1] == b'"' else value
        )
        at = match.end()
    return found


class FormScanner:
    """
    A search that is fed.

    Attributes:
        value: the token's field, once it is found.
        problem: why there is none, once that is known: "token_missing", "token_too_late",
            "file_before_token" or "form_malformed".
    """

    __slots__ = ("_buffer", "_field", "_left", "problem", "value")

    def __init__(self, field: bytes, limit: int) -> None:
        self._field = field
        self._left = limit
        self._buffer = bytearray()
        self.value: str | None = None
        self.problem: str | None = None

    @abstractmethod
    def end(self) -> None:
        """Take note that the form has ended; now it is decided."""

    def _is_decided(self) -> bool:
        return self.value is not None or self.problem is not None

    def feed(self, chunk: bytes) -> bool:
        """Look at *chunk*; say whether it is decided."""
        if self._is_decided():
            return True
        looked_at = chunk[: self._left]
        self._left -= len(looked_at)
        self._buffer += looked_at
        self._search()
        if not self._is_decided() and len(looked_at) < len(chunk):
            self._refuse("token_too_late")
        return self._is_decided()

    @abstractmethod
    def _search(self) -> None:
        """Go as far as what has come allows."""

    def _take(self, value: bytes) -> None:
        if len(value) > _LONGEST_VALUE:
            self._refuse("form_malformed")
        else:
            self.value = value.decode("latin-1")  # what is no token will not pass for one

    def _refuse(self, problem: str) -> bool:
        """Decide that there is no token; that gets nowhere."""
        self.problem = problem
        return False


class _PairScanner(FormScanner):
    """Search `name=value&name=value`."""

    __slots__ = ("_searched",)

    def __init__(self, field: bytes, limit: int) -> None:
        super().__init__(field, limit)
        self._searched = 0  # bytes of the buffer that hold no `&`

    def end(self) -> None:
        if not self._is_decided():
            self._look_at(bytes(self._buffer))
        if not self._is_decided():
            self._refuse("token_missing")

    def _search(self) -> None:
        start = 0
        end = self._buffer.find(b"&", self._searched)
        while end >= 0 and not self._is_decided():
            self._look_at(bytes(self._buffer[start:end]))
            start = end + 1
            end = self._buffer.find(b"&", start)
        del self._buffer[:start]
        self._searched = len(self._buffer)

    def _look_at(self, pair: bytes) -> None:
        name, _, value = pair.partition(b"=")
        if _decoded(name) == self._field:
            self._take(_decoded(value))


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


class _PartScanner(FormScanner):
    """Search the parts between `--boundary` lines."""

    __slots__ = ("_boundary", "_delimiter", "_parts", "_searched", "_step")

    _searched: int  # bytes of the buffer in which the next landmark does not begin
    _step: Callable[[], bool]

    def __init__(self, field: bytes, limit: int, boundary: bytes) -> None:
        super().__init__(field, limit)
        self._boundary = b"--" + boundary
        self._delimiter = b"\r\n--" + boundary
        self._parts = 0
        self._go_on(0, self._begin)

    def end(self) -> None:
        if not self._is_decided():
            self._refuse("form_malformed")

    def _search(self) -> None:
        while not self._is_decided() and self._step():
            pass

    # Each step returns whether it got anywhere; False waits for more.

    def _begin(self) -> bool:
        """Come to the first boundary; only line ends may be before it."""
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        if self._buffer.startswith(self._boundary):
            return self._go_on(len(self._boundary), self._end_of_line)
        may_become_one = self._boundary.startswith(self._buffer) or self._buffer == b"\r"
        return False if may_become_one else self._refuse("form_malformed")

    def _end_of_line(self) -> bool:
        """Be behind a boundary: a part follows, or nothing more."""
        line = bytes(self._buffer[:2])
        if len(line) < 2:
            return False
        if line != b"\r\n":
            return self._refuse("token_missing" if line == b"--" else "form_malformed")
        self._parts += 1
        if self._parts > _MOST_PARTS:
            return self._refuse("token_too_late")
        return self._go_on(0, self._headers)

    def _headers(self) -> bool:
        """Read the headers of a part, from the line end before them to the empty line behind them."""
        end = self._find(_EMPTY_LINE)
        if max(end, self._searched) > _LONGEST_HEADERS:
            return self._refuse("form_malformed")
        if end < 0:
            return False
        name = self._name_of(bytes(self._buffer[:end]))
        return self._go_on(end + len(_EMPTY_LINE), self._token if name == self._field else self._other)

    def _token(self) -> bool:
        """Read the part that is looked for."""
        end = self._find(self._delimiter)
        if end >= 0:
            self._take(bytes(self._buffer[:end]))
        elif self._searched > _LONGEST_VALUE:
            self._refuse("form_malformed")
        return False

    def _other(self) -> bool:
        """Skip a part."""
        end = self._find(self._delimiter)
        return False if end < 0 else self._go_on(end + len(self._delimiter), self._end_of_line)

    def _find(self, landmark: bytes) -> int:
        """Return where *landmark* begins; -1 where it has not come yet, and what was searched will not be again."""
        found = self._buffer.find(landmark, self._searched)
        if found < 0:
            self._searched = max(len(self._buffer) - len(landmark) + 1, 0)
        return found

    def _go_on(self, count: int, step: Callable[[], bool]) -> bool:
        del self._buffer[:count]
        self._searched = 0
        self._step = step
        return True

    def _name_of(self, headers: bytes) -> bytes | None:
        """Return the name of the part with these headers; a file decides."""
        said = [line.partition(b":")[2] for line in headers.split(b"\r\n") if _is_disposition(line)]
        begin = _DISPOSITION.match(said[0]) if len(said) == 1 else None
        parameters = None if begin is None else _parameters(said[0], begin.end())
        if parameters is None:
            self._refuse("form_malformed")
            return None
        if b"filename" in parameters or b"filename*" in parameters:
            self._refuse("file_before_token")
        return parameters.get(b"name")


def _is_disposition(line: bytes) -> bool:
    return line.partition(b":")[0].lower() == b"content-disposition"
