"""
Laws that Hypothesis tries to break, inside a running event loop.

Hypothesis is asked for only here, when a case needs it: it comes with the extra `testing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["holds"]

T = TypeVar("T")

_USUAL = 100
"""How many examples Hypothesis tries where nobody told it otherwise."""


async def holds(law: Callable[[T], Coroutine[Any, Any, None]], strategy: SearchStrategy[T], examples: int) -> None:
    """
    Try *law* on drawn values, and fail with the smallest one that breaks it.

    The number of *examples* grows with that of the Hypothesis profile in force.
    """
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415  # an extra: only this needs it

    loop = asyncio.get_running_loop()
    scaled = examples * settings().max_examples // _USUAL

    patient = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

    @settings(max_examples=max(scaled, 1), deadline=None, suppress_health_check=patient, database=None)
    @given(strategy)
    def attempt(value: T) -> None:
        asyncio.run_coroutine_threadsafe(law(value), loop).result()

    await asyncio.to_thread(attempt)
