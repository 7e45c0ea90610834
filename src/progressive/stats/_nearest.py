"""Of all pairs of rates that stand in a given ratio, the one that is nearest to a given pair."""

from __future__ import annotations

from math import sqrt

__all__ = ["nearest"]


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
