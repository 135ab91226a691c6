"""
The update that an application writes: operators chained, then awaited once.

`Operators` is the one list of operator methods; a session begins a chain with any of them, and
a pending update goes on with any of them.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeAlias, TypeVar

from . import operators
from .commands import Answer, Outcome
from .limits import Limits
from .operators import Operator, Update, When, chain
from .values import MISSING

__all__ = ["Operators", "PathLike", "PendingUpdate", "Result"]

PathLike: TypeAlias = str | tuple[str, ...]
Result = TypeVar("Result")
Send: TypeAlias = Callable[[Update], Coroutine[Any, Any, Answer]]

_DONE = Outcome.DONE  # by a name of its own: on Python 3.11 to look a member up takes ten times as long
_NOTHING = Update()


class Operators(Generic[Result]):
    """
    Every operator as a method that adds it to an update.

    A path is dotted text ("cart.items"), or a tuple whose segments are taken literally.  All
    methods raise `InvalidPath`, `InvalidValue`, `LimitExceeded` or `ConflictingUpdate` at once,
    before any trip to the store; `OperatorError` comes when the update is awaited and does not
    fit what is stored.
    """

    __slots__ = ()

    @abstractmethod
    def _pending(self) -> PendingUpdate[Any]:
        """Return the update that the next operator goes into; should that one raise, nobody is to await it."""

    def set(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Set the field; missing parents become dicts, and what was there is replaced."""
        pending = self._pending()
        return pending._with(operators.Set.of(path, value, pending._limits))

    def unset(self, path: PathLike, *paths: PathLike) -> PendingUpdate[Result]:
        """Remove the fields; one that is missing is no error, a list element becomes None."""
        pending = self._pending()
        pending._with(operators.Unset.of(path, pending._limits))
        for other in paths:
            pending = pending.unset(other)
        return pending

    def set_default(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Set the field where it is missing; None is not missing."""
        pending = self._pending()
        return pending._with(operators.SetDefault.of(path, value, pending._limits))

    def rename(self, path: PathLike, to: PathLike) -> PendingUpdate[Result]:
        """Move the field, over what the target holds; a missing one is no error."""
        pending = self._pending()
        return pending._with(operators.Rename.of(path, to, pending._limits))

    def inc(self, path: PathLike, by: float = 1) -> PendingUpdate[Result]:
        """Add to the number; a missing one becomes *by*."""
        pending = self._pending()
        return pending._with(operators.Inc.of(path, by, pending._limits))

    def mul(self, path: PathLike, by: float) -> PendingUpdate[Result]:
        """Multiply the number; a missing one becomes zero."""
        pending = self._pending()
        return pending._with(operators.Mul.of(path, by, pending._limits))

    def min(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Lower the number or instant to *value*; a missing one becomes it."""
        pending = self._pending()
        return pending._with(operators.Min.of(path, value, pending._limits))

    def max(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Raise the number or instant to *value*; a missing one becomes it."""
        pending = self._pending()
        return pending._with(operators.Max.of(path, value, pending._limits))

    def push(
        self, path: PathLike, *values: Any, at: int | None = None, keep: int | None = None
    ) -> PendingUpdate[Result]:
        """Insert into the list, at its end or before index *at*; *keep* only the last so many."""
        pending = self._pending()
        return pending._with(operators.Push.of(path, values, at, keep, pending._limits))

    def pull(self, path: PathLike, *value: Any, where: dict[str, Any] | None = None) -> PendingUpdate[Result]:
        """Remove from the list what equals *value*, or dicts whose fields equal those of *where*."""
        pending = self._pending()
        return pending._with(_pull(path, value, where, pending._limits))

    def pull_all(self, path: PathLike, values: list[Any] | tuple[Any, ...]) -> PendingUpdate[Result]:
        """Remove from the list whatever equals one of *values*."""
        pending = self._pending()
        return pending._with(_pull_all(path, values, pending._limits))

    def add_to_set(self, path: PathLike, *values: Any) -> PendingUpdate[Result]:
        """Append those values that the list does not hold yet."""
        pending = self._pending()
        return pending._with(operators.AddToSet.of(path, values, pending._limits))

    def pop_first(self, path: PathLike) -> PendingUpdate[Result]:
        """Remove the first element of the list; an empty or missing list stays as it is."""
        pending = self._pending()
        return pending._with(operators.PopFirst.of(path, pending._limits))

    def pop_last(self, path: PathLike) -> PendingUpdate[Result]:
        """Remove the last element of the list; an empty or missing list stays as it is."""
        pending = self._pending()
        return pending._with(operators.PopLast.of(path, pending._limits))

    def when(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Apply the whole update only where the stored field equals *value*; else it awaits to False."""
        pending = self._pending()
        return pending._with(When.of(path, value, pending._limits))

    def take(self, path: PathLike, default: Any = None) -> PendingUpdate[Any]:
        """Remove the field and await to what it held: of many requests exactly one gets it."""
        pending = self._pending()
        pending._default = default
        return pending._with(operators.Take.of(path, pending._limits))


class PendingUpdate(Operators[Result]):
    """
    An update that is still being written.  Await it, once, to send it.

    It awaits to True when it applied and to False when a `when` did not hold; with a `take`, to
    the value that was taken, or to the default where nothing was.
    """

    __slots__ = ("_default", "_limits", "_open", "_send", "_update")

    def __init__(self, send: Send, limits: Limits) -> None:
        self._open = False  # until it has something to send
        self._send = send
        self._limits = limits
        self._update = _NOTHING
        self._default: Any = MISSING  # but for what takes

    def __await__(self) -> Generator[Any, Any, Result]:
        self._close()
        answer = yield from self._send(self._update).__await__()
        if self._default is MISSING:
            return answer.outcome is _DONE  # type: ignore[return-value]
        return self._default if answer.taken is MISSING else answer.taken  # type: ignore[return-value]

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            warnings.warn("a session update was never awaited: nothing was written", RuntimeWarning, stacklevel=2)

    def _close(self) -> None:
        if not self._open:
            raise RuntimeError("this update was awaited already; write a new one")
        self._open = False

    def _pending(self) -> PendingUpdate[Any]:
        self._close()
        return self

    def _with(self, item: Operator | When) -> PendingUpdate[Result]:
        self._update = chain(self._update, item, self._limits)
        self._open = True
        return self


def _pull_all(path: PathLike, values: object, limits: Limits) -> Operator:
    if not isinstance(values, list | tuple):  # a text would be taken letter by letter
        raise TypeError(f"pull_all needs a list of values, not {type(values).__name__}")
    return operators.PullAll.of(path, tuple(values), limits)


def _pull(path: PathLike, value: tuple[Any, ...], where: dict[str, Any] | None, limits: Limits) -> Operator:
    if (where is None) != (len(value) == 1):
        raise TypeError("pull needs one value, or where={…}")
    if where is None:
        return operators.Pull.of(path, value[0], limits)
    return operators.PullWhere.of(path, where, limits)
