"""The page about the original names tests that exist, one for each feature and each weakness."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "from-koa-atomic-session.md").read_text("utf-8")


def _tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 50
    assert [f"{path}::{name}" for path, name in named if name not in _tests(path)] == []


def test_every_weakness_has_its_row() -> None:
    assert re.findall(r"^\| (B\d+) \|", PAGE, re.MULTILINE) == [f"B{number}" for number in range(1, 36)]
