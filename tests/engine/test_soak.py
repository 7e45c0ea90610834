"""Many seeded runs through the world of faults; a seed that fails is printed in the test's name,
and is the whole reproducer.
"""

from __future__ import annotations

import pytest
from tests.support import wild
from tests.support.rules import rule

from progressive import Phase

pytestmark = pytest.mark.walk

SEEDS = range(120)


@rule("R1", "R2", "R4", "R8", "R15", "R17", "R23", "R24", "R28", "R30", "R32")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_run_breaks_no_promise_and_ends(seed: int) -> None:
    world = wild.run(seed)

    assert world.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)
    assert world.rollout.over
