"""The store keeps the contract, on a real server."""

from __future__ import annotations

import pytest
from tests.mongodb.harness import MongoHarness

from atomic_session.testing import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_conformance(case: Case, harness: MongoHarness) -> None:
    await case(harness)
