"""A drop in a business metric: 3 % of the visitors buy, for a lognormal amount."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from progressive.stats import decrease as falls
from progressive.stats import means

RPS, LOOK_SECONDS, LOOKS = 100, 60, 60
CONVERSION, MU, SIGMA = 0.03, 3.0, 1.0
DROPS: Final = (0.0, 0.1, 0.2, 0.5)


def rollout(
    rng: np.random.Generator, weight: float, drop: float, alpha: float = 0.05
) -> dict[str, int]:
    """The minute in which each of ours alarms, -1 for never."""
    needed, alarmed = math.log(1 / alpha), {"conversions": -1, "revenue per visitor": -1}
    counts, moments = falls.RESERVED, means.INITIAL
    n, m = round(weight * RPS * LOOK_SECONDS), round((1 - weight) * RPS * LOOK_SECONDS)
    for k in range(LOOKS):
        own, other = _look(rng, n, CONVERSION * (1 - drop)), _look(rng, m, CONVERSION)
        counts = falls.update(
            counts, events=len(own), trials=n, control_events=len(other), control_trials=m
        )
        if alarmed["conversions"] < 0 and falls.evidence(counts) >= needed:
            alarmed["conversions"] = k
        moments = means.update(moments, **_moments(own, n, ""), **_moments(other, m, "control_"))  # type: ignore[arg-type]
        if alarmed["revenue per visitor"] < 0 and means.evidence(moments, up=False) >= needed:
            alarmed["revenue per visitor"] = k
        if min(alarmed.values()) >= 0:
            break
    return alarmed


def _look(rng: np.random.Generator, visitors: int, rate: float) -> np.ndarray:
    return rng.lognormal(MU, SIGMA, rng.binomial(visitors, rate))


def _moments(values: np.ndarray, visitors: int, prefix: str) -> dict[str, float]:
    mean = values.sum() / visitors
    return {
        f"{prefix}n": visitors,
        f"{prefix}mean": mean,
        f"{prefix}m2": float((values**2).sum() - visitors * mean**2),
    }


def table(
    rng: np.random.Generator, rollouts: int
) -> list[tuple[float, float, dict[str, tuple[float, float]]]]:
    """For each weight and drop: how often each alarms within the hour, and in which minute in the
    median.
    """
    found = []
    for weight in (0.05, 0.50):
        for drop in DROPS:
            runs = [rollout(rng, weight, drop) for _ in range(rollouts)]
            told = {}
            for name in runs[0]:
                minutes = [run[name] + 1 if run[name] >= 0 else math.inf for run in runs]
                told[name] = (
                    sum(map(math.isfinite, minutes)) / rollouts,
                    float(np.median(minutes)),
                )
            found.append((weight, drop, told))
    return found
