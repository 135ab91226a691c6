"""From a URL to a store: what is said to somebody whose installation lacks the driver."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from atomic_session.registry import open_url

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]

WITHOUT_DRIVERS = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("redis", "pymongo", "bson") else find(name, *rest)
for name in ("redis", "pymongo", "bson"):
    sys.modules[name] = None
from atomic_session.registry import open_url
try:
    open_url(sys.argv[1])
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("url", "extra"),
    [
        ("mongodb://host/db", "mongodb"),
        ("mongodb+srv://host/db", "mongodb"),
        ("redis://host", "redis"),
        ("rediss://host", "redis"),
        ("redis+cluster://host", "redis"),
        ("rediss+cluster://host", "redis"),
        ("unix:///run/redis.sock", "redis"),
    ],
)
def test_who_lacks_a_driver_is_told_which_extra_brings_it(url: str, extra: str) -> None:
    command = [sys.executable, "-c", WITHOUT_DRIVERS, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    assert f"pip install 'atomic-session[{extra}]'" in said
    assert extra in EXTRAS


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hush@h/db?x=hush#hush", "redi://u:hu/hush@h", "u:hush@h/db", "hush@h/db", "/hush", "redis+x://:hush@h"],
)
def test_a_url_that_no_store_takes_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="starts with one of") as caught:
        open_url(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_extra_that_is_told_of_exists(document: Path) -> None:
    assert set(re.findall(r"atomic-session\[(\w+)\]", document.read_text("utf-8"))) <= set(EXTRAS)
