"""Proof that a candidate is not much worse: what it expects, what it finds, and how seldom it
accepts a bad one.
"""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.enumeration import expectation

from progressive.stats import sequential
from progressive.stats.acceptance import INITIAL, evidence, needed, update


@pytest.mark.parametrize("limit", [1.1, 1.25, 2.0, 5.0])
@pytest.mark.parametrize(("trials", "control_trials"), [(1, 9), (5, 5), (12, 3)])
@pytest.mark.parametrize("control_rate", [0.001, 0.05, 0.2])
def test_a_candidate_at_the_limit_or_past_it_is_not_expected_to_look_good(
    limit: float, trials: int, control_trials: int, control_rate: float
) -> None:
    for ratio in (limit, limit * 1.5, limit * 4):
        for i in range(len(INITIAL)):
            found = expectation(
                lambda events, control, i=i: update(  # type: ignore[misc]
                    INITIAL,
                    events=events,
                    trials=trials,
                    control_events=control,
                    control_trials=control_trials,
                    limit=limit,
                )[i],
                trials=trials,
                rate=min(1.0, control_rate * ratio),
                control_trials=control_trials,
                control_rate=control_rate,
            )

            if control_rate * ratio <= 1:
                assert found <= 1 + 1e-12, (ratio, i)


def test_a_good_candidate_is_accepted_with_hardly_more_errors_than_any_test_needs() -> None:
    """At one per cent of the requests, a factor of 2 is excluded at 5 % after some 990 errors in
    the mean, whatever the test.
    """
    rng, found = random.Random(3), []
    for _ in range(60):
        logs, errors = INITIAL, 0
        while evidence(logs) < math.log(20):
            errors += 1
            own = rng.random() < 0.01
            logs = update(
                logs,
                events=int(own),
                trials=1,
                control_events=int(not own),
                control_trials=99,
                limit=2.0,
            )
        found.append(errors)

    assert 600 < math.fsum(found) / len(found) < 1_400


def test_a_bad_candidate_is_seldom_accepted_however_often_one_looks() -> None:
    rng, accepted, runs = random.Random(5), 0, 400
    for _ in range(runs):
        logs = INITIAL
        for _ in range(150):
            own = rng.random() < 2 * 0.3 / (2 * 0.3 + 0.7)
            logs = update(
                logs,
                events=int(own),
                trials=3,
                control_events=int(not own),
                control_trials=7,
                limit=2.0,
            )
            if evidence(logs) >= math.log(20):
                accepted += 1
                break

    assert accepted / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_half_of_the_evidence_is_for_a_candidate_that_is_as_good() -> None:
    logs = update(
        INITIAL, events=10, trials=1_000, control_events=90, control_trials=9_000, limit=2.0
    )
    as_good = -10 * math.log(2) + 100 * math.log(1.1)

    assert evidence(INITIAL) == pytest.approx(0.0, abs=1e-12)
    assert logs[2] == pytest.approx(as_good, rel=1e-11)
    assert evidence(logs) > math.log(0.5) + as_good


@given(events=st.integers(0, 40), control=st.integers(0, 40), limit=st.sampled_from([1.25, 2.0]))
def test_one_more_event_of_the_candidate_speaks_against_it(
    events: int, control: int, limit: float
) -> None:
    now = update(
        INITIAL, events=events, trials=100, control_events=control, control_trials=300, limit=limit
    )
    more = update(
        INITIAL,
        events=events + 1,
        trials=100,
        control_events=control,
        control_trials=300,
        limit=limit,
    )

    assert evidence(more) < evidence(now)


@given(events=st.integers(0, 40), control=st.integers(0, 40))
def test_events_that_come_three_at_a_time_are_a_third_of_the_evidence(
    events: int, control: int
) -> None:
    thin = update(
        INITIAL, events=events, trials=100, control_events=control, control_trials=300, limit=2.0
    )
    thick = update(
        INITIAL,
        events=3 * events,
        trials=300,
        control_events=3 * control,
        control_trials=900,
        limit=2.0,
        dispersion=3.0,
    )

    assert thick == pytest.approx(thin, abs=1e-9)


def test_what_is_needed_is_what_the_evidence_grows_by() -> None:
    """Looks without chance: a tenth of the requests, of which three in ten fail."""
    logs, looks = INITIAL, 0
    while evidence(logs) < math.log(20):
        logs, looks = (
            update(logs, events=30, trials=100, control_events=270, control_trials=900, limit=1.25),
            looks + 1,
        )
    forecast = needed(math.log(20), 0.3, 0.1, limit=1.25)

    assert forecast < looks * 1_000 < 1.35 * forecast
    assert needed(-1.0, 0.3, 0.1, limit=1.25) == 0
    assert needed(1.0, 0.3, 1e-300, limit=1.25) == math.inf


def test_harm_and_acceptance_are_told_apart_on_the_same_data() -> None:
    harm, accepted = sequential.INITIAL, INITIAL
    for _ in range(20):
        look = {"events": 1, "trials": 1_000, "control_events": 9, "control_trials": 9_000}
        harm, accepted = sequential.update(harm, **look), update(accepted, **look, limit=2.0)

    assert sequential.evidence(harm) < 0 < evidence(accepted)
