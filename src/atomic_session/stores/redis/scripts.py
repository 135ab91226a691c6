"""The scripts that the server runs, put together from the files in `lua/`."""

from __future__ import annotations

from hashlib import sha1

from msgspec import Struct

from ...resources import read_scripts

__all__ = [
    "CONFIRM",
    "CREATE",
    "DESTROY",
    "ENLIST",
    "LOAD",
    "REPLACE",
    "ROTATE",
    "SCRIPTS",
    "STRIKE",
    "TOUCH",
    "UPDATE",
    "Script",
]


class Script(Struct, frozen=True):
    """A script, and the name that the server gives it."""

    text: bytes
    sha: bytes


_FILES = read_scripts(__name__.rpartition(".")[0])


def _script(*names: str) -> Script:
    text = "\n".join(_FILES[name] for name in names).encode()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


CREATE = _script("create")
LOAD = _script("guard", "load", "answer")
UPDATE = _script("guard", "fields", "operators", "update", "answer")
TOUCH = _script("guard", "touch")
ROTATE = _script("guard", "rotate")
DESTROY = _script("guard", "destroy")
REPLACE = _script("replace")
ENLIST = _script("enlist")
CONFIRM = _script("confirm")
STRIKE = _script("strike")

SCRIPTS = (CREATE, LOAD, UPDATE, TOUCH, ROTATE, DESTROY, REPLACE, ENLIST, CONFIRM, STRIKE)
"""All of them: they are loaded together."""
