"""Random draws that are the same on every machine: made of nothing but the seeded generator,
``+ - * /`` and square roots.

Those are exact by IEEE 754; a platform's ``log``, ``exp`` and ``pow`` are not, so none is called
here. Draws of few events are exact (inversion, term by term); those of many are normal with a
correction of the skew (Cornish and Fisher 1938, first term).
"""

from __future__ import annotations

import math
import random
from typing import Final

from progressive.errors import StrategyError

__all__ = ["Dice"]

MANY: Final = 30.0
"""From this expected number of events on (and as many non-events) the normal approximation is used;
its error there is below 0.2 %.
"""

NOTHING: Final = 1e-15
"""A term past the mean that is smaller ends a draw: a remainder of rounding is no event."""


class Dice:
    """One stream of random draws.

    Streams of different names are independent; the same seed and name give the same draws for ever.
    """

    __slots__ = ("_random",)

    def __init__(self, seed: object, name: str) -> None:
        self._random = random.Random(f"{seed}/{name}").random  # noqa: S311 - nothing is secret here

    def uniform(self) -> float:
        """Draw from the uniform distribution on [0, 1)."""
        return self._random()

    def normal(self) -> float:
        """Draw from (nearly) a normal distribution of mean 0 and variance 1: the sum of twelve
        uniform draws, never beyond 6.
        """
        # Written out: this is drawn more often than anything else, and a loop over twelve takes
        # twice as long.
        u = self._random
        return -6.0 + u() + u() + u() + u() + u() + u() + u() + u() + u() + u() + u() + u()

    def poisson(self, mean: float) -> int:
        """Draw from the Poisson distribution of this mean."""
        if mean <= 0:
            return 0
        if mean >= MANY:
            return self._many(mean, mean, 1.0)
        none = 1.0 - mean / 1_048_576
        for _ in range(20):  # to the power of 2 ** 20: exp(-mean) to nine digits
            none *= none
        left, events, chance = self._random(), 0, none
        while left > chance and (events < mean or chance > NOTHING):
            left -= chance
            events += 1
            chance *= mean / events
        return events

    def binomial(self, trials: int, chance: float) -> int:
        """Draw how many of ``trials`` succeed, each with this ``chance``."""
        if trials <= 0 or chance <= 0:
            return 0
        if chance >= 1:
            return trials
        if chance > 0.5:
            return trials - self.binomial(trials, 1.0 - chance)
        mean = trials * chance
        if mean >= MANY:
            return min(trials, self._many(mean, mean * (1.0 - chance), 1.0 - 2.0 * chance))
        other = 1.0 - chance
        term = power(other, trials)
        left, events, odds = self._random(), 0, chance / other
        while left > term and events < trials and (events < mean or term > NOTHING):
            left -= term
            events += 1
            term *= (trials - events + 1) / events * odds
        return events

    def _many(self, mean: float, variance: float, skewed: float) -> int:
        z = self.normal()
        return max(
            0, math.floor(mean + math.sqrt(variance) * z + skewed * (z * z - 1.0) / 6.0 + 0.5)
        )


def power(base: float, exponent: int) -> float:
    """Return ``base ** exponent`` by repeated squaring: the same bits on every machine."""
    if exponent < 0:
        raise StrategyError(
            f"power: the exponent {exponent!r} must be 0 or more; a load below zero gives such"
        )
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
