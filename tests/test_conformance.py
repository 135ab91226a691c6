"""Every store keeps the contract: those of the package, and one from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.harnesses.outside import OutsideHarness
from tests.harnesses.own import MemoryHarness, SQLiteHarness

from atomic_session.testing import CASES, Case

AnyHarness = MemoryHarness | SQLiteHarness | OutsideHarness


@pytest.fixture(params=["memory", "sqlite", "outside"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyHarness]:
    made: dict[str, AnyHarness] = {
        "memory": MemoryHarness(),
        "sqlite": SQLiteHarness(tmp_path),
        "outside": OutsideHarness(),
    }
    chosen = made[request.param]
    yield chosen
    await chosen.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_conformance(case: Case, harness: AnyHarness) -> None:
    await case(harness)
