"""
From commands to what their scripts are given: pure.

Names and values go as canonical text, which the scripts take apart and put together again.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any, TypeAlias

from ... import commands, operators
from ...limits import Limits
from ...paths import Path
from ...record import MEMORY, Lifetimes
from ...values import MISSING, encode, encode_name
from .records import texts_of
from .scripts import DESTROY, LOAD, ROTATE, TOUCH, UPDATE, Script
from .wire import Part

__all__ = ["Arguments", "compile_command", "destroy_if_owned"]

Arguments: TypeAlias = list[Part]

_NONE = b""


def compile_command(command: commands.Command, limits: Limits) -> tuple[Script, Arguments]:
    """Return the script that carries out *command*, which is no `Create`, and its arguments."""
    if type(command) is commands.Update:
        return UPDATE, _update(command, limits)
    if type(command) is commands.Load:
        return LOAD, _guarded(command.digest, command.now, command.lifetimes)
    if type(command) is commands.Touch:
        arguments = _guarded(command.digest, command.now, command.lifetimes)
        return TOUCH, [*arguments, _optional(command.max_age)]
    if type(command) is commands.Rotate:
        return ROTATE, _rotate(command)
    if type(command) is commands.Destroy:
        return DESTROY, [_digest(command.digest), command.now, 0, MEMORY, _NONE]
    raise TypeError(f"no script for {type(command).__name__}")


def destroy_if_owned(owner: str, now: int) -> Arguments:
    """Return what the script that destroys is given where the session must be *owner*'s."""
    return [_NONE, now, 0, MEMORY, owner]


def _update(command: commands.Update, limits: Limits) -> Arguments:
    update = command.update
    fields = update.fields
    names = {guard.path[0] for guard in update.guards} if fields is None else fields  # where all is replaced
    parts = _guarded(command.digest, command.now, command.lifetimes, len(names))
    parts += [_optional(command.known_rev), limits.field, limits.record, limits.padding, limits.depth]
    for guard in update.guards:
        value = _NONE if guard.value is MISSING else encode(guard.value)
        parts += ["when", *_path(guard.path), value]
    for operator in update.operators:
        parts += _COMPILE[type(operator)](operator)
    parts += map(encode_name, names)
    return parts


def _rotate(command: commands.Rotate) -> Arguments:
    now, login = command.now, command.login
    parts = _guarded(command.digest, now, command.lifetimes)
    parts += [_digest(command.new_digest), now + max(MEMORY, command.grace), now + command.grace]
    if login is None:
        return [*parts, 0]
    return [*parts, 1, _optional(command.lifetimes.absolute_deadline(now)), login.owner]


def _guarded(digest: bytes | None, now: int, lifetimes: Lifetimes, count: int = 0) -> Arguments:
    return [_digest(digest), now, count, lifetimes.max_age, _optional(lifetimes.touch_after)]


def _digest(digest: bytes | None) -> bytes:
    return _NONE if digest is None else binascii.b2a_base64(digest, newline=False)


def _optional(number: int | None) -> Part:
    return _NONE if number is None else number


def _path(path: Path) -> Arguments:
    return [len(path), *map(encode_name, path)]


def _bare(verb: str) -> Callable[[Any], Arguments]:
    return lambda operator: [verb, *_path(operator.path)]


def _with_value(verb: str) -> Callable[[Any], Arguments]:
    return lambda operator: [verb, *_path(operator.path), encode(operator.value)]


def _with_number(verb: str) -> Callable[[Any], Arguments]:
    return lambda operator: [verb, *_path(operator.path), encode(operator.by)]


def _with_values(verb: str) -> Callable[[Any], Arguments]:
    return lambda operator: [verb, *_path(operator.path), encode(list(operator.values))]


def _push(push: operators.Push) -> Arguments:
    path, values = _path(push.path), encode(list(push.values))
    if push.at is None and push.keep is None:
        return ["append", *path, values]
    return ["push", *path, values, _optional(push.at), _optional(push.keep)]


def _rename(rename: operators.Rename) -> Arguments:
    return ["rename", *_path(rename.path), *_path(rename.to)]


def _pull_where(pull: operators.PullWhere) -> Arguments:
    return ["pull_where", *_path(pull.path), encode(pull.where)]


def _replace(replace: operators.Replace) -> Arguments:
    parts: Arguments = ["replace", 0]
    for name, text in texts_of(replace.value).items():
        parts += [name, text]
    return parts


_COMPILE: dict[type, Callable[[Any], Arguments]] = {
    operators.Set: _with_value("set"),
    operators.SetDefault: _with_value("set_default"),
    operators.Unset: _bare("unset"),
    operators.Take: _bare("take"),
    operators.Rename: _rename,
    operators.Inc: _with_number("inc"),
    operators.Mul: _with_number("mul"),
    operators.Min: _with_value("min"),
    operators.Max: _with_value("max"),
    operators.Push: _push,
    operators.AddToSet: _with_values("add_to_set"),
    operators.Pull: _with_value("pull"),
    operators.PullAll: _with_values("pull_all"),
    operators.PullWhere: _pull_where,
    operators.PopFirst: _bare("pop_first"),
    operators.PopLast: _bare("pop_last"),
    operators.Replace: _replace,
}
