"""A split that is not as it was asked for."""

from __future__ import annotations

import math
import random

import pytest

from progressive.stats.sample_ratio import INITIAL, evidence, update

ALPHA = 0.001


def looks_until(
    rng: random.Random, truth: float, share: float, most: int, alpha: float = ALPHA
) -> int | None:
    logs = INITIAL
    for k in range(most):
        trials = sum(rng.random() < truth for _ in range(200))
        logs = update(logs, trials=trials, control_trials=200 - trials, share=share)
        if evidence(logs) >= math.log(1 / alpha):
            return k
    return None


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("trials", "others"), [(0, 1), (1, 0), (0, 0), (3, 7)])
def test_every_factor_expects_one_under_the_split_that_was_asked_for(
    share: float, trials: int, others: int
) -> None:
    n = trials + others
    for i in range(len(INITIAL)):
        found = math.fsum(
            math.comb(n, k)
            * share**k
            * (1 - share) ** (n - k)
            * math.exp(update(INITIAL, trials=k, control_trials=n - k, share=share)[i])
            for k in range(n + 1)
        )

        assert found == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("truth", "share"), [(0.0, 0.1), (0.1, 0.01), (0.01, 0.1), (0.13, 0.1), (0.45, 0.5), (1.0, 0.5)]
)
def test_a_wrong_split_is_found(truth: float, share: float) -> None:
    assert looks_until(random.Random(19), truth, share, 200) is not None


def test_the_right_split_is_left_in_peace() -> None:
    rng, runs = random.Random(23), 60
    alarms = sum(looks_until(rng, 0.1, 0.1, 60, alpha=0.05) is not None for _ in range(runs))

    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
