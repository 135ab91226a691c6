"""
From an update to the request that carries it out: pure.

Names and values go as canonical text, which the script takes apart and puts together again.
Updates of one shape, with the same operators on the same paths, differ in a few texts only: what
they have in common is written once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from ... import operators
from ...commands import Update
from ...limits import Limits
from ...paths import Path
from ...record import Lifetimes
from ...values import MISSING, encode, encode_name
from .records import digest_text, texts_of
from .scripts import UPDATE
from .wire import Part, pack

__all__ = ["pack_update"]

_Item: TypeAlias = tuple[bytes, Path, tuple[bytes, ...]]
"""A guard or an operator: its verb, its path, and the texts behind it."""

_Shape: TypeAlias = tuple[tuple[bytes, Path, int], ...]
"""Of each guard and operator its verb, its path, and how many texts are behind it."""

_NONE = b""
_GAP = b"\0"
"""Stands in a template where a text is to go: no name and no verb is this."""

_FEW = 16
"""Guards and operators of an update whose template is kept: larger ones hardly come twice."""


def pack_update(command: Update, key: bytes, limits: Limits) -> bytes:
    """Return the request to carry out *command* on the record under *key*."""
    update, rev = command.update, command.known_rev
    texts = [key, digest_text(command.digest), b"%d" % command.now, _NONE if rev is None else b"%d" % rev]
    shape = []
    for item in (*update.guards, *update.operators):
        verb, path, behind = _TAKEN_APART[type(item)](item)
        shape.append((verb, path, len(behind)))
        texts += behind
    write = _template if len(shape) <= _FEW else _template.__wrapped__
    gaps: list[bytes | int] = []
    for text in texts:
        gaps += (len(text), text)
    return write(tuple(shape), update.fields, command.lifetimes, limits) % tuple(gaps)


@lru_cache(maxsize=512)
def _template(shape: _Shape, fields: frozenset[str] | None, lifetimes: Lifetimes, limits: Limits) -> bytes:
    """Return the request for updates of one shape, with the length of each text and the text still to come."""
    if fields is None:  # all is replaced: what guards look at is read
        fields = frozenset(path[0] for _, path, _ in shape if path)
    touch_after = _NONE if lifetimes.touch_after is None else lifetimes.touch_after
    parts: list[Part] = [b"EVALSHA", UPDATE.sha, 1, _GAP, _GAP, _GAP, len(fields), lifetimes.max_age, touch_after, _GAP]
    parts += [limits.field, limits.record, limits.padding, limits.depth]
    for verb, path, count in shape:
        parts += [verb, len(path), *map(encode_name, path), *[_GAP] * count]
    parts += map(encode_name, fields)
    return pack(tuple(parts)).replace(b"%", b"%%").replace(b"$1\r\n%b\r\n" % _GAP, b"$%d\r\n%b\r\n")


def _guard(guard: operators.When) -> _Item:
    return b"when", guard.path, (_NONE if guard.value is MISSING else encode(guard.value),)


def _bare(verb: bytes) -> Callable[[Any], _Item]:
    return lambda operator: (verb, operator.path, ())


def _with_value(verb: bytes) -> Callable[[Any], _Item]:
    return lambda operator: (verb, operator.path, (encode(operator.value),))


def _with_number(verb: bytes) -> Callable[[Any], _Item]:
    return lambda operator: (verb, operator.path, (encode(operator.by),))


def _with_values(verb: bytes) -> Callable[[Any], _Item]:
    return lambda operator: (verb, operator.path, (encode(list(operator.values)),))


def _push(push: operators.Push) -> _Item:
    values = encode(list(push.values))
    if push.at is None and push.keep is None:
        return b"append", push.path, (values,)
    at, keep = [_NONE if number is None else b"%d" % number for number in (push.at, push.keep)]
    return b"push", push.path, (values, at, keep)


def _rename(rename: operators.Rename) -> _Item:
    to = rename.to
    return b"rename", rename.path, (b"%d" % len(to), *[encode_name(name).encode() for name in to])


def _pull_where(pull: operators.PullWhere) -> _Item:
    return b"pull_where", pull.path, (encode(pull.where),)


def _replace(replace: operators.Replace) -> _Item:
    return b"replace", (), tuple([part for pair in texts_of(replace.value).items() for part in pair])


_TAKEN_APART: dict[type, Callable[[Any], _Item]] = {
    operators.When: _guard,
    operators.Set: _with_value(b"set"),
    operators.SetDefault: _with_value(b"set_default"),
    operators.Unset: _bare(b"unset"),
    operators.Take: _bare(b"take"),
    operators.Rename: _rename,
    operators.Inc: _with_number(b"inc"),
    operators.Mul: _with_number(b"mul"),
    operators.Min: _with_value(b"min"),
    operators.Max: _with_value(b"max"),
    operators.Push: _push,
    operators.AddToSet: _with_values(b"add_to_set"),
    operators.Pull: _with_value(b"pull"),
    operators.PullAll: _with_values(b"pull_all"),
    operators.PullWhere: _pull_where,
    operators.PopFirst: _bare(b"pop_first"),
    operators.PopLast: _bare(b"pop_last"),
    operators.Replace: _replace,
}
