"""Shared by tests and intervals: their answers, evidence in nats, block e-variables.

Block e-variables are those of Turner, Ly and Grünwald (2021): the likelihood ratio of one look for
two rates, against the nearest two that are tolerated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, isfinite, log, log1p, sqrt
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "Alternative",
    "Interval",
    "alternative_of",
    "averaged",
    "block",
    "confidence_of",
    "kept",
    "nearest",
]


def kept(value: float) -> float:
    """Round to twelve significant digits, so that stored numbers are the same on every platform.

    Raises `OverflowError` for a number that is not finite, which could not be stored: a measurement
    is too large to compute with.
    """
    if not isfinite(value):
        raise OverflowError(f"what was measured is too large to reckon with: {value}")
    return float(f"{value:.12g}")


def averaged(logs: Sequence[float], log_weights: Sequence[float]) -> float:
    """Return the logarithm of the weighted mean of the values whose logarithms are ``logs``.

    With weights that sum to 1, an average of evidence is evidence.
    """
    terms = [value + weight for value, weight in zip(logs, log_weights, strict=True)]
    top = max(terms)
    return kept(top + log(fsum([exp(term - top) for term in terms])))


Alternative: TypeAlias = Literal["two-sided", "less", "greater"]
"""The alternative hypothesis: the first sample differs, is less, or is greater."""


class Interval(NamedTuple):
    """An interval from ``low`` to ``high``, both inclusive; an end may be infinite."""

    low: float
    high: float


def alternative_of(value: Alternative) -> Alternative:
    """Return ``value`` if it is an alternative; raise `ValueError` otherwise."""
    if value not in ("two-sided", "less", "greater"):
        raise ValueError(f"alternative={value!r} is not one of 'two-sided', 'less', 'greater'")
    return value


def confidence_of(value: float) -> float:
    """Return ``value`` if it is between 0 and 1, exclusive; raise `ValueError` otherwise."""
    if 0 < value < 1:
        return value
    raise ValueError(f"confidence={value!r} is not between 0 and 1; 95 % is 0.95")


_CERTAIN: Final = 1 - 2**-53
"""The largest number below 1: a rate that is computed as 1 but is not."""


def block(
    one: float,
    other: float,
    *,
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    ratio: float = 1.0,
) -> float:
    """Return the log likelihood ratio of one look: a block e-variable.

    It is for a candidate at the rate ``one`` and a control at ``other``, both between 0 and 1,
    against the nearest pair in which the control has ``ratio`` times the candidate's rate.

    If the pair is not tolerated (``one < other / ratio``) and was not chosen by this look, the
    factor expects at most 1 for every candidate that is: with a rate of at least 1 / ``ratio`` of
    its control's.
    """
    one, other = min(one, _CERTAIN), min(other, _CERTAIN)
    rival = nearest(one, other, of_one=trials, of_other=control_trials, ratio=ratio)
    return (
        events * log(one / rival)
        + (trials - events) * (log1p(-one) - log1p(-min(rival, _CERTAIN)))
        + control_events * log(other / (ratio * rival))
        + (control_trials - control_events) * (log1p(-other) - log1p(-min(ratio * rival, _CERTAIN)))
    )


def nearest(one: float, other: float, *, of_one: float, of_other: float, ratio: float) -> float:
    """Return the rate ``p`` for which ``(p, ratio * p)`` is nearest to ``(one, other)``.

    Nearest by Kullback-Leibler divergence, over ``of_one`` and ``of_other`` requests: with a ratio
    of 1, the pooled rate.

    It is where ``of_one (p - one) (1 - ratio p) + of_other (ratio p - other) (1 - p)`` is 0: the
    lesser root of a quadratic. Its discriminant is written as a square and what is left of it where
    the ratio is not 1, so that rates close to 1 lose no digits.
    """
    constant = of_one * one + of_other * other
    linear = of_one * (1 + ratio * one) + of_other * (ratio + other)
    apart = of_one * (1 - ratio * one) + of_other * (ratio - other)
    discriminant = apart * apart + 4 * of_one * of_other * (1 - ratio) * (other - ratio * one)
    return 2 * constant / (linear + sqrt(max(0.0, discriminant)))
