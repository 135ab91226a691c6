"""What an account of the server needs, as the documentation says it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["documented_rights"]

_PAGE = Path(__file__).parents[2] / "docs/redis.md"


def documented_rights(password: str) -> str:
    """Return what goes behind the name of the account in an `ACL SETUSER`, with this password."""
    _, _, found = _PAGE.read_text("utf-8").partition("ACL SETUSER sessions ")
    return " ".join(found.partition("```")[0].split()).replace(">password", f">{password}")
