"""The PostgreSQL store keeps the contract of every store."""

from __future__ import annotations

import pytest
from tests.harnesses.postgresql import PostgreSQLHarness

from atomic_session.testing import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_conformance(case: Case, harness: PostgreSQLHarness) -> None:
    await case(harness)
