"""What all tests share: how hard Hypothesis tries, and the stores of the package."""

from __future__ import annotations

from hypothesis import settings
from tests.stores import any_harness, servers

__all__ = ["any_harness", "servers"]

# No deadline: a shared machine stalls now and then, and that is no finding.  The same code gets the same examples, so
# that a change is judged by itself; `--hypothesis-profile=thorough` draws others each time, and digs deeper.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000)
settings.load_profile("house")
