"""Building blocks of the distribution functions: Stirling's remainder, deviances, fractions."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, expm1, inf, isnan, lgamma, log, log1p
from typing import Final

HALF_LOG_TWO_PI: Final = 0.9189385332046727

_STIRLING: Final = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
)
"""DLMF 5.11.1; from 10 on the first term left out is below 2e-18."""

STEADY: Final = 4.5e-16
"""A fraction or series has converged when a step changes it by no more than this; two units in the
last place.
"""

NEARLY: Final = 1e-8
"""The relative error of the tail at which a quantile takes its last Newton step: the next error is
about its square.
"""

LONGEST_STEP: Final = -200.0
"""The longest Newton step to the left: far from the quantile it may overshoot, and past -700 the
exponential is 0.
"""

WIDEST_STEP: Final = 1.0
"""The longest Newton step to the right: there the log of an upper tail falls exponentially, so
overshooting by ``n`` takes ``n`` steps back.
"""

LEAST: Final = 1e-300
"""Quantiles below this are returned as 0; ratios below it do not have all their digits."""


def between(value: float, low: float, high: float, what: str) -> None:
    """Raise `ValueError` if ``value`` is not within [low, high]; NaN is not."""
    if isnan(value) or value < low or value > high:
        raise ValueError(f"{what}={value!r} is not between {low:g} and {high:g}")


def positive(value: float, what: str) -> None:
    """Raise `ValueError` if ``value`` is not above 0 and finite."""
    if isnan(value) or value <= 0 or value == inf:
        raise ValueError(f"{what}={value!r} must be above 0 and finite")


def number(value: float, what: str) -> float:
    """Return ``value`` if it is not NaN; raise `ValueError` otherwise."""
    if isnan(value):
        raise ValueError(f"{what}={value!r} is not a number")
    return value


def count(value: int, what: str) -> None:
    """Raise `ValueError` if ``value`` is below 0."""
    if value < 0:
        raise ValueError(f"{what}={value!r} must be 0 or more")


def stirling(x: float) -> float:
    """Return the remainder of Stirling's formula, for ``x`` above 0.

    This is log gamma(x) - ((x - 1/2) log x - x + 1/2 log(2 pi)).
    """
    if x < 10:
        return lgamma(x) - (x - 0.5) * log(x) + x - HALF_LOG_TWO_PI
    step, total = 1 / (x * x), 0.0
    for coefficient in reversed(_STIRLING):
        total = total * step + coefficient
    return total / x


def excess(x: float, top: float, bottom: float) -> float:
    """Return ``x - log(top / bottom)`` for ``top / bottom`` = 1 + x above 0, without cancellation.

    Both are given: near -1 the ratio can't be computed from ``x``.
    """
    if abs(x) > 0.4:
        ratio = top / bottom
        return x - (log(ratio) if ratio > LEAST else log(top) - log(bottom))
    # log(1 + x) = 2 artanh(r) with r = x / (2 + x), and x - 2 r = x r.
    r = x / (2 + x)
    square = r * r
    power, divisor, total = 1.0, 3, 0.0
    while power > 1e-18:
        total += power / divisor
        power *= square
        divisor += 2
    return r * (x - 2 * square * total)


def deviance(x: float, mean: float) -> float:
    """Return ``x log(x / mean) + mean - x``, Loader's D; both above 0."""
    return x * excess((mean - x) / x, mean, x)


def fraction(first: float, terms: Iterator[tuple[float, float]]) -> float:
    """Return the continued fraction ``first + a1 / (b1 + a2 / (b2 + ...))``.

    By the method of Lentz; ``terms`` are the pairs ``(a, b)``.
    """
    value = ratio = first
    inverse, step = 0.0, 0.0
    while abs(step - 1) > STEADY:
        numerator, denominator = next(terms)
        inverse = 1 / (denominator + numerator * inverse)
        ratio = denominator + numerator / ratio
        step = ratio * inverse
        value *= step
    return value


def other_tail(log_tail: float) -> float:
    """Return the logarithm of ``1 - exp(log_tail)``."""
    if log_tail < -1:
        return log1p(-exp(log_tail))
    rest = -expm1(log_tail)
    return log(rest) if rest > 0 else -inf
