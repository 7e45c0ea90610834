"""An hour, looked at every ten seconds: alarms, users harmed, and what peers do on the same
traffic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from progressive.stats import ranks

from . import rules
from .rules import Looks, Rule
from .traffic import Numbers, Traffic, independent

WEIGHTS: Final = (0.01, 0.05, 0.10, 0.50)
BASES: Final = (0.001, 0.01)
RATIOS: Final = (1.0, 1.5, 2.0, 5.0, 20.0)
CONFIDENT: Final = 2.3263478740408408
"""The normal quantile of 99 %: two-sided, 98 %."""


@dataclass(frozen=True)
class Outcome:
    """What one rule did in one cell: the part of rollouts in which it alarmed, and the mean of the
    candidate's errors until then; of how many.
    """

    alarms: float
    harmed: float
    rollouts: int


def harmed(traffic: Traffic, alarms: Looks) -> float:
    """Mean errors of the candidate until the look that alarms, or in the whole hour."""
    so_far = traffic.candidate_errors.cumsum(axis=1)
    last = np.where(alarms >= 0, alarms, so_far.shape[1] - 1)
    return float(so_far[np.arange(len(last)), last].mean())


def judged(traffic: Traffic, rule: Rule) -> Outcome:
    """One rule on one cell's traffic."""
    alarms = rule(traffic)
    return Outcome(float((alarms >= 0).mean()), harmed(traffic, alarms), len(alarms))


def compared(base: float, ratio: float) -> dict[str, Rule]:
    """Every rule for a cell. The limits are those of the two peers' documentation: 99 % of requests
    well at a base of 0.1 %, 95 % at 1 %.
    """
    slo = 0.01 if base < 0.005 else 0.05
    return {
        "ours": rules.every_rise,
        "ours, small=False": rules.mixture,
        "ours, exact": rules.exactly,
        "ours, in blocks of a minute": rules.blocks,
        "Wald, told the truth": rules.wald(max(ratio, 1.0 + 1e-9) if ratio != 1 else 2.0),
        "limit, no failure allowed": rules.threshold(slo, 0),
        "limit, 3 failures allowed": rules.threshold(slo, 3),
        "limit, 10th failure": rules.threshold(slo, 9),
        "limit at 2 x the base": rules.threshold(2 * base, 0),
        "Kayenta, each 10 minutes": kayenta,
        "z-test, peeked at": rules.peeked,
        "normal mixture": rules.normal_mixture(base),
        "multinomial, k = 10": rules.multinomial(10),
        "multinomial, k = 100": rules.multinomial(100),
        "asymptotic CS (GrowthBook, N*=5000)": ASYMPTOTIC,
        "group sequential z-test, 12 looks": GROUP_SEQUENTIAL,
    }


ASYMPTOTIC: Final = rules.asymptotic()
GROUP_SEQUENTIAL: Final = rules.group_sequential()

SLOW: Final = {"ours": 16, "ours, exact": 16}
"""Rules that go through rollouts one by one get one of so many; five times as many where false
alarms are counted.
"""


def kayenta(traffic: Traffic) -> Looks:
    """Kayenta's judge on the error rate of each minute, over all minutes so far, each ten
    minutes.
    """
    minutes = traffic.every(rules.PER_MINUTE)
    found = []
    for row in range(len(minutes.candidate)):
        alarm = -1
        for end in range(10, minutes.candidate.shape[1] + 1, 10):
            own = _rates(minutes.candidate_errors[row, :end], minutes.candidate[row, :end])
            other = _rates(minutes.stable_errors[row, :end], minutes.stable[row, :end])
            if higher(own, other):
                alarm = end * rules.PER_MINUTE - 1
                break
        found.append(alarm)
    return np.array(found)


def _rates(errors: Numbers, requests: Numbers) -> list[float]:
    """The error rate of each minute with requests."""
    return [int(e) / int(n) for e, n in zip(errors, requests, strict=True) if n]


def higher(own: list[float], other: list[float]) -> bool:
    """Kayenta's classification "High" for a metric of which more is bad: the 98 % interval of the
    shift clear of a quarter of it.
    """
    if not own or not other or sorted(own) == sorted(other) or len({*own, *other}) == 1:
        return False
    if len(set(own)) == len(set(other)) == 1:
        return own[0] > other[0]
    # The interval is clear of the band where the statistic at the band's edge still is: one step in
    # place of a search.
    estimate = float(np.median(np.subtract.outer(own, other)))
    return estimate > 0 and ranks.shift_statistic(own, other, 0.25 * estimate) > CONFIDENT


def higher_by_the_library(own: list[float], other: list[float]) -> bool:
    """The same from the interval itself; `higher` is held against it in every run."""
    found = ranks.shift(own, other, confidence=0.98)
    return found.low > 0.25 * abs(found.estimate)


def cell(
    rng: np.random.Generator,
    *,
    weight: float,
    base: float,
    ratio: float,
    rps: float,
    rollouts: int,
    wanted: tuple[str, ...] = (),
) -> dict[str, Outcome]:
    """Every rule (or those that are wanted) on the same traffic of one cell."""
    traffic = independent(rng, weight=weight, base=base, ratio=ratio, rps=rps, rollouts=rollouts)
    found = {}
    for name, rule in compared(base, ratio).items():
        if wanted and name not in wanted:
            continue
        part = (5 if ratio == 1 else 1) / SLOW[name] if name in SLOW else 1
        found[name] = judged(first_rows(traffic, max(4, int(rollouts * part))), rule)
    return found


def first_rows(traffic: Traffic, rows: int) -> Traffic:
    return Traffic(
        traffic.candidate[:rows],
        traffic.candidate_errors[:rows],
        traffic.stable[:rows],
        traffic.stable_errors[:rows],
        traffic.asked,
    )


def geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))
