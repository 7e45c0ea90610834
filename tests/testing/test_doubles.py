"""A strategy that is meant for raw counters plays in virtual time too, with a script in place of
the system that counts.
"""

from __future__ import annotations

from typing import Any

from progressive import (
    Canary,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Release,
    Revert,
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


def played(release: Release, router: MemoryRouter, **more: Any) -> Phase:
    strategy = more.pop("strategy", CANARY)
    metrics = [ScriptedMetrics({ERRORS: steady(50)})]
    return play(strategy, release, metrics=metrics, router=router, **more).rollout.phase


def test_a_release_follows_another_on_one_router_and_may_be_taken_back_after_it() -> None:
    router = MemoryRouter()
    following = RELEASE.next(Version("v3"))
    back = Revert(bake=minutes(1), unguarded="the way back")

    assert played(RELEASE, router) is Phase.PROMOTED
    assert played(following, router) is Phase.PROMOTED
    assert played(following.reversed(), router, strategy=back) is Phase.PROMOTED
    served = router.read(RELEASE.reversed())
    assert (served.traffic.candidate, served.unattributed) == (percent(0), percent(0))


def test_who_names_the_wrong_version_is_told_that_another_serves() -> None:
    router = MemoryRouter()
    played(RELEASE, router)
    other = Release(service="shop", stable=Version("v7"), candidate=Version("v8"))

    assert router.read(other).unattributed == percent(100)
    assert played(other, router) is Phase.ROLLED_BACK
