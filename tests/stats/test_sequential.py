"""The sequential evidence against what it promises: expectations by enumeration, reference values,
and false alarms under peeking.
"""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.enumeration import binomial
from tests.support.paths import DATA

from progressive.stats.sequential import INITIAL, RATIOS, evidence, update, update_by_share

CASES: dict[str, Any] = json.loads((DATA / "rate_ratio_mixture.json").read_text(encoding="utf-8"))
PRIOR = (0.27, 0.15, 0.10, 0.10, 0.38)


def after(*looks: tuple[int, int, int, int], margin: float = 1.0) -> tuple[float, ...]:
    """The logs after looks of (trials, events, control trials, control events)."""
    logs = INITIAL
    for trials, events, control_trials, control_events in looks:
        logs = update(
            logs,
            events=events,
            trials=trials,
            control_events=control_events,
            control_trials=control_trials,
            margin=margin,
        )
    return logs


def hypergeometric(drawn: int, others: int, marked: int) -> list[Fraction]:
    """P(k of the marked are among the drawn) for every k that can be."""
    every = math.comb(drawn + others, marked)
    return [
        Fraction(math.comb(drawn, k) * math.comb(others, marked - k), every)
        for k in range(marked + 1)
    ]


def expectations(
    chances: list[float] | list[Fraction], *, trials: int, control_trials: int, margin: float
) -> list[float]:
    """The expectation of each alternative's factor over how the events of one look fall on the two
    sides.
    """
    every = len(chances) - 1
    found = []
    for i in range(len(RATIOS)):
        terms = []
        for k, chance in enumerate(chances):
            if chance:
                logs = update(
                    INITIAL,
                    events=k,
                    trials=trials,
                    control_events=every - k,
                    control_trials=control_trials,
                    margin=margin,
                )
                terms.append(float(chance) * math.exp(logs[i]))
        found.append(math.fsum(terms))
    return found


SHARES = ((1, 99), (50, 950), (100, 100), (900, 100))


@pytest.mark.parametrize("margin", [1.0, 1.1, 1.5, 3.0])
@pytest.mark.parametrize(("trials", "control_trials"), SHARES)
@pytest.mark.parametrize("every", [0, 1, 2, 7, 25])
def test_the_expectation_of_every_factor_is_one_at_the_margin_and_less_below_it(
    every: int, trials: int, control_trials: int, margin: float
) -> None:
    for truth in (margin, (1 + margin) / 2, 1.0, 0.5):
        share = truth * trials / (truth * trials + control_trials)
        found = expectations(
            binomial(every, share), trials=trials, control_trials=control_trials, margin=margin
        )

        assert all(value <= 1 + 1e-9 for value in found), (truth, found)
        if truth == margin:
            assert found == pytest.approx([1.0] * len(RATIOS), abs=1e-9)


@pytest.mark.parametrize(
    ("trials", "control_trials", "every"),
    [(100, 900, 20), (50, 50, 30), (10, 90, 60), (30, 10, 39), (1, 5, 6)],
)
def test_events_among_few_requests_are_conservative(
    trials: int, control_trials: int, every: int
) -> None:
    """Requests that fail or not, without repetition: Hoeffding's theorem says that the factor
    expects even less.
    """
    chances = hypergeometric(trials, control_trials, every)

    assert sum(chances) == 1
    assert all(
        value <= 1 + 1e-9
        for value in expectations(chances, trials=trials, control_trials=control_trials, margin=1.0)
    )


@pytest.mark.parametrize("case", CASES["expectations"], ids=lambda case: case["id"])
def test_the_enumeration_itself_agrees_with_the_reference(case: dict[str, Any]) -> None:
    trials, others, every, ratio = (
        case["trials"],
        case["control_trials"],
        case["events"],
        case["ratio"],
    )
    share = trials / (trials + others)
    factors = [ratio**k / (ratio * share + 1 - share) ** every for k in range(every + 1)]
    found = math.fsum(
        float(p) * factor
        for p, factor in zip(hypergeometric(trials, others, every), factors, strict=True)
    )

    assert found == pytest.approx(case["value"], rel=1e-9)


@pytest.mark.parametrize("case", CASES["mixtures"], ids=lambda case: case["id"])
def test_the_evidence_agrees_with_the_reference(case: dict[str, Any]) -> None:
    logs = after(*map(tuple, case["path"]), margin=case["margin"])

    assert evidence(logs) == pytest.approx(case["log_e"], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("margin", [1.0, 1.25, 2.0])
def test_the_evidence_is_the_mixture_written_out(margin: float) -> None:
    """The formula by exact fractions, from the definition: each alternative's likelihood against
    the margin's, weighed by the prior.
    """
    looks = ((100, 3, 900, 5), (300, 1, 700, 0), (1, 1, 999, 2))
    mixture = Fraction(0)
    for ratio, weight in zip(RATIOS, PRIOR, strict=True):
        product = Fraction(1)
        for trials, events, control_trials, control_events in looks:
            share = Fraction(trials, trials + control_trials)
            null = Fraction(margin) * share / (Fraction(margin) * share + 1 - share)
            worse = (
                Fraction(margin)
                * Fraction(ratio)
                * share
                / (Fraction(margin) * Fraction(ratio) * share + 1 - share)
            )
            product *= (worse / null) ** events * ((1 - worse) / (1 - null)) ** control_events
        mixture += Fraction(weight) * product

    assert evidence(after(*looks, margin=margin)) == pytest.approx(math.log(mixture), rel=1e-9)


def test_the_prior_weighs_everything_once() -> None:
    assert math.fsum(PRIOR) == pytest.approx(1.0)
    assert evidence(INITIAL) == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None)
@given(
    parts=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 200)), min_size=1, max_size=8),
    shares=st.sampled_from([(100, 900), (1, 1), (30, 70)]),
    margin=st.sampled_from([1.0, 1.3]),
)
def test_looks_split_at_equal_shares_say_the_same(
    parts: list[tuple[int, int]], shares: tuple[int, int], margin: float
) -> None:
    a, b = shares
    split = after(*((a * 50, events, b * 50, control) for events, control in parts), margin=margin)
    whole = after(
        (a, sum(events for events, _ in parts), b, sum(control for _, control in parts)),
        margin=margin,
    )

    assert split == pytest.approx(whole, rel=1e-9, abs=1e-8)


@given(events=st.integers(0, 50), control=st.integers(0, 50))
def test_one_more_event_on_the_candidate_is_more_evidence_and_one_on_the_control_is_less(
    events: int, control: int
) -> None:
    now = evidence(after((100, events, 900, control)))

    assert evidence(after((100, events + 1, 900, control))) > now
    assert evidence(after((100, events, 900, control + 1))) < now


def test_thousands_of_nats_are_numbers_like_any_other() -> None:
    for_harm = after((500_000, 90_000, 500_000, 5_000))
    against = after((500_000, 0, 500_000, 90_000))

    assert 20_000 < evidence(for_harm) < 1e6
    assert -1e6 < evidence(against) < -10_000
    assert all(math.isfinite(value) for value in (*for_harm, *against))


def test_what_is_kept_has_twelve_digits() -> None:
    logs = after((100, 3, 900, 5), (300, 1, 700, 0))

    assert all(value == float(f"{value:.12g}") for value in (*logs, evidence(logs)))


# ------------------------------------------------------------------------------------- false alarms

ALPHA = 0.05
RUNS = 1_500


def first_alarm(
    rng: random.Random, *, ratio: float, looks: int, ramp: bool, drift: bool, margin: float = 1.0
) -> int | None:
    """The look at which one rollout alarms; every look is peeked at, and the traffic follows the
    evidence where it ramps.
    """
    logs, weight = INITIAL, 0.1
    for look in range(looks):
        if ramp and evidence(logs) < 0:
            weight = min(0.5, weight * 1.5)
        rate = 0.01 * (1 + (3 * math.sin(look / 3) ** 2 if drift else 0))
        trials = round(2_000 * weight)
        control_trials = 2_000 - trials
        events, control = poisson(rng, rate * ratio * trials), poisson(rng, rate * control_trials)
        logs = update(
            logs,
            events=events,
            trials=trials,
            control_events=control,
            control_trials=control_trials,
            margin=margin,
        )
        if evidence(logs) >= math.log(1 / ALPHA):
            return look
    return None


def poisson(rng: random.Random, mean: float) -> int:
    """By exponential gaps."""
    count, passed = -1, 0.0
    while passed < mean:
        count += 1
        passed += rng.expovariate(1.0)
    return max(count, 0)


@pytest.mark.parametrize(
    ("ramp", "drift", "ratio", "margin"),
    [
        (False, False, 1.0, 1.0),
        (True, False, 1.0, 1.0),
        (True, True, 1.0, 1.0),
        (False, True, 1.2, 1.2),
        (True, True, 0.8, 1.0),
    ],
)
def test_false_alarms_under_peeking_stay_below_alpha(
    ramp: bool, drift: bool, ratio: float, margin: float
) -> None:
    rng = random.Random(20_260_301)
    alarms = sum(
        first_alarm(rng, ratio=ratio, looks=30, ramp=ramp, drift=drift, margin=margin) is not None
        for _ in range(RUNS)
    )

    assert alarms / RUNS <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def test_harm_is_found_and_great_harm_at_once() -> None:
    rng = random.Random(7)
    double = [first_alarm(rng, ratio=2.0, looks=200, ramp=False, drift=False) for _ in range(60)]
    twenty = [first_alarm(rng, ratio=20.0, looks=200, ramp=False, drift=False) for _ in range(60)]

    assert None not in double
    assert sorted(look for look in twenty if look is not None)[30] <= 1
    assert None not in twenty


def test_nothing_is_tolerated_and_nothing_is_clumped_unless_one_says_so() -> None:
    look = {"events": 3, "trials": 100, "control_events": 9, "control_trials": 900}

    assert update(INITIAL, **look) == update(INITIAL, **look, margin=1.0, dispersion=1.0)
    assert update(INITIAL, **look) == update_by_share(INITIAL, events=3, every=12, share=0.1)
    assert update(INITIAL, **look) != update(INITIAL, **look, margin=1.1)
