"""Every small fault that can be put into the form scanner is found by the scanner's own tests."""

from __future__ import annotations

import inspect

from tests.security import test_csrf_form
from tests.security.mutation import Exam, exams_of, module_of, mutants_of, pass_all, survivors

from atomic_session import csrf_form

SOURCE = inspect.getsource(csrf_form)
MUTANTS = list(mutants_of(SOURCE))

HARMLESS = {
    "_refuse: False -> True": "the search looks whether it is decided before it takes another step",
    "__init__: 0 -> 1 (3)": "of a buffer that is empty nothing is dropped",
    "_find: found < 0 -> found <= 0": "what is found at the beginning is dropped, and the next search starts anew",
    "_find: 0 -> 1": "likewise",
}
"""Mutants that do the same as the scanner, and why."""


def _exams(source: str) -> list[Exam]:
    mutant = module_of(source, csrf_form)
    return list(exams_of(test_csrf_form, {"scanner_for": mutant.scanner_for}))


def test_no_mutant_of_the_scanner_survives_but_those_that_do_the_same() -> None:
    pass_all(_exams(SOURCE))
    assert set(HARMLESS) <= {label for label, _ in MUTANTS}
    assert set(survivors(MUTANTS, _exams, patience=0.5)) <= set(HARMLESS)
    assert len(MUTANTS) > 300
