"""
A second opinion on forged requests: tables that were filled in by hand from the written procedure.

The procedure is in docs/csrf.md.  The tables were written by somebody who had not read the
code that they are held against, and nothing here is taken from it: where the two disagree, one of
them has misread the text.  Nothing is worked out that can be looked up: a cell is a claim that a
reader can check against a sentence.
"""

from typing import Final, Literal, NamedTuple

Mode = Literal["auto", "headers", "strict"]

# --- what a request may carry

SAFE: Final = ("GET", "HEAD", "OPTIONS")
# An unknown method is unsafe, and so is one in other letters: methods are told apart by case.
UNSAFE: Final = ("POST", "DELETE", "BREW")
METHODS: Final = SAFE + UNSAFE

# The columns of EVIDENCE.
ORIGINS: Final = (
    "absent",
    "own",
    "own_http",
    "own_port",
    "sibling",
    "foreign",
    "prefixed",
    "null",
    "malformed",
    "trusted",
)

# The rows: S same, T trusted, I inconclusive, and two refusals: X cross_origin, N null_origin.
EVIDENCE: Final = {
    #                abs own htt por sib for pre nul mal tru
    "same-origin": " S   S   S   S   S   S   S   S   S   S",
    "same-site": "   X   X   X   X   X   X   X   X   X   T",
    "cross-site": "  X   X   X   X   X   X   X   X   X   T",
    "none": "        I   S   X   X   X   X   X   N   X   T",
    "absent": "      I   S   X   X   X   X   X   N   X   T",
    "same-planet": " I   S   X   X   X   X   X   N   X   T",
    "Same-Origin": " I   S   X   X   X   X   X   N   X   T",
}
SITES: Final = tuple(EVIDENCE)

# What names the session: nothing, a token that was issued, a value in no form of ours, two values that differ.
COOKIES: Final = ("absent", "issued", "malformed", "two")

# P the request passes, K it needs a token, E it is refused for want of evidence. The columns are whether a cookie of
# our name came, then whether the route says `require_token`.
POLICY: Final[dict[tuple[Mode, str], dict[tuple[bool, bool], str]]] = {
    ("auto", "S"): {(False, False): "P", (False, True): "P", (True, False): "P", (True, True): "P"},
    ("auto", "T"): {(False, False): "P", (False, True): "P", (True, False): "P", (True, True): "P"},
    ("auto", "I"): {(False, False): "P", (False, True): "K", (True, False): "K", (True, True): "K"},
    ("headers", "S"): {(False, False): "P", (False, True): "P", (True, False): "P", (True, True): "P"},
    ("headers", "T"): {(False, False): "P", (False, True): "P", (True, False): "P", (True, True): "P"},
    ("headers", "I"): {(False, False): "P", (False, True): "K", (True, False): "E", (True, True): "E"},
    ("strict", "S"): {(False, False): "P", (False, True): "K", (True, False): "K", (True, True): "K"},
    ("strict", "T"): {(False, False): "P", (False, True): "K", (True, False): "K", (True, True): "K"},
    ("strict", "I"): {(False, False): "P", (False, True): "K", (True, False): "K", (True, True): "K"},
}
MODES: Final[tuple[Mode, ...]] = ("auto", "headers", "strict")

# Whether the token is good, by how it is sent (rows) and what the body calls itself (columns).
TYPES: Final = ("absent", "application/x-www-form-urlencoded", "multipart/form-data", "application/json", "text/plain")
TOKENS: Final = {
    #                          none  url  multi json text
    "none": "                   no   no   no   no   no",
    "good_header": "            yes  yes  yes  yes  yes",
    "bad_header_good_field": "  no   no   no   no   no",
    "good_field": "             no   yes  yes  no   no",
    "other_sessions_header": "  no   no   no   no   no",
    "previous_header": "        no   no   no   no   no",
}

# A websocket must come from the own origin or a trusted one; without an Origin it may only come without our cookie.
# Fetch Metadata may refuse it besides, and never excuses an Origin. Whether the cookie came matters in the first column
# alone: P passes, X and N as above, E is refused when our cookie came and passes when it did not.
SOCKETS: Final = {
    #                abs own htt por sib for pre nul mal tru
    "same-origin": " E   P   X   X   X   X   X   N   X   P",
    "same-site": "   X   X   X   X   X   X   X   X   X   P",
    "cross-site": "  X   X   X   X   X   X   X   X   X   P",
    "none": "        E   P   X   X   X   X   X   N   X   P",
    "absent": "      E   P   X   X   X   X   X   N   X   P",
    "same-planet": " E   P   X   X   X   X   X   N   X   P",
    "Same-Origin": " E   P   X   X   X   X   X   N   X   P",
}

REASONS: Final = {"P": "pass", "X": "cross_origin", "N": "null_origin", "E": "no_evidence"}


class Case(NamedTuple):
    """One request, in the words of the tables. A route is plain unless a mark says otherwise."""

    method: str
    site: str
    origin: str
    cookie: str
    token: str
    content_type: str
    mode: Mode
    require_token: bool = False
    protect_safe: bool = False
    exempt: bool = False
    twice: str = ""


def cell(table: dict[str, str], row: str, columns: tuple[str, ...], column: str) -> str:
    return table[row].split()[columns.index(column)]


def expected(case: Case) -> str:
    """`"pass"`, or the reason of the refusal: malformed, cross_origin, null_origin, no_evidence or token."""
    if case.twice:
        return "malformed"
    if case.exempt or (case.method in SAFE and not case.protect_safe):
        return "pass"
    evidence = cell(EVIDENCE, case.site, ORIGINS, case.origin)
    if evidence in REASONS:
        return REASONS[evidence]
    policy = POLICY[case.mode, evidence][case.cookie != "absent", case.require_token]
    if policy != "K":
        return REASONS[policy]
    # A token is made from the cookie's value: where none was issued, none verifies.
    good = case.cookie == "issued" and cell(TOKENS, case.token, TYPES, case.content_type) == "yes"
    return "pass" if good else "token"


def expected_of_socket(site: str, origin: str, cookie: str, *, exempt: bool = False) -> str:
    """The same for a websocket's handshake; no mode asks it for a token, for a page cannot send one there."""
    if exempt:
        return "pass"
    found = cell(SOCKETS, site, ORIGINS, origin)
    return "pass" if found == "E" and cookie == "absent" else REASONS[found]


class Own(NamedTuple):
    """Whether an Origin is the application's own, where nothing is configured but the Host that was asked for."""

    scheme: str
    host: str | None
    origin: str
    own: bool


OWN: Final = (
    Own("https", "app.example", "https://app.example", True),
    Own("https", "app.example:443", "https://app.example", True),
    Own("https", "app.example", "https://app.example:443", True),
    Own("https", "App.Example", "https://app.EXAMPLE", True),
    Own("https", "app.example:8443", "https://app.example:8443", True),
    Own("https", "[::1]:8443", "https://[::1]:8443", True),
    Own("http", "app.example", "http://app.example", True),
    Own("http", "app.example:80", "http://app.example", True),
    Own("http", "localhost:8000", "http://localhost:8000", True),
    # Other ports, hosts and schemes.
    Own("https", "app.example:8443", "https://app.example", False),
    Own("https", "app.example", "https://app.example:8443", False),
    Own("https", "app.example", "http://app.example", False),
    Own("https", "app.example", "http://app.example:443", False),
    Own("https", "app.example", "https://app.example.evil.example", False),
    Own("https", "app.example", "https://evilapp.example", False),
    Own("https", "app.example", "https://sub.app.example", False),
    Own("https", "app.example", "https://app.example.", False),
    Own("http", "app.example:8000", "http://app.example", False),
    # What is no scheme "://" host [":" port].
    Own("https", "app.example", "https://app.example/", False),
    Own("https", "app.example", "https://app.example/path", False),
    Own("https", "app.example", "https://user@app.example", False),
    Own("https", "app.example", "https://app.example@evil.example", False),
    Own("https", "app.example", "https://app.example?", False),
    Own("https", "app.example", "https://app.example#", False),
    Own("https", "app.example", "https://app.example\\", False),
    Own("https", "app.example", "https://app.example:99999", False),
    Own("https", "app.example", "https://app.example:x", False),
    Own("https", "app.example", "https://app.example https://app.example", False),
    Own("https", "app.example", "https://app.example, https://app.example", False),
    Own("https", "app.example", "app.example", False),
    Own("https", "app.example", "//app.example", False),
    Own("https", "app.example", "https:app.example", False),
    Own("https", "app.example", "https://", False),
    Own("https", "app.example", "", False),
    Own("https", "app.example", "NULL", False),
    # A Host that is no host decides nothing.
    Own("https", None, "https://app.example", False),
    Own("https", "", "https://", False),
    Own("https", "app.example/x", "https://app.example", False),
    Own("https", "app.example?x", "https://app.example", False),
    Own("https", "app.example#x", "https://app.example", False),
    Own("https", "user@app.example", "https://app.example", False),
    Own("https", "app.example\\x", "https://app.example", False),
    Own("https", "app.example evil.example", "https://app.example", False),
)
