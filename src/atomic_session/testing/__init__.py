"""
The suite that every store has to pass.

Give it a harness, and run every case with a harness of its own:

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
    async def test_conformance(case: Case, harness: Harness) -> None:
        await case(harness)

It needs no test runner.  Random cases need Hypothesis, which the extra `testing` brings.
"""

from typing import Final

from . import (
    answers,
    batches,
    concurrency,
    contents,
    contract,
    deadlines,
    lifecycle,
    lost_updates,
    model,
    operators,
    owners,
    races,
    records,
)
from .gate import Gate, GatedStore, in_every_order
from .harness import Case, Corrupting, Harness, Sharing, cases_of

__all__ = ["CASES", "Case", "Corrupting", "Gate", "GatedStore", "Harness", "Sharing", "in_every_order"]

CASES: Final[tuple[Case, ...]] = cases_of(
    *(lifecycle, contract, records, answers, deadlines, contents, operators, model),
    *(owners, batches, concurrency, lost_updates, races),
)
"""Every case, in the order in which a store is best built."""
