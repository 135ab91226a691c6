"""The Redis store keeps the contract of every store."""

from __future__ import annotations

import pytest
from tests.harnesses.redis import RedisHarness

from atomic_session.testing import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_conformance(case: Case, harness: RedisHarness) -> None:
    await case(harness)
