"""Canary against blue-green, and against the rules of Argo Rollouts and Flagger: who meets a bad
version, for how long, and what the way costs. In virtual time, by `progressive.testing.compare`.

A service with 100 requests a second; the old version fails 1 in 1,000.
``python docs/examples/compare.py`` prints the table of the page "Canary or blue-green?".
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from progressive import (
    BlueGreen,
    Canary,
    Go,
    Limit,
    Metric,
    NoWorse,
    Stop,
    Tolerance,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.ports import Hook
from progressive.testing import Load, World, compare

ERRORS = Metric("error-rate", kind="ratio")

CANARY = Canary(
    weights=percents(1, 10, 50, 100),
    bake=minutes(10),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1))],
)
BLUE_GREEN = BlueGreen(bake=minutes(10), checks=[Limit(ERRORS, at_most=percent(1))])
SMOKE_TEST = attrs.evolve(BLUE_GREEN, preview_hook="smoke")

AT_ONCE = Limit(
    ERRORS, at_most=percent(1), plain=True, min_sample=1, tolerance=Tolerance(in_a_row=1)
)
"""Argo's background analysis with ``failureLimit: 0``: every measurement by itself."""

OF_FIVE = attrs.evolve(AT_ONCE, tolerance=Tolerance(in_a_row=5, failures=4))
"""Flagger's ``threshold: 5``: the fifth failed check of all, in a row or not."""

ARGO = attrs.evolve(CANARY, checks=[AT_ONCE], interval=seconds(10))
FLAGGER = attrs.evolve(CANARY, checks=[OF_FIVE], interval=seconds(10))

STRATEGIES = {
    "canary": CANARY,
    "blue-green": BLUE_GREEN,
    "with a smoke test": SMOKE_TEST,
    "Argo's rule": ARGO,
    "Flagger's rule": FLAGGER,
}


def hooks(world: World) -> Mapping[str, Hook]:
    """A smoke test of a few requests finds a version that fails a third of them, and no other."""
    broken = isinstance(world.candidate.errors, float) and world.candidate.errors > 0.3
    return {"smoke": lambda key, release: Stop("2 of 5 requests failed") if broken else Go()}


def main() -> None:
    """Print it: a healthy version, one that fails 2 %, and one that fails half."""
    print(
        compare(
            *STRATEGIES.values(),
            names=list(STRATEGIES),
            load=Load(100),
            regressions=[20, 500],
            hooks=hooks,
            runs=20,
        )
    )


if __name__ == "__main__":
    main()
