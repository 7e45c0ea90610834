"""Expectations by going through everything that can happen: what the promises of the sequential
tests rest on.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def binomial(n: int, p: float) -> list[float]:
    """The chance of k events in n requests, for every k."""
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def expectation(
    gain: Callable[[int, int], float],
    *,
    trials: int,
    rate: float,
    control_trials: int,
    control_rate: float,
) -> float:
    """Of ``exp(gain(events, control_events))`` over independent requests that fail with these rates
    on the two tracks.
    """
    mine, theirs = binomial(trials, rate), binomial(control_trials, control_rate)
    return math.fsum(
        p * q * math.exp(gain(k, m))
        for k, p in enumerate(mine)
        for m, q in enumerate(theirs)
        if p * q
    )
