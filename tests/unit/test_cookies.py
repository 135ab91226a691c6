"""The cookie: what is accepted from a browser, and what is sent to one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atomic_session.cookies import LONGEST_AGE, MAX_COOKIE_HEADER, CookieCodec, CookieSettings, Found
from atomic_session.token import Signer, Token, new_token, parse_token

NAME = b"__Host-sid"
DAY = 24 * 60 * 60 * 1_000
CODEC = CookieCodec(CookieSettings())


def _token(letter: str = "A") -> Token:
    token = parse_token(f"{letter * 21}A.{letter * 42}A".encode())
    assert token is not None
    return token


TOKEN = _token()
VALUE = TOKEN.value.encode()
OTHER = _token("B").value.encode()


def _read(*fields: bytes, codec: CookieCodec = CODEC, secure: bool = True) -> Found:
    return codec.read([(b"host", b"example.com"), *((b"cookie", field) for field in fields)], secure)


def _value(*fields: bytes, codec: CookieCodec = CODEC, secure: bool = True) -> bytes | None:
    token = _read(*fields, codec=codec, secure=secure).token
    return None if token is None else token.value.encode()


def _problem(*fields: bytes) -> str | None:
    found = _read(*fields)
    assert found.token is None
    return found.problem


# --- settings


@pytest.mark.parametrize(
    ("settings", "plain", "secure"),
    [
        ({}, b"sid", b"__Host-sid"),
        ({"name": "session"}, b"session", b"__Host-session"),
        ({"path": "/app"}, b"sid", b"__Secure-sid"),
        ({"domain": "example.com"}, b"sid", b"__Secure-sid"),
        ({"name": "__Host-sid"}, b"sid", b"__Host-sid"),
        ({"name": "__Host-Http-sid"}, b"sid", b"__Host-Http-sid"),
        ({"name": "__Secure-sid"}, b"sid", b"__Secure-sid"),
        ({"name": "__Secure-sid", "path": "/app", "domain": "example.com"}, b"sid", b"__Secure-sid"),
        ({"name": "__Http-sid", "path": "/app"}, b"sid", b"__Http-sid"),
        ({"name": "!#$%&'*+-.^_`|~"}, b"!#$%&'*+-.^_`|~", b"__Host-!#$%&'*+-.^_`|~"),
    ],
)
def test_the_name_over_https_has_the_strongest_prefix_it_can_have(
    settings: dict[str, Any], plain: bytes, secure: bytes
) -> None:
    codec = CookieCodec(CookieSettings(**settings))

    assert (codec.name(False), codec.name(True)) == (plain, secure)


@pytest.mark.parametrize("https_only", [None, True, False])
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_https_only_decides_or_else_the_scheme_does(https_only: bool | None, scheme: str) -> None:
    codec = CookieCodec(CookieSettings(https_only=https_only))

    assert codec.is_secure(scheme) is (scheme in {"https", "wss"} if https_only is None else https_only)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a=b"}, "name"),
        ({"name": "a;b"}, "name"),
        ({"name": "sid\n"}, "name"),
        ({"name": "séance"}, "name"),
        ({"name": None}, "name"),
        ({"name": b"sid"}, "name"),
        ({"name": "__Host-"}, "name"),
        ({"name": "__Secure-"}, "name"),
        ({"name": "__Host-Http-"}, "name"),
        ({"name": "__host-sid"}, "name"),
        ({"name": "__SECURE-sid"}, "name"),
        ({"name": "__http-sid"}, "name"),
        ({"name": "__Host-__Secure-sid"}, "name"),
        ({"name": "__Host-sid", "https_only": False}, "name"),
        ({"name": "__Secure-sid", "https_only": False}, "name"),
        ({"name": "__Host-sid", "path": "/app"}, "path"),
        ({"name": "__Host-sid", "domain": "example.com"}, "domain"),
        ({"name": "__Host-Http-sid", "path": "/app"}, "path"),
        ({"path": ""}, "path"),
        ({"path": "app"}, "path"),
        ({"path": "/a,b"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"path": None}, "path"),
        ({"path": "/" + "a" * 1_024}, "path"),
        ({"domain": ""}, "domain"),
        ({"domain": "."}, "domain"),
        ({"domain": "a..b"}, "domain"),
        ({"domain": "example.com."}, "domain"),
        ({"domain": "example.com:8000"}, "domain"),
        ({"domain": "https://example.com"}, "domain"),
        ({"domain": "exämple.com"}, "domain"),
        ({"domain": "a b"}, "domain"),
        ({"domain": 1}, "domain"),
        ({"domain": "a" * 1_025}, "domain"),
        ({"same_site": ""}, "same_site"),
        ({"same_site": "no"}, "same_site"),
        ({"same_site": "lax; Domain=evil.example"}, "same_site"),
        ({"same_site": None}, "same_site"),
        ({"same_site": "none", "https_only": False}, "same_site"),
        ({"same_site": "NONE", "https_only": False}, "same_site"),
        ({"partitioned": True, "https_only": False}, "partitioned"),
        ({"partitioned": 1}, "partitioned"),
        ({"partitioned": None}, "partitioned"),
        ({"https_only": 0}, "https_only"),
        ({"https_only": 1.0}, "https_only"),
        ({"https_only": "false"}, "https_only"),
    ],
)
def test_an_impossible_setting_is_refused_by_its_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}\b"):
        CookieSettings(**settings)


def test_name_and_value_fit_into_4096_bytes_to_the_last_byte() -> None:
    fitting = 4_096 - len("__Host-") - len(Signer("key").sign(TOKEN.value))

    codec = CookieCodec(CookieSettings(name="n" * fitting), Signer("key"))
    pair = codec.set_header(TOKEN, True, None).partition(b";")[0]
    assert len(pair) - len(b"=") == 4_096
    with pytest.raises(ValueError, match=r"^name is too long"):
        CookieSettings(name="n" * (fitting + 1))


def test_an_attribute_fits_into_1024_bytes_to_the_last_byte() -> None:
    assert CookieSettings(path="/" + "a" * 1_023).path
    assert CookieSettings(domain="a" * 1_024).domain


DANGEROUS = [*map(chr, range(0x21)), ";", ",", *map(chr, range(0x7F, 0x100)), "\u010a", "\u010d", "\u2028", "\ud800"]


@pytest.mark.parametrize(
    ("setting", "good"), [("name", "sid"), ("path", "/app"), ("domain", "example.com"), ("same_site", "lax")]
)
def test_no_character_that_ends_a_field_gets_into_a_setting(setting: str, good: str) -> None:
    assert getattr(CookieSettings(**{setting: good}), setting) == good  # type: ignore[arg-type]
    for bad in DANGEROUS:
        for value in (bad + good, good + bad, good[:2] + bad + good[2:], f"{good}{bad}Set-Cookie: a=b"):
            with pytest.raises(ValueError, match=rf"^{setting}\b"):
                CookieSettings(**{setting: value})  # type: ignore[arg-type]


@given(
    name=st.text(max_size=12),
    path=st.text(max_size=12).map(lambda text: "/" + text),
    domain=st.none() | st.text(max_size=12),
    same_site=st.sampled_from(["lax", "Strict", "NONE"]),
    https_only=st.sampled_from([None, True, False]),
    partitioned=st.booleans(),
)
@example("sid", "/", None, "lax", None, False)
@example("sid", "/app", "example.com", "NONE", True, True)
def test_settings_are_refused_or_every_header_has_just_the_parts_meant(
    name: str, path: str, domain: str | None, same_site: str, https_only: bool | None, partitioned: bool
) -> None:
    try:
        settings = CookieSettings(name, path, same_site, https_only, domain, partitioned)
    except ValueError:
        return
    codec = CookieCodec(settings)
    for secure in (True, False):
        headers = [codec.set_header(TOKEN, secure, DAY), codec.clear_header(secure)]
        for header in headers:
            assert re.fullmatch(rb"[ -~]+", header)
            parts = dict(part.partition("=")[::2] for part in header.decode().split("; "))
            names = ["Path", "HttpOnly", "SameSite", "Max-Age", codec.name(secure).decode()]
            names += (
                ["Secure"] * secure + ["Partitioned"] * (partitioned and secure) + ["Domain"] * (domain is not None)
            )
            assert parts.keys() - {"Expires"} == set(names)
            assert (parts["Path"], parts.get("Domain")) == (path, domain)


# --- reading


def test_no_cookie_is_no_problem() -> None:
    assert CODEC.read([], True) == _read() == _read(b"") == _read(b"a=b; c=d") == Found(None, None, False)


def test_a_token_is_found() -> None:
    assert _value(NAME + b"=" + VALUE) == VALUE
    found = _read(NAME + b"=" + VALUE)
    assert (found.problem, found.resign) == (None, False)


def test_header_names_may_be_in_any_case() -> None:
    pair = NAME + b"=" + VALUE

    assert CODEC.read([(b"Cookie", pair)], True).token is not None
    assert CODEC.read([(b"COOKIE", pair)], True).token is not None
    assert CODEC.read([(b"cookie2", pair), (b"cooki", pair), (b"set-cookie", pair)], True) == Found()


def test_headers_may_come_only_once() -> None:
    assert CODEC.read(iter([(b"cookie", NAME + b"=" + VALUE)]), True).token is not None


COOKIE_BYTES = bytes(byte for byte in range(256) if byte not in b";")
BLANKS = st.lists(st.sampled_from(b" \t"), max_size=3).map(bytes)
PAIRS = (
    st.tuples(BLANKS, st.lists(st.sampled_from(COOKIE_BYTES), max_size=12).map(bytes))
    .map(b"".join)
    .filter(lambda pair: pair.partition(b"=")[0].strip(b" \t") != NAME)
) | st.sampled_from(
    [
        b"",
        b"=",
        b"sid=1",
        b" x__Host-sid=1",
        b"__Host-sid",
        b"__Host-sid2=1",
        b"x=__Host-sid=1",
        b"=__Host-sid=1",
        b"__Host-sid __Host-sid=1",
        b"x=__Host-sid",
        b'x="',
        b"__host-sid=1",
        b"__host-sid=__Host-sid",
    ]
)


@given(before=st.lists(PAIRS, max_size=4), after=st.lists(PAIRS, max_size=4), blanks=st.tuples(*[BLANKS] * 4))
def test_the_token_is_found_wherever_it_stands_and_however_the_field_is_split(
    before: list[bytes], after: list[bytes], blanks: tuple[bytes, bytes, bytes, bytes]
) -> None:
    ours = blanks[0] + NAME + blanks[1] + b"=" + blanks[2] + VALUE + blanks[3]
    pairs = [*before, ours, *after]

    assert _value(b";".join(pairs)) == VALUE
    for cut in range(len(pairs) + 1):
        assert _value(b";".join(pairs[:cut]), b";".join(pairs[cut:])) == VALUE
    assert _value(*pairs) == VALUE


@given(st.lists(PAIRS, max_size=8))
def test_other_cookies_are_never_ours(pairs: list[bytes]) -> None:
    assert _read(b";".join(pairs)) == Found()


@given(
    st.lists(
        st.lists(
            st.binary(max_size=8) | st.sampled_from([NAME, VALUE, b"=", b";", b" ", b"\t", b'"', b".", b"sid"]),
            max_size=12,
        ).map(b"".join),
        max_size=3,
    ),
    st.booleans(),
)
def test_reading_any_bytes_gives_an_answer(fields: list[bytes], secure: bool) -> None:
    for codec in (CODEC, CookieCodec(CookieSettings(), Signer(["new", "old"]))):
        found = _read(*fields, codec=codec, secure=secure)
        assert found.token is None or found.token.value.encode() in b";".join(fields)
        assert found.problem in {None, "malformed", "duplicate", "forged"}
        assert found.token is None or found.problem is None


@pytest.mark.parametrize("byte", range(256))
def test_no_byte_disguises_our_name_or_value(byte: int) -> None:
    one = bytes([byte])
    blank = one in {b" ", b"\t"}
    between = blank or one == b";"

    assert (_value(one + NAME + b"=" + VALUE) == VALUE) is between
    assert (_value(b"a=b;" + one + NAME + b"=" + VALUE) == VALUE) is between
    assert (_value(NAME + one + b"=" + VALUE) == VALUE) is blank
    assert (_value(NAME + b"=" + one + VALUE) == VALUE) is blank
    assert (_value(NAME + b"=" + VALUE + one) == VALUE) is between
    assert _value(NAME + one + VALUE) == (VALUE if one == b"=" else None)
    assert _value(b"a=b" + one + NAME + b"=" + VALUE) == (VALUE if one == b";" else None)
    for position in range(len(NAME)):
        if one != NAME[position : position + 1]:
            assert _value(NAME[:position] + one + NAME[position + 1 :] + b"=" + VALUE) is None


@pytest.mark.parametrize(
    "disguise",
    [
        b"__host-sid=%b",
        b"__HOST-SID=%b",
        b"__Host-Sid=%b",
        b"=__Host-sid=%b",
        b"; =__Host-sid=%b",
        b"sid=%b",
        b"__Secure-sid=%b",
        b"__Host-__Host-sid=%b",
        b"%%5f_Host-sid=%b",
        b"__Host%%2Dsid=%b",
        b"__Host-sid%%20=%b",
        b'"__Host-sid"=%b',
        b'__Host-sid="%b"',
        b"__Host-sid='%b'",
        b'x="; __Host-sid=%b"',
        b"__Host-sid=%b,",
        b"__Host-sid=%b, a=b",
        b"a=b, __Host-sid=%b",
        b"a=b\r\n__Host-sid=%b",
        b"$Version=1, __Host-sid=%b",
        b"$__Host-sid=%b",
        b"__Host-sid=$%b",
        b"__Host-sid==%b",
        b"__Host-sid=%b=",
        b"__Host-sid=\\101%b",
        b"__Host-sid:%b",
        b"__Host-sid %b",
        b"__Host-sid[]=%b",
        b"\xc2\xa0__Host-sid=%b",
        b"\xa0__Host-sid=%b",
        b"\x85__Host-sid=%b",
        b"\xe2\x80\x80__Host-sid=%b",
        b"\xe3\x80\x80__Host-sid=%b",
        b"\xef\xbb\xbf__Host-sid=%b",
        b"__Host-sid\xc2\xa0=%b",
        b"__Host-sid=\xc2\xa0%b",
        b"__Host-sid=%b\xe2\x80\x8b",
        b"_\xef\xbc\xbfHost-sid=%b",
        b"__Host\xe2\x80\x91sid=%b",
    ],
)
def test_a_disguise_is_not_our_cookie(disguise: bytes) -> None:
    for secure in (True, False):
        if secure or not disguise.startswith(b"sid="):
            assert _value(disguise % VALUE, secure=secure) is None


def test_a_version_cookie_beside_ours_changes_nothing() -> None:
    assert _value(b'$Version="1"; __Host-sid=' + VALUE + b'; $Path="/"') == VALUE


def test_https_and_http_have_two_cookies_that_never_mix() -> None:
    field = b"sid=" + OTHER + b"; __Host-sid=" + VALUE

    assert _value(field, secure=True) == VALUE
    assert _value(field, secure=False) == OTHER
    assert _read(b"sid=" + OTHER, secure=True) == Found()
    assert _read(b"__Host-sid=" + VALUE, secure=False) == Found()


@pytest.mark.parametrize("separator", [b";", b"; ", b" ;\t", b";;", b"; a=b; "])
def test_identical_duplicates_are_accepted_and_different_ones_are_not(separator: bytes) -> None:
    first, second = NAME + b"=" + VALUE, NAME + b"=" + OTHER

    assert _value(separator.join([first, first, first])) == VALUE
    assert _value(first, first) == VALUE
    for order in ([first, second], [second, first], [first, second, first], [first, first, second]):
        assert _problem(separator.join(order)) == "duplicate"
        assert _problem(*order) == "duplicate"
    assert _problem(first, NAME + b"=") == "duplicate"
    assert _problem(NAME + b"=junk", first) == "duplicate"


@pytest.mark.parametrize("value", [b"", b"x", VALUE[:-1], VALUE + b"A", VALUE[:-1] + b"B", VALUE[:22], b"\x00" * 66])
def test_a_value_of_another_form_is_malformed(value: bytes) -> None:
    assert _problem(NAME + b"=" + value) == "malformed"


# --- size and time


JUNK = [
    b";",
    b"=",
    b" ",
    b"\t",
    b'"',
    b"\\",
    b"_",
    NAME,
    NAME + b";",
    NAME + b" ;",
    b"=" + NAME,
    b"x " + NAME,
    b"a=b; ",
]


@pytest.mark.parametrize("junk", [*JUNK, NAME + b"=" + VALUE + b"; "])
def test_the_token_is_found_behind_64_kib_of_junk(junk: bytes) -> None:
    ours = b";" + NAME + b"=" + VALUE
    field = junk * ((MAX_COOKIE_HEADER - len(ours)) // len(junk)) + ours

    assert len(field) > MAX_COOKIE_HEADER - len(junk)
    assert _value(field) == VALUE


class _Counted(bytes):
    """A field that counts the bytes that are looked at or copied."""

    seen = 0

    def __contains__(self, part: Any) -> bool:
        self.seen += len(self)
        return super().__contains__(part)

    def find(self, part: Any, start: Any = 0, end: Any = None) -> int:
        at = super().find(part, start, end)
        self.seen += (len(self) if at < 0 else at + len(part)) - start
        return at

    def rfind(self, part: Any, start: Any = 0, end: Any = None) -> int:
        at = super().rfind(part, start, end)
        self.seen += (len(self) if end is None else end) - (start if at < 0 else at)
        return at

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        self.seen += len(part) if isinstance(part, bytes) else 1
        return part


@pytest.mark.parametrize("junk", [*JUNK, NAME + b"=;", NAME + b"=a;"])
def test_each_byte_of_a_field_is_looked_at_a_few_times_only(junk: bytes) -> None:
    for size in (MAX_COOKIE_HEADER // 8, MAX_COOKIE_HEADER):
        field = _Counted((junk * size)[:size])
        _read(field)

        assert size <= field.seen <= 6 * size


def test_a_header_of_64_kib_is_read_and_a_longer_one_is_not() -> None:
    ours = NAME + b"=" + VALUE
    padding = b"a=" + b"b" * (MAX_COOKIE_HEADER - len(ours) - 3) + b";"

    assert len(padding + ours) == MAX_COOKIE_HEADER
    assert _value(padding + ours) == _value(padding, ours) == VALUE
    assert _problem(padding + ours + b" ") == "oversized"
    assert _problem(ours, padding + b" ") == "oversized"
    assert CODEC.read([(b"x-junk", padding * 2), (b"cookie", ours)], True).token is not None


# --- signatures


def _signed(token: Token, *keys: str) -> bytes:
    return CookieCodec(CookieSettings(), Signer(keys)).set_header(token, True, None).partition(b";")[0]


def test_a_signed_cookie_is_read_by_whoever_has_the_key() -> None:
    codec = CookieCodec(CookieSettings(), Signer("key"))
    token = new_token()
    found = _read(_signed(token, "key"), codec=codec)

    assert found.token is not None
    assert (found.token.value, found.problem, found.resign) == (token.value, None, False)


def test_a_cookie_of_an_older_key_is_read_and_asks_for_a_new_signature() -> None:
    codec = CookieCodec(CookieSettings(), Signer(["new", "old"]))
    found = _read(_signed(TOKEN, "old"), codec=codec)

    assert found.token is not None
    assert (found.token.value, found.resign) == (TOKEN.value, True)
    assert codec.set_header(found.token, True, None).startswith(_signed(TOKEN, "new") + b";")
    assert _read(_signed(TOKEN, "new"), codec=codec).resign is False


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (_signed(TOKEN, "dropped"), "forged"),
        (NAME + b"=" + VALUE, "forged"),
        (_signed(TOKEN, "key")[:-1] + b"!", "forged"),
        (_signed(TOKEN, "key").replace(VALUE, OTHER), "forged"),
        (_signed(TOKEN, "key")[:-1], "malformed"),
        (_signed(TOKEN, "key") + b"=", "malformed"),
        (_signed(TOKEN, "key").replace(VALUE, VALUE[1:] + b"!"), "malformed"),
        (NAME + b"=", "malformed"),
        (_signed(TOKEN, "key") + b"; " + _signed(TOKEN, "old"), "duplicate"),
    ],
)
def test_a_cookie_that_we_did_not_sign_gives_no_token(pair: bytes, problem: str) -> None:
    codec = CookieCodec(CookieSettings(), Signer(["key", "old"]))

    assert _read(pair, codec=codec) == Found(None, problem, False)


def test_no_changed_character_of_a_signed_cookie_is_accepted() -> None:
    codec = CookieCodec(CookieSettings(), Signer("key"))
    pair = _signed(TOKEN, "key")
    for position in range(len(pair)):
        for byte in b'AQz09_-.=; \t"%\x00\xff':
            if byte != pair[position]:
                assert _value(pair[:position] + bytes([byte]) + pair[position + 1 :], codec=codec) is None


def test_a_signed_cookie_means_nothing_to_a_codec_without_keys() -> None:
    assert _problem(_signed(TOKEN, "key")) == "malformed"


# --- writing


@pytest.mark.parametrize(
    ("settings", "secure", "max_age", "header"),
    [
        ({}, True, 14 * DAY, b"__Host-sid=<value>; Max-Age=1209600; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ({}, True, None, b"__Host-sid=<value>; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ({}, False, 14 * DAY, b"sid=<value>; Max-Age=1209600; Path=/; HttpOnly; SameSite=Lax"),
        ({"same_site": "Strict"}, True, None, b"__Host-sid=<value>; Path=/; Secure; HttpOnly; SameSite=Strict"),
        (
            {"same_site": "NONE", "partitioned": True},
            True,
            DAY,
            b"__Host-sid=<value>; Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
        ),
        ({"same_site": "none", "partitioned": True}, False, None, b"sid=<value>; Path=/; HttpOnly; SameSite=Lax"),
        (
            {"name": "id", "path": "/app", "domain": "a.io", "partitioned": True},
            True,
            DAY,
            b"__Secure-id=<value>; Max-Age=86400; Path=/app; Secure; HttpOnly; SameSite=Lax; Domain=a.io; Partitioned",
        ),
        (
            {"path": "/app", "domain": ".example.com"},
            False,
            None,
            b"sid=<value>; Path=/app; HttpOnly; SameSite=Lax; Domain=.example.com",
        ),
    ],
)
def test_the_header_is_written_as_it_was_agreed(
    settings: dict[str, Any], secure: bool, max_age: int | None, header: bytes
) -> None:
    assert CookieCodec(CookieSettings(**settings)).set_header(TOKEN, secure, max_age) == header.replace(
        b"<value>", VALUE
    )


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [
        (1, 1),
        (999, 1),
        (1_000, 1),
        (1_001, 2),
        (400 * DAY, LONGEST_AGE),
        (400 * DAY + 1, LONGEST_AGE),
        (36_500 * DAY, 34_560_000),
        (0, 0),
        (-5 * DAY, 0),
    ],
)
def test_max_age_is_rounded_up_to_seconds_and_never_over_400_days(milliseconds: int, seconds: int) -> None:
    assert b"; Max-Age=%d; " % seconds in CODEC.set_header(TOKEN, True, milliseconds)


@pytest.mark.parametrize(
    ("settings", "secure", "header"),
    [
        (
            {},
            True,
            b"__Host-sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
        ({}, False, b"sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_the_header_that_clears_is_written_as_it_was_agreed(
    settings: dict[str, Any], secure: bool, header: bytes
) -> None:
    assert CookieCodec(CookieSettings(**settings)).clear_header(secure) == header


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(
    "settings", [{}, {"path": "/app"}, {"domain": "example.com"}, {"same_site": "none"}, {"partitioned": True}]
)
def test_what_clears_names_the_same_cookie_as_what_sets(settings: dict[str, Any], secure: bool) -> None:
    codec = CookieCodec(CookieSettings(**settings), Signer("key"))
    cookies = []
    for header in (codec.set_header(TOKEN, secure, DAY), codec.clear_header(secure)):
        pair, *attributes = header.split(b"; ")
        changing = (b"Max-Age=", b"Expires=")
        cookies.append([pair.partition(b"=")[0], *(part for part in attributes if not part.startswith(changing))])

    assert cookies[0] == cookies[1]


@pytest.mark.parametrize("signer", [None, Signer(["new", "old"])])
@pytest.mark.parametrize("secure", [True, False])
def test_what_is_written_is_read_back(signer: Signer | None, secure: bool) -> None:
    codec = CookieCodec(CookieSettings(), signer)
    token = new_token()
    pair = codec.set_header(token, secure, DAY).partition(b";")[0]

    assert _value(pair, codec=codec, secure=secure) == token.value.encode()
    assert _value(pair, codec=codec, secure=not secure) is None


def test_neither_the_codec_nor_what_it_found_shows_a_secret() -> None:
    token = new_token()
    found = _read(NAME + b"=" + token.value.encode())

    assert token.id in repr(found)
    assert token.value[23:] not in f"{found} {found!r} {CODEC!r}"
