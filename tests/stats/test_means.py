"""Evidence of a change in a mean: against numerical integration, and how far its approximate
promise reaches.
"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from progressive.stats.means import (
    BURN_IN,
    INITIAL,
    State,
    base,
    bounds,
    difference,
    evidence,
    needed,
    standard_error,
    update,
)


def moments(values: list[float]) -> tuple[int, float, float]:
    mean = math.fsum(values) / len(values)
    return len(values), mean, math.fsum((value - mean) ** 2 for value in values)


def looked(state: State, mine: list[float], theirs: list[float]) -> State:
    (n, mean, m2), (control_n, control_mean, control_m2) = moments(mine), moments(theirs)
    return update(
        state,
        n=n,
        mean=mean,
        m2=m2,
        control_n=control_n,
        control_mean=control_mean,
        control_m2=control_m2,
    )


def sample(rng: random.Random, mean: float, n: int) -> list[float]:
    return [rng.gauss(mean, 4.0) for _ in range(n)]


@pytest.mark.parametrize("mean", [9.0, 10.0, 10.3, 11.0])
@pytest.mark.parametrize("up", [True, False])
def test_the_evidence_is_the_mixture_over_one_side_integrated(mean: float, up: bool) -> None:
    state = looked(
        INITIAL, sample(random.Random(53), mean, 80), sample(random.Random(59), 10.0, 300)
    )
    error, scale = standard_error(state), 0.2 * base(state)
    apart = difference(state) * (1 if up else -1)
    found, _ = quad(
        lambda d: (
            2 * norm.pdf(d / scale) / scale * math.exp((2 * apart * d - d * d) / (2 * error**2))
        ),
        0,
        20 * scale,
    )

    assert evidence(state, up=up) == pytest.approx(math.log(found), abs=1e-6)


def test_a_spread_that_is_too_small_to_be_told_is_none() -> None:
    state = update(
        INITIAL, n=100, mean=1.0, m2=5e-324, control_n=10**17, control_mean=1.0, control_m2=0.0
    )

    assert standard_error(state) == math.inf
    assert evidence(state, up=True) == 0


def test_far_on_the_good_side_the_evidence_goes_on_falling() -> None:
    """There the two terms of a naive sum are as large as one likes, and what is left of them is
    not.
    """
    found = []
    for apart in (1.0, 2.0, 2.9, 3.0, 3.1, 4.0, 1e3, 1e6, 1e9):
        state = update(
            INITIAL,
            n=100,
            mean=1e6 - apart,
            m2=99.0,
            control_n=100,
            control_mean=1e6,
            control_m2=99.0,
        )
        found.append(evidence(state, up=True))

    assert found == sorted(found, reverse=True)
    assert found[3] - found[2] == pytest.approx((found[4] - found[2]) / 2, rel=0.05)
    assert -60 < found[-1] < found[0] < 0


@given(
    looks=st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.floats(-5, 5)), min_size=1, max_size=8
    ),
    margin=st.sampled_from([1.0, 1.2, 0.8]),
)
def test_one_look_after_another_is_the_weighted_difference(
    looks: list[tuple[int, int, float]], margin: float
) -> None:
    state, weights, terms = INITIAL, [], []
    for n, m, mean in looks:
        state = update(
            state, n=n, mean=mean, m2=float(n), control_n=m, control_mean=1.0, control_m2=float(m)
        )
        weights.append(1 / (1 / n + 1 / m))
        terms.append(weights[-1] * (mean - margin))

    assert difference(state, margin=margin) == pytest.approx(
        math.fsum(terms) / math.fsum(weights), abs=1e-8
    )
    assert base(state) == pytest.approx(1.0)


def test_the_standard_error_is_that_of_the_weighted_difference() -> None:
    """Two looks: 10 and 40 values, then 30 and 20; all pooled, the variance of one value is 16."""
    state = update(
        INITIAL, n=10, mean=5.0, m2=9 * 16.0, control_n=40, control_mean=4.0, control_m2=39 * 16.0
    )
    state = update(
        state, n=30, mean=5.0, m2=29 * 16.0, control_n=20, control_mean=4.0, control_m2=19 * 16.0
    )
    weights = [1 / (1 / 10 + 1 / 40), 1 / (1 / 30 + 1 / 20)]
    mine = (weights[0] ** 2 / 10 + weights[1] ** 2 / 30) / sum(weights) ** 2
    theirs = (weights[0] ** 2 / 40 + weights[1] ** 2 / 20) / sum(weights) ** 2

    assert standard_error(state) == pytest.approx(math.sqrt(16 * (mine + theirs)), rel=1e-10)
    stretched = (38 * 16 + 4 * 58 * 16) / 96
    assert standard_error(state, margin=2.0) == pytest.approx(
        math.sqrt(stretched * mine + max(4 * 16, stretched) * theirs), rel=1e-10
    )


def test_values_that_hardly_differ_are_judged_too() -> None:
    """Nearly constant ones: what is left of their spread is a rounding error of whoever summed
    squares.
    """
    state = update(
        INITIAL, n=1_000, mean=500.0, m2=1e-9, control_n=9_000, control_mean=512.0, control_m2=1e-9
    )

    assert evidence(state, up=False) > 1e9
    assert evidence(state, up=True) < -10
    assert bounds(state)[0] == pytest.approx(-12.0)
    assert needed(state, 3.0, n=10, control_n=90, margin=1.25) == pytest.approx(0.0, abs=1e-6)


def test_a_mean_that_drifts_while_the_share_rises_shows_no_difference_that_is_not_there() -> None:
    """Pooled over all looks, the candidate would stand at twice the control's mean."""
    rng, state = random.Random(61), INITIAL
    for n, m, mean in ((5, 95, 10.0), (50, 50, 20.0), (95, 5, 40.0)):
        for _ in range(10):
            state = looked(state, sample(rng, mean, n), sample(rng, mean, m))

    assert abs(difference(state)) < 3 * standard_error(state)
    assert evidence(state, up=True) < math.log(20)
    low, high = bounds(state)
    assert low < 0 < high


@pytest.mark.parametrize(("up", "mean"), [(True, 11.5), (False, 8.5)])
def test_a_change_is_found_and_only_in_its_direction(up: bool, mean: float) -> None:
    rng, state = random.Random(67), INITIAL
    for _ in range(40):
        state = looked(state, sample(rng, mean, 10), sample(rng, 10.0, 90))

    assert evidence(state, up=up) > math.log(100)
    assert evidence(state, up=not up) < 0
    low, high = bounds(state)
    assert low < mean - 10 < high


def test_what_the_margin_tolerates_is_no_evidence() -> None:
    rng, state = random.Random(71), INITIAL
    for _ in range(40):
        state = looked(state, sample(rng, 10.9, 10), sample(rng, 10.0, 90))

    assert evidence(state, up=True, margin=1.1) < 0 < evidence(state, up=True)


def test_nothing_is_judged_before_the_burn_in_or_without_a_spread() -> None:
    early = looked(INITIAL, [50.0] * (BURN_IN - 2) + [49.0], [1.0, 2.0] * 200)
    constant = looked(INITIAL, [5.0] * 40, [4.0] * 40)
    nil = looked(INITIAL, [1.0, -1.0] * 20, [1.0, -1.0] * 20)

    for state in (INITIAL, early, constant, nil):
        assert evidence(state, up=True) == 0
        assert bounds(state) == (-math.inf, math.inf)
    assert evidence(looked(early, [50.0], [1.0, 2.0]), up=True) > math.log(1_000)


def skewed(rng: random.Random, n: int) -> list[float]:
    """Revenue as it is: most visitors buy nothing, a few a lot."""
    return [rng.lognormvariate(3.0, 1.0) if rng.random() < 0.2 else 0.0 for _ in range(n)]


def test_false_alarms_on_skewed_values_stay_near_alpha_under_peeking() -> None:
    rng, alarms, runs = random.Random(73), 0, 200
    for _ in range(runs):
        state = INITIAL
        for _ in range(30):
            state = looked(state, skewed(rng, 10), skewed(rng, 190))
            if evidence(state, up=True) >= math.log(20):
                alarms += 1
                break

    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_values_that_depend_on_each_other_are_less_evidence() -> None:
    state = looked(
        INITIAL, sample(random.Random(79), 11.5, 100), sample(random.Random(83), 10.0, 100)
    )

    assert evidence(state, up=True, dispersion=4.0) < evidence(state, up=True)
    assert standard_error(state, dispersion=4.0) == pytest.approx(2 * standard_error(state))
    assert bounds(state, dispersion=4.0)[0] < bounds(state)[0]


# --------------------------------------------------------------------------------------- acceptance


def accepted(
    rng: random.Random, mean: float, *, limit: float = 1.25, looks: int = 60
) -> int | None:
    """The look in which it is proven that the mean is not ``limit`` times its control's 10: 20
    values of it in each, and 100.
    """
    state = INITIAL
    for k in range(looks):
        state = looked(state, sample(rng, mean, 20), sample(rng, 10.0, 100))
        if evidence(state, up=False, margin=limit) >= math.log(20):
            return k
    return None


def test_a_mean_at_the_limit_is_seldom_accepted_however_often_one_looks() -> None:
    rng, runs = random.Random(61), 150
    wrong = sum(accepted(rng, 12.5, looks=40) is not None for _ in range(runs))

    assert wrong / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("margin", [2.0, 0.5])
@pytest.mark.parametrize(("n", "m"), [(30, 570), (100, 100), (270, 30)])
@pytest.mark.parametrize("stretched", [True, False])
def test_what_is_margin_times_its_control_seldom_alarms_and_is_seldom_accepted(
    margin: float, n: int, m: int, stretched: bool
) -> None:
    """Skewed values that are all so many times as large, or normal ones that are shifted; looked at
    in each of eight looks.
    """
    rng, runs = random.Random(79), 200
    wrong = {True: 0, False: 0}
    for _ in range(runs):
        state, crossed = INITIAL, {True: False, False: False}
        for _ in range(8):
            if stretched:
                mine, theirs = (
                    [times * rng.lognormvariate(0, 0.8) for _ in range(k)]
                    for times, k in ((margin, n), (1.0, m))
                )
            else:
                mine, theirs = (
                    [rng.gauss(10.0 * times, 4.0) for _ in range(k)]
                    for times, k in ((margin, n), (1.0, m))
                )
            state = looked(state, mine, theirs)
            crossed = {
                up: crossed[up] or evidence(state, up=up, margin=margin) >= math.log(20)
                for up in crossed
            }
        wrong = {up: wrong[up] + crossed[up] for up in wrong}

    assert max(wrong.values()) / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_mean_that_is_equal_is_accepted_about_when_it_was_said() -> None:
    rng = random.Random(67)
    found = sorted(look for look in (accepted(rng, 10.0) for _ in range(15)) if look is not None)
    state = looked(INITIAL, sample(rng, 10.0, 100), sample(rng, 10.0, 500))
    more = needed(state, math.log(20), n=20, control_n=100, margin=1.25)

    assert len(found) == 15
    assert more / 120 / 2 < found[7] + 1 < 2 * more / 120 + 2


def test_with_clumps_more_is_needed_and_without_spread_or_mean_nothing_helps() -> None:
    state = looked(
        INITIAL, sample(random.Random(71), 10.0, 100), sample(random.Random(73), 10.0, 500)
    )
    whole, thick = (
        needed(state, 3.0, n=20, control_n=100, margin=1.25, dispersion=d) for d in (1.0, 3.0)
    )

    assert thick == pytest.approx(3 * whole)
    assert needed(state, -1.0, n=20, control_n=100, margin=1.25) == 0
    assert needed(INITIAL, 3.0, n=20, control_n=100, margin=1.25) == math.inf
    assert needed(state, 3.0, n=20, control_n=100) == math.inf
    assert (
        needed((100, 50.0, 500.0, 500.0, 0.0, 0.0, 98, 20.0), 3.0, n=20, control_n=100, margin=1.25)
        == math.inf
    )
    assert (
        needed(looked(INITIAL, [9.0, 11.0], [9.0, 11.0] * 9), 0.1, n=2, control_n=18, margin=5.0)
        == 280
    )
