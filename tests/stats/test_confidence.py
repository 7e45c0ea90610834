"""Confidence sequences: against confseq, against the mixtures they turn round, and how often they
lose the truth when every look is looked at.
"""

from __future__ import annotations

import json
import math
import random
from bisect import insort
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.paths import DATA

from progressive.stats.confidence import bucket_quantile, event_rate, mean, quantile, rate
from progressive.stats.means import BURN_IN
from progressive.stats.mixtures import BetaBinomial, Normal, boundary
from progressive.stats.quantiles import quantile_interval

CASES: dict[str, Any] = json.loads(
    (DATA / "sequential_statistics.json").read_text(encoding="utf-8")
)

ALPHA = 0.1
counts = st.integers(0, 400).flatmap(
    lambda trials: st.tuples(st.integers(0, trials), st.just(trials))
)
plans = st.sampled_from([1.0, 30.0, 1_000.0])


def slack(runs: int) -> float:
    """Three standard errors."""
    return 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


# ------------------------------------------------------------------------------------------- a rate


@pytest.mark.parametrize(
    "case",
    [case for case in CASES["cases"] if case["group"] == "confseq-bernoulli-ci"],
    ids=lambda case: case["id"],
)
def test_a_rate_agrees_with_confseq(case: dict[str, Any]) -> None:
    asked, wanted = case["input"], case["expect"]
    found = rate(asked["successes"], asked["trials"], alpha=asked["alpha"], planned=asked["t_opt"])

    assert found.low == pytest.approx(wanted["low"], rel=case["rel_tol"], abs=case["abs_tol"])
    assert found.high == pytest.approx(wanted["high"], rel=case["rel_tol"], abs=case["abs_tol"])


@settings(deadline=None, max_examples=60)
@given(seen=counts, planned=plans, p=st.floats(1e-4, 1 - 1e-4))
def test_a_chance_is_in_the_interval_if_the_mixture_tuned_for_it_does_not_exclude_it(
    seen: tuple[int, int], planned: float, p: float
) -> None:
    events, trials = seen
    found = rate(events, trials, planned=planned)
    mixture = BetaBinomial(g=p, h=1 - p, v_opt=planned * p * (1 - p), one_sided=False)
    evidence = mixture.log(events - trials * p, trials * p * (1 - p))

    if abs(evidence - math.log(20)) > 1e-6:
        assert (found.low <= p <= found.high) is (evidence < math.log(20))


@settings(deadline=None, max_examples=40)
@given(seen=counts, planned=plans)
def test_a_rate_is_inside_its_interval_and_intervals_are_nested_and_mirrored(
    seen: tuple[int, int], planned: float
) -> None:
    events, trials = seen
    narrow, wide = (rate(events, trials, alpha=alpha, planned=planned) for alpha in (0.2, 0.01))
    mirrored = rate(trials - events, trials, alpha=0.01, planned=planned)

    assert 0 <= wide.low <= narrow.low <= narrow.high <= wide.high <= 1
    assert trials == 0 or narrow.low <= events / trials <= narrow.high
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(wide, abs=1e-12)


def test_one_more_event_moves_a_rate_up_and_one_more_trial_without_moves_it_down() -> None:
    found = [rate(events, 60, planned=100) for events in range(61)]
    longer = [rate(5, trials, planned=100) for trials in range(5, 200)]

    assert [one.low for one in found] == sorted(one.low for one in found)
    assert [one.high for one in found] == sorted(one.high for one in found)
    assert [one.high for one in longer] == sorted((one.high for one in longer), reverse=True)


def test_what_always_or_never_happened_may_be_certain() -> None:
    assert rate(0, 50, planned=50).low == 0
    assert rate(50, 50, planned=50).high == 1
    assert rate(1, 50, planned=50).low == 0, "one event is no proof that there are any others"
    assert rate(0, 0, planned=50) == (0, 1)
    assert 0 < rate(2, 50, planned=50).low < rate(2, 50, planned=50).high < 0.3


def test_a_billion_trials_leave_a_narrow_interval() -> None:
    low, high = rate(1_000_000, 1_000_000_000, planned=1e9)

    assert 0.000_996 < low < 0.001 < high < 0.001_004
    assert high - 0.001 == pytest.approx(0.001 - low, rel=0.01)


@cache
def rate_at(events: int, trials: int) -> tuple[float, float]:
    return rate(events, trials, alpha=ALPHA, planned=300)


@pytest.mark.parametrize("truth", [0.002, 0.05, 0.5, 0.9])
def test_a_rate_is_seldom_lost_however_often_one_looks(truth: float) -> None:
    rng, lost, runs = random.Random(101), 0, 1_000
    for _ in range(runs):
        events = 0
        for trials in range(20, 401, 20):
            events += sum(rng.random() < truth for _ in range(20))
            low, high = rate_at(events, trials)
            if not low <= truth <= high:
                lost += 1
                break

    assert lost / runs <= ALPHA + slack(runs)


# --------------------------------------------------------------------------------- a rate of events


@settings(deadline=None, max_examples=30)
@given(events=st.integers(0, 200), ratio=st.sampled_from([0.1, 1.0, 20.0]))
def test_a_rate_of_events_is_what_a_rate_becomes_for_many_trials(events: int, ratio: float) -> None:
    found = event_rate(events, 2.0, planned=2.0 * ratio)
    wanted = rate(events, 10**9, planned=ratio * 10**9)

    assert found.low == pytest.approx(wanted.low * 5e8, rel=1e-5, abs=1e-9)
    assert found.high == pytest.approx(wanted.high * 5e8, rel=1e-5)


@settings(deadline=None, max_examples=40)
@given(events=st.integers(0, 10_000), unit=st.sampled_from([1e-6, 1 / 60, 24.0]))
def test_a_rate_of_events_is_in_its_interval_which_is_nested_and_has_a_unit(
    events: int, unit: float
) -> None:
    narrow, wide = (event_rate(events, 3.0, alpha=alpha, planned=10.0) for alpha in (0.2, 0.01))
    other = event_rate(events, 3.0 * unit, alpha=0.01, planned=10.0 * unit)

    assert 0 <= wide.low <= narrow.low <= events / 3 <= narrow.high <= wide.high < inf
    assert (other.low * unit, other.high * unit) == pytest.approx(wide, rel=1e-9)


def test_one_more_event_moves_a_rate_of_events_up() -> None:
    found = [event_rate(events, 7.0, planned=7.0) for events in range(40)]

    assert all(one.low <= other.low and one.high < other.high for one, other in pairwise(found))
    assert found[0].low == found[1].low == 0 < found[3].low


def test_without_exposure_nothing_is_known() -> None:
    assert event_rate(0, 0.0, planned=5.0) == (0, inf)
    assert event_rate(0, 1e-300, planned=5.0) == (0, inf)
    assert event_rate(0, 1e-9, planned=5.0).high > 1e9


@cache
def event_rate_at(events: int, look: int) -> tuple[float, float]:
    return event_rate(events, look / 2, alpha=ALPHA, planned=20.0)


@pytest.mark.parametrize("truth", [0.05, 1.0, 12.0])
def test_a_rate_of_events_is_seldom_lost_however_often_one_looks(truth: float) -> None:
    rng, lost, runs = random.Random(103), 0, 1_000
    for _ in range(runs):
        at, seen = rng.expovariate(truth), 0
        for look in range(1, 41):
            while at <= look / 2:
                seen += 1
                at += rng.expovariate(truth)
            low, high = event_rate_at(seen, look)
            if not low <= truth <= high:
                lost += 1
                break

    assert lost / runs <= ALPHA + slack(runs)


# ------------------------------------------------------------------------------------------- a mean


@pytest.mark.parametrize(
    ("n", "planned", "alpha"), [(30, 30, 0.05), (400, 1_000, 0.05), (10**9, 100, 1e-6)]
)
def test_a_mean_is_the_normal_mixture_turned_round(n: int, planned: float, alpha: float) -> None:
    low, high = mean(n, 7.0, 4.0 * (n - 1), alpha=alpha, planned=planned)
    reach = boundary(Normal(v_opt=planned, one_sided=False), n, alpha=alpha) * 2.0 / n

    assert (high - 7.0, 7.0 - low) == pytest.approx((reach, reach), rel=1e-6)


def test_a_mean_moves_with_its_unit_and_its_zero() -> None:
    low, high = mean(100, 3.0, 50.0, planned=500)

    assert mean(100, 1_003.0, 50.0, planned=500) == pytest.approx((low + 1_000, high + 1_000))
    assert mean(100, 3.0 * 60, 50.0 * 3_600, planned=500) == pytest.approx((low * 60, high * 60))
    assert mean(100, 3.0, 50.0, alpha=0.01, planned=500).low < low < 3.0


def test_nothing_is_said_of_a_mean_before_the_burn_in_or_without_a_spread() -> None:
    assert mean(0, 0.0, 0.0, planned=500) == (-inf, inf)
    assert mean(BURN_IN - 1, 3.0, 50.0, planned=500) == (-inf, inf)
    assert mean(BURN_IN, 3.0, 0.0, planned=500) == (-inf, inf)
    assert mean(BURN_IN, 3.0, 50.0, planned=500).high < inf


def means_lost(draw: Callable[[random.Random], float], truth: float, runs: int) -> float:
    """The part of runs in which the truth is outside at any of 500 values."""
    rng, lost = random.Random(107), 0
    for _ in range(runs):
        so_far = m2 = 0.0
        for n in range(1, 501):
            value = draw(rng)
            step = value - so_far
            so_far += step / n
            m2 += step * (value - so_far)
            low, high = mean(n, so_far, m2, alpha=ALPHA, planned=300)
            if not low <= truth <= high:
                lost += 1
                break
    return lost / runs


def test_a_mean_is_seldom_lost_however_often_one_looks() -> None:
    runs = 500

    assert means_lost(lambda rng: rng.gauss(5.0, 2.0), 5.0, runs) <= ALPHA + slack(runs)
    assert means_lost(lambda rng: rng.random() ** 2, 1 / 3, runs) <= ALPHA + slack(runs)


def test_the_mean_of_skewed_values_is_lost_more_often_as_the_docstring_says() -> None:
    found = means_lost(lambda rng: rng.lognormvariate(0.0, 2.0), math.exp(2.0), 200)

    assert found > 2 * ALPHA


# --------------------------------------------------------------------------------------- a quantile


def excluded_counts(n: int, p: float, planned: float) -> tuple[int, int]:
    """By going through all of them: the largest number of values up to the quantile that is too
    few, and the least that is too many.
    """
    mixture = BetaBinomial(g=p, h=1 - p, v_opt=planned * p * (1 - p), one_sided=False)
    excluded = [mixture.log(k - n * p, n * p * (1 - p)) >= -math.log(ALPHA) for k in range(n + 1)]
    few = [k for k in range(n + 1) if excluded[k] and k < n * p]
    many = [k for k in range(n + 1) if excluded[k] and k > n * p]
    return max(few, default=-1), min(many, default=n + 1)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [1, 2, 30, 400])
@pytest.mark.parametrize("planned", [30.0, 2_000.0])
def test_a_quantile_lies_between_the_order_statistics_that_are_not_excluded(
    n: int, p: float, planned: float
) -> None:
    few, many = excluded_counts(n, p, planned)
    low, high = quantile(range(1, n + 1), p, alpha=ALPHA, planned=planned)

    assert low == (few + 1 if few >= 0 else -inf)
    assert high == (many if many <= n else inf)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.integers(0, 40), min_size=1, max_size=200),
    p=st.sampled_from([0.1, 0.5, 0.95]),
    planned=plans,
)
def test_intervals_for_a_quantile_are_nested_and_those_of_buckets_contain_them(
    values: list[int], p: float, planned: float
) -> None:
    narrow, wide = (quantile(values, p, alpha=alpha, planned=planned) for alpha in (0.2, 0.01))
    edges = [4.0, 9.5, 20.0, 33.0]
    cumulative = [*(sum(value <= edge for value in values) for edge in edges), len(values)]
    low, high = bucket_quantile(edges, cumulative, p, alpha=0.01, planned=planned)
    outward = [-inf, *edges, inf]

    assert wide.low <= narrow.low <= narrow.high <= wide.high
    assert low == max((edge for edge in outward[:-1] if edge < wide.low), default=-inf)
    assert high == min(edge for edge in outward if edge >= wide.high)
    assert bucket_quantile(edges, cumulative, p, alpha=0.01, planned=planned, least=0.0) == (
        max(low, 0.0),
        high,
    )


def test_the_median_and_what_is_below_it_mirror_each_other() -> None:
    values = random.Random(109).sample(range(10_000), 500)
    low, high = quantile(values, 0.2, planned=400)

    assert quantile([-value for value in values], 0.8, planned=400) == (-high, -low)
    assert quantile([value**3 for value in values], 0.2, planned=400) == (low**3, high**3)


def test_what_may_be_looked_at_at_any_time_is_wider_than_what_is_looked_at_once() -> None:
    rng = random.Random(113)
    values = [rng.gauss(0, 1) for _ in range(500)]
    once, always = quantile_interval(values, 0.5), quantile(values, 0.5, planned=500)

    assert always.low <= once.low < once.high <= always.high


def test_too_few_values_reach_no_further_than_infinity() -> None:
    assert quantile([1.0, 2.0, 3.0], 0.99, planned=1_000) == (-inf, inf)
    assert quantile(range(5_000), 0.99, planned=5_000).high < 5_000
    assert bucket_quantile([1.0, 2.0], [0, 0, 0], 0.5, planned=100, least=0.0) == (0, inf)
    assert bucket_quantile([1.0, 2.0], [0, 0, 500], 0.5, planned=100) == (2, inf)
    assert bucket_quantile([1.0, 2.0], [500, 500, 500], 0.5, planned=100) == (-inf, 1)


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (random.Random.random, 0.9),
        (lambda rng: rng.randint(1, 10), 9),
        (lambda rng: 10 if rng.random() < 0.11 else 1, 10),
    ],
    ids=["continuous", "ties at the quantile", "two values"],
)
def test_a_quantile_is_seldom_lost_however_often_one_looks(
    draw: Callable[[random.Random], float], truth: float
) -> None:
    rng, lost, runs = random.Random(127), 0, 250
    for _ in range(runs):
        values: list[float] = []
        for _ in range(25):
            for _ in range(10):
                insort(values, draw(rng))
            low, high = quantile(values, 0.9, alpha=ALPHA, planned=200)
            if not low <= truth <= high:
                lost += 1
                break

    assert lost / runs <= ALPHA + slack(runs)


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda: rate(3, 2, planned=5),
            "events=3 of trials=2: events are 0 or more and part of the trials",
        ),
        (lambda: rate(-1, 2, planned=5), "events=-1 of trials=2"),
        (lambda: rate(1, 2, planned=0), "v_opt=0 must be above 0"),
        (lambda: rate(1, 2, planned=5, alpha=5), "alpha=5 is not between 0 and 1; 5 % is 0.05"),
        (lambda: event_rate(-1, 2.0, planned=5), "events=-1 must be 0 or more"),
        (lambda: event_rate(1, -2.0, planned=5), "exposure=-2.0 is not between 0"),
        (lambda: event_rate(1, 1e15, planned=5), "exposure=1000000000000000.0 is not between 0"),
        (lambda: event_rate(1, math.nan, planned=5), "exposure=nan is not between 0"),
        (lambda: mean(-1, 0.0, 0.0, planned=5), "n=-1 must be 0 or more"),
        (lambda: mean(1, math.nan, 0.0, planned=5), "mean=nan must be finite"),
        (lambda: mean(1, 0.0, -1.0, planned=5), "m2=-1.0 is not between 0"),
        (lambda: quantile([], 0.5, planned=5), "samples: none"),
        (lambda: quantile([math.nan], 0.5, planned=5), "samples: NaN has no place"),
        (
            lambda: quantile([1.0], 1.0, planned=5),
            "p=1.0 is not between 0 and 1; the 99th percentile is 0.99",
        ),
        (lambda: quantile([1.0], math.nan, planned=5), "p=nan is not between"),
        (
            lambda: bucket_quantile([2.0, 1.0], [0, 0, 0], 0.5, planned=5),
            "must be one or more rising numbers",
        ),
        (
            lambda: bucket_quantile([1.0], [3, 2], 0.5, planned=5),
            "must have one number more than edges",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ask()
