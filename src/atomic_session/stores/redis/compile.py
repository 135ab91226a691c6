"""From commands to what their scripts are given, but for updates: pure."""

from __future__ import annotations

from typing import TypeAlias

from ... import commands
from ...record import MEMORY, Lifetimes
from .records import digest_text
from .scripts import DESTROY, LOAD, ROTATE, TOUCH, Script
from .wire import Part

__all__ = ["Arguments", "compile_command", "destroy_if_owned"]

Arguments: TypeAlias = list[Part]

_NONE = b""


def compile_command(command: commands.Command) -> tuple[Script, Arguments]:
    """Return the script that carries out *command*, which is no `Create` and no `Update`, and its arguments."""
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


def _rotate(command: commands.Rotate) -> Arguments:
    now, login = command.now, command.login
    parts = _guarded(command.digest, now, command.lifetimes)
    parts += [_digest(command.new_digest), now + max(MEMORY, command.grace), now + command.grace]
    if login is None:
        return [*parts, 0]
    return [*parts, 1, _optional(command.lifetimes.absolute_deadline(now)), login.owner]


def _guarded(digest: bytes | None, now: int, lifetimes: Lifetimes) -> Arguments:
    return [_digest(digest), now, 0, lifetimes.max_age, _optional(lifetimes.touch_after)]


def _digest(digest: bytes | None) -> bytes:
    return _NONE if digest is None else digest_text(digest)


def _optional(number: int | None) -> Part:
    return _NONE if number is None else number
