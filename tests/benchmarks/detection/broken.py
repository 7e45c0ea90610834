"""No real difference, and an assumption that does not hold: who alarms all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from progressive.stats.planning import dispersion

from . import clock, rules
from .traffic import LOOK_SECONDS, LOOKS, Traffic

RPS, BASE, WEIGHT = 100.0, 0.005, 0.10

Made = Callable[[np.random.Generator, int], Traffic]


def _made(
    rng: np.random.Generator,
    rollouts: int,
    *,
    weight: np.ndarray,
    rate: np.ndarray,
    stable_rate: np.ndarray,
    rps: np.ndarray,
) -> Traffic:
    shape = (rollouts, len(weight))
    candidate = rng.poisson(np.broadcast_to(weight * rps * LOOK_SECONDS, shape))
    stable = rng.poisson(np.broadcast_to((1 - weight) * rps * LOOK_SECONDS, shape))
    return Traffic(
        candidate,
        rng.binomial(candidate, np.minimum(1.0, np.broadcast_to(rate, shape))),
        stable,
        rng.binomial(stable, np.minimum(1.0, np.broadcast_to(stable_rate, shape))),
        weight,
    )


STEADY = np.full(LOOKS, WEIGHT)
ALWAYS = np.full(LOOKS, RPS)
FLAT = np.full(LOOKS, BASE)
RAMP = np.repeat([0.01, 0.05, 0.10, 0.25, 0.50], LOOKS // 5)


def independent(rng: np.random.Generator, rollouts: int) -> Traffic:
    return _made(rng, rollouts, weight=STEADY, rate=FLAT, stable_rate=FLAT, rps=ALWAYS)


def outage(rng: np.random.Generator, rollouts: int) -> Traffic:
    rate = FLAT.copy()
    rate[120:138] *= 10
    return _made(rng, rollouts, weight=STEADY, rate=rate, stable_rate=rate, rps=ALWAYS)


def ramp(rng: np.random.Generator, rollouts: int) -> Traffic:
    return _made(rng, rollouts, weight=RAMP, rate=FLAT, stable_rate=FLAT, rps=ALWAYS)


def drift(rng: np.random.Generator, rollouts: int) -> Traffic:
    rate = np.where(np.arange(LOOKS) < LOOKS // 2, BASE, 3 * BASE)
    return _made(rng, rollouts, weight=RAMP, rate=rate, stable_rate=rate, rps=ALWAYS)


def late(rng: np.random.Generator, rollouts: int) -> Traffic:
    """The candidate's counters show each look's numbers one look later, while traffic grows
    tenfold.
    """
    grown = _made(
        rng,
        rollouts,
        weight=STEADY,
        rate=FLAT,
        stable_rate=FLAT,
        rps=np.linspace(RPS, 10 * RPS, LOOKS),
    )
    return Traffic(
        np.roll(grown.candidate, 1, axis=1),
        np.roll(grown.candidate_errors, 1, axis=1),
        grown.stable,
        grown.stable_errors,
        STEADY,
    )


def tenfold(rng: np.random.Generator, rollouts: int) -> Traffic:
    return _made(
        rng,
        rollouts,
        weight=STEADY,
        rate=FLAT,
        stable_rate=FLAT,
        rps=np.linspace(RPS, 10 * RPS, LOOKS),
    )


def overlapping(rng: np.random.Generator, rollouts: int) -> Traffic:
    """``rate[5m]`` polled each minute and added up: every request is counted five times."""
    once = independent(rng, rollouts)
    window = 5 * rules.PER_MINUTE

    def counted(counts: np.ndarray) -> np.ndarray:
        sums = np.cumsum(counts, axis=1)
        sums[:, window:] = sums[:, window:] - sums[:, :-window]
        found = np.zeros_like(counts)
        found[:, rules.PER_MINUTE - 1 :: rules.PER_MINUTE] = sums[
            :, rules.PER_MINUTE - 1 :: rules.PER_MINUTE
        ]
        return found

    return Traffic(
        counted(once.candidate),
        counted(once.candidate_errors),
        counted(once.stable),
        counted(once.stable_errors),
        STEADY,
    )


def retries(rng: np.random.Generator, rollouts: int) -> Traffic:
    """Each failing user fails three times."""
    once = _made(rng, rollouts, weight=STEADY, rate=FLAT / 3, stable_rate=FLAT / 3, rps=ALWAYS)
    return Traffic(
        once.candidate + 2 * once.candidate_errors,
        3 * once.candidate_errors,
        once.stable + 2 * once.stable_errors,
        3 * once.stable_errors,
        STEADY,
    )


def bursts(rng: np.random.Generator, rollouts: int, *, together: bool) -> Traffic:
    """The rate of each minute is drawn anew (gamma, with a coefficient of variation of 0.7), for
    both tracks or for each on its own.
    """
    shape = (rollouts, LOOKS // rules.PER_MINUTE)
    one = BASE * np.repeat(rng.gamma(2, 0.5, shape), rules.PER_MINUTE, axis=1)
    other = (
        one if together else BASE * np.repeat(rng.gamma(2, 0.5, shape), rules.PER_MINUTE, axis=1)
    )
    return _made(rng, rollouts, weight=STEADY, rate=one, stable_rate=other, rps=ALWAYS)


SCENES: Final[dict[str, tuple[Made, str]]] = {
    "independent requests": (independent, "The promise holds."),
    "three minutes of an outage that hits both": (
        outage,
        "The promise holds: each look is compared with stable's in the same window.",
    ),
    "the weight rises: 1, 5, 10, 25, 50 %": (
        ramp,
        "The promise holds: the share is the one that was measured.",
    ),
    "the same, and the error rate of both triples": (
        drift,
        "The promise holds; tests that add up first alarm every time (Simpson's paradox).",
    ),
    "traffic grows tenfold": (tenfold, "The promise holds."),
    "the same, the candidate's counters a look late": (
        late,
        "The promise holds; `Metric(lag=...)` makes the looks wait.",
    ),
    "rate[5m] polled each minute": (
        overlapping,
        (
            "It can't happen here: the engine's windows never overlap, and providers count "
            "from raw counters."
        ),
    ),
    "each failing user fails three times": (
        retries,
        (
            "The promise is broken: count users, or take `blocks=True`, or measure the "
            "dispersion and give it to the check."
        ),
    ),
    "bursts common to both": (lambda rng, n: bursts(rng, n, together=True), "The promise holds."),
    "bursts of each on its own": (
        lambda rng, n: bursts(rng, n, together=False),
        "The promise is broken, for everyone: measure the dispersion and give it to the check.",
    ),
}
"""Each scene, and what a user is told."""


def told(traffic: Traffic, other: Traffic) -> rules.Rule:
    """Ours with a dispersion that was measured on an earlier rollout of the same traffic
    (``other``), in minutes.
    """
    minutes = other.every(rules.PER_MINUTE)
    looks = zip(
        minutes.candidate_errors[0],
        minutes.candidate[0],
        minutes.stable_errors[0],
        minutes.stable[0],
        strict=True,
    )
    phi = dispersion([(int(a), int(n), int(b), int(m)) for a, n, b, m in looks])
    return lambda _: rules.mixture(traffic, dispersion=phi)


def table(rng: np.random.Generator, rollouts: int) -> list[tuple[str, dict[str, float], str]]:
    """For each scene: false alarms of every rule."""
    found = []
    for name, (make, say) in SCENES.items():
        traffic = make(rng, rollouts)
        alarms = {}
        for rule, run in RULES.items():
            alarms[rule] = clock.judged(traffic, run).alarms
        alarms["ours, told the dispersion"] = clock.judged(
            traffic, told(traffic, make(rng, 1))
        ).alarms
        found.append((name, alarms, say))
    return found


RULES: Final[dict[str, rules.Rule]] = {
    "ours": rules.every_rise,
    "ours, exact": rules.exactly,
    "ours, in blocks of a minute": rules.blocks,
    "limit at 2 x the base": rules.threshold(2 * BASE, 0),
    "Kayenta, each 10 minutes": clock.kayenta,
    "z-test, peeked at": rules.peeked,
    "normal mixture": rules.normal_mixture(BASE),
    "multinomial, k = 100": rules.multinomial(100),
    "asymptotic CS (GrowthBook, N*=5000)": clock.ASYMPTOTIC,
}
