"""The form scanner: it finds what parsers find, in any pieces, and looks at no more than it may."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import Field, File, FormParser

from atomic_session.csrf_form import scanner_for

LIMIT = 65_536
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=xyz"
TOKEN = "A" * 64


def _scan(kind: str, body: bytes, *, size: int | None = None, limit: int = LIMIT) -> tuple[str | None, str | None]:
    """Return the value and the problem, with the body cut into pieces of this size."""
    scanner = scanner_for(kind, "_csrf", limit)
    assert scanner is not None
    for start in range(0, len(body), size or max(len(body), 1)):
        if scanner.feed(body[start : start + (size or len(body))]):
            break
    else:
        scanner.end()
    return scanner.value, scanner.problem


def _part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def _part_of(size: int) -> bytes:
    """Return our part with so many bytes before the empty line behind its headers."""
    headers = b'\r\nContent-Disposition: form-data; name="_csrf"\r\nX: '
    return b"--xyz" + headers + b"y" * (size - len(headers)) + b"\r\n\r\nx\r\n"


END = b"--xyz--\r\n"
OURS = _part("_csrf", TOKEN.encode())


@pytest.mark.parametrize("size", [None, 1, 2, 3, 7, 64])
@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (URLENCODED, b"_csrf=" + TOKEN.encode(), (TOKEN, None)),
        (URLENCODED, b"a=1&_csrf=" + TOKEN.encode() + b"&b=2", (TOKEN, None)),
        (URLENCODED, b"%5fcsr%66=%41" + TOKEN[1:].encode(), (TOKEN, None)),
        (URLENCODED, b"&&_csrf=x+y&", ("x y", None)),
        (URLENCODED, b"_csrf=first&_csrf=second", ("first", None)),
        (URLENCODED, b"_csrf=first&_csrf=second&", ("first", None)),
        (URLENCODED, b"&_csrf=x", ("x", None)),
        (URLENCODED, b"_csrf", ("", None)),
        (URLENCODED, b"", (None, "token_missing")),
        (URLENCODED, b"_CSRF=x&_csrf2=y&csrf=z", (None, "token_missing")),
        (URLENCODED, b"a=1;_csrf=x", (None, "token_missing")),
        (URLENCODED, b"a=_csrf=x", (None, "token_missing")),
        (URLENCODED, b"_csrf=" + b"x" * 129, (None, "form_malformed")),
        (URLENCODED, b"_csrf=" + b"%41" * 128, ("A" * 128, None)),
        (URLENCODED, b"_csrf=" + b"%41" * 200, (None, "form_malformed")),
        (MULTIPART, OURS + END, (TOKEN, None)),
        (MULTIPART, b"\r\n" + OURS + END, (TOKEN, None)),
        (MULTIPART, _part("a", b"1") + OURS + END, (TOKEN, None)),
        (MULTIPART, _part("a", b"") + OURS + END, (TOKEN, None)),
        (MULTIPART, _part("_csrf", b"") + END, ("", None)),
        (MULTIPART, _part("_c\\srf", b"x") + END, ("x", None)),
        (MULTIPART, OURS.replace(b"Content-D", b"Content-Type: text/plain\r\nContent-D") + END, (TOKEN, None)),
        (MULTIPART, OURS.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n") + END, (TOKEN, None)),
        (MULTIPART, _part_of(8_192) + END, ("x", None)),
        (MULTIPART, _part_of(8_193) + END, (None, "form_malformed")),
        (MULTIPART, OURS + _part("f", b"data", '; filename="a.txt"') + END, (TOKEN, None)),
        (MULTIPART, OURS + _part("_csrf", b"second") + END, (TOKEN, None)),
        (MULTIPART, _part("a", b"--xy\r\n--xy--\r\n") + OURS + END, (TOKEN, None)),
        (MULTIPART, _part("f", b"data", '; filename="a.txt"') + OURS + END, (None, "file_before_token")),
        (MULTIPART, _part("_csrf", b"data", '; filename="a.txt"') + END, (None, "file_before_token")),
        (MULTIPART, _part("f", b"data", "; filename*=utf-8''a") + OURS + END, (None, "file_before_token")),
        (MULTIPART, _part("a", b"1") + END, (None, "token_missing")),
        (MULTIPART, END, (None, "token_missing")),
        (MULTIPART, b"", (None, "form_malformed")),
        (MULTIPART, b"preamble\r\n" + OURS + END, (None, "form_malformed")),
        (MULTIPART, b"\n" + OURS + END, (None, "form_malformed")),
        (MULTIPART, b"--xyzz\r\n" + OURS[6:] + END, (None, "form_malformed")),
        (MULTIPART, OURS.replace(b"\r\n", b"\n") + END, (None, "form_malformed")),
        (MULTIPART, OURS[:-10], (None, "form_malformed")),
        (MULTIPART, _part("_csrf", b"x" * 129) + END, (None, "form_malformed")),
        (MULTIPART, _part("_csrf", b"x" * 128) + END, ("x" * 128, None)),
        (MULTIPART, _part("a", b"1") * 31 + OURS + END, (TOKEN, None)),
        (MULTIPART, _part("a", b"1") * 32 + OURS + END, (None, "token_too_late")),
        (MULTIPART, b"--xyz\r\nX: y\r\n\r\n1\r\n" + OURS + END, (None, "form_malformed")),
        (MULTIPART, b"--xyz\r\n" + b"X: y\r\n" * 2_000 + OURS[7:] + END, (None, "form_malformed")),
        (MULTIPART, _part('_csrf"; name="_csrf', b"x") + END, (None, "form_malformed")),
        (MULTIPART, _part('_csrf"; x="\\"', b"x") + END, ("x", None)),
        (MULTIPART, OURS.replace(b'"_csrf"', b"_csrf") + END, (TOKEN, None)),
        (MULTIPART, OURS.replace(b"form-data", b"Form-Data") + END, (TOKEN, None)),
        (MULTIPART, OURS.replace(b"form-data", b"attachment") + END, (None, "form_malformed")),
        (MULTIPART, OURS.replace(b"Content-D", b"content-d") + END, (TOKEN, None)),
    ],
)
def test_a_form_is_read_strictly_in_whatever_pieces_it_comes(
    kind: str, body: bytes, expected: tuple[str | None, str | None], size: int | None
) -> None:
    assert _scan(kind, body, size=size) == expected


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=" + "a" * 71,
        'multipart/form-data; boundary="a "',
        'multipart/form-data; boundary="a\r\nb"',
        "multipart/form-data; boundary=a, application/x-www-form-urlencoded",
        "multipart/mixed; boundary=a",
        "application/x-www-form-urlencoded, text/plain",
        "application/x-www-form-urlencoded; charset",
        "application/x-www-form-urlencoded\x00",
        "application/x-www-form-urlencode\u0434",
    ],
)
def test_what_is_no_form_for_certain_has_no_token(kind: str | None) -> None:
    assert scanner_for(kind, "_csrf", LIMIT) is None


@pytest.mark.parametrize(
    "kind",
    [
        "Application/X-WWW-Form-UrlEncoded",
        "application/x-www-form-urlencoded;charset=utf-8",
        'application/x-www-form-urlencoded ; charset="utf-8" ',
    ],
)
def test_a_form_may_say_so_in_any_case_and_with_parameters(kind: str) -> None:
    assert _scan(kind, b"_csrf=x") == ("x", None)


@pytest.mark.parametrize("boundary", ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "a" * 70, '"a b:c"', "--"])
def test_a_boundary_may_be_any_that_the_standard_allows(boundary: str) -> None:
    body = OURS.replace(b"xyz", boundary.strip('"').encode()) + b"--" + boundary.strip('"').encode() + b"--"

    assert _scan(f"multipart/form-data; boundary={boundary}", body) == (TOKEN, None)


@pytest.mark.parametrize("size", [None, 1_000, 1])
@pytest.mark.parametrize("kind", [URLENCODED, MULTIPART])
def test_no_more_than_the_limit_is_looked_at(kind: str, size: int | None) -> None:
    filler, ours = (
        (b"a=", b"&_csrf=x&") if kind == URLENCODED else (_part("a", b"")[:-2], b"\r\n" + _part("_csrf", b"x"))
    )
    tail = b"" if kind == URLENCODED else b"--xyz"
    fitting = filler + b"." * (2_000 - len(filler + ours + tail)) + ours + tail

    assert _scan(kind, fitting + b"more", size=size, limit=2_000) == ("x", None)
    assert _scan(
        kind, b".." + fitting if kind == URLENCODED else filler + b".." + fitting[len(filler) :], size=size, limit=2_000
    ) == (
        None,
        "token_too_late",
    )


def test_a_form_that_ends_at_the_limit_is_looked_at_whole() -> None:
    body = b"a" * 1_990 + b"&_csrf=xyz"

    assert len(body) == 2_000
    assert _scan(URLENCODED, body, limit=2_000) == ("xyz", None)


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters='"\\'), max_size=8)
FIELDS = st.lists(st.tuples(st.one_of(st.just("_csrf"), NAMES), st.text("A-_ &=%+\r\n;", max_size=30)), max_size=5)


@given(fields=FIELDS, size=st.integers(1, 50))
def test_a_urlencoded_form_reads_as_the_standard_library_reads_it(fields: list[tuple[str, str]], size: int) -> None:
    body = urlencode(fields)
    expected = dict(reversed(parse_qsl(body, keep_blank_values=True))).get("_csrf")

    assert _scan(URLENCODED, body.encode(), size=size)[0] == expected


def _reference(body: bytes) -> str | None:
    """Return the first `_csrf` field that python-multipart finds."""
    found: list[bytes] = []

    def field(given: Field) -> None:
        if given.field_name == b"_csrf":
            found.append(given.value or b"")

    def file(_given: File) -> None:
        raise AssertionError

    parser = FormParser("multipart/form-data", field, file, boundary=b"xyz")
    parser.write(body)
    parser.finalize()
    parser.close()
    return found[0].decode("latin-1") if found else None


@given(fields=FIELDS.filter(bool), size=st.integers(1, 50))
def test_a_multipart_form_reads_as_its_parser_reads_it(fields: list[tuple[str, str]], size: int) -> None:
    body = b"".join(_part(name, value.encode()) for name, value in fields) + END

    assert _scan(MULTIPART, body, size=size)[0] == _reference(body)


@given(body=st.binary(max_size=300), kind=st.sampled_from([URLENCODED, MULTIPART]), size=st.integers(1, 20))
def test_any_bytes_are_decided_and_the_pieces_make_no_difference(body: bytes, kind: str, size: int) -> None:
    value, problem = _scan(kind, body)

    assert (value is None) != (problem is None)
    assert _scan(kind, body, size=size) == (value, problem)


PIECES = st.lists(
    st.sampled_from(
        [
            b"--xyz",
            b"--",
            b"\r\n",
            b"\r",
            b"\n",
            b"Content-Disposition: form-data",
            b'; name="_csrf"',
            b"; filename=x",
            b"\r\n\r\n",
            b"x",
            b"\r\n--xyz\r\n",
            b"\r\n--xyz--",
            b'"',
            b"\\",
            b":",
            b"=",
        ]
    ),
    max_size=20,
)


@given(pieces=PIECES, size=st.integers(1, 20))
def test_anything_that_looks_like_a_form_is_decided_in_any_pieces(pieces: list[bytes], size: int) -> None:
    body = b"".join(pieces)
    value, problem = _scan(MULTIPART, body)

    assert (value is None) != (problem is None)
    assert _scan(MULTIPART, body, size=size) == (value, problem)


@pytest.mark.parametrize(
    ("kind", "undecided", "decisive"),
    [
        (MULTIPART, b"--xyz\r\n" + b"h" * 8_193, b"h"),  # with the line end before them, and half an empty line
        (MULTIPART, b"--xyz\r\n\r", b"\n"),
        (MULTIPART, OURS[: -len(TOKEN) - 2] + b"v" * 134, b"v"),  # 128, and most of a delimiter
        (MULTIPART, b"", b"p"),
        (MULTIPART, b"\r\n\r\n", b"p"),
        (MULTIPART, b"\r", b"\r"),
        (MULTIPART, b"--xy", b"y"),
        (MULTIPART, b"--xyz\r", b"x"),
        (MULTIPART, b"--xyz-", b"x"),
        (URLENCODED, b"a=1&_csrf=" + b"x" * 500, b"&"),
    ],
)
def test_it_is_decided_by_the_first_byte_that_decides_and_stays_so(
    kind: str, undecided: bytes, decisive: bytes
) -> None:
    scanner = scanner_for(kind, "_csrf", LIMIT)
    assert scanner is not None
    pieces = [undecided[place : place + 1] for place in range(len(undecided))]

    assert not any(scanner.feed(piece) for piece in pieces)
    assert (scanner.value, scanner.problem) == (None, None)
    assert scanner.feed(decisive) is True
    assert (scanner.value, scanner.problem) == (None, "form_malformed")
    kept = len(scanner._buffer)
    for body in (OURS + END, b"&_csrf=x&"):
        assert scanner.feed(body) is True
    scanner.end()
    assert (scanner.value, scanner.problem) == (None, "form_malformed")
    assert len(scanner._buffer) == kept


class _Counted(bytearray):
    """A buffer that counts the bytes that are looked at."""

    looked_at = 0

    def find(self, landmark: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(landmark, start)
        self.looked_at += (len(self) if found < 0 else found + len(landmark)) - start
        return found

    def startswith(self, prefix: Any, *rest: Any) -> bool:
        self.looked_at += len(prefix)
        return super().startswith(prefix, *rest)

    def __getitem__(self, key: Any) -> Any:
        taken = super().__getitem__(key)
        self.looked_at += len(taken)
        return taken


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (URLENCODED, b"x"),
        (URLENCODED, b"&"),
        (URLENCODED, b";"),
        (URLENCODED, b"%"),
        (URLENCODED, b"_csrf"),
        (URLENCODED, b"_=&"),
        (MULTIPART, b"x"),
        (MULTIPART, b"\r\n"),
        (MULTIPART, b"\r\n--xy"),
    ],
)
@pytest.mark.parametrize("size", [None, 1])
def test_each_byte_of_a_form_is_looked_at_a_few_times_only(kind: str, unit: bytes, size: int | None) -> None:
    scanner = scanner_for(kind, "_csrf", LIMIT)
    assert scanner is not None
    scanner._buffer = counted = _Counted()
    body = ((b"" if kind == URLENCODED else _part("a", b"")[:-2]) + unit * LIMIT)[:10_000]
    for start in range(0, len(body), size or len(body)):
        scanner.feed(body[start : start + (size or len(body))])
    scanner.end()

    assert len(body) <= counted.looked_at < (20 if size else 3) * len(body)  # a landmark has up to seven bytes


@pytest.mark.parametrize("unit", [b"x", b"X: y\r\n", b"\r\n"])
def test_each_byte_of_a_parts_headers_is_looked_at_a_few_times_only(unit: bytes) -> None:
    scanner = scanner_for(MULTIPART, "_csrf", LIMIT)
    assert scanner is not None
    scanner._buffer = counted = _Counted()
    body = (b"--xyz\r\n" + unit * LIMIT)[:8_000]
    for place in range(len(body)):
        scanner.feed(body[place : place + 1])

    assert counted.looked_at < 20 * len(body)


def test_a_content_type_is_read_up_to_a_kibibyte() -> None:
    kind = "application/x-www-form-urlencoded; a="

    assert scanner_for(kind + "b" * (1_024 - len(kind)), "_csrf", LIMIT) is not None
    assert scanner_for(kind + "b" * (1_025 - len(kind)), "_csrf", LIMIT) is None
    for hostile in ("; a=" * 250, '; a="' + "\\" * 900, " " * 900 + ";", "a" * 900):
        assert scanner_for("multipart/form-data" + hostile, "_csrf", LIMIT) is None


def test_the_reference_is_one() -> None:
    assert _reference(OURS + END) == TOKEN
    assert _reference(_part("a", b"1") + END) is None
