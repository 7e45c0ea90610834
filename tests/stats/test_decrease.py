"""Evidence of a fall: what it expects at any rate and margin, what it finds, and false alarms under
peeking.
"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.enumeration import expectation

from progressive.stats import sequential
from progressive.stats.decrease import INITIAL, State, evidence, update
from progressive.stats.evidence import nearest


def knowing(events: int, trials: int) -> State:
    """A state whose earlier looks had these events on both tracks, and no evidence yet."""
    return INITIAL[0], events, trials


@pytest.mark.parametrize("margin", [1.0, 1.1, 2.0])
@pytest.mark.parametrize(("trials", "control_trials"), [(2, 8), (6, 6), (9, 2)])
@pytest.mark.parametrize("known", [(0, 0), (1, 300), (40, 80), (299, 300)])
def test_a_candidate_that_is_tolerated_expects_no_evidence(
    margin: float, trials: int, control_trials: int, known: tuple[int, int]
) -> None:
    for rate in (0.02, 0.3, 0.5, 0.97):
        for control_rate in {min(1.0, rate * margin), rate, rate / 2}:
            for i in range(len(INITIAL[0])):
                found = expectation(
                    lambda events, control, i=i: update(  # type: ignore[misc]
                        knowing(*known),
                        events=events,
                        trials=trials,
                        control_events=control,
                        control_trials=control_trials,
                        margin=margin,
                    )[0][i],
                    trials=trials,
                    rate=rate,
                    control_trials=control_trials,
                    control_rate=control_rate,
                )

                assert found <= 1 + 1e-9, (rate, control_rate, i)


def test_the_rate_to_begin_with_is_that_of_the_earlier_looks_with_half_an_event_more() -> None:
    """Three events in nine trials: the control at 3.5 of 10; the first alternative has 0.93 times
    the odds.
    """
    base = 3.5 / 10
    fallen = 0.93 * base / (1 - base + 0.93 * base)
    pooled = (20 * fallen + 30 * base) / 50
    gain = 4 * math.log(fallen / pooled) + 16 * math.log((1 - fallen) / (1 - pooled))
    gain += 9 * math.log(base / pooled) + 21 * math.log((1 - base) / (1 - pooled))

    assert update(knowing(3, 9), events=4, trials=20, control_events=9, control_trials=30)[0][
        0
    ] == pytest.approx(gain, rel=1e-9)


@given(
    one=st.floats(0.001, 0.999),
    other=st.floats(0.001, 0.999),
    of_one=st.integers(1, 10_000),
    of_other=st.integers(1, 10_000),
    ratio=st.floats(0.2, 5.0),
)
def test_the_nearest_pair_is_where_the_divergence_no_longer_falls(
    one: float, other: float, of_one: int, of_other: int, ratio: float
) -> None:
    p = nearest(one, other, of_one=of_one, of_other=of_other, ratio=ratio)

    assert 0 < p < 1
    assert 0 < ratio * p < 1
    slope = of_one * (p - one) * (1 - ratio * p) + of_other * (ratio * p - other) * (1 - p)
    assert slope == pytest.approx(0, abs=1e-7 * (of_one + of_other))


@pytest.mark.parametrize(
    ("one", "other"), [(0.1, 0.3), (1 - 1e-9, 1 - 1e-8), (1 - 3e-10, 1 - 1e-9), (1e-9, 3e-9)]
)
def test_with_a_ratio_of_one_the_nearest_pair_is_the_pooled_rate(one: float, other: float) -> None:
    p = nearest(one, other, of_one=1e6, of_other=3e6, ratio=1.0)

    assert p == pytest.approx((one + 3 * other) / 4, rel=1e-15)
    assert 1 - p == pytest.approx((1 - one + 3 * (1 - other)) / 4, rel=1e-5)


def looks_until(
    rng: random.Random, rate: float, control_rate: float, *, most: int, alpha: float = 0.05
) -> int | None:
    state = INITIAL
    for k in range(most):
        events = sum(rng.random() < rate for _ in range(60))
        control = sum(rng.random() < control_rate for _ in range(140))
        state = update(state, events=events, trials=60, control_events=control, control_trials=140)
        if evidence(state) >= math.log(1 / alpha):
            return k
    return None


@pytest.mark.parametrize("rate", [0.03, 0.4, 0.99])
def test_false_alarms_under_peeking_stay_below_alpha(rate: float) -> None:
    rng, runs = random.Random(13), 250
    alarms = sum(looks_until(rng, rate, rate, most=25) is not None for _ in range(runs))

    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("rate", "control_rate"), [(0.3, 0.5), (0.9, 0.99), (0.02, 0.06)])
def test_a_fall_is_found_at_rates_of_all_kinds(rate: float, control_rate: float) -> None:
    rng = random.Random(17)
    found = [looks_until(rng, rate, control_rate, most=80) for _ in range(12)]

    assert None not in found


def test_the_first_look_counts() -> None:
    """There is no rate to begin with, so it is judged by the counts alone."""
    state = update(INITIAL, events=5, trials=1_000, control_events=90, control_trials=1_000)

    assert evidence(state) > math.log(1_000)
    assert state[1:] == (95, 2_000)


def test_for_rare_events_it_is_the_mirror_image_of_the_sequential_test() -> None:
    known = knowing(100, 1_000_000)
    logs, *_ = update(known, events=10, trials=200_000, control_events=60, control_trials=300_000)
    mirrored = sequential.factor(60, 70, 0.6, ratio=1 / 0.45, null=1.0)

    assert logs[3] == pytest.approx(mirrored, rel=1e-2)


@given(events=st.integers(0, 50), control=st.integers(0, 50))
def test_one_more_event_of_the_candidate_speaks_for_it(events: int, control: int) -> None:
    look = {"trials": 60, "control_events": control, "control_trials": 60}

    assert evidence(update(knowing(50, 100), events=events + 1, **look)) < evidence(
        update(knowing(50, 100), events=events, **look)
    )


def test_clumps_divide_the_evidence() -> None:
    look = {"events": 10, "trials": 100, "control_events": 50, "control_trials": 100}
    whole, third = update(INITIAL, **look), update(INITIAL, **look, dispersion=3.0)

    assert third[0] == pytest.approx([value / 3 for value in whole[0]], rel=1e-11)
