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

__all__ = ["Maker", "Operators", "PathLike", "PendingUpdate", "Result"]

PathLike: TypeAlias = str | tuple[str, ...]
Result = TypeVar("Result")
Send: TypeAlias = Callable[[Update], Coroutine[Any, Any, Answer]]
Maker: TypeAlias = Callable[..., Operator | When]


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
    def _chained(self, make: Maker, *arguments: Any) -> PendingUpdate[Result]:
        """Chain what *make* makes of the arguments and the limits."""

    @abstractmethod
    def _taking(self, path: PathLike, default: Any) -> PendingUpdate[Any]: ...

    def set(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Set the field; missing parents become dicts, and what was there is replaced."""
        return self._chained(operators.Set.of, path, value)

    def unset(self, path: PathLike, *paths: PathLike) -> PendingUpdate[Result]:
        """Remove the fields; one that is missing is no error, a list element becomes None."""
        pending = self._chained(operators.Unset.of, path)
        for other in paths:
            pending = pending.unset(other)
        return pending

    def set_default(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Set the field where it is missing; None is not missing."""
        return self._chained(operators.SetDefault.of, path, value)

    def rename(self, path: PathLike, to: PathLike) -> PendingUpdate[Result]:
        """Move the field, over what the target holds; a missing one is no error."""
        return self._chained(operators.Rename.of, path, to)

    def inc(self, path: PathLike, by: float = 1) -> PendingUpdate[Result]:
        """Add to the number; a missing one becomes *by*."""
        return self._chained(operators.Inc.of, path, by)

    def mul(self, path: PathLike, by: float) -> PendingUpdate[Result]:
        """Multiply the number; a missing one becomes zero."""
        return self._chained(operators.Mul.of, path, by)

    def min(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Lower the number or instant to *value*; a missing one becomes it."""
        return self._chained(operators.Min.of, path, value)

    def max(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Raise the number or instant to *value*; a missing one becomes it."""
        return self._chained(operators.Max.of, path, value)

    def push(
        self, path: PathLike, *values: Any, at: int | None = None, keep: int | None = None
    ) -> PendingUpdate[Result]:
        """Insert into the list, at its end or before index *at*; *keep* only the last so many."""
        return self._chained(operators.Push.of, path, values, at, keep)

    def pull(self, path: PathLike, *value: Any, where: dict[str, Any] | None = None) -> PendingUpdate[Result]:
        """Remove from the list what equals *value*, or dicts whose fields equal those of *where*."""
        return self._chained(_pull, path, value, where)

    def pull_all(self, path: PathLike, values: list[Any] | tuple[Any, ...]) -> PendingUpdate[Result]:
        """Remove from the list whatever equals one of *values*."""
        return self._chained(_pull_all, path, values)

    def add_to_set(self, path: PathLike, *values: Any) -> PendingUpdate[Result]:
        """Append those values that the list does not hold yet."""
        return self._chained(operators.AddToSet.of, path, values)

    def pop_first(self, path: PathLike) -> PendingUpdate[Result]:
        """Remove the first element of the list; an empty or missing list stays as it is."""
        return self._chained(operators.PopFirst.of, path)

    def pop_last(self, path: PathLike) -> PendingUpdate[Result]:
        """Remove the last element of the list; an empty or missing list stays as it is."""
        return self._chained(operators.PopLast.of, path)

    def when(self, path: PathLike, value: Any) -> PendingUpdate[Result]:
        """Apply the whole update only where the stored field equals *value*; else it awaits to False."""
        return self._chained(When.of, path, value)

    def take(self, path: PathLike, default: Any = None) -> PendingUpdate[Any]:
        """Remove the field and await to what it held: of many requests exactly one gets it."""
        return self._taking(path, default)


class PendingUpdate(Operators[Result]):
    """
    An update that is still being written.  Await it, once, to send it.

    It awaits to True when it applied and to False when a `when` did not hold; with a `take`, to
    the value that was taken, or to the default where nothing was.
    """

    __slots__ = ("_default", "_limits", "_open", "_send", "_update")

    def __init__(self, send: Send, limits: Limits, update: Update = Update(), default: Any = MISSING) -> None:  # noqa: B008
        self._open = True
        self._send = send
        self._limits = limits
        self._update = update
        self._default = default

    def __await__(self) -> Generator[Any, Any, Result]:
        if not self._open:
            raise RuntimeError("this update was awaited already; write a new one")
        self._open = False
        return self._run().__await__()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            warnings.warn("a session update was never awaited: nothing was written", RuntimeWarning, stacklevel=2)

    def _chained(self, make: Maker, *arguments: Any) -> PendingUpdate[Result]:
        if not self._open:
            raise RuntimeError("this update was awaited already; write a new one")
        self._open = False  # what raises here was never meant to be awaited
        self._update = chain(self._update, make(*arguments, self._limits), self._limits)
        self._open = True
        return self

    def _taking(self, path: PathLike, default: Any) -> PendingUpdate[Any]:
        self._default = default
        return self._chained(operators.Take.of, path)

    async def _run(self) -> Any:
        answer = await self._send(self._update)
        if self._update.take is None:
            return answer.outcome is Outcome.DONE
        return self._default if answer.taken is MISSING else answer.taken


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
