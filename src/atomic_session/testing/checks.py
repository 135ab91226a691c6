"""
What a case holds against a store's answers.

The comparisons know what `==` does not: that True is not 1, and 1 not 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..commands import Answer, Outcome
from ..errors import AtomicSessionError
from ..values import encode, same

__all__ = ["check", "check_data", "check_equal", "check_error", "check_outcome", "check_outcomes", "check_sound"]


def check(truth: object, message: str) -> None:
    """Fail with *message* unless *truth* holds."""
    if not truth:
        raise AssertionError(message)


def check_equal(actual: object, expected: object, what: str) -> None:
    """Fail unless two plain things are equal."""
    check(actual == expected, f"{what}: it is {actual!r}, and should be {expected!r}")


def check_data(actual: Any, expected: Any, what: str = "data") -> None:
    """Fail unless two values are the same in type and content; the order of names is free."""
    check(same(actual, expected), f"{what}: it is {actual!r}, and should be {expected!r}")


def check_outcome(answer: Answer, expected: Outcome | Iterable[Outcome], what: str = "a command") -> None:
    """Fail unless the outcome is the expected one, or one of them."""
    allowed = {expected} if isinstance(expected, Outcome) else set(expected)
    names = " or ".join(sorted(outcome.name for outcome in allowed))
    error = "" if answer.error is None else f" ({answer.error})"
    check(answer.outcome in allowed, f"{what} is answered {answer.outcome.name}{error}, and should be {names}")


def check_outcomes(answers: Sequence[Answer], expected: Sequence[Outcome], what: str = "a batch") -> None:
    """Fail unless there is one answer for each expected outcome, in this order."""
    found = [answer.outcome.name for answer in answers]
    check_equal(found, [outcome.name for outcome in expected], what)


def check_sound(answer: Answer) -> Answer:
    """Fail where an answer contradicts itself; return it with its data."""
    answer = answer.opened()
    what = f"an answer {answer.outcome.name}"
    check((answer.error is not None) == (answer.outcome is Outcome.REFUSED), f"{what} has the error {answer.error!r}")
    check(answer.data is not None or not answer.whole, f"{what} has all data, and none")
    if answer.raw is not None:
        check(answer.whole and answer.data is not None, f"{what} has a text, and not all data")
        check_equal(answer.raw, encode(answer.data), f"{what}: the text of its data")
    return answer


def check_error(actual: BaseException | None, expected: AtomicSessionError, what: str) -> None:
    """Fail unless two errors are of one type and carry the same evidence; their words are free."""
    check(type(actual) is type(expected), f"{what}: the error is {actual!r}, and should be {expected!r}")
    check_equal(_evidence(actual), _evidence(expected), f"{what}: the error's evidence")


def _evidence(error: BaseException | None) -> dict[str, Any]:
    found = {} if error is None else vars(error)
    return {name: value for name, value in found.items() if name not in ("reason", "actual") and name[:1] != "_"}
