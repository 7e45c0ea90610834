"""Lookers who want an alarm: after every event, at the worst moment, at twenty metrics at once,
with the weight in their hand.
"""

from __future__ import annotations

import math

import numpy as np

from progressive.stats import increase

from . import events, rules
from .traffic import Traffic, independent


def every_event(
    rng: np.random.Generator, rollouts: int, horizon: int = 3_000
) -> list[tuple[float, float, float]]:
    """For each weight: the chance that a look after any event ever alarms; for the default it is
    played, for the exact test computed.
    """
    return [
        (
            share,
            events.capped(rng, share, 1.0, rollouts=rollouts, most=int(horizon / share))[1],
            events.walk(events.ours_exact(share, int(events.HORIZON / share)), share)[1],
        )
        for share in (0.05, 0.10, 0.50)
    ]


def twenty_metrics(rng: np.random.Generator, rollouts: int, *, shared: bool) -> float:
    """The chance of any alarm over twenty metrics among which alpha is divided; ``shared``: they
    all count the same errors.
    """
    alarmed = np.zeros(rollouts, dtype=bool)
    one: Traffic | None = None
    for _ in range(20):
        if one is None or not shared:
            one = independent(rng, weight=0.1, base=0.01, ratio=1.0, rps=100, rollouts=rollouts)
        alarmed |= rules.every_rise(one, rules.ALPHA / 20) >= 0
    return float(alarmed.mean())


def in_control(rng: np.random.Generator, rollouts: int) -> float:
    """The weight follows the evidence: raised while it looks bad, lowered while it looks good, so
    as to catch the bad luck.
    """
    alarms = 0
    needed = math.log(1 / rules.ALPHA)
    for _ in range(rollouts):
        state = increase.RESERVED
        for _ in range(200):
            weight = 0.5 if increase.evidence(state, alpha=rules.ALPHA) > 0 else 0.02
            own, other = (
                rng.binomial(int(1_000 * weight), 0.01),
                rng.binomial(1_000 - int(1_000 * weight), 0.01),
            )
            state = increase.update(
                state,
                events=int(own),
                trials=int(1_000 * weight),
                control_events=int(other),
                control_trials=1_000 - int(1_000 * weight),
                alpha=rules.ALPHA,
            )
            if increase.evidence(state, alpha=rules.ALPHA) >= needed:
                alarms += 1
                break
    return alarms / rollouts
