"""Every small fault that can be put into the middleware is found by the middleware's own tests."""

from __future__ import annotations

import inspect
import logging

import pytest
from tests.security import kit, test_csrf_middleware, test_csrf_oracle
from tests.security.mutation import Exam, exams_of, module_of, mutants_of, pass_all, survivors

from atomic_session import csrf_middleware

SOURCE = inspect.getsource(csrf_middleware)
MUTANTS = list(mutants_of(SOURCE, skipped=("TypeVar",)))
LARGE = ("test_every_case_is_decided_as_the_tables_say", "test_the_marks_of_a_route_change_what_the_tables_say")

HARMLESS = {
    "__call__: 'GET' -> 'GETx'": "a websocket is decided upon as one, whatever its method is called",
    "_facts: 'GET' -> 'GETx'": "likewise",
    "_check: scanner.problem or 'token_missing' -> scanner.problem": "a search without a value has a problem; types do "
    "not say so",
    "_check: 'token_missing' -> 'token_missingx' (2)": "likewise",
    "_judge: 'token' -> 'tokenx'": "why a request comes in is told to nobody",
    "_predicate: (lambda scope: path_inside(scope) in paths) if paths else None -> lambda scope: path_inside(scope) in "
    "paths": "no path is in an empty set; None only saves the call",
}
"""Mutants that do the same as the middleware, and why."""


def _exams(source: str) -> list[Exam]:
    mutant = module_of(source, csrf_middleware)
    names = {"CSRFMiddleware": mutant.CSRFMiddleware, "csrf_exempt": mutant.csrf_exempt}
    shops = {"CSRFMiddleware": mutant.CSRFMiddleware}
    return [
        *exams_of(test_csrf_middleware, names, also={kit: shops}),
        *exams_of(test_csrf_oracle, {}, LARGE, also={kit: shops}),
    ]


def test_no_mutant_of_the_middleware_survives_but_those_that_do_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "atomic_session")
    pass_all(_exams(SOURCE))
    assert set(HARMLESS) <= {label for label, _ in MUTANTS}
    assert set(survivors(MUTANTS, _exams)) <= set(HARMLESS)
    assert len(MUTANTS) > 250
