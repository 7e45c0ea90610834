"""The special functions that the tests and intervals stand on, with `math` alone.

Distribution functions come as pairs of tails, each computed where it is small: ``sf`` is not ``1 - cdf``. Every tail is a prefix and a
continued fraction or series. The prefix is taken in Loader's saddle-point form, in which nothing large cancels, so its error grows with
the distance from the mean and not with the parameters. The work grows with the square root of the parameters (a million: some hundreds
of steps).

Quantiles are Newton's method on the logarithm of the smaller tail, in the logit of a proportion and the logarithm of a time. In those
variables the densities are log-concave, so the logarithm of a tail is concave and the iteration converges from any start.

Accuracies are what `tests/stats/test_special.py` measures against mpmath, rounded up; "relative" is of the value, "absolute" of a
logarithm. Arguments outside of the ranges raise `ValueError`, NaN among them.

Sources: Stirling's series DLMF 5.11.1; DiDonato and Morris, ACM Transactions on Mathematical Software 18 (1992), for the incomplete
beta function's continued fraction; DLMF 8.11.4 and 8.9.2 for the incomplete gamma function; Loader, "Fast and accurate computation of
binomial probabilities" (2000); DLMF 7.12.1 for the far normal tail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import erf, erfc, exp, expm1, inf, isnan, lgamma, log, log1p, pi, sqrt
from typing import Final

__all__ = [
    "beta_cdf",
    "beta_quantile",
    "beta_sf",
    "beta_upper_quantile",
    "binomial_cdf",
    "binomial_sf",
    "gamma_p",
    "gamma_q",
    "gamma_quantile",
    "gamma_upper_quantile",
    "log_beta",
    "log_beta_cdf",
    "log_beta_sf",
    "log_binomial",
    "log_choose",
    "log_gamma_p",
    "log_gamma_q",
    "log_hypergeometric",
    "log_normal_cdf",
    "log_poisson",
    "normal_cdf",
    "normal_quantile",
    "normal_sf",
    "poisson_cdf",
    "poisson_sf",
    "student_cdf",
    "student_quantile",
]

_HALF_LOG_TWO_PI: Final = 0.9189385332046727
_SQRT_TWO: Final = sqrt(2.0)
_SQRT_TWO_PI: Final = sqrt(2.0 * pi)

_STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
"""DLMF 5.11.1; from 10 on the first term left out is below 2e-18."""

_STEADY: Final = 4.5e-16
"""A fraction or series has converged when a step changes it by no more than this; two units in the last place."""

_NEARLY: Final = 1e-8
"""A quantile's last Newton step: from a relative error of the tail of 1e-8 the next error is about its square."""

_LONGEST_STEP: Final = -200.0
"""Far from the quantile a Newton step may overshoot to the left, and past -700 the exponential is 0."""

_LEAST: Final = 1e-300
"""Quantiles below are given as 0."""

_FAR_TAIL: Final = -30.0
"""Below, erfc comes near to underflow, and seven terms of the asymptotic series are exact to the last digit."""


# ---------------------------------------------------------------------------------------------------------------- building blocks


def _between(value: float, low: float, high: float, what: str) -> None:
    """Raise if ``value`` is not within [low, high]; NaN is not."""
    if isnan(value) or value < low or value > high:
        raise ValueError(f"{what}={value!r} is not between {low:g} and {high:g}")


def _positive(value: float, what: str) -> None:
    if isnan(value) or value <= 0 or value == inf:
        raise ValueError(f"{what}={value!r} must be above 0 and finite")


def _stirling(x: float) -> float:
    """What Stirling's formula lacks: log gamma(x) - ((x - 1/2) log x - x + 1/2 log(2 pi)), for ``x`` above 0."""
    if x < 10:
        return lgamma(x) - (x - 0.5) * log(x) + x - _HALF_LOG_TWO_PI
    step, total = 1 / (x * x), 0.0
    for coefficient in reversed(_STIRLING):
        total = total * step + coefficient
    return total / x


def _excess(x: float, ratio: float) -> float:
    """``x - log(ratio)`` for ``ratio`` = 1 + x above 0, without its cancellation around 0.

    Both are given: near -1 the ratio can't be told from ``x``.
    """
    if abs(x) > 0.4:
        return x - log(ratio)
    # log(1 + x) = 2 artanh(r) with r = x / (2 + x), and x - 2 r = x r.
    r = x / (2 + x)
    square = r * r
    power, divisor, total = 1.0, 3, 0.0
    while power > 1e-18:
        total += power / divisor
        power *= square
        divisor += 2
    return r * (x - 2 * square * total)


def _deviance(x: float, mean: float) -> float:
    """``x log(x / mean) + mean - x``, Loader's D; both above 0."""
    return x * _excess((mean - x) / x, mean / x)


def _fraction(first: float, terms: Iterator[tuple[float, float]]) -> float:
    """The continued fraction ``first + a1 / (b1 + a2 / (b2 + ...))`` by the method of Lentz, from the pairs ``(a, b)``."""
    value = ratio = first
    inverse = 0.0
    for numerator, denominator in terms:
        inverse = 1 / (denominator + numerator * inverse)
        ratio = denominator + numerator / ratio
        step = ratio * inverse
        value *= step
        if abs(step - 1) <= _STEADY:
            break
    return value


def _other(log_tail: float) -> float:
    """The logarithm of ``1 - exp(log_tail)``."""
    if log_tail < -1:
        return log1p(-exp(log_tail))
    rest = -expm1(log_tail)
    return log(rest) if rest > 0 else -inf


# ------------------------------------------------------------------------------------------------------------------------- beta


def log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function, for ``a``, ``b`` above 0. Relative error 1e-14 (absolute 2e-15 around its zeros).

    Differences of log gamma lose all digits where one argument is large; here Stirling's main terms are combined before they are
    rounded.
    """
    _positive(a, "a")
    _positive(b, "b")
    a, b = min(a, b), max(a, b)
    if b < 10:
        return lgamma(a) + lgamma(b) - lgamma(a + b)
    if a < 10:
        return lgamma(a) + (_stirling(b) - _stirling(a + b)) + a - a * log(b) - (a + b - 0.5) * log1p(a / b)
    corrections = _stirling(a) + _stirling(b) - _stirling(a + b)
    return _HALF_LOG_TWO_PI - 0.5 * log(b) + corrections + (a - 0.5) * log(a / (a + b)) - b * log1p(a / b)


def _log_beta_peak(x: float, y: float, a: float, b: float) -> float:
    """log(x^a y^b / B(a, b)) for ``x`` = 1 - ``y`` inside (0, 1): the density of the logit."""
    distance, whole = a * y - b * x, a + b
    corrections = _stirling(a) + _stirling(b) - _stirling(whole)
    deviance = a * _excess(-distance / a, x * (whole / a)) + b * _excess(distance / b, y * (whole / b))
    return 0.5 * log(a * (b / whole)) - _HALF_LOG_TWO_PI - corrections - deviance


def _beta_terms(x: float, a: float, b: float, distance: float) -> Iterator[tuple[float, float]]:
    n = 0
    while True:
        n += 1
        s = a + (2 * n - 1)
        w = n * (b - n) * x
        numerator = (a + (n - 1)) * (a + b + (n - 1)) * (w * x) / (s * s)
        yield numerator, n + w / s + (a + n) / (s + 2) * (distance + 1 + n * (2 - x))


def _log_beta_tail(x: float, y: float, a: float, b: float) -> float:
    """log I_x(a, b) for ``x`` at or below the mean."""
    distance = a * y - b * x
    first = a / (a + 1) * (distance + 1)
    return min(0.0, _log_beta_peak(x, y, a, b) - log(_fraction(first, _beta_terms(x, a, b, distance))))


def _beta_tails(x: float, y: float, a: float, b: float) -> tuple[float, float]:
    """The logarithms of both tails at ``x``. ``y`` = 1 - ``x`` is given too: where ``x`` is near 1, it can't be told from ``x``."""
    if x <= 0:
        return -inf, 0.0
    if y <= 0:
        return 0.0, -inf
    if a * y >= b * x:
        lower = _log_beta_tail(x, y, a, b)
        return lower, _other(lower)
    upper = _log_beta_tail(y, x, b, a)
    return _other(upper), upper


def _checked_beta_tails(x: float, a: float, b: float) -> tuple[float, float]:
    _between(x, 0, 1, "x")
    _positive(a, "a")
    _positive(b, "b")
    return _beta_tails(x, 1 - x, a, b)


def log_beta_cdf(x: float, a: float, b: float) -> float:
    """The logarithm of `beta_cdf`, also where that underflows; -inf at ``x`` = 0."""
    return _checked_beta_tails(x, a, b)[0]


def log_beta_sf(x: float, a: float, b: float) -> float:
    """The logarithm of `beta_sf`, also where that underflows; -inf at ``x`` = 1."""
    return _checked_beta_tails(x, a, b)[1]


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) of a beta distribution: the regularised incomplete beta function I_x(a, b). ``x`` in [0, 1], ``a`` and ``b`` above 0."""
    return exp(log_beta_cdf(x, a, b))


def beta_sf(x: float, a: float, b: float) -> float:
    """P(X > x) of a beta distribution, as exact where it is small as `beta_cdf` is."""
    return exp(log_beta_sf(x, a, b))


def _beta_point(p: float, q: float, a: float, b: float) -> tuple[float, float]:
    """``(x, 1 - x)`` with P(X <= x) = ``p`` = 1 - ``q``, both above 0. A side below 1e-300 is 0."""
    if p > q:
        y, x = _beta_point(q, p, b, a)
        return x, y
    wanted = log(p)
    x, y = a / (a + b), b / (a + b)
    while True:
        found, _ = _beta_tails(x, y, a, b)
        slope = exp(_log_beta_peak(x, y, a, b) - found)
        step = max((wanted - found) / slope, _LONGEST_STEP)
        scale = 1 + x * expm1(step)
        x, y = x * exp(step) / scale, y / scale
        if x < _LEAST:
            return 0.0, 1.0
        if abs(wanted - found) < _NEARLY:
            return x, y


def beta_quantile(p: float, a: float, b: float) -> float:
    """The ``x`` with P(X <= x) = ``p`` of a beta distribution. ``p`` in [0, 1], both inclusive; ``a`` and ``b`` above 0."""
    _between(p, 0, 1, "p")
    _positive(a, "a")
    _positive(b, "b")
    return p if p in (0, 1) else _beta_point(p, 1 - p, a, b)[0]


def beta_upper_quantile(q: float, a: float, b: float) -> float:
    """The ``x`` with P(X > x) = ``q``; for a ``q`` so small that ``1 - q`` would round it away."""
    _between(q, 0, 1, "q")
    _positive(a, "a")
    _positive(b, "b")
    return 1 - q if q in (0, 1) else _beta_point(1 - q, q, a, b)[0]


# ------------------------------------------------------------------------------------------------------------------------ gamma


def _log_gamma_peak(x: float, a: float) -> float:
    """log(x^a exp(-x) / gamma(a)) for ``x`` above 0: the density of the logarithm."""
    return 0.5 * log(a) - _HALF_LOG_TWO_PI - _stirling(a) - a * _excess((x - a) / a, x / a)


def _gamma_terms(x: float, a: float) -> Iterator[tuple[float, float]]:
    n = 0
    while True:
        n += 1
        yield -n * (n - a), x - a + (2 * n + 1)


def _gamma_series(x: float, a: float) -> float:
    """1 + x / (a + 1) + x^2 / ((a + 1) (a + 2)) + ..., for ``x`` at most ``a``."""
    term = total = 1.0
    n = 0
    while term > _STEADY * total:
        n += 1
        term *= x / (a + n)
        total += term
    return total


def _gamma_tails(x: float, a: float) -> tuple[float, float]:
    """The logarithms of both tails at ``x``."""
    if x <= 0:
        return -inf, 0.0
    if x == inf:
        return 0.0, -inf
    if x < a:
        lower = min(0.0, _log_gamma_peak(x, a) + log(_gamma_series(x, a) / a))
        return lower, _other(lower)
    upper = min(0.0, _log_gamma_peak(x, a) - log(_fraction(x - a + 1, _gamma_terms(x, a))))
    return _other(upper), upper


def _checked_gamma_tails(a: float, x: float) -> tuple[float, float]:
    _positive(a, "a")
    _between(x, 0, inf, "x")
    return _gamma_tails(x, a)


def log_gamma_p(a: float, x: float) -> float:
    """The logarithm of `gamma_p`, also where that underflows; -inf at ``x`` = 0."""
    return _checked_gamma_tails(a, x)[0]


def log_gamma_q(a: float, x: float) -> float:
    """The logarithm of `gamma_q`, also where that underflows; -inf at ``x`` = infinity."""
    return _checked_gamma_tails(a, x)[1]


def gamma_p(a: float, x: float) -> float:
    """P(X <= x) of a gamma distribution of shape ``a`` and scale 1: the regularised incomplete gamma function P(a, x).

    ``a`` above 0, ``x`` from 0 to infinity, both inclusive.
    """
    return exp(log_gamma_p(a, x))


def gamma_q(a: float, x: float) -> float:
    """P(X > x) of a gamma distribution, Q(a, x), as exact where it is small as `gamma_p` is."""
    return exp(log_gamma_q(a, x))


def _gamma_point(p: float, q: float, a: float) -> float:
    """The ``x`` with P(X <= x) = ``p`` = 1 - ``q``, both above 0; below 1e-300 it is 0."""
    lower = p <= q
    wanted = log(p if lower else q)
    x = a
    while True:
        found = _gamma_tails(x, a)[0 if lower else 1]
        slope = exp(_log_gamma_peak(x, a) - found)
        step = (wanted - found) / slope
        x *= exp(max(step, _LONGEST_STEP) if lower else -step)
        if x < _LEAST:
            return 0.0
        if abs(wanted - found) < _NEARLY:
            return x


def gamma_quantile(p: float, a: float) -> float:
    """The ``x`` with P(a, x) = ``p``. ``p`` in [0, 1], both inclusive (0 gives 0, 1 gives infinity); ``a`` above 0."""
    _between(p, 0, 1, "p")
    _positive(a, "a")
    if p == 1:
        return inf
    return _gamma_point(p, 1 - p, a) if p > 0 else 0.0


def gamma_upper_quantile(q: float, a: float) -> float:
    """The ``x`` with Q(a, x) = ``q``; for a ``q`` so small that ``1 - q`` would round it away."""
    _between(q, 0, 1, "q")
    _positive(a, "a")
    if q == 1:
        return 0.0
    return _gamma_point(1 - q, q, a) if q > 0 else inf


# ----------------------------------------------------------------------------------------------------------- normal and Student


def normal_cdf(z: float) -> float:
    """P(Z <= z) of the standard normal distribution, for every ``z``."""
    return 0.5 * erfc(-_number(z, "z") / _SQRT_TWO)


def normal_sf(z: float) -> float:
    """P(Z > z), as exact where it is small as `normal_cdf` is."""
    return normal_cdf(-z)


def log_normal_cdf(z: float) -> float:
    """The logarithm of `normal_cdf` for every ``z``; far out, where that underflows, by its asymptotic series."""
    _number(z, "z")
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
    return -0.5 * z * z - log(-z) - _HALF_LOG_TWO_PI + log1p(series)


def normal_quantile(p: float) -> float:
    """The ``z`` with P(Z <= z) = ``p``. ``p`` in [0, 1], both inclusive (0 and 1 give infinities)."""
    _between(p, 0, 1, "p")
    if p > 0.5:
        return -_lower_normal_point(1 - p) if p < 1 else inf
    return _lower_normal_point(p) if p > 0 else -inf


def _lower_normal_point(p: float) -> float:
    """The quantile of a ``p`` in (0, 1/2]."""
    if p > 0.25:
        # Around the median by the odd function: relative to its own size, not to the tail's.
        middle = 2 * (p - 0.5)
        z = middle * _SQRT_TWO_PI / 2
        for _ in range(5):
            z += (middle - erf(z / _SQRT_TWO)) * _SQRT_TWO_PI / 2 * exp(0.5 * z * z)
        return z
    wanted = log(p)
    z = -sqrt(-2 * log(2 * p))  # left of it: P(Z <= -x) is below exp(-x^2 / 2) / 2
    while True:
        found = log_normal_cdf(z)
        z += (wanted - found) * _SQRT_TWO_PI * exp(found + 0.5 * z * z)
        if abs(wanted - found) < _NEARLY:
            return z


def student_cdf(t: float, degrees: float) -> float:
    """P(T <= t) of Student's distribution with ``degrees`` of freedom, above 0 and not necessarily whole."""
    _number(t, "t")
    _positive(degrees, "degrees")
    if t == 0:
        return 0.5
    # Whichever of the two is small is told by its own division.
    ratio = t * t / degrees
    x, y = 1 / (1 + ratio), 1 / (1 + 1 / ratio) if ratio > 0 else 0.0
    tail = 0.5 * exp(_beta_tails(x, y, degrees / 2, 0.5)[0])
    return tail if t < 0 else 1 - tail


def student_quantile(p: float, degrees: float) -> float:
    """The ``t`` with P(T <= t) = ``p``. ``p`` in [0, 1], both inclusive (0 and 1 give infinities); ``degrees`` above 0."""
    _between(p, 0, 1, "p")
    _positive(degrees, "degrees")
    tail = min(p, 1 - p)
    if tail in (0, 0.5):
        return 0.0 if tail else (inf if p else -inf)
    x, y = _beta_point(2 * tail, 2 * (0.5 - tail), degrees / 2, 0.5)
    size = sqrt(degrees * (y / x)) if x > 0 else inf
    return size if p > 0.5 else -size


def _number(value: float, what: str) -> float:
    if isnan(value):
        raise ValueError(f"{what}={value!r} is not a number")
    return value


# --------------------------------------------------------------------------------------------------------------------- counting


def log_choose(n: int, k: int) -> float:
    """The logarithm of the number of ways to take ``k`` of ``n``; -inf if there is none (``k`` below 0 or above ``n``)."""
    _count(n, "n")
    if k < 0 or k > n:
        return -inf
    return -log_beta(k + 1, n - k + 1) - log1p(n) if 0 < k < n else 0.0


def log_binomial(k: int, n: int, p: float) -> float:
    """The logarithm of P(K = k) of ``n`` trials with probability ``p``, 0 to 1 inclusive; -inf where it is 0. By Loader's saddle point."""
    _count(n, "n")
    _between(p, 0, 1, "p")
    return _log_binomial(k, n, p, 1 - p)


def _log_binomial(k: int, n: int, p: float, q: float) -> float:
    """``q`` = 1 - ``p`` is given: it may be what is known exactly."""
    if k < 0 or k > n or (p == 0 and k > 0) or (q == 0 and k < n):
        return -inf
    if k == 0:
        return n * (log1p(-p) if p < 0.5 else log(q)) if n > 0 else 0.0
    if k == n:
        return n * (log1p(-q) if q < 0.5 else log(p))
    m = n - k
    corrections = _stirling(n) - _stirling(k) - _stirling(m)
    return corrections - _deviance(k, n * p) - _deviance(m, n * q) - 0.5 * log(k * (m / n)) - _HALF_LOG_TWO_PI


def log_hypergeometric(k: int, total: int, marked: int, drawn: int) -> float:
    """The logarithm of P(K = k): ``k`` of the ``drawn`` are among the ``marked`` of ``total``; -inf where that can't be."""
    _count(total, "total")
    _between(marked, 0, total, "marked")
    _between(drawn, 0, total, "drawn")
    if drawn == 0:
        return 0.0 if k == 0 else -inf
    p, q = drawn / total, (total - drawn) / total
    taken, left = _log_binomial(k, marked, p, q), _log_binomial(drawn - k, total - marked, p, q)
    return taken + left - _log_binomial(drawn, total, p, q)


def log_poisson(k: int, mean: float) -> float:
    """The logarithm of P(K = k) of a Poisson count; ``mean`` 0 or more; -inf where it is 0."""
    _between(mean, 0, 1.7e308, "mean")
    if k < 0 or (mean == 0 and k > 0):
        return -inf
    if k == 0:
        return -mean
    return -_stirling(k) - _deviance(k, mean) - 0.5 * log(k) - _HALF_LOG_TWO_PI


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(K <= k) of ``n`` trials with probability ``p``; as exact as `beta_cdf`."""
    return _binomial_tail(beta_sf, k, n, p)


def binomial_sf(k: int, n: int, p: float) -> float:
    """P(K > k) of ``n`` trials with probability ``p``, as exact where it is small; P(K >= k) is that of ``k - 1``."""
    return _binomial_tail(beta_cdf, k, n, p)


def _binomial_tail(tail: Callable[[float, float, float], float], k: int, n: int, p: float) -> float:
    _count(n, "n")
    _between(p, 0, 1, "p")
    if k < 0 or k >= n:
        return float((tail is beta_sf) is (k >= n))
    return tail(p, k + 1, n - k)


def poisson_cdf(k: int, mean: float) -> float:
    """P(K <= k) of a Poisson count; as exact as `gamma_q`."""
    return gamma_q(k + 1, mean) if k >= 0 else 0.0


def poisson_sf(k: int, mean: float) -> float:
    """P(K > k) of a Poisson count, as exact where it is small; P(K >= k) is that of ``k - 1``."""
    return gamma_p(k + 1, mean) if k >= 0 else 1.0


def _count(value: int, what: str) -> None:
    if value < 0:
        raise ValueError(f"{what}={value!r} must be 0 or more")
