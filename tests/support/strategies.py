"""A canary beside a baseline."""

from __future__ import annotations

from tests.support.world import ERRORS

from progressive import (
    Canary,
    Limit,
    NoWorse,
    Track,
    minutes,
    percent,
    percents,
)


def compared() -> Canary:
    return Canary(
        weights=percents(5, 20, 40, 80, 100),
        bake=minutes(5),
        baseline=percent(25),
        checks=[NoWorse(ERRORS, than=Track.BASELINE), Limit(ERRORS, at_most=percent(5))],
    )
