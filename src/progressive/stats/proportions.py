"""Fixed-sample tests and intervals for one or two proportions: events among trials, at one look.

None of them may be looked at more than once: the chance of a false alarm is per look. For tests
that may be, see `progressive.stats.sequential`. Counts are whole numbers with ``0 <= events <=
trials``; anything else raises `ValueError`.

Sources: Fisher 1935; Clopper and Pearson, Biometrika 26 (1934); Wilson, JASA 22 (1927); Newcombe,
Statistics in Medicine 17 (1998), method 10. The two-sided exact tests add up the outcomes that are
at most as likely as the one that was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, exp, inf, log1p, sqrt
from typing import Final, NamedTuple

from .evidence import Alternative, Interval, alternative_of, confidence_of
from .special import (
    beta_quantile,
    beta_upper_quantile,
    binomial_cdf,
    binomial_sf,
    log_binomial,
    log_hypergeometric,
    normal_quantile,
    normal_sf,
)
from .special.series import between

__all__ = [
    "ZTest",
    "binomial_test",
    "clopper_pearson",
    "fisher_exact",
    "newcombe",
    "two_proportion_z",
    "wilson",
]

_SLACK: Final = log1p(1e-9)
"""The relative difference up to which two outcomes are equally likely: rounding must not separate a
table from its mirror image. (SciPy allows 1e-14 for tables and 1e-7 for
the binomial test, R 1e-7 for both.)
"""

_NEGLIGIBLE: Final = 1e-17
"""A tail is added up until a term is this small beside the sum; from there on the terms fall faster
than geometrically.
"""


class ZTest(NamedTuple):
    """The result of `two_proportion_z`.

    ``z`` is above 0 where the first proportion is the larger; ``p`` is the chance of a ``z`` at
    least as far out if both were equal.
    """

    z: float
    p: float


def _counts(events: int, trials: int, what: str = "") -> None:
    if events < 0 or events > trials:
        raise ValueError(
            f"{what}events={events!r} of {what}trials={trials!r}: events are 0 or more and "
            "part of the trials"
        )


def _two_samples(events: int, trials: int, control_events: int, control_trials: int) -> None:
    _counts(events, trials)
    _counts(control_events, control_trials, "control_")
    if trials == 0 or control_trials == 0:
        raise ValueError(
            f"trials={trials!r}, control_trials={control_trials!r}: both must be above 0"
        )


def two_proportion_z(
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    *,
    alternative: Alternative = "two-sided",
    pooled: bool = True,
) -> ZTest:
    """Test two proportions by the normal approximation.

    Below some five events on a side use `fisher_exact`. ``pooled``: the variance under "both are
    equal" (the usual test); otherwise each side's own. Without any variance ``z`` is 0 where the
    proportions are equal and infinite where they are not.
    """
    _two_samples(events, trials, control_events, control_trials)
    alternative_of(alternative)
    rate, control_rate = events / trials, control_events / control_trials
    if pooled:
        common = (events + control_events) / (trials + control_trials)
        variance = common * (1 - common) * (1 / trials + 1 / control_trials)
    else:
        variance = rate * (1 - rate) / trials + control_rate * (1 - control_rate) / control_trials
    difference = rate - control_rate
    if variance > 0:
        z = difference / sqrt(variance)
    else:
        z = copysign(inf, difference) if difference else 0.0
    sides = {"two-sided": 2 * normal_sf(abs(z)), "greater": normal_sf(z), "less": normal_sf(-z)}
    return ZTest(z, sides[alternative])


def fisher_exact(
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    *,
    alternative: Alternative = "two-sided",
) -> float:
    """Return the p-value of Fisher's exact test of two proportions, given all events.

    Two-sided: the chance of all tables that are at most as likely as this one, within a relative
    slack of 1e-9. The work grows with the standard deviation of the count, not with the trials.
    """
    _two_samples(events, trials, control_events, control_trials)
    total, marked = trials + control_trials, events + control_events
    least, most = max(0, marked - control_trials), min(marked, trials)

    def log_chance(k: int) -> float:
        return log_hypergeometric(k, total, marked, trials)

    def falling(k: int, step: int) -> float:
        """Sum P(K = k), P(K = k + step) and so on, for a ``k`` on that side of the mode."""
        term = total_chance = exp(log_chance(k))
        while least <= k + step <= most:
            # P(k) / P(k - 1) = (marked - k + 1) (trials - k + 1) / (k (control_trials - marked +
            # k))
            high = k + 1 if step > 0 else k
            ratio = (
                (marked - high + 1)
                * (trials - high + 1)
                / (high * (control_trials - marked + high))
            )
            term *= ratio if step > 0 else 1 / ratio
            total_chance += term
            k += step
            if term <= _NEGLIGIBLE * total_chance:
                break
        return total_chance

    mode = (marked + 1) * (trials + 1) // (total + 2)

    def at_most(k: int) -> float:
        if k < least:
            return 0.0
        return falling(k, -1) if k <= mode else 1 - at_least(k + 1)

    def at_least(k: int) -> float:
        if k > most:
            return 0.0
        return falling(k, 1) if k > mode else 1 - at_most(k - 1)

    return _exact(events, least, mode, most, alternative, log_chance, at_most, at_least)


def binomial_test(
    events: int, trials: int, probability: float, *, alternative: Alternative = "two-sided"
) -> float:
    """Return the p-value of the exact binomial test of ``probability``, in [0, 1].

    Two-sided as in `fisher_exact`.
    """
    _counts(events, trials)
    between(probability, 0, 1, "probability")
    mode = min(trials, int((trials + 1) * probability))
    return _exact(
        events,
        0,
        mode,
        trials,
        alternative,
        lambda k: log_binomial(k, trials, probability),
        lambda k: binomial_cdf(k, trials, probability),
        lambda k: binomial_sf(k - 1, trials, probability),
    )


def _exact(
    seen: int,
    least: int,
    mode: int,
    most: int,
    alternative: Alternative,
    log_chance: Callable[[int], float],
    at_most: Callable[[int], float],
    at_least: Callable[[int], float],
) -> float:
    """Return the p-value of a unimodal count from ``least`` to ``most``."""
    if alternative_of(alternative) == "less":
        return at_most(seen)
    if alternative == "greater":
        return at_least(seen)
    bound = log_chance(seen) + _SLACK
    # Up to the mode the chances rise, so where they pass the bound is found by halving; behind it,
    # mirrored.
    low, high = least, mode + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if log_chance(middle) <= bound else (low, middle)
    below = low - 1
    low, high = mode, most + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if log_chance(middle) <= bound else (middle + 1, high)
    above = low
    return 1.0 if below + 1 >= above else min(1.0, at_most(below) + at_least(above))


def clopper_pearson(events: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Return the exact interval of a proportion.

    It misses any truth with a chance of at most ``(1 - confidence) / 2`` on each side. For a bound
    on one side only, give ``confidence = 1 - 2 * alpha``. Without trials it is (0, 1).
    """
    _counts(events, trials)
    miss = (1 - confidence_of(confidence)) / 2
    low = beta_quantile(miss, events, trials - events + 1) if events > 0 else 0.0
    high = beta_upper_quantile(miss, events + 1, trials - events) if events < trials else 1.0
    return Interval(low, high)


def wilson(events: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion.

    It is shorter than the exact one, and has the confidence only on average. Without trials it is
    (0, 1).
    """
    _counts(events, trials)
    confidence_of(confidence)
    if trials == 0:
        return Interval(0.0, 1.0)
    z = _both_sides(confidence)
    rate, spread = events / trials, z * z / trials
    centre = rate + spread / 2
    half = z * sqrt((rate * (1 - rate) + spread / 4) / trials)
    low = (centre - half) / (1 + spread) if events > 0 else 0.0
    return Interval(low, (centre + half) / (1 + spread) if events < trials else 1.0)


def newcombe(
    events: int, trials: int, control_events: int, control_trials: int, *, confidence: float = 0.95
) -> Interval:
    """Return Newcombe's hybrid score interval of the difference of two proportions.

    The difference is ``events / trials - control_events / control_trials``, within -1 and 1.
    """
    _two_samples(events, trials, control_events, control_trials)
    low, high = wilson(events, trials, confidence=confidence)
    control_low, control_high = wilson(control_events, control_trials, confidence=confidence)
    rate, control_rate = events / trials, control_events / control_trials
    difference = rate - control_rate
    return Interval(
        difference - sqrt((rate - low) ** 2 + (control_high - control_rate) ** 2),
        difference + sqrt((high - rate) ** 2 + (control_rate - control_low) ** 2),
    )


def _both_sides(confidence: float) -> float:
    return -normal_quantile((1 - confidence) / 2)
