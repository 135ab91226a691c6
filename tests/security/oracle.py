"""
A second decision, in tables: written from the procedure's text, and from nothing in the package.

Each table is read from the top; the first row that fits answers.  ANY fits everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

ANY = object()


def look_up(table: Sequence[tuple[Any, ...]], *asked: str) -> str:
    for *row, answer in table:
        if all(wanted is ANY or asking == wanted for wanted, asking in zip(row, asked, strict=True)):
            return str(answer)
    raise LookupError(asked)


class Case(NamedTuple):
    """One request, in words."""

    mode: str
    method: str
    site: str
    origin: str
    cookie: str
    token: str
    content_type: str


METHODS = ("GET", "HEAD", "OPTIONS", "POST", "DELETE", "QUERY")

SITES = {
    "absent": None,
    "same-origin": "same-origin",
    "same-site": "same-site",
    "cross-site": "cross-site",
    "none": "none",
    "misspelt": "Same-Origin",
    "unheard of": "same-planet",
}

ORIGINS = {
    "absent": None,
    "own": "https://shop.example",
    "own over http": "http://shop.example",
    "own on another port": "https://shop.example:8443",
    "sibling": "https://blog.example",
    "foreign": "https://evil.test",
    "foreign that begins as own": "https://shop.example.evil.test",
    "null": "null",
    "malformed": "https://shop.example/",
    "trusted": "https://pay.example",
}

ORIGIN_CLASSES = [
    ("absent", "absent"),
    ("own", "own"),
    ("trusted", "trusted"),
    ("null", "null"),
    (ANY, "foreign"),  # the cookie is Secure, so that own over http is foreign too
]

EVIDENCE = [
    # Sec-Fetch-Site, class of Origin
    ("same-origin", ANY, "same_origin"),
    ("cross-site", "trusted", "trusted"),
    ("cross-site", ANY, "cross_origin"),
    ("same-site", "trusted", "trusted"),
    ("same-site", ANY, "cross_origin"),
    (ANY, "absent", "no_evidence"),
    (ANY, "own", "same_origin"),
    (ANY, "trusted", "trusted"),
    (ANY, "null", "null_origin"),
    (ANY, "foreign", "cross_origin"),
]

COOKIES = ("none", "good", "malformed")
"""A cookie of our name is present in the last two."""

POLICY = [
    # mode, evidence, cookie
    (ANY, "cross_origin", ANY, "reject cross_origin"),
    (ANY, "null_origin", ANY, "reject null_origin"),
    (ANY, ANY, "none", "pass"),
    ("strict", ANY, ANY, "token"),
    (ANY, "same_origin", ANY, "pass"),
    (ANY, "trusted", ANY, "pass"),
    ("headers", "no_evidence", ANY, "reject no_evidence"),
    ("auto", "no_evidence", ANY, "token"),
]

TOKENS = ("none", "good header", "bad header, good field", "good field", "another session's", "of the token before")
CONTENT_TYPES = ("absent", "json", "urlencoded", "multipart", "text")

FORMS = [("urlencoded", "form"), ("multipart", "form"), (ANY, "no form")]

TOKEN = [
    # cookie, token, kind of body
    ("malformed", "none", ANY, "reject token_missing"),
    ("malformed", "good field", "no form", "reject token_missing"),
    ("malformed", ANY, ANY, "reject token_wrong"),
    (ANY, "none", ANY, "reject token_missing"),
    (ANY, "good header", ANY, "pass"),
    (ANY, "bad header, good field", ANY, "reject token_wrong"),
    (ANY, "good field", "form", "pass"),
    (ANY, "good field", "no form", "reject token_missing"),
    (ANY, "another session's", ANY, "reject token_wrong"),
    (ANY, "of the token before", ANY, "reject token_wrong"),
]

SAFE = [("GET", "safe"), ("HEAD", "safe"), ("OPTIONS", "safe"), (ANY, "unsafe")]


def answer(case: Case) -> str:
    """Return "pass", or "reject" and the reason."""
    if look_up(SAFE, case.method) == "safe":
        return "pass"
    evidence = look_up(EVIDENCE, case.site, look_up(ORIGIN_CLASSES, case.origin))
    policy = look_up(POLICY, case.mode, evidence, case.cookie)
    if policy != "token":
        return policy
    return look_up(TOKEN, case.cookie, case.token, look_up(FORMS, case.content_type))
