"""
CSRF: the token of a session, and the decision whether a request may come in.

The token is `base64url(salt || HMAC(K, purpose || salt))`, where `K` is an HMAC of the session's
token.  So it takes neither a store nor a server's secret, is another one each time, fits one
session and one purpose, has one spelling, and dies when the session's token does.

The decision goes by what browsers say about themselves: `Sec-Fetch-Site`, then `Origin`; where
they say nothing, a token has to prove it.  `decide` is the whole of it.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from .token import Token, new_salt

__all__ = [
    "CHECK",
    "CSRF_LENGTH",
    "MODES",
    "PASS",
    "REJECT",
    "Decision",
    "Mode",
    "Origin",
    "Policy",
    "RequestFacts",
    "decide",
    "is_csrf",
    "is_harmless",
    "make_csrf",
    "parse_origin",
]

# The token.

CSRF_LENGTH = 64
"""The length of a CSRF token."""

_LABEL = b"atomic-session/csrf/v1"
_SALT_LENGTH = 16
_LONGEST_PURPOSE = 65_535
_CSRF_TEXT = re.compile(rf"[A-Za-z0-9_-]{{{CSRF_LENGTH}}}")  # 48 bytes leave no bits over: one spelling


def make_csrf(token: Token, purpose: str = "") -> str:
    """
    Make a CSRF token for the session of *token*: 64 characters, each time others.

    Raises:
        ValueError: *purpose* is longer than 65,535 bytes of UTF-8, or has no UTF-8 form.
    """
    salt = new_salt()
    return urlsafe_b64encode(salt + _tag(token, purpose, salt)).decode("ascii")


def is_csrf(given: object, token: Token, purpose: str = "") -> bool:
    """
    Tell whether *given* is a CSRF token of this session for this purpose; any other object is not.

    True does not say that the session still exists: no store was asked.

    Raises:
        ValueError: *purpose* is longer than 65,535 bytes of UTF-8, or has no UTF-8 form.
    """
    if not isinstance(given, str) or _CSRF_TEXT.fullmatch(given) is None:
        return False
    raw = urlsafe_b64decode(given)
    salt = raw[:_SALT_LENGTH]
    return hmac.compare_digest(raw[_SALT_LENGTH:], _tag(token, purpose, salt))


def _tag(token: Token, purpose: str, salt: bytes) -> bytes:
    said = purpose.encode()
    if len(said) > _LONGEST_PURPOSE:
        raise ValueError(f"a purpose has at most {_LONGEST_PURPOSE} bytes")
    key = hmac.digest(token.value.encode("ascii"), _LABEL, "sha256")
    return hmac.digest(key, len(said).to_bytes(2, "big") + said + salt, "sha256")


# Origins.


class Origin(NamedTuple):
    """A scheme, a host and a port, as browsers compare them; the scheme's own port is None."""

    scheme: str
    host: str
    port: int | None


_HOST = r"(?P<host>[0-9a-z._~-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
_HOST_TEXT = re.compile(_HOST, re.ASCII | re.IGNORECASE)
_ORIGIN_TEXT = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_HOST}", re.ASCII | re.IGNORECASE)

_OWN_PORTS = {"http": 80, "https": 443}


def parse_origin(text: str) -> Origin | None:
    """Read `scheme://host[:port]` and nothing more; None for all else, "null" too."""
    match = _ORIGIN_TEXT.fullmatch(text)
    return None if match is None else _origin(match["scheme"].lower(), match)


def _host_under(scheme: str, text: str | None) -> Origin | None:
    """Return the origin that a `Host` header means under *scheme*; None where it is missing or no host."""
    match = None if text is None else _HOST_TEXT.fullmatch(text)
    return None if match is None else _origin(scheme, match)


def _origin(scheme: str, match: re.Match[str]) -> Origin:
    port = None if match["port"] is None else int(match["port"])
    return Origin(scheme, match["host"].lower(), None if port == _OWN_PORTS.get(scheme) else port)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "[::1]") or host.endswith(".localhost")


# The decision.

Mode: TypeAlias = Literal["auto", "headers", "strict"]
MODES: tuple[Mode, ...] = ("auto", "headers", "strict")

PASS: Literal["pass"] = "pass"  # noqa: S105 - no password: it may come in
CHECK: Literal["check"] = "check"
REJECT: Literal["reject"] = "reject"


@dataclass(frozen=True, slots=True)
class Policy:
    """
    What an application decided about all its requests.

    Attributes:
        mode: "auto" asks for a token where the headers prove nothing, "headers" refuses instead,
            "strict" asks for one from everybody with a session.
        trusted: foreign origins that may send requests.
        own: the application's own origins; none: what the `Host` header says.
        lone_sockets: a websocket without `Origin` may come in with our cookie.
    """

    mode: Mode = "auto"
    trusted: frozenset[Origin] = frozenset()
    own: frozenset[Origin] = frozenset()
    lone_sockets: bool = False


class RequestFacts(NamedTuple):
    """
    What the decision asks of a request.

    Attributes:
        method: as it came, before anything overrides it.
        site, origin, host: the headers `Sec-Fetch-Site`, `Origin` and `Host`; None: not there.
        repeated: one of the headers that count came more than once.
        websocket: it is a websocket's handshake.
        secure: our cookie is a `Secure` one here.
        has_cookie: a cookie of our name came, whatever is in it.
        exempt: its route wants no protection.
        guarded: its route wants protection for safe methods too.
        required: its route wants a token where the headers prove nothing, cookie or not.
    """

    method: str
    site: str | None = None
    origin: str | None = None
    host: str | None = None
    repeated: bool = False
    websocket: bool = False
    secure: bool = False
    has_cookie: bool = False
    exempt: bool = False
    guarded: bool = False
    required: bool = False


class Decision(NamedTuple):
    """`PASS`, `REJECT`, or `CHECK`: let it in with a valid token only; and why."""

    verdict: Literal["pass", "check", "reject"]
    reason: str


SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods that change nothing; one that we do not know is not safe."""

_SAME, _TRUSTED, _NOTHING = "same_origin", "trusted", "no_evidence"
_CROSS, _NULL = "cross_origin", "null_origin"


def is_harmless(method: str, *, websocket: bool, guarded: bool) -> bool:
    """Say whether a request changes nothing, so that it may come from anywhere; *guarded*: its route says it does."""
    return method in SAFE_METHODS and not websocket and not guarded


def decide(request: RequestFacts, policy: Policy) -> Decision:
    """Decide whether *request* may come in."""
    if request.repeated:
        return Decision(REJECT, "malformed")
    if is_harmless(request.method, websocket=request.websocket, guarded=request.guarded):
        return Decision(PASS, "safe")
    if request.exempt:
        return Decision(PASS, "exempt")
    evidence = _evidence(request, policy)
    if evidence in (_CROSS, _NULL):
        return Decision(REJECT, evidence)
    if request.websocket:  # no browser lets a page put a token into a handshake
        alone = evidence == _NOTHING and request.has_cookie and not policy.lone_sockets
        return Decision(REJECT if alone else PASS, evidence)
    if policy.mode == "headers" and evidence == _NOTHING and request.has_cookie:
        return Decision(REJECT, evidence)
    asked = (policy.mode == "strict" or evidence == _NOTHING) and (request.has_cookie or request.required)
    return Decision(CHECK if asked else PASS, evidence)


def _evidence(request: RequestFacts, policy: Policy) -> str:
    """Say what the headers prove about where *request* comes from."""
    origin = None if request.origin is None else parse_origin(request.origin)
    trusted = origin in policy.trusted
    if request.site in ("cross-site", "same-site"):
        return _TRUSTED if trusted else _CROSS
    if request.site == "same-origin" and not request.websocket:  # a websocket's Origin has to say it
        return _SAME
    if request.origin is None:
        return _NOTHING
    if origin is not None and _is_own(origin, request, policy):
        return _SAME
    if trusted:
        return _TRUSTED
    return _NULL if request.origin == "null" else _CROSS


def _is_own(origin: Origin, request: RequestFacts, policy: Policy) -> bool:
    """Say whether *origin* is the application's; a page that came over http is not, where the cookie is Secure."""
    if request.secure and origin.scheme == "http" and not _is_loopback(origin.host):
        return False
    if policy.own:
        return origin in policy.own
    return origin.scheme in _OWN_PORTS and origin == _host_under(origin.scheme, request.host)
