"""The exact test against exact arithmetic: its boundary, what it spends, and how often it
alarms.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.paths import DATA

from progressive.stats.exact import (
    INITIAL,
    State,
    binomial,
    boundary,
    hypergeometric,
    log_time,
    update,
)

CASES: list[dict[str, Any]] = json.loads(
    (DATA / "exact_boundary.json").read_text(encoding="utf-8")
)["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_boundary_is_that_of_exact_arithmetic(case: dict[str, Any]) -> None:
    share, planned, alpha = case["share"], case["planned"], case["alpha"]

    def allowed(expected: float) -> float:
        past = math.log(expected / planned) if expected > planned else 0.0
        return float(alpha * (0.9 * log_time(expected, planned) + 0.1 * past / (1 + past)))

    state, found = INITIAL, []
    for _ in range(case["looks"]):
        reachable = boundary(state)
        state, _ = update(
            state, events=0, expected=share, chances=binomial(1, share), allowed=allowed
        )
        found.append(boundary(state) if boundary(state) <= reachable else None)

    assert found == case["boundary"]
    assert state[1] == pytest.approx(case["spent"], rel=1e-9)


def total(chances: tuple[int, list[float]]) -> float:
    return math.fsum(chances[1])


@pytest.mark.parametrize(
    ("every", "share"), [(0, 0.1), (1, 0.5), (7, 0.01), (200, 0.3), (5_000, 0.5), (3, 1 - 1e-9)]
)
def test_the_binomial_distribution_is_the_binomial_distribution(every: int, share: float) -> None:
    low, chances = binomial(every, share)
    exact = Fraction(share)

    assert total((low, chances)) == pytest.approx(1, abs=1e-12)
    for k, chance in enumerate(chances, low):
        truth = math.comb(every, k) * exact**k * (1 - exact) ** (every - k)
        assert chance == pytest.approx(float(truth), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("every", "trials", "others"),
    [(0, 5, 5), (3, 1, 9), (10, 4, 6), (9, 4, 6), (40, 100, 900), (1_000, 700, 700), (7, 100, 1)],
)
def test_the_hypergeometric_distribution_is_the_hypergeometric_distribution(
    every: int, trials: int, others: int
) -> None:
    low, chances = hypergeometric(every, trials, others)

    assert total((low, chances)) == pytest.approx(1, abs=1e-12)
    assert math.fsum(k * chance for k, chance in enumerate(chances, low)) == pytest.approx(
        every * trials / (trials + others), abs=1e-9
    )
    for k, chance in enumerate(chances, low):
        truth = Fraction(
            math.comb(trials, k) * math.comb(others, every - k), math.comb(trials + others, every)
        )
        assert chance == pytest.approx(float(truth), rel=1e-9, abs=1e-15)


def test_spending_is_slow_and_complete() -> None:
    steps = [log_time(expected, 300) for expected in (0.0, 0.01, 0.05, 1, 30, 299, 300, 1e9)]

    assert steps == sorted(steps)
    assert (steps[0], steps[-2], steps[-1]) == (0, 1, 1)


@settings(deadline=None, max_examples=60)
@given(
    looks=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from([(1, 9), (3, 3), (2, 40), (9, 1)])),
        min_size=1,
        max_size=6,
    ),
    alpha=st.sampled_from([0.01, 0.05, 0.3]),
    planned=st.sampled_from([0.5, 3.0, 300.0]),
)
def test_the_chance_of_an_alarm_is_exactly_what_was_spent(
    looks: list[tuple[int, tuple[int, int]]], alpha: float, planned: float
) -> None:
    """Every course of the candidate's events, followed one by one."""
    courses: list[tuple[State, float]] = [(INITIAL, 1.0)]
    alarmed = 0.0
    for every, (trials, others) in looks:
        chances = hypergeometric(min(every, trials + others), trials, others)
        share = trials / (trials + others)
        following: list[tuple[State, float]] = []
        for state, weight in courses:
            for events, chance in enumerate(chances[1], chances[0]):
                after, alarm = update(
                    state,
                    events=events,
                    expected=every * share,
                    chances=chances,
                    allowed=lambda u: alpha * log_time(u, planned),
                )
                if alarm:
                    alarmed += weight * chance
                else:
                    following.append((after, weight * chance))
        courses = _together(following)
    spent = courses[0][0][1]

    assert alarmed == pytest.approx(spent, abs=1e-11)
    assert spent <= alpha + 1e-15
    assert {state[1] for state, _ in courses} == {spent}, (
        "what is spent does not depend on what happened"
    )


def _together(courses: list[tuple[State, float]]) -> list[tuple[State, float]]:
    found: dict[State, float] = {}
    for state, weight in courses:
        found[state] = found.get(state, 0.0) + weight
    return list(found.items())


def test_the_state_is_bounded_by_the_plan() -> None:
    """As many numbers as it has at the planned number of events, however many looks come after."""
    state, sizes = INITIAL, []
    for _ in range(400):
        state, _ = update(
            state,
            events=2,
            expected=1.5,
            chances=hypergeometric(15, 100, 900),
            allowed=lambda expected: 0.05 * log_time(expected, 300),
        )
        sizes.append(len(state[4]))

    assert max(sizes[:200]) < 17 * math.sqrt(300)
    assert all(value == float(f"{value:.12g}") for value in state[4])


def test_a_look_without_events_changes_nothing_but_can_be_taken() -> None:
    state, alarm = update(
        INITIAL, events=0, expected=0.0, chances=hypergeometric(0, 5, 5), allowed=lambda _: 0.05
    )

    assert (state, alarm) == (INITIAL, False)


def test_what_is_next_to_impossible_alarms_at_once() -> None:
    _, alarm = update(
        INITIAL,
        events=30,
        expected=0.3,
        chances=binomial(30, 0.01),
        allowed=lambda expected: 0.01 * log_time(expected, 300),
    )

    assert alarm
