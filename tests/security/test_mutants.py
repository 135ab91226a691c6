"""
Every small fault that can be put into the decision is found.

The examination below is the specification's; a mutant that passes it means that a fault could.
"""

from __future__ import annotations

import inspect
import random
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from tests.security import oracle
from tests.security.mutation import Exam, module_of, mutants_of, pass_all, survivors
from tests.security.test_csrf_oracle import ORIGINS
from tests.security.test_csrf_token import _made_by_the_book

from atomic_session import csrf
from atomic_session.token import new_token

SOURCE = inspect.getsource(csrf)
TOKEN, OTHER = new_token(), new_token()


# --- the examination: False as soon as something is wrong


def _exams(source: str) -> list[Exam]:
    module = module_of(source, csrf)
    parts = (_is_frozen, _knows_origins, _knows_special_cases, _knows_tokens, _knows_the_tables)
    return [partial(part, module) for part in parts]


def _is_frozen(module: Any) -> bool:
    policy = module.Policy()
    try:
        policy.mode = "strict"
    except AttributeError:
        return policy.mode == "auto" and not hasattr(policy, "__dict__")
    return False


EVIDENCE = {"S": "same_origin", "T": "trusted", "I": "no_evidence", "X": "cross_origin", "N": "null_origin"}
VERDICTS = {"P": "pass", "K": "check", "E": "reject"}


def _wanted(mode: oracle.Mode, method: str, site: str, origin: str, *, has_cookie: bool) -> tuple[str, str]:
    if method in oracle.SAFE:
        return "pass", "safe"
    evidence = oracle.cell(oracle.EVIDENCE, site, oracle.ORIGINS, origin)
    if evidence in "XN":
        return "reject", EVIDENCE[evidence]
    return VERDICTS[oracle.POLICY[mode, evidence][has_cookie, False]], EVIDENCE[evidence]


def _knows_the_tables(module: Any) -> bool:
    trusted = frozenset([module.parse_origin("https://pay.example")])
    for mode, method, site, origin, has_cookie in CASES:
        sent = None if origin == "absent" else ORIGINS[origin].decode()
        said_site = None if site == "absent" else site
        facts = module.RequestFacts(method, said_site, sent, "shop.example", secure=True, has_cookie=has_cookie)
        decision = tuple(module.decide(facts, module.Policy(mode, trusted)))
        if decision != _wanted(mode, method, site, origin, has_cookie=has_cookie):
            return False
    return True


CASES = list(product(oracle.MODES, oracle.METHODS, oracle.SITES, oracle.ORIGINS, (False, True)))
random.Random(5).shuffle(CASES)  # a mutant is found soon, wherever it goes wrong

SPECIAL: list[tuple[dict[str, Any], dict[str, Any], tuple[str, str]]] = [
    ({}, {}, ("pass", "no_evidence")),
    ({"method": "GET", "repeated": True}, {}, ("reject", "malformed")),
    ({"method": "GET", "site": "cross-site", "guarded": True}, {}, ("reject", "cross_origin")),
    ({"site": "cross-site", "exempt": True}, {}, ("pass", "exempt")),
    ({"required": True}, {}, ("check", "no_evidence")),
    ({"required": True}, {"mode": "headers"}, ("check", "no_evidence")),
    ({"required": True, "site": "same-origin"}, {"mode": "strict"}, ("check", "same_origin")),
    ({"required": True, "site": "same-origin"}, {}, ("pass", "same_origin")),
    ({"method": "GET", "websocket": True}, {}, ("pass", "no_evidence")),
    ({"method": "GET", "websocket": True, "has_cookie": True}, {}, ("reject", "no_evidence")),
    ({"method": "GET", "websocket": True, "has_cookie": True}, {"lone_sockets": True}, ("pass", "no_evidence")),
    ({"method": "GET", "websocket": True, "site": "same-origin", "has_cookie": True}, {}, ("reject", "no_evidence")),
    (
        {"method": "GET", "websocket": True, "origin": "https://a.test", "host": "a.test", "has_cookie": True},
        {"mode": "strict"},
        ("pass", "same_origin"),
    ),
    ({"origin": "http://a.test", "host": "a.test"}, {}, ("pass", "same_origin")),
    ({"origin": "http://a.test:80", "host": "a.test"}, {}, ("pass", "same_origin")),
    ({"origin": "http://a.test", "host": "a.test:443"}, {}, ("reject", "cross_origin")),
    ({"origin": "https://a.test", "host": "a.test:80"}, {}, ("reject", "cross_origin")),
    ({"origin": "http://a.test", "host": "a.test", "secure": True}, {}, ("reject", "cross_origin")),
    ({"origin": "http://localhost", "host": "localhost", "secure": True}, {}, ("pass", "same_origin")),
    ({"origin": "http://a.localhost", "host": "a.localhost", "secure": True}, {}, ("pass", "same_origin")),
    ({"origin": "http://127.0.0.1", "host": "127.0.0.1", "secure": True}, {}, ("pass", "same_origin")),
    ({"origin": "http://[::1]", "host": "[::1]", "secure": True}, {}, ("pass", "same_origin")),
    ({"origin": "ftp://a.test", "host": "a.test"}, {}, ("reject", "cross_origin")),
    ({"origin": "app://a.test", "host": "a.test"}, {}, ("reject", "cross_origin")),
    ({"origin": "https://a.test"}, {}, ("reject", "cross_origin")),
    ({"origin": "https://a.test", "host": "a.test/"}, {}, ("reject", "cross_origin")),
    ({"origin": "https://a.test", "host": "b.test"}, {"own": "https://a.test"}, ("pass", "same_origin")),
    ({"origin": "https://b.test", "host": "b.test"}, {"own": "https://a.test"}, ("reject", "cross_origin")),
    ({"origin": "null", "host": "null"}, {}, ("reject", "null_origin")),
]


def _knows_special_cases(module: Any) -> bool:
    for said, decided, wanted in SPECIAL:
        policy = dict(decided)
        if "own" in policy:
            policy["own"] = frozenset([module.parse_origin(policy["own"])])
        facts = module.RequestFacts(**{"method": "POST", **said})
        if tuple(module.decide(facts, module.Policy(**policy))) != wanted:
            return False
    return True


ORIGIN_TEXTS = {
    "https://A.test:443": ("https", "a.test", None),
    "HTTP://a.test:80": ("http", "a.test", None),
    "https://a.test:80": ("https", "a.test", 80),
    "http://a.test:443": ("http", "a.test", 443),
    "https://[::1]:8443": ("https", "[::1]", 8443),
    "app+x://_a~b-c": ("app+x", "_a~b-c", None),
    "https://a.test/": None,
    "xhttps://": None,
    "https://a.test:0443": None,
    "https://a.test:123456": None,
    "https://\u017f.test": None,
    "null": None,
}


def _knows_origins(module: Any) -> bool:
    return all(module.parse_origin(text) == wanted for text, wanted in ORIGIN_TEXTS.items())


def _knows_tokens(module: Any) -> bool:
    purpose, longest = "p" * 300, "x" * 65_535
    made, for_purpose = module.make_csrf(TOKEN), module.make_csrf(TOKEN, purpose)
    salt = bytes(range(16))
    try:
        module.make_csrf(TOKEN, longest + "x")
    except ValueError:
        pass
    else:
        return False
    return (
        made != module.make_csrf(TOKEN)
        and csrf.is_csrf(made, TOKEN)
        and csrf.is_csrf(for_purpose, TOKEN, purpose)
        and len(made) == module.CSRF_LENGTH
        and module.is_csrf(_made_by_the_book(TOKEN, purpose.encode(), salt), TOKEN, purpose) is True
        and module.is_csrf(_made_by_the_book(TOKEN, b"", salt), TOKEN) is True
        and module.is_csrf(module.make_csrf(TOKEN, longest), TOKEN, longest) is True
        and not any(
            module.is_csrf(text, TOKEN) for text in (None, 5, made + "A", made[1:], made[:-1] + "!", for_purpose)
        )
        and module.is_csrf(made, OTHER) is False
    )


MUTANTS = list(mutants_of(SOURCE, skipped=("Literal", "MODES", "CHECK", "PASS", "REJECT")))


def test_the_module_as_it_is_passes() -> None:
    pass_all(_exams(SOURCE))
    assert replace(csrf.Policy(), mode="strict").mode == "strict"


def test_no_mutant_of_the_decision_survives() -> None:
    assert survivors(MUTANTS, _exams) == []
    assert len(MUTANTS) > 200
