"""
Mutants of one module, and what finds them.

A mutant is the module with one thing changed: a comparison, a condition, a constant, an `and`, a statement that is left
out.  Whatever lets a mutant pass would let the same fault pass when somebody makes it.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import copy
import inspect
import signal
import sys
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any

import pytest

__all__ = ["Exam", "exams_of", "module_of", "mutants_of", "pass_all", "survivors"]

Exam = Callable[[], object]
"""Raises, or returns False, if something is wrong."""

_LONGEST_WAIT = 10.0
"""Seconds after which one is taken for one that waits for what never comes."""

_SWAPS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Add],
    ast.Div: [ast.Mult],
}
_NO_CODE = ("annotation", "returns", "decorator_list", "bases")


def mutants_of(source: str, skipped: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """
    Return every mutant's name and source; top-level statements that hold a word of *skipped* stay as they are.

    A name says in which function what became what; of several that are alike the second is called so.
    """
    seen: Counter[str] = Counter()
    for label, mutant in _mutants(source, skipped):
        seen[label] += 1
        yield label if seen[label] == 1 else f"{label} ({seen[label]})", mutant


def _mutants(source: str, skipped: Collection[str]) -> Iterator[tuple[str, str]]:
    tree = ast.parse(source)
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom | ast.Expr):
            continue
        is_definition = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not is_definition and any(word in ast.unparse(statement) for word in ("__all__", "TypeAlias", *skipped)):
            continue
        yield from _inside(tree, statement)


def _inside(tree: ast.Module, statement: ast.stmt) -> Iterator[tuple[str, str]]:
    kept = {id(part) for node in ast.walk(statement) for part in _what_stays(node)}
    home = _homes(statement)
    for parent in ast.walk(statement):
        if id(parent) in kept or isinstance(parent, ast.JoinedStr | ast.Raise):
            continue
        for name, value in list(ast.iter_fields(parent)):
            nodes = value if isinstance(value, list) else [value]
            for place, node in enumerate(nodes):
                if name in _NO_CODE or not isinstance(node, ast.AST) or id(node) in kept:
                    continue
                for variant in _variants(node):
                    put = partial(_put, parent, name, place if isinstance(value, list) else None)
                    put(variant)
                    yield (
                        f"{home[id(node)]}: {_change(node, variant)}",
                        ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree))),
                    )
                    put(node)


def _what_stays(node: ast.AST) -> Iterator[ast.AST]:
    """Return what is no behaviour: annotations, docstrings, and names of attributes that are only listed."""
    match node:
        case ast.AnnAssign(annotation=annotation):
            yield from ast.walk(annotation)
        case ast.Expr(value=ast.Constant()):
            yield from ast.walk(node)
        case ast.Assign(targets=[ast.Name(id="__slots__")]):
            yield from ast.walk(node)


def _put(parent: ast.AST, name: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[place] = node


def _homes(statement: ast.stmt) -> dict[int, str]:
    """Return the function, or whatever is named, that each part belongs to."""
    found = {id(part): ast.unparse(statement).partition("=")[0].strip() for part in ast.walk(statement)}
    for node in ast.walk(statement):  # an inner one comes after the one around it
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.update((id(part), node.name) for part in ast.walk(node))
    return found


def _change(node: ast.AST, variant: ast.AST) -> str:
    before, after = (ast.unparse(each).splitlines()[0] for each in (node, variant))
    return f"{before} -> {after}"


def _variants(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - one case for each kind of node
    """Return what could stand in the place of *node* by mistake."""
    match node:
        case ast.Compare(ops=[operator]):
            for swapped in _SWAPS.get(type(operator), []):
                yield ast.Compare(node.left, [swapped()], node.comparators)  # type: ignore[list-item]
        case ast.BinOp(op=operator) if type(operator) in _SWAPS:
            yield ast.BinOp(node.left, _SWAPS[type(operator)][0](), node.right)  # type: ignore[arg-type]
        case ast.BoolOp(values=values):
            yield ast.BoolOp(_SWAPS[type(node.op)][0](), values)  # type: ignore[arg-type]
            for left_out in range(len(values)):
                yield ast.BoolOp(node.op, values[:left_out] + values[left_out + 1 :])
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
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
        case ast.If(test=test):
            if not isinstance(test, ast.UnaryOp):
                yield ast.If(ast.UnaryOp(ast.Not(), test), node.body, node.orelse)
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Slice(lower=lower, upper=upper):
            if lower is not None:
                yield ast.Slice(None, upper, node.step)
            if upper is not None:
                yield ast.Slice(lower, None, node.step)
        case ast.AugAssign(op=operator) if type(operator) in _SWAPS:
            yield ast.AugAssign(node.target, _SWAPS[type(operator)][0](), node.value)  # type: ignore[arg-type]
            yield ast.Pass()
        case ast.Assign() | ast.Delete() | ast.Raise() | ast.Continue() | ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()


def module_of(source: str, original: types.ModuleType) -> Any:
    """Return *source* as a module that stands beside *original*."""
    module = types.ModuleType(f"{original.__name__}_mutant")
    module.__package__ = original.__package__
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(source, "mutant", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module


# --- tests as examinations


def exams_of(
    tests: types.ModuleType,
    mutant: Mapping[str, object],
    left_out: Collection[str] = (),
    *,
    also: Mapping[types.ModuleType, Mapping[str, object]] = MappingProxyType({}),
) -> Iterator[Exam]:
    """Return the calls of a module's tests that need no fixture; what it and *also* others use is the mutant's."""
    patched = {tests: mutant, **also}
    for name, test in list(vars(tests).items()):
        if name.startswith("test_") and name not in left_out and not hasattr(test, "hypothesis"):
            for arguments in _arguments_of(test):
                yield partial(_run, patched, test, arguments)


def _arguments_of(test: Any) -> Iterator[dict[str, Any]]:
    marks = [mark.args for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    rows = [[dict(_named(names, row)) for row in given] for names, given in marks]
    wanted = set(inspect.signature(test).parameters)
    for chosen in product(*rows):
        arguments = {name: value for row in chosen for name, value in row.items()}
        if set(arguments) == wanted:
            yield arguments


def _named(names: str | Sequence[str], row: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(names, str):
        yield names, row
    else:
        yield from zip(names, row, strict=True)


def _run(patched: Mapping[types.ModuleType, Mapping[str, object]], test: Any, arguments: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module, names in patched.items():
            for name, value in names.items():
                patch.setattr(module, name, value)
        made = test(**arguments)
        if inspect.iscoroutine(made):
            asyncio.run(asyncio.wait_for(made, _LONGEST_WAIT))


def pass_all(exams: Sequence[Exam]) -> None:
    """Take all *exams*, which what has no fault passes; else show what went wrong."""
    for exam in exams:
        assert exam() is not False


def survivors(
    mutants: Sequence[tuple[str, str]], exams: Callable[[str], Sequence[Exam]], *, patience: float = 3
) -> list[str]:
    """
    Return the names of the mutants that pass all exams of their source; what found the last one is tried first.

    An exam that takes *patience* seconds of CPU time goes round and round; give it many times what it takes.
    """
    found: list[str] = []
    order: list[int] = []
    for label, source in mutants:
        killer = _killer(source, exams, order, patience)
        if killer is None:
            found.append(label)
        elif killer in order:
            order.insert(0, order.pop(order.index(killer)))
    return found


def _killer(source: str, exams: Callable[[str], Sequence[Exam]], order: list[int], patience: float) -> int | None:
    """Return the number of the exam that *source* fails; None if it passes them all."""
    try:
        chosen = exams(source)
    except Exception:  # noqa: BLE001 - it is not even a module
        return -1
    if not order:
        order.extend(range(len(chosen)))
    for number in list(order):
        if not _passes(chosen[number], patience):
            return number
    return None


def _passes(exam: Exam, patience: float) -> bool:
    try:
        with _bounded(patience):
            return exam() is not False
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 - whatever broke, it was found
        return False


class _NeverEndsError(Exception):
    """The mutant goes round and round."""


@contextlib.contextmanager
def _bounded(patience: float) -> Iterator[None]:
    """End what is inside after some CPU time."""

    def stop(*_: object) -> None:
        raise _NeverEndsError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, patience)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
