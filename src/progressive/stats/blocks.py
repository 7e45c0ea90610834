"""Block e-variables (Turner, Ly and Grünwald, 2021): what one look says for two rates, against the nearest two that are tolerated."""

from __future__ import annotations

from math import log, log1p, sqrt
from typing import Final

__all__ = ["block", "nearest"]

_CERTAIN: Final = 1 - 2**-53
"""The largest number below 1: a rate that is computed as 1 but is not."""


def block(
    one: float, other: float, *, events: int, trials: int, control_events: int, control_trials: int, ratio: float = 1.0
) -> float:
    """The logarithm of one look's factor for a candidate at the rate ``one`` and a control at ``other``, both between 0 and 1, against the
    nearest pair in which the control has ``ratio`` times the candidate's rate.

    If the pair is not tolerated (``one < other / ratio``) and was not chosen by this look, the factor expects at most 1 for every candidate
    that is: with a rate of at least 1 / ``ratio`` of its control's.
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
    """The rate ``p`` for which ``(p, ratio * p)`` is nearest to ``(one, other)``, in Kullback and Leibler's sense, over ``of_one`` and
    ``of_other`` requests: with a ratio of 1, the pooled rate.

    It is where ``of_one (p - one) (1 - ratio p) + of_other (ratio p - other) (1 - p)`` is 0: the lesser root of a quadratic. Its
    discriminant is written as a square and what is left of it where the ratio is not 1, so that rates close to 1 lose no digits.
    """
    constant = of_one * one + of_other * other
    linear = of_one * (1 + ratio * one) + of_other * (ratio + other)
    apart = of_one * (1 - ratio * one) + of_other * (ratio - other)
    discriminant = apart * apart + 4 * of_one * of_other * (1 - ratio) * (other - ratio * one)
    return 2 * constant / (linear + sqrt(max(0.0, discriminant)))
