"""Weights by rule, a baseline beside the candidate, and the way back after a success."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive import (
    Abort,
    Canary,
    ConflictError,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Ports,
    Release,
    Revert,
    StrategyError,
    Track,
    Version,
    geometric,
    linear,
    minutes,
    percent,
    percents,
    start,
    submit,
    tick,
)
from progressive.codec import dumps_strategy, loads_strategy
from progressive.model.traffic import Traffic
from progressive.rollout.phases import Retirement
from progressive.steps import SetWeight
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    play,
    steady,
)

ERRORS = Metric("error-rate", kind="ratio")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
THREE = Release(
    service="shop", stable=Version("v1"), candidate=Version("v2"), baseline=Version("v1-again")
)


# ---------------------------------------------------------------------------------- weights by rule


@pytest.mark.parametrize(
    ("made", "weights"),
    [
        (linear(20), (20, 40, 60, 80, 100)),
        (linear(30), (30, 60, 90, 100)),
        (linear(30, first=1), (1, 31, 61, 91, 100)),
        (linear(100), (100,)),
        (linear(33.3), (33.3, 66.6, 99.9, 100)),
        (geometric(1), (1, 2, 4, 8, 16, 32, 64, 100)),
        (geometric(1, factor=10), (1, 10, 100)),
        (geometric(1, factor=1.5), (1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 86, 100)),
        (geometric(0.1, factor=10, multiple_of=0.1), (0.1, 1, 10, 100)),
        (geometric(5, factor=3, multiple_of=5), (5, 15, 45, 100)),
        (geometric(10, factor=2.3), (10, 23, 52, 100)),
        (geometric(25, factor=1.4), (25, 35, 49, 68, 96, 100)),
    ],
)
def test_weights_by_rule(made: tuple[Any, ...], weights: tuple[float, ...]) -> None:
    assert made == percents(*weights)


@given(
    step=st.integers(1, 1_000_000),
    first=st.integers(1, 1_000_000),
    factor=st.floats(1.01, 100),
    unit=st.sampled_from([1, 100, 10_000]),
)
def test_they_rise_to_100_in_multiples_that_the_router_can_do(
    step: int, first: int, factor: float, unit: int
) -> None:
    up, by = (
        linear(max(step, 5_000) / 10_000, first=first / 10_000),
        geometric(unit / 10_000, factor=factor, multiple_of=unit / 10_000),
    )

    for weights in (up, by):
        assert weights[-1] == percent(100)
        assert all(a < b for a, b in pairwise(weights))
    assert all(weight.ppm % unit == 0 for weight in by)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: linear(0), "linear: 0 % is no step"),
        (lambda: linear(120), "percent(120): expected a number from 0 to 100"),
        (lambda: linear(10, first=0), "linear(first=): 0 % is no step"),
        (lambda: geometric(0), "geometric: 0 % is no step"),
        (lambda: geometric(1, factor=1), "geometric(factor=1): expected a finite number above 1"),
        (lambda: geometric(1, factor=float("inf")), "geometric(factor=inf)"),
        (lambda: geometric(1, factor=True), "geometric(factor=True)"),
        (lambda: geometric(0.5), "geometric(0.5): is not a multiple of 1 %"),
        (lambda: geometric(1, multiple_of=0), "geometric(multiple_of=): 0 % is no step"),
    ],
)
def test_a_wrong_rule_is_named(make: Callable[[], object], why: str) -> None:
    with pytest.raises(StrategyError) as caught:
        make()

    assert why in str(caught.value)


# --------------------------------------------------------------------------------------- a baseline


def compared() -> Canary:
    return Canary(
        weights=percents(5, 20, 40, 80, 100),
        bake=minutes(5),
        baseline=percent(25),
        checks=[NoWorse(ERRORS, than=Track.BASELINE), Limit(ERRORS, at_most=percent(5))],
    )


def test_the_baseline_gets_as_much_as_the_candidate_up_to_its_most_while_both_fit() -> None:
    given = [
        (step.traffic.candidate, step.traffic.baseline)
        for step in compared().plan.steps
        if isinstance(step, SetWeight)
    ]

    assert given == [
        (percent(c), percent(b)) for c, b in ((5, 5), (20, 20), (40, 25), (80, 0), (100, 0))
    ]


@pytest.mark.parametrize(
    ("candidate", "baseline", "promoted"), [(0.02, 0.02, True), (0.02, 0.0005, False)]
)
def test_the_candidate_is_compared_with_the_baseline_and_not_with_stable(
    candidate: float, baseline: float, promoted: bool
) -> None:
    router = MemoryRouter()
    metrics = ScriptedMetrics(
        {ERRORS: steady(50, stable=0.02, candidate=candidate, baseline=baseline)}
    )

    outcome = play(compared(), THREE, router=router, metrics=[metrics])

    assert outcome.promoted is promoted
    assert router.traffic == (Traffic(candidate=percent(100)) if promoted else Traffic())


def test_a_plan_with_a_baseline_needs_a_release_that_has_one() -> None:
    with pytest.raises(StrategyError, match=r"name it in Release\(baseline=\.\.\.\)"):
        play(compared(), RELEASE, metrics=[ScriptedMetrics({ERRORS: steady(50)})])


def test_a_baseline_beside_explicit_steps_is_refused_with_the_mend() -> None:
    with pytest.raises(
        StrategyError, match=r"in steps= write SetWeight\(\.\.\., baseline=\.\.\.\)"
    ):
        Canary(steps=[SetWeight(percent(100))], baseline=percent(5), unguarded="a test")


# ----------------------------------------------------------------------------- back after a success


@pytest.mark.parametrize(
    "strategy",
    [Revert(), Revert(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(1))]), compared()],
    ids=str,
)
def test_a_strategy_is_stored_and_read(strategy: Any) -> None:
    assert loads_strategy(dumps_strategy(strategy)) == strategy


def promoted(
    store: MemoryStore, router: MemoryRouter, clock: VirtualClock, fleet: MemoryFleet
) -> None:
    """v2, promoted, its old version still there for an hour."""
    canary = Canary(
        weights=percents(100), bake=minutes(5), retire_after=minutes(60), unguarded="a test"
    )
    ports: Any = {"store": store, "router": router, "clock": clock, "fleet": fleet}
    bound = Ports(**ports)
    rollout = start(canary, RELEASE, id="shop-v2", ports=bound)
    while rollout.progress.retirement is not Retirement.DUE:
        decision = tick("shop-v2", bound)
        rollout = decision.rollout
        assert decision.wake_at is not None
        if rollout.phase is not Phase.PROMOTED:
            clock.until(decision.wake_at)


def test_a_revert_gives_everything_back_in_one_switch_and_keeps_the_old_version() -> None:
    store, router, clock, fleet = MemoryStore(), MemoryRouter(), VirtualClock(), MemoryFleet()
    promoted(store, router, clock, fleet)
    # The same router seen by the release that goes back: what was the candidate is stable now.
    back = MemoryRouter(marker=router.marker)
    began = clock()

    outcome = play(Revert(), RELEASE.reversed(), router=back, store=store, clock=clock, fleet=fleet)

    assert outcome.promoted
    assert back.history[-1] == Traffic(candidate=percent(100))
    assert clock() - began < minutes(2)
    assert store.load("shop-v2").progress.retirement is Retirement.NONE  # type: ignore[union-attr]
    assert fleet.retired == []


def test_a_revert_whose_version_is_worse_still_goes_back_to_where_it_came_from() -> None:
    router = MemoryRouter()
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.3)})

    outcome = play(
        Revert(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(1))]),
        RELEASE.reversed(),
        router=router,
        metrics=[metrics],
    )

    assert outcome.exit_code == 1
    assert router.traffic == Traffic()


def test_a_revert_needs_a_version_to_go_back_to() -> None:
    with pytest.raises(StrategyError, match="had no stable version to return to"):
        Release(service="shop", stable=None, candidate=Version("v1")).reversed()


def test_an_active_rollout_is_aborted_and_not_reverted() -> None:
    store, clock = MemoryStore(), VirtualClock()
    ports = Ports(store=store, router=MemoryRouter(), clock=clock)
    start(Canary(weights=percents(100), unguarded="a test"), RELEASE, id="shop-v2", ports=ports)

    with pytest.raises(ConflictError, match="let it end, or abort it"):
        start(Revert(), RELEASE.reversed(), id="shop-v1", ports=ports)
    submit(store, "shop-v2", Abort(at=clock(), by="eve", why="the quicker way"))

    assert (
        store.load("shop-v2").progress.reason
        == "aborted: the quicker way (nothing was ever written)"
    )  # type: ignore[union-attr]


def test_a_version_whose_removal_was_asked_for_meanwhile_is_not_gone_back_to() -> None:
    """The driver of the old rollout asks for the removal between the look at it and the word that
    would keep the version.
    """

    class Quick(MemoryStore):
        armed = False

        def load(self, id: str) -> Any:
            if self.armed and id == "shop-v2":
                self.armed = False
                clock.advance(minutes(61))
                tick("shop-v2", Ports(store=self, router=router, clock=clock, fleet=fleet))
            return MemoryStore.load(self, id)

    store, router, clock, fleet = Quick(), MemoryRouter(), VirtualClock(), MemoryFleet()
    promoted(store, router, clock, fleet)
    store.armed = True

    with pytest.raises(
        ConflictError,
        match="v1 is being removed since 'shop-v2' was promoted; wait until it is gone",
    ):
        start(
            Revert(),
            RELEASE.reversed(),
            id="back",
            ports=Ports(store=store, router=MemoryRouter(), clock=clock, fleet=fleet),
        )

    assert store.load("back") is None
