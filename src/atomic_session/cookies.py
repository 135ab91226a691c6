"""
The cookie: what it is called, how it is read, how it is written.

Reading works on bytes, with no library's help: exact name, only SP and HTAB stripped, nothing
unquoted, nothing decoded.  Writing joins bytes that were checked when the settings were made, so
nothing a request sends can get into the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from .token import SIGNED_LENGTH, TOKEN_LENGTH, Signer, Token, parse_token

__all__ = ["LONGEST_AGE", "MAX_COOKIE_HEADER", "CookieCodec", "CookieSettings", "Found"]

LONGEST_AGE = 400 * 24 * 60 * 60
"""The longest `Max-Age` that browsers honour: 400 days, in seconds."""

MAX_COOKIE_HEADER = 65_536
"""Bytes of all `Cookie` fields of one request together; more are not searched."""

_MAX_PAIR = 4_096  # browsers drop a cookie whose name and value are longer together
_MAX_ATTRIBUTE = 1_024  # browsers ignore an attribute whose value is longer

_BLANK = b" \t"
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PATH = re.compile(r"/[!-+\--:<-~]*")  # visible ASCII but comma and semicolon
_DOMAIN = re.compile(r"\.?[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*")

_HOST = "__Host-"
_SECURE = "__Secure-"
_PREFIXES = ("__Host-Http-", _HOST, "__Http-", _SECURE)  # a longer one before what it begins with
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}


@dataclass(frozen=True, slots=True)
class CookieSettings:
    """
    How the cookie is called and where it goes; checked when it is made.

    Attributes:
        name: the name without a prefix.  Over https the cookie is called `__Host-name`, or
            `__Secure-name` if a path or a domain forbids that.  A name that already has a prefix
            keeps it over https, and loses it over http.
        path: where the browser sends the cookie.
        same_site: "lax", "strict" or "none", in any case.
        https_only: True, False, or None to follow the scheme of each request.
        domain: None for this host only.
        partitioned: whether the browser keeps one cookie for each top-level site.

    Raises:
        ValueError: a setting is impossible, or does not go with another; it names the setting.
    """

    name: str = "sid"
    path: str = "/"
    same_site: str = "lax"
    https_only: bool | None = None
    domain: str | None = None
    partitioned: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "same_site", _same_site(self.same_site))
        _check_flags(self)
        _check_attribute("path", self.path, _PATH)
        if self.domain is not None:
            _check_attribute("domain", self.domain, _DOMAIN)
        _check_form("name", self.name, _NAME)
        _check_name(self)
        _check_https(self)

    @property
    def plain_name(self) -> str:
        """The name over http."""
        return self.name[len(_prefix_of(self.name)) :]

    @property
    def secure_name(self) -> str:
        """The name over https."""
        if _prefix_of(self.name):
            return self.name
        return (_HOST if self.path == "/" and self.domain is None else _SECURE) + self.name


class Found(msgspec.Struct, frozen=True):
    """
    What the request's cookies hold of ours.

    Attributes:
        token: None if the cookie is not there or not ours; `problem` tells which.
        problem: None, "malformed", "duplicate", "forged" or "oversized".
        resign: whether an older key signed the cookie, so that it should be written again.
    """

    token: Token | None = None
    problem: str | None = None
    resign: bool = False


_ABSENT = Found()


@dataclass(frozen=True, slots=True)
class _Form:
    """The cookie over https or over http, ready to be joined."""

    name: bytes
    start: bytes
    end: bytes


class CookieCodec:
    """Reads and writes the cookie by one `CookieSettings`; over https and over http it has different names."""

    __slots__ = ("_https_only", "_plain", "_secure", "_signer")

    def __init__(self, settings: CookieSettings, signer: Signer | None = None) -> None:
        self._https_only = settings.https_only
        self._plain = _form(settings, secure=False)
        self._secure = _form(settings, secure=True)
        self._signer = signer

    def name(self, secure: bool) -> bytes:
        """Return the cookie's name."""
        return self._secure.name if secure else self._plain.name

    def is_secure(self, scheme: str) -> bool:
        """Tell whether a request of this scheme has the secure cookie."""
        return scheme in ("https", "wss") if self._https_only is None else self._https_only

    def read(self, headers: Iterable[tuple[bytes, bytes]], secure: bool) -> Found:
        """
        Find our token among the request's headers; never raises.

        Two cookies of our name that differ give no token: which one is ours cannot be known.
        """
        name = self._secure.name if secure else self._plain.name
        values: list[bytes] = []
        size = 0
        for key, field in headers:
            if len(key) == 6 and key.lower() == b"cookie":
                size += len(field)
                if size > MAX_COOKIE_HEADER:
                    return Found(problem="oversized")
                if name in field:
                    values += _values(field, name)
        if not values:
            return _ABSENT
        if len(values) > 1 and values.count(values[0]) != len(values):
            return Found(problem="duplicate")
        return self._open(values[0])

    def set_header(self, token: Token, secure: bool, max_age: int | None) -> bytes:
        """
        Return the value of a `Set-Cookie` that gives the token to the browser.

        *max_age* is in milliseconds, at most 400 days of it are asked for; None ends the cookie
        with the browser.  A time that has run out ends it at once.
        """
        form = self._secure if secure else self._plain
        value = token.value if self._signer is None else self._signer.sign(token.value)
        if max_age is None:
            return form.start + value.encode() + form.end
        seconds = min(max(-(-max_age // 1_000), 0), LONGEST_AGE)  # rounded up
        return b"%b%b; Max-Age=%d%b" % (form.start, value.encode(), seconds, form.end)

    def clear_header(self, secure: bool) -> bytes:
        """Return the value of a `Set-Cookie` that makes the browser forget the token."""
        form = self._secure if secure else self._plain
        return form.start + b"; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT" + form.end

    def _open(self, value: bytes) -> Found:
        """Check the signature, if there is to be one, and the token."""
        if self._signer is None:
            token = parse_token(value)
            return Found(problem="malformed") if token is None else Found(token)
        token = parse_token(value[:TOKEN_LENGTH])
        if token is None or len(value) not in (TOKEN_LENGTH, SIGNED_LENGTH):
            return Found(problem="malformed")
        signed = self._signer.unsign(value)
        if signed is None:  # a token without any signature comes here too
            return Found(problem="forged")
        return Found(token, resign=not signed[1])


def _values(field: bytes, name: bytes) -> list[bytes]:
    """
    Return the values of every cookie of this name in one `Cookie` field.

    Each step takes the whole pair in which *name* occurs next and goes on behind it: however the
    field is made, a byte is looked at a few times only.
    """
    values = []
    end = 0
    at = field.find(name)
    while at >= 0:
        start = field.rfind(b";", end, at) + 1
        end = field.find(b";", at)
        if end < 0:
            end = len(field)
        key, equals, value = field[start:end].partition(b"=")
        if equals and key.strip(_BLANK) == name:
            values.append(value.strip(_BLANK))
        at = field.find(name, end)
    return values


def _form(settings: CookieSettings, *, secure: bool) -> _Form:
    """
    Lay out everything but the token.

    Browsers refuse `SameSite=None` and `Partitioned` without `Secure`, so over http, where an
    application is developed, the cookie is Lax and whole instead.
    """
    name = (settings.secure_name if secure else settings.plain_name).encode("ascii")
    same_site = "lax" if settings.same_site == "none" and not secure else settings.same_site
    parts = [
        f"; Path={settings.path}",
        "; Secure" if secure else "",
        "; HttpOnly",
        f"; SameSite={_SAME_SITE[same_site]}",
        "" if settings.domain is None else f"; Domain={settings.domain}",
        "; Partitioned" if settings.partitioned and secure else "",
    ]
    return _Form(name, name + b"=", "".join(parts).encode("ascii"))


def _prefix_of(name: str) -> str:
    """Return the prefix that browsers know and *name* begins with, or nothing."""
    return next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")


def _same_site(value: object) -> str:
    if not isinstance(value, str) or value.lower() not in _SAME_SITE:
        raise ValueError(f"same_site must be 'lax', 'strict' or 'none', not {value!r}")
    return value.lower()


def _check_flags(settings: CookieSettings) -> None:
    if settings.https_only is not None and not isinstance(settings.https_only, bool):
        raise ValueError(f"https_only must be True, False or None, not {settings.https_only!r}")
    if not isinstance(settings.partitioned, bool):
        raise ValueError(f"partitioned must be True or False, not {settings.partitioned!r}")


def _check_form(setting: str, value: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ValueError(f"{setting} is not of the form that a cookie's {setting} may have: {value!r}")


def _check_attribute(setting: str, value: str, pattern: re.Pattern[str]) -> None:
    _check_form(setting, value, pattern)
    if len(value) > _MAX_ATTRIBUTE:
        raise ValueError(f"{setting} must be at most {_MAX_ATTRIBUTE} bytes, not {len(value)}")


def _check_name(settings: CookieSettings) -> None:
    rest = settings.plain_name
    if not rest or any(rest.lower().startswith(prefix.lower()) for prefix in _PREFIXES):
        # Browsers know the prefixes in any case; ours is compared exactly, so it is written in one way.
        raise ValueError(f"name may begin with one of {_PREFIXES} in this case, and goes on: not {settings.name!r}")
    size = len(settings.secure_name) + SIGNED_LENGTH
    if size > _MAX_PAIR:
        raise ValueError(f"name is too long: with its value the cookie takes {size} bytes of {_MAX_PAIR}")


def _check_https(settings: CookieSettings) -> None:
    """Check what browsers accept on a `Secure` cookie only, and what a `__Host-` name promises."""
    prefix = _prefix_of(settings.name)
    if settings.https_only is False:
        if prefix:
            raise ValueError(f"name {settings.name!r} needs https, https_only=False forbids it")
        if settings.same_site == "none":
            raise ValueError("same_site='none' needs https, https_only=False forbids it")
        if settings.partitioned:
            raise ValueError("partitioned=True needs https, https_only=False forbids it")
    if prefix.startswith(_HOST):
        if settings.path != "/":
            raise ValueError(f"path must be '/' with a name that begins with {prefix!r}, not {settings.path!r}")
        if settings.domain is not None:
            raise ValueError(f"domain must be None with a name that begins with {prefix!r}, not {settings.domain!r}")
