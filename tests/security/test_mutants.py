"""
Every small fault that can be put into the decision is found.

A mutant is the module with one thing changed: a comparison, a condition, a constant, an `and`.
The examination below is the specification's; a mutant that passes it means that a fault could.
"""

from __future__ import annotations

import ast
import copy
import inspect
import random
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.security import oracle
from tests.security.test_csrf_token import _made_by_the_book

from atomic_session import csrf
from atomic_session.token import new_token

SOURCE = inspect.getsource(csrf)
TOKEN, OTHER = new_token(), new_token()

SWAPS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
}


def _variants(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901 - one case for each kind of node
    """Return what could stand in the place of *node* by mistake."""
    match node:
        case ast.Compare(ops=[operator]):
            for swapped in SWAPS.get(type(operator), []):
                yield ast.Compare(node.left, [swapped()], node.comparators)  # type: ignore[list-item]
        case ast.BoolOp(values=values):
            yield ast.BoolOp(SWAPS[type(node.op)][0](), values)  # type: ignore[arg-type]
            for left_out in range(len(values)):
                yield ast.BoolOp(node.op, values[:left_out] + values[left_out + 1 :])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)):
            yield ast.Constant(value + "x")
        case ast.Constant(value=bytes(value)):
            yield ast.Constant(value + b"x")
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
            yield body
            yield orelse
        case ast.If(test=test) if not isinstance(test, ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), node.body, node.orelse)
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))


def _mutants() -> Iterator[tuple[str, str]]:
    """Return every mutant's name and source."""
    tree = ast.parse(SOURCE)
    skipped = ("__all__", "TypeAlias", "Literal", "MODES", "CHECK", "PASS", "REJECT")
    for body in tree.body:
        said = ast.unparse(body)
        if isinstance(body, ast.Import | ast.ImportFrom | ast.Expr) or (
            not isinstance(body, ast.FunctionDef | ast.ClassDef) and any(word in said for word in skipped)
        ):
            continue
        yield from _mutants_of(tree, body)


def _mutants_of(tree: ast.Module, inside: ast.AST) -> Iterator[tuple[str, str]]:
    types = {
        id(part) for node in ast.walk(inside) if isinstance(node, ast.AnnAssign) for part in ast.walk(node.annotation)
    }
    for parent in ast.walk(inside):
        if (
            isinstance(parent, ast.Expr | ast.JoinedStr | ast.AnnAssign | ast.arguments | ast.Raise)
            or id(parent) in types
        ):
            continue
        for name, value in list(ast.iter_fields(parent)):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            nodes = value if isinstance(value, list) else [value]
            for place, node in enumerate(nodes):
                if not isinstance(node, ast.AST):
                    continue
                for variant in _variants(node):
                    line = getattr(node, "lineno", 0)
                    label = f"{line}: {ast.unparse(node).splitlines()[0]} -> {ast.unparse(variant).splitlines()[0]}"
                    if isinstance(value, list):
                        value[place] = variant
                    else:
                        setattr(parent, name, variant)
                    yield label, ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
                    if isinstance(value, list):
                        value[place] = node
                    else:
                        setattr(parent, name, node)


def _module(source: str) -> Any:
    module = types.ModuleType("atomic_session.csrf_mutant")
    module.__package__ = "atomic_session"
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, "mutant", "exec"), module.__dict__)
    return module


# --- the examination: False as soon as something is wrong


def _examine(module: Any) -> bool:
    parts = (_is_frozen, _knows_origins, _knows_special_cases, _knows_tokens, _knows_the_tables)
    return all(part(module) for part in parts)


def _is_frozen(module: Any) -> bool:
    policy = module.Policy()
    try:
        policy.mode = "strict"
    except AttributeError:
        return not hasattr(policy, "__dict__")
    return False


def _knows_the_tables(module: Any) -> bool:
    trusted = frozenset([module.parse_origin("https://pay.example")])
    for mode, method, site, origin, cookie in CASES:
        facts = module.RequestFacts(
            method, oracle.SITES[site], oracle.ORIGINS[origin], "shop.example", secure=True, has_cookie=cookie != "none"
        )
        verdict, reason = module.decide(facts, module.Policy(mode, trusted))
        if oracle.look_up(oracle.SAFE, method) == "safe":
            wanted: tuple[str, ...] = ("pass", "safe")
        else:
            evidence = oracle.look_up(oracle.EVIDENCE, site, oracle.look_up(oracle.ORIGIN_CLASSES, origin))
            policy = oracle.look_up(oracle.POLICY, mode, evidence, cookie).partition(" ")[0]
            wanted = ("check" if policy == "token" else policy, evidence)
        if (verdict, reason) != wanted:
            return False
    return True


CASES = list(product(csrf.MODES, oracle.METHODS, oracle.SITES, oracle.ORIGINS, oracle.COOKIES))
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
        and module.is_csrf(module.make_csrf(TOKEN, longest), TOKEN, longest) is True
        and not any(
            module.is_csrf(text, TOKEN) for text in (None, 5, made + "A", made[1:], made[:-1] + "!", for_purpose)
        )
        and module.is_csrf(made, OTHER) is False
    )


MUTANTS = list(_mutants())


def test_the_module_as_it_is_passes() -> None:
    assert _examine(_module(SOURCE))
    assert replace(csrf.Policy(), mode="strict").mode == "strict"


def test_no_mutant_of_the_decision_survives() -> None:
    survivors = []
    for label, source in MUTANTS:
        try:
            passed = _examine(_module(source))
        except Exception:  # noqa: BLE001 - whatever broke, it was found
            passed = False
        if passed:
            survivors.append(label)

    assert survivors == []
    assert len(MUTANTS) > 150


@pytest.fixture(autouse=True)
def _no_module_is_left() -> Iterator[None]:
    yield
    sys.modules.pop("atomic_session.csrf_mutant", None)
