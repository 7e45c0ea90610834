"""What other people's sequential tests say, replayed: by our own parts where they are the same
thing, by the benchmark's peers elsewhere.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from tests.benchmarks.detection import peers
from tests.support.enumeration import expectation
from tests.support.paths import DATA

from progressive.stats.evidence import averaged, block
from progressive.stats.sequential import factor

CASES: dict[str, Any] = json.loads(
    (DATA / "sequential_statistics.json").read_text(encoding="utf-8")
)


def cases_of(group: str) -> list[Any]:
    """The cases of one group; at least one."""
    found = [pytest.param(case, id=case["id"]) for case in CASES["cases"] if case["group"] == group]
    assert found
    return found


def agrees(found: Any, wanted: Any, case: dict[str, Any], relative: float | None = None) -> bool:
    """Is every number within the case's tolerance (or a relative one that its note gives)?"""
    at_most = case["abs_tol"] + np.abs(wanted) * case["rel_tol"] if relative is None else relative
    return bool(np.all(np.abs(np.asarray(found) - np.asarray(wanted)) <= at_most))


# --------------------------------------------------------------------------------- by our own parts


@pytest.mark.parametrize("case", cases_of("rate-ratio-mixture"))
def test_a_mixture_of_twelve_ratios(case: dict[str, Any]) -> None:
    """The factor of `progressive.stats.sequential` with another prior."""
    null, logs = case["input"]["rho0"], [0.0] * 12
    for trials, events, control_trials, control_events in case["input"]["path"]:
        share, every = trials / (trials + control_trials), events + control_events
        logs = [
            before + factor(events, every, share, ratio=null * 1.25 * 25.6 ** (k / 11), null=null)
            for k, before in enumerate(logs)
        ]

    assert agrees(averaged(logs, [-math.log(12)] * 12), case["expect"]["log_e"], case)


@pytest.mark.parametrize("case", cases_of("block-e-variable-expectation"))
def test_the_expectation_of_a_block(case: dict[str, Any]) -> None:
    """One look of `progressive.stats.falls`, whose rival is the pooled rate where there is no
    margin.
    """
    asked = case["input"]
    trials, null = {"trials": asked["nc"], "control_trials": asked["ns"]}, asked["null_rate"]
    found = expectation(
        lambda events, control_events: block(
            asked["pc"], asked["ps"], events=events, control_events=control_events, **trials
        ),
        trials=asked["nc"],
        rate=null,
        control_trials=asked["ns"],
        control_rate=null,
    )

    assert agrees(found, case["expect"]["value"], case)
    assert found <= 1


# ----------------------------------------------------------------------------------------- by peers


@pytest.mark.parametrize("case", cases_of("savvi-multinomial"))
def test_the_multinomial_test_of_savvi(case: dict[str, Any]) -> None:
    expected, concentration, wanted = case["input"]["theta0"], case["input"]["k"], case["expect"]
    so_far = np.cumsum(case["input"]["increments"], axis=0).tolist()
    odds = [peers.log_odds(counts, expected, concentration) for counts in so_far]

    assert agrees(odds, wanted["log_odds"], case)
    assert agrees(np.exp(np.negative(odds)), wanted["p_value"], case)
    assert agrees(
        peers.multinomial_interval(so_far[-1], expected, concentration),
        wanted["conf_int"],
        case,
        1e-3,
    )


@pytest.mark.parametrize("case", cases_of("savvi-poisson"))
def test_the_test_of_poisson_processes_of_savvi(case: dict[str, Any]) -> None:
    rates, concentration, wanted = case["input"]["rho"], case["input"]["k"], case["expect"]
    so_far = np.cumsum(case["input"]["increments"], axis=0).tolist()

    assert agrees(
        [peers.poisson_log_odds(counts, rates, concentration) for counts in so_far],
        wanted["log_odds"],
        case,
    )
    assert agrees(
        peers.log_ratio_interval(so_far[-1], rates, concentration),
        wanted["log_ratio_conf_int"],
        case,
        2e-3,
    )


@pytest.mark.parametrize("case", cases_of("asymp-cs"))
def test_the_asymptotic_confidence_sequence_of_growthbook(case: dict[str, Any]) -> None:
    asked, wanted = case["input"], case["expect"]
    found = peers.asymptotic(
        events=asked["canary_events"],
        n=asked["canary_n"],
        control_events=asked["stable_events"],
        control_n=asked["stable_n"],
        alpha=asked["alpha"],
        n_star=asked["n_star"],
        relative=asked["difference"] == "relative",
    )

    assert agrees(found, [wanted["low"], wanted["high"], wanted["p"]], case)


@pytest.mark.parametrize("case", cases_of("group-sequential"))
def test_the_group_sequential_bounds_of_spotify(case: dict[str, Any]) -> None:
    asked = case["input"]

    assert agrees(
        peers.group_sequential(asked["information"], asked["alpha"], sides=asked["sides"]),
        case["expect"]["z"],
        case,
    )


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in cases_of("confseq-quantile")
        if case.values[0]["function"] == "quantile_ab_p_value"
    ],
)
def test_the_test_of_two_quantiles_of_confseq(case: dict[str, Any]) -> None:
    asked = case["input"]

    assert agrees(
        peers.quantiles_p(asked["a"], asked["b"], asked["quantile_p"], planned=asked["t_opt"]),
        case["expect"]["p"],
        case,
    )


# -------------------------------------------------------------------------------- laws of the peers


def test_an_interval_of_the_multinomial_test_is_where_its_odds_would_change_their_mind() -> None:
    """With the prior held, the edge of a part is where the likelihood of the counts is a twentieth
    of what the prior makes of them.
    """
    counts, expected = [20, 45, 7], [0.2, 0.5, 0.3]
    prior = peers.log_odds(counts, expected, 50)
    at_null = float(np.dot(counts, np.log(expected)))
    for i, (low, high) in enumerate(peers.multinomial_interval(counts, expected, 50)):
        others = [n for j, n in enumerate(counts) if j != i]
        for edge in (low, high):
            parts = [(1 - edge) * n / sum(others) for n in others]
            likelihood = counts[i] * math.log(edge) + float(np.dot(others, np.log(parts)))

            assert prior + at_null - likelihood == pytest.approx(math.log(20), abs=1e-6)


def test_a_part_that_was_never_seen_or_always_may_be_none_or_all() -> None:
    (low, high), (other_low, other_high) = peers.multinomial_interval([0, 60], [0.5, 0.5], 10)

    assert low == 0 < high < 0.25
    assert (other_low, other_high) == pytest.approx((1 - high, 1))
    assert peers.multinomial_interval([0, 0], [0.5, 0.5], 10) == [(0, 1), (0, 1)]
    assert peers.log_ratio_interval([0, 60], [1, 1], 10)[0] == -math.inf


def test_p_and_interval_of_the_asymptotic_sequence_say_the_same() -> None:
    for events in range(50, 140, 3):
        found = peers.asymptotic(events=events, n=5_000, control_events=60, control_n=5_000)

        assert (found.p <= 0.05) is (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("sides", [1, 2])
def test_group_sequential_bounds_spend_what_they_may(sides: int) -> None:
    information = [0.1, 0.25, 0.5, 0.75, 1.0]
    bounds = np.array(peers.group_sequential(information, 0.05, sides=sides))
    steps = np.sqrt(np.diff([0.0, *information]))
    walks = (np.random.default_rng(20_261_126).normal(size=(200_000, 5)) * steps).cumsum(
        axis=1
    ) / np.sqrt(information)
    crossed = (np.abs(walks) if sides == 2 else walks) > bounds
    spent = np.maximum.accumulate(crossed, axis=1).mean(axis=0)

    assert bounds[0] == pytest.approx(norm.isf(0.05 * 0.01 / sides), rel=1e-9)
    assert spent == pytest.approx(
        0.05 * np.array(information) ** 2, abs=3 * math.sqrt(0.05 * 0.95 / 200_000)
    )
    assert peers.group_sequential([1.0], 0.05, sides=sides) == pytest.approx(
        [norm.isf(0.05 / sides)]
    )


def test_equal_samples_have_equal_quantiles() -> None:
    one = [0.1 * k for k in range(200)]

    assert peers.quantiles_p(one, one, 0.9, planned=200) == 1
    assert peers.quantiles_p(one, [value + 5 for value in one], 0.5, planned=200) < 0.01
