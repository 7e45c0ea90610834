"""Weights by rule, and a baseline beside the candidate."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import compared
from tests.support.world import ERRORS, RELEASE, canary

from progressive import (
    Canary,
    Release,
    StrategyError,
    Version,
    geometric,
    hours,
    linear,
    percent,
    percents,
)
from progressive.model.traffic import Traffic
from progressive.steps import SetWeight
from progressive.testing import MemoryRouter, ScriptedMetrics, play, steady


def test_strategies_of_the_tests_are_what_they_seem() -> None:
    assert [step.id for step in canary().plan.steps] == [
        "weight-5",
        "bake-5",
        "weight-50",
        "bake-50",
        "weight-100",
        "bake-100",
    ]


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


# ----------------------------------------------------------------------------------- users who stay


def test_users_stay_below_full_traffic_and_nobody_is_left_behind() -> None:
    strategy = canary(sticky=hours(1))

    assert [(str(each.candidate), each.sticky) for each in strategy.plan.traffics] == [
        ("5 %", hours(1)),
        ("5 %", hours(1)),
        ("50 %", hours(1)),
        ("50 %", hours(1)),
        ("100 %", None),
        ("100 %", None),
    ]
    assert str(strategy.describe()).splitlines()[-1].strip() == (
        "users stay on the version that answered first, for 1 h; where they do by a cookie of the "
        "router's own, a lower weight moves only those who are new: a way back ends it"
    )
    assert "users stay" not in str(canary().describe())


def test_steps_say_it_themselves() -> None:
    steps = [SetWeight(percent(5), sticky=hours(1)), SetWeight(percent(100))]

    with pytest.raises(StrategyError, match=r"sticky= goes with weights=; in steps= write SetW"):
        Canary(steps=steps, sticky=hours(1), unguarded="a test")
    made = Canary(steps=steps, unguarded="a test")
    assert [each.sticky for each in made.plan.traffics] == [hours(1), None]


@pytest.mark.parametrize("weight", [0, 100])
def test_nobody_is_kept_where_one_version_has_everything(weight: int) -> None:
    with pytest.raises(StrategyError, match="at 0 % and 100 % nobody is to be kept"):
        SetWeight(percent(weight), sticky=hours(1))


def test_every_way_back_lets_users_go() -> None:
    router = MemoryRouter()
    script = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.3)})
    outcome = play(canary(sticky=hours(1)), RELEASE, metrics=[script], router=router)

    assert outcome.exit_code == 1
    assert [each.sticky for each in router.history if each.candidate.ppm] == [hours(1)]
    assert router.traffic == Traffic()
