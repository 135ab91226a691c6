"""
From commands to what the function `run` is given: pure.

Names and values go as canonical text, which is JSON, with one difference: a float has no exponent.
The server keeps numbers as decimals, and only the digits after the point tell it a float.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from msgspec import Struct

from ... import commands, operators
from ...clock import Instant
from ...fields import encode_fields
from ...limits import Limits
from ...paths import Path
from ...record import MEMORY
from ...values import MISSING, Value, encode, encode_name

__all__ = [
    "NAME_SEPARATOR",
    "Arguments",
    "Request",
    "arguments_of",
    "digests",
    "largest",
    "numbers",
    "put",
    "request_of",
    "text_of",
    "texts",
    "without_exponents",
]

Arguments: TypeAlias = Sequence[object]

_NULL = "null"
NAME_SEPARATOR = "["
"""It joins names, and stands in none of their texts."""

_TOKEN = re.compile(rb'"[^"]*"|-?[0-9][0-9.]*e-?[0-9]+')
_MAY_HAVE_EXPONENT = re.compile(rb"[0-9]e").search
_LARGEST_EXACT = 2.0**63
_LARGEST_INTEGER = 2**31 - 1
"""What is larger, no value of the database can be."""


class Request(Struct, frozen=True):
    """One command as `run` takes it: an element of each of its lists."""

    id: str
    verb: str
    digest: bytes | None
    now: Instant
    max_age: int | None = None
    touch_after: int | None = None
    detail: str | None = None


def arguments_of(requests: Sequence[Request], limits: Limits) -> Arguments:
    """Return the arguments of `run` for *requests*, those of one session beside each other."""
    ids = [request.id for request in requests]
    nows = [request.now for request in requests]
    return (
        texts(ids),
        texts(request.verb for request in requests),
        digests(request.digest for request in requests),
        numbers(nows),
        numbers(request.max_age for request in requests),
        numbers(request.touch_after for request in requests),
        texts(request.detail for request in requests),
        numbers(
            place for place, (id_, before) in enumerate(zip(ids, ["", *ids], strict=False), start=1) if id_ != before
        ),
        max(nows),
        largest(limits.field),
        largest(limits.record),
        largest(limits.padding),
        limits.depth,
    )


# A list goes as one text, an element a line, and an empty one is missing: for the driver to see of each element of an
# array whether it is an array itself took a seventh of the time of an update among 64.


def texts(items: Iterable[str | None]) -> str:
    """Return a list of texts as the server's `list` reads it; no text of ours holds a control character."""
    return "\n".join([item or "" for item in items])


def numbers(items: Iterable[int | None]) -> str:
    return "\n".join(["" if item is None else str(item) for item in items])


def digests(items: Iterable[bytes | None]) -> str:
    return "\n".join(["" if item is None else "\\x" + item.hex() for item in items])


def largest(limit: int) -> int:
    """Return *limit* as the server takes it."""
    return min(limit, _LARGEST_INTEGER)


def request_of(command: commands.Command, limits: Limits, *, alone: bool) -> Request:
    """
    Return what *command* asks of the server; a load that is *alone* has nothing but loads of its session beside it.

    Raises:
        LimitExceeded: it creates what is too large.
    """
    if type(command) is commands.Create:
        return Request(command.id, "create", command.record.digest, command.now, detail=_creation(command, limits))
    if type(command) is commands.Destroy:
        return Request(command.id, "destroy", command.digest, command.now)
    if type(command) is commands.Update:
        return _renewing(command, "update", _update(command))
    if type(command) is commands.Load:
        return _renewing(command, "look" if alone else "load", None)
    if type(command) is commands.Touch:
        return _renewing(command, "touch", f"[{_number(command.max_age)}]")
    if type(command) is commands.Rotate:
        return _renewing(command, "rotate", _rotation(command))
    raise TypeError(f"there is no command {type(command).__name__}")


def put(command: commands.Update, rev: int, data: dict[str, Value]) -> Request:
    """Return the request to replace all data where it is still that of *rev*, in the place of *command*."""
    return _renewing(command, "put", f"[{rev},{text_of(data)}]")


def text_of(value: Value) -> str:
    """Return *value* as JSON for the server."""
    if type(value) is int:
        return str(value)
    return without_exponents(encode(value)).decode()


def _renewing(command: Any, verb: str, detail: str | None) -> Request:
    lifetimes = command.lifetimes
    return Request(command.id, verb, command.digest, command.now, lifetimes.max_age, lifetimes.touch_after, detail)


def _creation(command: commands.Create, limits: Limits) -> str:
    record = command.record
    data = without_exponents(encode_fields(command.data, limits)).decode()
    numbers = (
        record.created,
        record.last_used,
        record.renew_at,
        record.idle_deadline,
        record.absolute_deadline,
        record.max_age,
    )
    head = ",".join(map(_number, numbers))
    return f"[{head},{_owner(record.owner)},{_number(record.authenticated_at)},{record.rev},{data}]"


def _rotation(command: commands.Rotate) -> str:
    now, login = command.now, command.login
    digest = binascii.b2a_base64(command.new_digest, newline=False).decode()
    detail = f'["{digest}",{now + max(MEMORY, command.grace)},{now + command.grace}'
    if login is None:
        return detail + "]"
    return f"{detail},1,{_number(command.lifetimes.absolute_deadline(now))},{_owner(login.owner)}]"


def _update(command: commands.Update) -> str:
    update = command.update
    names = update.fields
    fields = _NULL if names is None else f'"{_names(names)}"'
    steps = [_guard(guard) for guard in update.guards]
    steps += [_COMPILE[type(operator)](operator) for operator in update.operators]
    return f"[{_number(command.known_rev)},{fields}{''.join(steps)}]"


def _guard(guard: operators.When) -> str:
    if guard.value is MISSING:
        return f',["when","{_path(guard.path)}"]'
    return f',["when","{_path(guard.path)}",{text_of(guard.value)}]'


def _bare(verb: str) -> Callable[[Any], str]:
    return lambda operator: f',["{verb}","{_path(operator.path)}"]'


def _with_value(verb: str) -> Callable[[Any], str]:
    return lambda operator: f',["{verb}","{_path(operator.path)}",{text_of(operator.value)}]'


def _with_values(verb: str) -> Callable[[Any], str]:
    return lambda operator: f',["{verb}","{_path(operator.path)}",{text_of(list(operator.values))}]'


def _inc(operator: operators.Inc) -> str:
    return f',["inc","{_path(operator.path)}",{text_of(operator.by)}]'


def _mul(operator: operators.Mul) -> str:
    return f',["mul","{_path(operator.path)}",{text_of(operator.by)},{text_of(type(operator.by)(0))}]'


def _pull(operator: operators.Pull) -> str:
    return f',["pull_all","{_path(operator.path)}",{text_of([operator.value])}]'


def _pull_where(operator: operators.PullWhere) -> str:
    return f',["pull_where","{_path(operator.path)}",{text_of(operator.where)}]'


def _push(operator: operators.Push) -> str:
    numbers = f"{_number(operator.at)},{_number(operator.keep)}"
    return f',["push","{_path(operator.path)}",{text_of(list(operator.values))},{numbers}]'


def _rename(operator: operators.Rename) -> str:
    return f',["rename","{_path(operator.path)}","{_path(operator.to)}"]'


def _replace(operator: operators.Replace) -> str:
    return f',["replace","",{text_of(operator.value)}]'


@lru_cache(maxsize=4_096)
def _path(path: Path) -> str:
    return NAME_SEPARATOR.join(map(encode_name, path))


@lru_cache(maxsize=4_096)
def _names(names: frozenset[str]) -> str:
    return NAME_SEPARATOR.join(map(encode_name, names))


def _number(number: int | None) -> str:
    return _NULL if number is None else str(number)


def _owner(owner: str | None) -> str:
    return _NULL if owner is None else f'"{encode_name(owner)}"'


def without_exponents(raw: bytes) -> bytes:
    """Return the text *raw* with the digits of every float written out."""
    return raw if _MAY_HAVE_EXPONENT(raw) is None else _TOKEN.sub(_in_full, raw)


def _in_full(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token[:1] == b'"':
        return token
    number = float(token)
    # what an integer might equal is written exactly, and so compares exactly
    exact = number.is_integer() and abs(number) <= _LARGEST_EXACT
    digits = f"{int(number)}" if exact else format(Decimal(token.decode()), "f")
    return (digits if "." in digits else digits + ".0").encode()


_COMPILE: dict[type, Callable[[Any], str]] = {
    operators.Set: _with_value("set"),
    operators.SetDefault: _with_value("set_default"),
    operators.Unset: _bare("unset"),
    operators.Take: _bare("take"),
    operators.Rename: _rename,
    operators.Inc: _inc,
    operators.Mul: _mul,
    operators.Min: _with_value("min"),
    operators.Max: _with_value("max"),
    operators.Push: _push,
    operators.AddToSet: _with_values("add_to_set"),
    operators.Pull: _pull,
    operators.PullAll: _with_values("pull_all"),
    operators.PullWhere: _pull_where,
    operators.PopFirst: _bare("pop_first"),
    operators.PopLast: _bare("pop_last"),
    operators.Replace: _replace,
}
