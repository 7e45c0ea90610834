"""The normal distribution and Student's t: tails and quantiles."""

from __future__ import annotations

from math import erf, erfc, exp, inf, log, log1p, pi, sqrt
from typing import Final

from .beta import beta_point, beta_tails
from .series import HALF_LOG_TWO_PI, NEARLY, between, number, positive

__all__ = [
    "log_normal_cdf",
    "normal_cdf",
    "normal_quantile",
    "normal_sf",
    "student_cdf",
    "student_quantile",
]

_SQRT_TWO: Final = sqrt(2.0)
_SQRT_TWO_PI: Final = sqrt(2.0 * pi)

_FAR_TAIL: Final = -30.0
"""The ``z`` below which erfc nearly underflows, and six terms of the asymptotic series are exact to
the last digit.
"""


def normal_cdf(z: float) -> float:
    """Return P(Z <= z) of the standard normal distribution, for every ``z``.

    Relative error below 3e-13 down to ``z`` = -37.
    """
    return 0.5 * erfc(-number(z, "z") / _SQRT_TWO)


def normal_sf(z: float) -> float:
    """Return P(Z > z); where it is small, as exact as `normal_cdf`."""
    return normal_cdf(-z)


def log_normal_cdf(z: float) -> float:
    """Return the logarithm of `normal_cdf`, for every ``z``.

    Far out, where that underflows, by its asymptotic series (DLMF 7.12.1). Relative error below
    2e-14 from -200 to 9.
    """
    number(z, "z")
    if z > 0:
        return log1p(-0.5 * erfc(z / _SQRT_TWO))
    if z >= _FAR_TAIL:
        return log(0.5 * erfc(-z / _SQRT_TWO))
    if z == -inf:
        return -inf
    step = 1 / (z * z)
    series = 0.0
    for odd in (11, 9, 7, 5, 3, 1):
        series = -odd * step * (1 + series)
    return -0.5 * z * z - log(-z) - HALF_LOG_TWO_PI + log1p(series)


def normal_quantile(p: float) -> float:
    """Return the ``z`` with P(Z <= z) = ``p``.

    ``p`` in [0, 1], both inclusive (0 and 1 give infinities). Relative error below 1e-15.
    """
    between(p, 0, 1, "p")
    if p > 0.5:
        return -_lower_normal_point(1 - p) if p < 1 else inf
    return _lower_normal_point(p) if p > 0 else -inf


def _lower_normal_point(p: float) -> float:
    """Return the quantile of a ``p`` in (0, 1/2]."""
    if p > 0.25:
        # Around the median by the odd function: relative to its own size, not to the tail's.
        middle = 2 * (p - 0.5)
        z = middle * _SQRT_TWO_PI / 2
        for _ in range(5):
            z += (middle - erf(z / _SQRT_TWO)) * _SQRT_TWO_PI / 2 * exp(0.5 * z * z)
        return z
    log_p = log(p)
    z = -sqrt(-2 * log(2 * p))  # left of it: P(Z <= -x) is below exp(-x^2 / 2) / 2
    while True:
        log_tail = log_normal_cdf(z)
        z += (log_p - log_tail) * _SQRT_TWO_PI * exp(log_tail + 0.5 * z * z)
        if abs(log_p - log_tail) < NEARLY:
            return z


def student_cdf(t: float, degrees: float) -> float:
    """Return P(T <= t) of Student's distribution with ``degrees`` of freedom.

    ``degrees`` is above 0 and not necessarily whole. Relative error below 1e-12.
    """
    number(t, "t")
    positive(degrees, "degrees")
    if t == 0:
        return 0.5
    # Each is a division of its own, so that the small one keeps its digits.
    ratio = t * t / degrees
    x, y = 1 / (1 + ratio), 1 / (1 + 1 / ratio) if ratio > 0 else 0.0
    tail = 0.5 * exp(beta_tails(x, y, degrees / 2, 0.5)[0])
    return tail if t < 0 else 1 - tail


def student_quantile(p: float, degrees: float) -> float:
    """Return the ``t`` with P(T <= t) = ``p``.

    ``p`` in [0, 1], both inclusive (0 and 1 give infinities); ``degrees`` above 0. Relative error
    below 1e-12 for ``degrees`` from 0.5 to 300.
    """
    between(p, 0, 1, "p")
    positive(degrees, "degrees")
    tail = min(p, 1 - p)
    if tail == 0.5:
        return 0.0
    if tail == 0:
        return inf if p else -inf
    x, y = beta_point(2 * tail, 2 * (0.5 - tail), degrees / 2, 0.5)
    size = sqrt(degrees * (y / x)) if x > 0 else inf
    return size if p > 0.5 else -size
