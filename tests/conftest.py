"""What all tests share: how hard Hypothesis tries."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a shared machine stalls now and then, and that is no finding.
# `--hypothesis-profile=thorough` digs deeper.
settings.register_profile("house", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=5_000)
settings.load_profile("house")
