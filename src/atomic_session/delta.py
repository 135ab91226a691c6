"""
What plain dict code changed, as the smallest update that says so.

The *view* is the dict that the application sees; the *base* is what the store is known to hold.
Their difference is the delta.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import LimitExceeded, OperatorError
from .limits import Limits
from .operators import Operator, Replace, Set, Unset, Update, apply, diff
from .snapshot import Frozen, Snapshot, freeze
from .values import Value, check_value

__all__ = ["DeltaTracker"]


class DeltaTracker:
    """
    Compare a view with its base, and bring both up to date.

    The view is passed in, and handled as the plain dict that it is underneath.

    Attributes:
        cleared: `clear()` was called: the delta replaces everything, what others added too.
    """

    __slots__ = ("_base", "_limits", "cleared")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._base: Snapshot | None = None
        self.cleared = False

    @property
    def loaded(self) -> bool:
        """Whether there is a base: before, the view holds nothing of the application's."""
        return self._base is not None

    def reset(self, view: dict[str, Any], data: dict[str, Value], raw: bytes | None = None) -> None:
        """Make *data*, whose text is *raw* where it is at hand, both base and view; what was in either is forgotten."""
        self._base = Snapshot(data, raw)
        self.cleared = False
        dict.clear(view)
        dict.update(view, data)

    def is_changed(self, view: dict[str, Any]) -> bool:
        """Say whether there is a delta."""
        return self.cleared or bool(self._changed(view))

    def operators(self, view: dict[str, Any]) -> tuple[Operator, ...]:
        """
        Return the delta.

        Raises:
            InvalidPath: a changed field has a name that cannot be one.
            InvalidValue: a changed field holds what a session cannot.
            LimitExceeded: it is too large, or takes too many operators.
        """
        names = self._changed(view)
        if self.cleared:
            return (Replace.of(dict(view), self._limits),)
        if not names or self._base is None:
            return ()
        found = diff(self._base.thaw(names), _only(names, view), self._limits)
        return found if len(found) <= self._limits.operators else self.whole_fields(view)

    def whole_fields(self, view: dict[str, Any]) -> tuple[Operator, ...]:
        """Return the delta with each changed field set whole: what always fits what is stored."""
        names = self._changed(view)
        if len(names) > self._limits.operators:
            raise LimitExceeded("operators", self._limits.operators, len(names))
        limits = self._limits
        return tuple(
            Set.of((name,), view[name], limits) if name in view else Unset.of((name,), limits) for name in names
        )

    def freeze(self, view: dict[str, Any]) -> Frozen:
        """Freeze what the delta is about to carry; `mark_sent` takes it when it has left."""
        names = self._changed(view)
        clean = {name: check_value(value, (name,), self._limits) for name, value in _only(names, view).items()}
        return freeze(names, clean)

    def mark_sent(self, carried: Frozen) -> None:
        """Count what was frozen before it left as part of the base."""
        if self._base is not None:
            self._base.overlay(carried)
            self.cleared = False

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
        news = base.differing(freeze(base.names_with(data) if names is None else names, data))
        late = base.changed_of(news, view)
        before, mine = base.thaw(late), _only(late, view)
        base.overlay(news)
        _assign(view, news, data)
        if late:
            self._redo(view, diff(before, mine, self._limits), mine)

    def _changed(self, view: dict[str, Any]) -> list[str]:
        if self._base is None:
            return []
        return self._base.names_with(view) if self.cleared else self._base.changed(view)

    def _redo(self, view: dict[str, Any], late: tuple[Operator, ...], mine: dict[str, Any]) -> None:
        """Make the changes *late* again; one that does not fit any more sets its field whole."""
        for item in late:
            name = item.path[0]
            try:
                applied = apply(_only((name,), view), Update((item,)), self._limits)
            except (OperatorError, LimitExceeded):
                _assign(view, (name,), mine)
            else:
                _assign(view, (name,), {} if applied is None else applied.data)


def _assign(view: dict[str, Any], names: Iterable[str], data: dict[str, Any]) -> None:
    for name in names:
        if name in data:
            dict.__setitem__(view, name, data[name])
        else:
            dict.pop(view, name, None)


def _only(names: Iterable[str], view: dict[str, Any]) -> dict[str, Any]:
    return {name: view[name] for name in names if name in view}
