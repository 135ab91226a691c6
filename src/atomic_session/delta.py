"""
What plain dict code changed, as the smallest update that says so.

The *view* is the dict that the application sees; the *base* is what the store is known to hold.
Their difference is the delta.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from .errors import AtomicSessionError, ConflictingUpdate, InvalidPath, InvalidValue, LimitExceeded, OperatorError
from .limits import Limits
from .operators import Operator, Push, Replace, Set, Unset, Update, apply, chain, diff
from .paths import Path, overlaps, show_path
from .snapshot import Frozen, Snapshot, freeze, thaw
from .values import Value, check_value

__all__ = ["DeltaTracker", "Parcel"]


class Parcel(NamedTuple):
    """
    A delta that is about to leave.

    Attributes:
        operators: what says it.
        fields: the changed fields as they are when it leaves.
        cleared: how many calls of `clear()` are in it.
    """

    operators: tuple[Operator, ...]
    fields: Frozen
    cleared: int

    def touches(self, path: Path) -> bool:
        """Say whether it changes something at *path*, or above or inside."""
        return any(isinstance(item, Replace) or overlaps(item.path, path) for item in self.operators)

    def appends_to(self, names: Collection[str]) -> bool:
        """Say whether it appends to a list in one of the fields *names*."""
        return any(isinstance(item, Push) and item.path[0] in names for item in self.operators)

    def joined_with(self, update: Update, limits: Limits) -> Update | None:
        """Return the delta and *update* as one, or None where the delta has to go first."""
        if any(self.touches(guard.path) for guard in update.guards):
            return None
        joined = Update(self.operators)
        try:
            for item in (*update.guards, *update.operators):
                joined = chain(joined, item, limits)
        except (ConflictingUpdate, LimitExceeded, OperatorError):
            return None
        return joined

    def misfits(self, error: AtomicSessionError | None) -> set[str]:
        """Return the field for which the store refused it, none where it is not that."""
        if not isinstance(error, OperatorError):
            return set()
        places = [item.path for item in self.operators if not isinstance(item, Replace)]
        return {path[0] for path in places if show_path(path) == error.path}


class DeltaTracker:
    """
    Compare a view with its base, and bring both up to date.

    The view is passed in, and handled as the plain dict that it is underneath.

    Attributes:
        cleared: how often `clear()` was called: if at all, the delta replaces everything, what others added too.
        doubtful: the deltas of which nobody knows what became.
        loaded: whether there is a base: before, the view holds nothing of the application's.
    """

    __slots__ = ("_base", "_limits", "_obscured", "cleared", "doubtful", "loaded")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._base: Snapshot | None = None
        self.cleared = 0
        self.doubtful: list[Parcel] = []
        self._obscured = False  # an append in doubt was followed by another, which hides whether it landed
        self.loaded = False

    @property
    def pristine(self) -> bool:
        """Whether nothing can have changed yet: who gets hold of a container has it separated before."""
        return self._base is not None and self._base.shared

    def separate(self) -> None:
        """Let the application have the containers of the view, and look for changes in them from now on."""
        if self._base is not None:
            self._base.separate()

    def open(self, view: dict[str, Any], data: dict[str, Value], raw: bytes | None = None) -> None:
        """Make *data*, whose text is *raw* where it is at hand, both base and view, for the first time."""
        self._base = Snapshot(data, raw)
        self.loaded = True
        dict.clear(view)
        dict.update(view, data)

    def reset(self, view: dict[str, Any], data: dict[str, Value], raw: bytes | None = None) -> None:
        """Do so again: what was in either is forgotten."""
        self.open(view, data, raw)
        self.separate()
        self._doubt_no_more()
        self.cleared = 0

    def revert(self, view: dict[str, Any]) -> None:
        """Make the view what the base is."""
        if self._base is not None:
            names = self._changed(view)
            self._doubt_no_more()
            self.cleared = 0
            _assign(view, names, self._base.thaw(names))

    def is_changed(self, view: dict[str, Any]) -> bool:
        """Say whether there is a delta."""
        return self.cleared > 0 or bool(self._changed(view))

    def may_be_changed(self, view: dict[str, Any]) -> bool:
        """Say whether a closer look is needed to tell that there is no delta, nor one in doubt."""
        base = self._base
        return (base is not None and not base.is_alike(view)) or self.cleared > 0 or bool(self.doubtful)

    def clean(self, view: dict[str, Any]) -> dict[str, Value]:
        """
        Return a checked copy of all that the view holds.

        Raises:
            InvalidPath: a field has a name that cannot be one.
            InvalidValue: a field holds what a session cannot.
            LimitExceeded: it is too deep, or a name in it too long.
        """
        return {} if self._base is None else Replace.of(dict(view), self._limits).value

    def pack(self, view: dict[str, Any], whole: Collection[str] = ()) -> Parcel | None:
        """
        Return the delta, the fields *whole* set whole in it; None where there is none.

        Raises:
            InvalidPath, InvalidValue: as `clean` does, of what changed.
            LimitExceeded: so does this, or it takes too many operators.
        """
        if not self.loaded:
            return None
        names = self._changed(view)
        operators = (Replace.of(dict(view), self._limits),) if self.cleared else self._operators(names, whole, view)
        return self._parcel(operators, names, view) if operators else None

    def pack_all(self, view: dict[str, Any]) -> Parcel:
        """Return what is in the view as it goes into a new record, without operators."""
        return self._parcel((), self._changed(view), view)

    def mark_sent(self, parcel: Parcel) -> None:
        """Count *parcel* as part of the base."""
        if any(earlier.appends_to(parcel.fields) for earlier in self.doubtful):
            self._obscured = True
        if self._base is not None:
            self._base.overlay(parcel.fields)
            self.cleared -= parcel.cleared

    def doubt(self, parcel: Parcel) -> None:
        """Count *parcel* as sent, though nobody knows what became of it."""
        self.mark_sent(parcel)
        self.doubtful.append(parcel)

    def is_unconfirmed(self, view: dict[str, Any]) -> bool:
        """Say whether a view that was loaded again lacks what was in doubt; it is in doubt no more."""
        unconfirmed = self._obscured or any(self._lacks(view, parcel.fields) for parcel in self.doubtful)
        self._doubt_no_more()
        return unconfirmed

    def absorb(
        self, view: dict[str, Any], names: Iterable[str] | None, data: dict[str, Value], raw: bytes | None = None
    ) -> None:
        """
        Take *data* (as text: *raw*, where it is at hand) as what the store holds in the fields *names* (None: in all).

        Only fields that differ from the base are replaced, so that what the application holds
        of the others stays part of the view.  Changes that it made in a replaced field since the
        last `mark_sent` are made again on top.
        """
        base = self._base
        if base is None:
            self.reset(view, data, raw)
            return
        if names is None and not self._obscured:
            self.doubtful = [parcel for parcel in self.doubtful if self._lacks(data, parcel.fields)]
        news = base.differing(freeze(base.names_with(data) if names is None else names, data, raw))
        if not self.cleared:
            late = set(base.changed_of(news, view))
            for name in news:
                _assign(view, (name,), self._redone(name, view, data) if name in late else data)
        base.overlay(news)

    def _doubt_no_more(self) -> None:
        self.doubtful = []
        self._obscured = False

    def _lacks(self, data: dict[str, Any], fields: Frozen) -> bool:
        """Say whether *data* has any of *fields* otherwise than they were frozen."""
        try:
            return bool(diff(thaw(fields), _only(fields, data), self._limits))
        except (InvalidPath, InvalidValue, LimitExceeded):
            return False  # changed again since then, and what it is now the next delta will say

    def _changed(self, view: dict[str, Any]) -> list[str]:
        if self._base is None:
            return []
        return self._base.names_with(view) if self.cleared else self._base.changed(view)

    def _operators(self, names: list[str], whole: Collection[str], view: dict[str, Any]) -> tuple[Operator, ...]:
        if not names or self._base is None:
            return ()
        finely = [name for name in names if name not in whole]
        coarsely = [name for name in names if name in whole]
        found = diff(self._base.peek(finely), _only(finely, view), self._limits)
        found += self._setting(coarsely, view)
        return found if len(found) <= self._limits.operators else self._setting(names, view)

    def _setting(self, names: list[str], view: dict[str, Any]) -> tuple[Operator, ...]:
        """Return what sets the fields whole, which always fits what is stored."""
        limits = self._limits
        if len(names) > limits.operators:
            raise LimitExceeded("operators", limits.operators, len(names))
        return tuple(
            Set.of((name,), view[name], limits) if name in view else Unset.of((name,), limits) for name in names
        )

    def _parcel(self, operators: tuple[Operator, ...], names: list[str], view: dict[str, Any]) -> Parcel:
        clean = {name: check_value(value, (name,), self._limits) for name, value in _only(names, view).items()}
        return Parcel(operators, freeze(names, clean), self.cleared)

    def _redone(self, name: str, view: dict[str, Any], data: dict[str, Value]) -> dict[str, Any]:
        """Return *data* with the field as the application changed it; what does not fit any more stays as it is."""
        before = {} if self._base is None else self._base.peek((name,))
        try:
            late = diff(before, _only((name,), view), self._limits)
            applied = apply(_only((name,), data), Update(late), self._limits)
        except (InvalidPath, InvalidValue, LimitExceeded, OperatorError):
            return view
        return view if applied is None else applied.data


def _assign(view: dict[str, Any], names: Iterable[str], data: dict[str, Any]) -> None:
    for name in names:
        if name in data:
            dict.__setitem__(view, name, data[name])
        else:
            dict.pop(view, name, None)


def _only(names: Iterable[str], view: dict[str, Any]) -> dict[str, Any]:
    return {name: view[name] for name in names if name in view}
