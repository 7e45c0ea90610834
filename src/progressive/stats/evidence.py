"""Shared by tests and intervals: their answers, evidence in nats, block e-variables.

Block e-variables are those of Turner, Ly and Grünwald (2021): the likelihood ratio of one look for
two rates, against the nearest two that are tolerated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, isfinite, log, log1p, sqrt
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "HELD_BACK",
    "Alternative",
    "Interval",
    "alternative_of",
    "averaged",
    "begin_again",
    "bet_anew",
    "block",
    "confidence_of",
    "fund",
    "kept",
    "nearest",
    "reserved",
    "summed",
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


def summed(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of the values whose logarithms are ``logs``."""
    top = max(logs)
    return top + log(fsum([exp(each - top) for each in logs]))


_STAYS, _ANEW = log(0.8), log(0.2)
"""What stays where it is when a test begins again, and what is bet anew. A raise costs what was
found slowly a little of its head start, and harm that begins with it little more than from the
beginning.
"""

HELD_BACK: Final = 0.02
"""What a test that may begin again does not bet at first."""

_HALF: Final = log(0.5)


def reserved(log_prior: Sequence[float]) -> tuple[float, ...]:
    """Return the logarithms of what is bet on each alternative at first, and of what is held back
    for when something changes, of a test that may begin again.
    """
    return tuple(map(kept, (*(log1p(-HELD_BACK) + weight for weight in log_prior), log(HELD_BACK))))


def fund(bet: float, held_back: float | None = None) -> float:
    """Return what is bet anew where something may have changed: a fifth of what is bet, and half of
    what is held back, if anything is. All are logarithms.
    """
    return _ANEW + bet if held_back is None else summed([_ANEW + bet, _HALF + held_back])


def bet_anew(
    capital: Sequence[float], log_prior: Sequence[float], fund: float
) -> tuple[float, ...]:
    """Return the logarithms of what is bet on each alternative where something may have changed:
    what stays of its capital, and its part of the `fund`, by the prior weights.

    What was lost on an alternative while nothing was wrong does not hide it any more, and what
    speaks for another one from before is kept (Herbster and Warmuth, "Tracking the best expert",
    1998). The capital is the same before and after.
    """
    return tuple(
        kept(summed([_STAYS + each, fund + weight]))
        for each, weight in zip(capital, log_prior, strict=True)
    )


def begin_again(capital: Sequence[float], log_prior: Sequence[float]) -> tuple[float, ...]:
    """Return what is bet on each alternative, and held back if that is the last one of ``capital``,
    where something may have changed; see `bet_anew`.
    """
    bet, held_back = capital[: len(log_prior)], capital[len(log_prior) :]
    bets = bet_anew(bet, log_prior, fund(summed(bet), *held_back))
    return (*bets, *(kept(_HALF + each) for each in held_back))


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
