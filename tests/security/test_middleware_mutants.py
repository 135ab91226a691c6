"""Every small fault that can be put into the middleware is found by the middleware's own tests."""

from __future__ import annotations

import inspect

from tests.security import test_csrf_middleware
from tests.security.mutation import Exam, exams_of, module_of, mutants_of, survivors

from atomic_session import csrf_middleware

SOURCE = inspect.getsource(csrf_middleware)


def _exams(source: str) -> list[Exam]:
    mutant = module_of(source, csrf_middleware)
    names = {"CSRFMiddleware": mutant.CSRFMiddleware, "csrf_exempt": mutant.csrf_exempt}
    return list(exams_of(test_csrf_middleware, names))


def test_no_mutant_of_the_middleware_survives() -> None:
    assert survivors([("none", SOURCE)], _exams) == ["none"]
    found = survivors(list(mutants_of(SOURCE)), _exams)
    assert found == []
