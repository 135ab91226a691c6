"""A site on the memory store, and the same on every store of the package."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.session.kit import Site
from tests.stores import AnyHarness


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def any_site(any_harness: AnyHarness) -> AsyncIterator[Site]:
    """A site on each store of the package."""
    made = Site(await any_harness.make())
    yield made
    await made.manager.close()
