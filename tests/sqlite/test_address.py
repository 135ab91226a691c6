"""Which URLs name a file, and which settings are nonsense."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from atomic_session.registry import open_url
from atomic_session.stores.sqlite import SQLiteStore

from .commands import create, done
from .files import rows


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///s.db", "s.db"),
        ("sqlite:///sub/s.db", "sub/s.db"),
        ("sqlite:////{here}/s.db", "s.db"),
        ("SQLite:///s.db", "s.db"),
        ("sqlite:///with%20space%3F%23%25.db", "with space?#%.db"),
        ("sqlite:///%C3%BC.db", "ü.db"),
        ("sqlite:///s.db?durability=full", "s.db"),
        ("sqlite:///s.db?durability=relaxed", "s.db"),
        ("sqlite:///./s.db", "s.db"),
    ],
)
async def test_a_url_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, name: str) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    store = open_url(url.replace("/{here}", str(tmp_path)))
    await done(store, create("a"))
    await store.close()

    assert rows(tmp_path / name) == 1


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite:s.db",
        "sqlite:/s.db",
        "sqlite://",
        "sqlite:///",
        "sqlite://s.db",
        "sqlite://host/s.db",
        "sqlite:///:memory:",
        "sqlite:///s.db#fragment",
        "sqlite:///s.db?mode=ro",
        "sqlite:///s.db?durability=none",
        "sqlite:///s.db?durability=",
        "sqlite:///s.db?durability=full&durability=relaxed",
        "sqlite:///s.db?durability=full&timeout=3",
        "sqlite:///s%00.db",
        "sqlite:///s%FF.db",
    ],
)
def test_a_url_that_says_less_or_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match=r"sqlite:|memory:|durability|file name|not UTF-8"):
        open_url(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", ":memory:", "a\0b"])
def test_a_path_that_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no file"):
        SQLiteStore(path)


def test_a_durability_that_is_none_is_refused(tmp_path: Path) -> None:
    durability: Any = "sometimes"
    with pytest.raises(ValueError, match="durability"):
        SQLiteStore(tmp_path / "s.db", durability=durability)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(tmp_path: Path, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        SQLiteStore(tmp_path / "s.db", timeout=timeout)


def test_making_a_store_touches_nothing(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "s.db")
    SQLiteStore(os.fspath(tmp_path / "missing" / "s.db"))

    assert list(tmp_path.iterdir()) == []
