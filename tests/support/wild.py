"""The strategies that are soaked, and one seeded run of one of them."""

from __future__ import annotations

from tests.support.world import ERRORS, canary

from progressive import Action, BlueGreen, Limit, hours, minutes, percent, seconds
from progressive.steps import Approval
from progressive.testing import FaultWorld, soak_one

STRATEGIES = (
    canary(),
    canary(gates=["freeze"], warmup=seconds(20), retire_after=minutes(30)),
    BlueGreen(
        preview_hook="smoke",
        approval=Approval("go", within=hours(4), otherwise=Action.ROLL_BACK),
        bake=minutes(3),
        checks=[Limit(ERRORS, at_most=percent(2))],
        gates=["freeze"],
        retire_after=minutes(1),
    ),
    canary(remove_candidate_after=minutes(7)),
)
"""With and without everything that waits for somebody."""


def run(seed: int, steps: int = 60) -> FaultWorld:
    """The run of one seed. Raises AssertionError where a promise does not hold."""
    return soak_one(STRATEGIES[seed % len(STRATEGIES)], seed, steps=steps)


__all__ = ["STRATEGIES", "run"]
