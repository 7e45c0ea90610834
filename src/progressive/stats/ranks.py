"""Compare two samples by ranks: Mann and Whitney's test, the shift with its interval, effect sizes.

Nothing is assumed about the distribution but that samples are independent, which minutes of one
service often are not. Samples are lists of numbers, at least one each; NaN raises `ValueError`,
because it has no rank.

Sources: Mann and Whitney, Annals of Mathematical Statistics 18 (1947); Hodges and Lehmann, ibid. 34
(1963); Vargha and Delaney, Journal of Educational and Behavioral Statistics 25 (2000); Cliff,
Psychological Bulletin 114 (1993). The interval is that of R's
``wilcox.test(conf.int=TRUE, exact=FALSE)``, but for the tolerance.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from math import copysign, fsum, isinf, isnan, nan, sqrt
from typing import Final, Literal, NamedTuple, TypeAlias

from .evidence import Alternative, alternative_of, confidence_of
from .special import normal_quantile, normal_sf

__all__ = [
    "MannWhitney",
    "Shift",
    "cliffs_delta",
    "cohens_d",
    "common_language",
    "mann_whitney",
    "mean_ratio",
    "mid_ranks",
    "shift",
    "shift_statistic",
]

_SMALL: Final = 8
"""The most values on one side for which "auto" takes the exact distribution, as in SciPy."""

_TOLERANCE: Final = 1e-12
"""The accuracy of a shift, as a part of the range of all differences. A shift this near to 0 is 0:
a rounding error of equal values that were computed in different ways.
"""


_EPSILON: Final = 2.0**-52
"""The distance from 1 to the next number."""

_Point: TypeAlias = tuple[float, float]
"""A shift, and the statistic there."""


class MannWhitney(NamedTuple):
    """The result of `mann_whitney`.

    ``u``: the number of pairs in which the first sample's value is greater, ties by half. ``p``:
    the chance of a ``u`` as extreme.
    """

    u: float
    p: float


class Shift(NamedTuple):
    """The shift of the first sample above the second: the estimate and its two-sided interval."""

    estimate: float
    low: float
    high: float


def _sample(values: Sequence[float], what: str) -> list[float]:
    if not values or any(isnan(value) for value in values):
        raise ValueError(
            f"{what}: {'no values' if not values else 'NaN has no rank; remove it first'}"
        )
    return sorted(value or 0.0 for value in values)  # -0.0 is 0.0


def mid_ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, from 1; equal values share the mean of their ranks."""
    ordered = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and values[ordered[end]] == values[ordered[start]]:
            end += 1
        for place in ordered[start:end]:
            ranks[place] = (start + 1 + end) / 2
        start = end
    return ranks


def _runs(one: list[float], other: list[float]) -> Iterator[tuple[int, int, int]]:
    """Walk both sorted samples by rising value.

    Yield how many of ``other`` lie below, and how many of ``one`` and of ``other`` have this value.
    """
    i = j = 0
    while i < len(one) or j < len(other):
        value = one[i] if j == len(other) or (i < len(one) and one[i] < other[j]) else other[j]
        first, second = i, j
        while i < len(one) and one[i] == value:
            i += 1
        while j < len(other) and other[j] == value:
            j += 1
        yield second, i - first, j - second


def _u_and_ties(one: list[float], other: list[float]) -> tuple[float, int]:
    """Return u of two sorted samples, and the sum of t^3 - t over groups of t equal values."""
    u, ties = 0.0, 0
    for below, here, there in _runs(one, other):
        u += here * (below + there / 2)
        ties += (here + there) ** 3 - (here + there)
    return u, ties


def _deviation(m: int, n: int, ties: int) -> float:
    """Return the standard deviation of u, corrected for ties; 0 if all values are equal."""
    every = m + n
    return sqrt(m * n / 12 * ((every + 1) - ties / (every * (every - 1))))


def mann_whitney(
    one: Sequence[float],
    other: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
    method: Literal["auto", "exact", "asymptotic"] = "auto",
    continuity: bool = True,
) -> MannWhitney:
    """Test if values of ``one`` are more often above or below those of ``other`` than by chance.

    ``exact`` counts all orders and needs samples without ties; ``asymptotic`` is the normal
    approximation with the correction for ties and, unless ``continuity`` is False, for continuity;
    ``auto`` is exact where there are no ties and a side has at most 8 values. If all values are
    equal, ``p`` is 1.
    """
    alternative_of(alternative)
    first, second = _sample(one, "one"), _sample(other, "other")
    m, n = len(first), len(second)
    u, ties = _u_and_ties(first, second)
    if method not in ("auto", "exact", "asymptotic"):
        raise ValueError(f"method={method!r} is not one of 'auto', 'exact', 'asymptotic'")
    if method == "exact" and ties:
        raise ValueError("method='exact': there are equal values; use 'asymptotic'")
    sided = {"two-sided": max(u, m * n - u), "greater": u, "less": m * n - u}[alternative]
    sides = 2 if alternative == "two-sided" else 1
    if method == "exact" or (method == "auto" and not ties and min(m, n) <= _SMALL):
        return MannWhitney(u, min(1.0, sides * _exact_tail(int(sided), m, n)))
    deviation = _deviation(m, n, ties)
    if deviation == 0:
        return MannWhitney(u, 1.0)
    z = (sided - m * n / 2 - (0.5 if continuity else 0.0)) / deviation
    return MannWhitney(u, min(1.0, sides * normal_sf(z)))


def _exact_tail(u: int, m: int, n: int) -> float:
    """Return P(U >= u) without ties.

    The orders are counted by the coefficients of the Gaussian binomial (m + n over m).
    """
    # U and mn - U have one distribution, and the low coefficients are cheap.
    reach = m * n - u
    ways = [1] + [0] * reach
    for i in range(1, min(m, n) + 1):
        factor = max(m, n) + i
        for power in range(reach, factor - 1, -1):
            ways[power] -= ways[power - factor]
        for power in range(i, reach + 1):
            ways[power] += ways[power - i]
    favourable = 0
    for count in ways:
        favourable += count
    every = 1
    for i in range(1, min(m, n) + 1):
        every = every * (max(m, n) + i) // i
    return favourable / every


def shift_statistic(
    one: Sequence[float], other: Sequence[float], at: float, quantile: float = 0.0
) -> float:
    """Return the standardised statistic of ``one - at`` against ``other``, less ``quantile``.

    It is continuity-corrected. It falls as ``at`` rises; the shift's interval ends where it crosses
    0. Raises `ZeroDivisionError` if all values are then equal.
    """
    return _statistic(_sample(one, "one"), _sample(other, "other"), at, quantile)


def _statistic(one: list[float], other: list[float], at: float, quantile: float) -> float:
    return _statistic_of([value - at for value in one], other, quantile)


def _statistic_of(
    one: list[float], other: list[float], quantile: float, correction: float = 0.5
) -> float:
    u, ties = _u_and_ties(one, other)
    return _standardised(u, len(one), len(other), ties, correction) - quantile


def _standardised(u: float, m: int, n: int, ties: int, correction: float) -> float:
    centred = u - m * n / 2
    return (centred - copysign(correction, centred) if centred else 0.0) / _deviation(m, n, ties)


def shift(
    one: Sequence[float],
    other: Sequence[float],
    *,
    confidence: float = 0.95,
    tolerance: float | None = None,
) -> Shift:
    """Estimate how far ``one`` lies above ``other``, by Hodges and Lehmann, with an interval.

    The interval is the inversion of the asymptotic test. The statistic is a step function of the
    shift, whose steps are differences between values of the two samples. They are found to within
    1e-12 of the range of all differences, so in any unit, and then taken exactly. The estimate is
    their median. An end is clamped to the smallest or greatest difference where the samples are too
    small for the confidence.

    ``tolerance``, in the samples' unit, gives what R and Kayenta (both 1e-4) find instead, whatever
    the unit: some point that near to each crossing, the estimate's statistic corrected for
    continuity too.

    Raises `ValueError` if all values are equal or become so by a shift, and for values whose
    differences are infinite.
    """
    first, second = _sample(one, "one"), _sample(other, "other")
    if tolerance is None:
        first, second = _near_zero(first, second)
    z = -normal_quantile((1 - confidence_of(confidence)) / 2)
    least, most = first[0] - second[-1], first[-1] - second[0]
    if isinf(least) or isinf(most) or isnan(least) or isnan(most):
        raise ValueError("values: their differences are not finite")
    find = _exact_crossing if tolerance is None else _rough_crossing
    within = _TOLERANCE * (most - least) if tolerance is None else tolerance

    if tolerance is None:  # the outermost values then meet exactly, whatever is rounded
        ends = (
            [value - first[0] + second[-1] for value in first],
            [value - first[-1] + second[0] for value in first],
        )
    else:
        ends = [value - least for value in first], [value - most for value in first]

    def crossing(quantile: float, correction: float = 0.5) -> float:
        at_least, at_most = (_statistic_of(end, second, quantile, correction) for end in ends)
        if at_least <= 0:
            return least
        return (
            find(first, second, quantile, (least, at_least), (most, at_most), within)
            if at_most < 0
            else most
        )

    try:
        return Shift(
            low=crossing(z),
            high=crossing(-z),
            estimate=crossing(0.0, 0.0 if tolerance is None else 0.5),
        )
    except ZeroDivisionError:
        raise ValueError(
            "all values are equal, or become so by a shift: there is no interval"
        ) from None


def _rough_crossing(
    one: list[float], other: list[float], quantile: float, start: _Point, end: _Point, within: float
) -> float:
    return _root(lambda at: _statistic(one, other, at, quantile), start, end, within)


def _exact_crossing(
    one: list[float], other: list[float], quantile: float, start: _Point, end: _Point, within: float
) -> float:
    """Return the difference of two values at which the statistic changes its sign.

    Where it is 0 on a whole step, this is the middle of the step. Where a shift makes values of the
    two samples equal, the correction for ties is a matter of that point alone; left out, the
    statistic falls and never rises, and there is one crossing. The estimate (``quantile`` 0) is not
    corrected for continuity, as in R.
    """
    m, n = len(one), len(other)
    ties = _u_and_ties(one, [])[1] + _u_and_ties(other, [])[1]
    correction = 0.5 if quantile else 0.0

    def apart(at: float) -> float:
        u, _ = _u_and_ties([value - at for value in one], other)
        return _standardised(u, m, n, ties, correction) - quantile

    root = _root(apart, start, end, within)
    below, above = start[0], end[0]
    for value in one:
        place = bisect_right(other, value - root)
        if place < n:
            below = max(below, value - other[place])
        if place > 0:
            above = min(above, value - other[place - 1])
    nearest = below if root - below < above - root else above
    difference = (
        nearest
        if abs(nearest - root) <= 2 * within + 8 * _EPSILON * abs(root)
        else (below + above) / 2
    )
    return difference if abs(difference) > within else 0.0


def _near_zero(one: list[float], other: list[float]) -> tuple[list[float], list[float]]:
    """Return both samples less their least value, if all lie within a factor of two.

    That is then exact (Sterbenz); shifting high values by little would round their differences
    away.
    """
    least, most = min(one[0], other[0]), max(one[-1], other[-1])
    if (least > 0 and most <= 2 * least) or (most < 0 and least >= 2 * most):
        return [value - least for value in one], [value - least for value in other]
    return one, other


def _root(
    function: Callable[[float], float], start: _Point, end: _Point, tolerance: float
) -> float:
    """Return where ``function`` crosses 0, by Brent's method (1973, chapter 4).

    The stopping rule is that of R's ``uniroot``.

    ``start`` and ``end`` are points with their values, which have opposite signs.
    """
    before, best, beyond = start, end, start
    while True:
        last_step = best[0] - before[0]
        if abs(beyond[1]) < abs(best[1]):
            before, best, beyond = best, beyond, best
        near = 2 * _EPSILON * abs(best[0]) + tolerance / 2
        half = (beyond[0] - best[0]) / 2
        if abs(half) <= near or best[1] == 0:
            return best[0]
        step = half
        if abs(last_step) >= near and abs(before[1]) > abs(best[1]):
            numerator, denominator = _interpolated(before, best, beyond)
            falls_inside = numerator < 1.5 * half * denominator - abs(near * denominator) / 2
            if falls_inside and numerator < abs(last_step * denominator / 2):
                step = numerator / denominator
        if abs(step) < near:
            step = copysign(near, step)
        at = best[0] + step
        before, best = best, (at, function(at))
        if best[1] * beyond[1] > 0:
            beyond = before


def _interpolated(before: _Point, best: _Point, beyond: _Point) -> tuple[float, float]:
    """Return the step from ``best`` to the zero of the line or of the inverse parabola.

    It is a fraction, whose numerator is not negative.
    """
    width, ratio = beyond[0] - best[0], best[1] / before[1]
    if before[0] == beyond[0]:
        numerator, denominator = width * ratio, 1 - ratio
    else:
        q, r = before[1] / beyond[1], best[1] / beyond[1]
        numerator = ratio * (width * q * (q - r) - (best[0] - before[0]) * (r - 1))
        denominator = (q - 1) * (r - 1) * (ratio - 1)
    return (numerator, -denominator) if numerator > 0 else (-numerator, denominator)


def common_language(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the chance that a value of ``one`` is above one of ``other``, ties by half.

    This is Vargha and Delaney's A; 0.5 is no difference.
    """
    first, second = _sample(one, "one"), _sample(other, "other")
    return _u_and_ties(first, second)[0] / (len(first) * len(second))


def cliffs_delta(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the chance of above less that of below, -1 to 1: ``2 * common_language - 1``."""
    first, second = _sample(one, "one"), _sample(other, "other")
    pairs = len(first) * len(second)
    return (2 * _u_and_ties(first, second)[0] - pairs) / pairs


def cohens_d(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the difference of the means in pooled standard deviations (n - 1).

    NaN if there is no deviation, or only one value on each side.
    """
    first, second = _sample(one, "one"), _sample(other, "other")
    mean, other_mean = _mean(first), _mean(second)
    squares = fsum((value - mean) ** 2 for value in first) + fsum(
        (value - other_mean) ** 2 for value in second
    )
    if squares == 0:
        return nan
    return (mean - other_mean) / sqrt(squares / (len(first) + len(second) - 2))


def mean_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the mean of ``one`` over the mean of ``other``; NaN where either mean is 0."""
    mean, other_mean = _mean(_sample(one, "one")), _mean(_sample(other, "other"))
    return mean / other_mean if mean and other_mean else nan


def _mean(values: list[float]) -> float:
    return fsum(values) / len(values)
