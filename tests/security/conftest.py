"""The security tests run on every store of the package: tests/stores.py."""

from __future__ import annotations

import pytest
from tests.stores import AnyHarness

from atomic_session.store import Store


@pytest.fixture
async def inner(any_harness: AnyHarness) -> Store:
    return await any_harness.make()
