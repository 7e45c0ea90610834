"""Proof that a version is not so many times as bad, for latencies and means: after how many
requests, and how often wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from progressive.stats import latency_acceptance as not_slower
from progressive.stats import means

from .latency import EACH, EDGES, MEDIAN, OTHERS, SIGMA

FINE: Final = tuple(0.005 * 1.1**k for k in range(80))
NEEDED: Final = math.log(20)


def _cumulative(
    rng: np.random.Generator, edges: tuple[float, ...], slower: float, n: int
) -> list[int]:
    times = np.sort(slower * rng.lognormal(math.log(MEDIAN), SIGMA, n))
    return [*np.searchsorted(times, edges, side="right").tolist(), n]


def latency(edges: tuple[float, ...]) -> Callable[[np.random.Generator, float, float, int], int]:
    """The look in which it is proven that times are not ``limit`` times as long; -1 if in none."""

    def accepted(rng: np.random.Generator, worse: float, limit: float, looks: int) -> int:
        state = not_slower.INITIAL
        for look in range(looks):
            mine, theirs = (
                _cumulative(rng, edges, worse, EACH),
                _cumulative(rng, edges, 1.0, OTHERS),
            )
            state = not_slower.update(
                state, edges=edges, candidate=mine, control=theirs, limit=limit
            )
            if not_slower.evidence(state) >= NEEDED:
                return look
        return -1

    return accepted


def mean(rng: np.random.Generator, worse: float, limit: float, looks: int) -> int:
    """The same of the mean of the times, which are skewed."""
    state = means.INITIAL
    for look in range(looks):
        mine, theirs = (
            worse * rng.lognormal(math.log(MEDIAN), SIGMA, EACH),
            rng.lognormal(math.log(MEDIAN), SIGMA, OTHERS),
        )
        state = means.update(
            state,
            n=EACH,
            mean=float(mine.mean()),
            m2=float(mine.var() * EACH),
            control_n=OTHERS,
            control_mean=float(theirs.mean()),
            control_m2=float(theirs.var() * OTHERS),
        )
        if means.evidence(state, up=False, margin=limit) >= NEEDED:
            return look
    return -1


CASES: Final = (
    ("latency, default buckets", latency(EDGES), (1.5, 2.0)),
    ("latency, buckets of a tenth", latency(FINE), (1.25, 1.5, 2.0)),
    ("mean of skewed values", mean, (1.25, 1.5)),
)


def table(
    rng: np.random.Generator, rollouts: int, looks: int
) -> list[tuple[str, float, float, float, float]]:
    """For each metric and limit: how often a good version is accepted, after how many requests of
    its own in the median, and how often a bad one is.
    """
    found = []
    for name, accepted, limits in CASES:
        for limit in limits:
            good = [accepted(rng, 1.0, limit, looks) for _ in range(rollouts // 4)]
            bad = [accepted(rng, limit, limit, looks // 3) for _ in range(rollouts)]
            after = [(look + 1) * EACH if look >= 0 else math.inf for look in good]
            found.append((name, limit, _part(good), _part(bad), float(np.median(after))))
    return found


def _part(looks: list[int]) -> float:
    return sum(look >= 0 for look in looks) / len(looks)
