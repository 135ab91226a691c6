"""The page about MongoDB lists where we are stricter than it, each case with its test, and no test without a case."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mongodb.md").read_text("utf-8")
TESTS = ROOT / "tests" / "mongodb" / "test_strictness.py"


def test_each_case_has_its_test_and_each_test_its_case() -> None:
    listed = re.findall(r"^\| .* \| `(test_\w+)` \|$", PAGE, re.MULTILINE)
    tree = ast.parse(TESTS.read_text("utf-8"))
    defined = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.name[:5] == "test_"]
    assert sorted(listed) == sorted(defined)
    assert len(listed) >= 14
