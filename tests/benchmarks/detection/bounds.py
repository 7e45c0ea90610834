"""Tested bounds, played with the library's own functions: when a breach is found, when a version
that keeps the bound passes, and how often it is sent back.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from progressive import Limit, Metric, Traffic, percent
from progressive.analysis import Verdict
from progressive.model import Counts, Look, Track, Window
from progressive.model.actions import Memory
from progressive.stats import bound, exclusion

BOUND = Fraction(1, 100)
TIMES = (1.1, 1.5, 2.0, 5.0, 20.0)


def wald(times: float, alpha: float) -> float:
    """Requests until Wald's test alarms, which is told the rate."""
    rate, kept = float(BOUND) * times, float(BOUND)
    nats = rate * math.log(rate / kept) + (1 - rate) * math.log((1 - rate) / (1 - kept))
    return math.log(1 / alpha) / nats


def requests_to_find(
    rng: np.random.Generator, times: float, *, alpha: float, rollouts: int, late: bool = False
) -> float:
    """Requests until the alarm, in looks of a fiftieth of what Wald needs; ``late``: after a
    hundred thousand requests at half of the bound.
    """
    rate, needed = float(BOUND) * times, math.log(1 / alpha)
    trials, spent = max(1, round(wald(times, alpha) / 50)), 0
    begin = bound.INITIAL
    for _ in range(100 if late else 0):
        begin = bound.update(begin, events=5, trials=1_000, rate=BOUND, alpha=alpha)
    for _ in range(rollouts):
        state, anew = begin, late
        while bound.evidence(state, alpha=alpha) < needed:
            seen = int(rng.binomial(trials, rate))
            state = bound.update(
                state, events=seen, trials=trials, rate=BOUND, alpha=alpha, anew=anew
            )
            anew, spent = False, spent + trials
    return spent / rollouts


def requests_to_pass(rng: np.random.Generator, part: float, *, rollouts: int) -> float:
    """Requests until five times the bound is excluded, for a version at this part of it."""
    rate, spent = float(BOUND), 0
    for _ in range(rollouts):
        seen = requests = 0
        while exclusion.evidence(seen, requests, rate=rate, limit=5 * rate) < math.log(20):
            seen, requests = seen + int(rng.binomial(5, part * rate)), requests + 5
        spent += requests
    return spent / rollouts


def sent_back(
    rng: np.random.Generator, part: float, window: Window, *, plain: bool, requests: int, hours: int
) -> float:
    """The chance that a version at this part of a bound of 1 % fails a limit, in looks of 30 s."""
    errors = Metric("error-rate", kind="ratio")
    limit = Limit(errors, at_most=percent(1), plain=plain, min_sample=20)
    traffic, failed, rollouts = Traffic(candidate=percent(10)), 0, 300
    for _ in range(rollouts):
        memory: Memory = None
        in_a_row = 0
        for _ in range(120 * hours):
            seen = Counts(events=int(rng.binomial(requests, part * float(BOUND))), trials=requests)
            look = Look(metric=errors.name, window=window, tracks={Track.CANDIDATE: seen})
            judgement, memory = limit.judge_in(traffic, look, memory, 0.01)
            in_a_row = in_a_row + 1 if judgement.verdict is Verdict.FAIL else 0
            if in_a_row >= limit.tolerance.in_a_row:
                failed += 1
                break
    return failed / rollouts
