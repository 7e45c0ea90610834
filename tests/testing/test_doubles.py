"""A strategy that is meant for raw counters plays in virtual time too, with a script in place of
the system that counts.
"""

from __future__ import annotations

from progressive import (
    Canary,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Release,
    Version,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.model import Kind
from progressive.testing import MemoryRouter, ScriptedMetrics, play, steady

ERRORS = Metric("error-rate", kind=Kind.RATIO, counter=True)
CANARY = Canary(
    weights=percents(10, 100),
    bake=minutes(2),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(5))],
    interval=seconds(30),
)
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


def test_counters_that_are_scripted_promote_a_good_version() -> None:
    outcome = play(CANARY, RELEASE, metrics=[ScriptedMetrics({ERRORS: steady(50)})])

    assert outcome.promoted


def test_counters_that_are_scripted_take_a_bad_version_back() -> None:
    router = MemoryRouter()
    outcome = play(
        CANARY,
        RELEASE,
        router=router,
        metrics=[ScriptedMetrics({ERRORS: steady(50, candidate=0.2)})],
    )

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert router.highest == percent(10)
