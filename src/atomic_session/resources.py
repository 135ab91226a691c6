"""The only door to the files that are packaged beside the code."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["read_migrations", "read_queries", "read_scripts"]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def read_queries(package: str) -> dict[str, str]:
    """Return the statements of *package*'s `sql/queries.sql` by name, comments left out."""
    parts = _NAME.split(files(package).joinpath("sql/queries.sql").read_text("utf-8"))
    return {name: _statement(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def read_migrations(package: str) -> list[str]:
    """Return *package*'s migrations in order: the first one leads to version 1."""
    folder = files(package).joinpath("sql/migrations")
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    for number, (name, _) in enumerate(found, start=1):
        if not name.startswith(f"{number:04}_"):
            raise RuntimeError(f"migration {name!r} stands where number {number} should")
    return [entry.read_text("utf-8") for _, entry in found]


def read_scripts(package: str) -> dict[str, str]:
    """Return *package*'s scripts in `lua/` by the names of their files."""
    entries = files(package).joinpath("lua").iterdir()
    return {
        entry.name.removesuffix(".lua"): entry.read_text("utf-8") for entry in entries if entry.name.endswith(".lua")
    }


def _statement(text: str) -> str:
    lines = (line for line in text.splitlines() if line and not line.startswith("--"))
    return "\n".join(lines).rstrip(";")
