"""Harm that begins with a raise after a long healthy time: how much of what it takes from the
beginning it takes then.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from progressive.stats import histogram_tails as tails
from progressive.stats import increase

from .events import own_part
from .latency import EACH, EDGES, OTHERS, chances

NEEDED: Final = math.log(20)
HEALTHY_ERRORS: Final = (0, 1_000, 100_000, 10_000_000)
RISE: Final = 5.0
HEALTHY_REQUESTS: Final = 1_000_000
SLOWER: Final = (1.25, 1.5, 2.0)
LOOKS: Final = 100
"""Looks in which the healthy errors come."""


def errors_needed(
    rng: np.random.Generator, share: float, healthy: int, *, rollouts: int, most: int = 5_000
) -> float:
    """Mean errors of the candidate until it is found to be `RISE` times as bad, one event a look,
    after so many errors of both tracks that were nobody's fault.
    """
    requests = 10**9
    trials, own_chance = round(requests * share), own_part(share, RISE)
    found = []
    for _ in range(rollouts):
        state = increase.RESERVED
        for every in rng.multinomial(healthy, [1 / LOOKS] * LOOKS) if healthy else ():
            own = int(rng.binomial(every, share))
            state = _after(state, own, int(every) - own, trials, requests)
        if healthy:
            state = increase.again(state)
        errors = 0
        for _ in range(most):
            own = int(rng.random() < own_chance)
            errors += own
            state = _after(state, own, 1 - own, trials, requests)
            if increase.evidence(state, alpha=0.05) >= NEEDED:
                break
        found.append(errors)
    return float(np.mean(found))


def _after(
    state: increase.State, own: int, others: int, trials: int, requests: int
) -> increase.State:
    return increase.update(
        state,
        events=own,
        trials=trials,
        control_events=others,
        control_trials=requests - trials,
        alpha=0.05,
    )


def requests_needed(
    rng: np.random.Generator, slower: float, healthy: int, *, again: bool, rollouts: int
) -> float:
    """Requests of the candidate, in the median, until it is found to be slower, after so many
    healthy ones of both tracks.
    """
    found = []
    usual, worse = chances(1.0, 0.0), chances(slower, 0.0)
    for _ in range(rollouts):
        state: tails.State = tails.RESERVED
        for _ in range(LOOKS if healthy else 0):
            mine, theirs = healthy * EACH // 1_000 // LOOKS, healthy * OTHERS // 1_000 // LOOKS
            state = _seen(state, rng.multinomial(mine, usual), rng.multinomial(theirs, usual))
        if healthy and again:
            state = tails.again(state)
        requests = 0
        while tails.evidence(state) < NEEDED and requests < 10**6:
            step = max(1, requests // 1_000)  # later looks are longer
            own, other = EACH * step, OTHERS * step
            state = _seen(state, rng.multinomial(own, worse), rng.multinomial(other, usual))
            requests += own
        found.append(requests)
    return float(np.median(found))


def _seen(state: tails.State, mine: np.ndarray, theirs: np.ndarray) -> tails.State:
    return tails.update(
        state, edges=EDGES, candidate=mine.cumsum().tolist(), control=theirs.cumsum().tolist()
    )
