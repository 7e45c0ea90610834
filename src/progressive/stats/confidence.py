"""Confidence sequences of one track: intervals that hold at every look at once.

They are for reports that are drawn while it runs. With a probability of at least 1 - ``alpha`` the
truth is in all of them, however many looks there are and whenever one stops; so it is also in their
intersection so far, and if that is empty the truth has changed. Each is the set of the truths that
a two-sided mixture of `progressive.stats.mixtures` does not exclude. This is for one truth that
does not change and for values that are independent of each other, not for a rate that drifts, nor
for retries. Two tracks are compared by other means (`progressive.stats.sequential`,
`progressive.stats.ratios`), which hold for rates that drift together.

``planned`` is how far the run is meant to go, in the unit in which it is counted: there the
interval is tightest. It must not be chosen from the data. The mixture depends on it alone and
not on ``alpha``, so intervals of a smaller ``alpha`` contain those of a larger one.

Sources: Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49 (2021), for the mixtures;
Howard and Ramdas, Bernoulli 28 (2022), theorem 1, for quantiles; Waudby-Smith, Arbour, Sinha,
Kennedy and Ramdas, Annals of Statistics 52 (2024), for means.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import ceil, floor, inf, isfinite, log, log1p, sqrt
from typing import Final

from .evidence import Interval
from .means import BURN_IN
from .mixtures import best_rho
from .quantiles import check_buckets, sorted_samples
from .special.beta import log_beta_peak
from .special.gamma import log_gamma_peak
from .special.series import LEAST, between, count

__all__ = ["bucket_quantile", "event_rate", "mean", "quantile", "rate"]

_CERTAIN: Final = 1 - 2**-53
"""The largest number below 1."""

_MOST: Final = 1e12
"""The largest ratio between what was planned and the exposure, either way: past it the sum of the
prior and the data would lose one of them.
"""


def rate(events: int, trials: int, *, alpha: float = 0.05, planned: float) -> Interval:
    """Return the interval of the chance of an event in one trial, after ``events`` of ``trials``.

    Both ends are inclusive, within 0 and 1. ``planned``: trials. It holds for every chance and
    every number of trials, without an approximation (the two-sided beta-binomial mixture). Without
    trials it is (0, 1).
    """
    if events < 0 or events > trials:
        raise ValueError(
            f"events={events!r} of trials={trials!r}: events are 0 or more and part of the trials"
        )
    needed, weight = _needed(alpha), _weight(planned)
    if trials == 0:
        return Interval(0.0, 1.0)

    def excluded(p: float) -> bool:
        return _beta_binomial(p, events, trials, weight) >= needed

    share = events / trials
    low = _end(excluded, share, LEAST) if events > 0 else 0.0
    high = _end(excluded, share, _CERTAIN) if events < trials else 1.0
    return Interval(low if low > LEAST else 0.0, high if high < _CERTAIN else 1.0)


def event_rate(events: int, exposure: float, *, alpha: float = 0.05, planned: float) -> Interval:
    """Return the interval of the rate of events of a Poisson process, per unit of exposure.

    Such events come singly and independently. The exposure may be in seconds, or an instance's
    hours: ``exposure`` (0 or more) is that in which ``events`` were counted, ``planned`` that in
    the end, both in one unit. Exact, as `rate` is; it is what that becomes for many trials with few
    events (the two-sided gamma-Poisson mixture). Without exposure it is (0, infinity).
    """
    count(events, "events")
    needed, weight = _needed(alpha), best_rho(planned, one_sided=False)
    between(exposure, 0, weight * _MOST, "exposure")
    if exposure < weight / _MOST:
        return Interval(0.0, inf)

    def excluded(expected: float) -> bool:
        prior = weight / exposure * expected
        return (
            log_gamma_peak(prior, prior) - log_gamma_peak(prior + expected, prior + events)
            >= needed
        )

    low = _end(excluded, events, LEAST) if events > 0 else 0.0
    beyond = max(1.0, events)
    while excluded(beyond) is False:
        beyond *= 2
    return Interval(
        (low if low > LEAST else 0.0) / exposure, _end(excluded, events, beyond) / exposure
    )


def mean(n: int, mean: float, m2: float, *, alpha: float = 0.05, planned: float) -> Interval:
    """Return the interval of the mean of values. APPROXIMATE.

    There are ``n`` values with this ``mean`` and ``m2``, the sum of their squared deviations from
    it. ``planned``: values. It holds as far as the central limit theorem and the variance that was
    measured do (the two-sided normal mixture): for skewed values the truth is outside with a
    chance above ``alpha``. Before `progressive.stats.means.BURN_IN` values, and while they have no
    spread, it is infinite.
    """
    count(n, "n")
    between(m2, 0, 1.7e308, "m2")
    if isfinite(mean) is False:
        raise ValueError(f"mean={mean!r} must be finite")
    needed, rho = _needed(alpha), best_rho(planned, one_sided=False)
    if n < BURN_IN or m2 == 0:
        return Interval(-inf, inf)
    reach = sqrt((n + rho) * (2 * needed + log1p(n / rho)) * (m2 / (n - 1))) / n
    return Interval(mean - reach, mean + reach)


def quantile(
    samples: Sequence[float], p: float, *, alpha: float = 0.05, planned: float
) -> Interval:
    """Return the interval of the ``p`` quantile.

    ``p`` is from 0 to 1, both exclusive: the 99th percentile is 0.99. The ends are samples, both
    inclusive, or infinite where too few reach that far. ``planned``: samples. It holds for every
    distribution, also one with ties, without an approximation: the number of values up to the
    quantile is followed by the same mixture as in `rate`. The samples may come in any order; sorted
    ones cost less.
    """
    ordered = sorted_samples(samples)
    low, high = _places(len(ordered), p, alpha, planned)
    return Interval(
        ordered[low - 1] if low > 0 else -inf, ordered[high - 1] if high <= len(ordered) else inf
    )


def bucket_quantile(
    edges: Sequence[float],
    cumulative: Sequence[int],
    p: float,
    *,
    alpha: float = 0.05,
    planned: float,
    least: float = -inf,
) -> Interval:
    """Return the interval of the ``p`` quantile from buckets, outward to their edges.

    * ``cumulative``: ``cumulative[i]`` values were at most ``edges[i]``, the last number counts
      all; of the whole run so far, not of a window.
    * ``least``: the smallest value there can be (0 for durations).

    The upper end is infinite where it lies past the last edge; without values the interval is
    (``least``, infinity).
    """
    check_buckets(edges, cumulative)
    low, high = _places(cumulative[-1], p, alpha, planned)
    below, above = bisect_left(cumulative, low), bisect_left(cumulative, high)
    return Interval(
        edges[below - 1] if low > 0 and below > 0 else least,
        edges[above] if above < len(edges) else inf,
    )


def _needed(alpha: float) -> float:
    """Return the nats that exclude a truth."""
    if 0 < alpha < 1:
        return -log(alpha)
    raise ValueError(f"alpha={alpha!r} is not between 0 and 1; 5 % is 0.05")


def _weight(planned: float) -> float:
    """Return the prior's weight, in trials, that makes the mixture tightest after ``planned``.

    Tightest at an alpha of 5 %.
    """
    return max(best_rho(planned, one_sided=False) - 1, 1e-3)


def _beta_binomial(p: float, events: int, trials: int, weight: float) -> float:
    """Return the logarithm of the two-sided `progressive.stats.mixtures.BetaBinomial`.

    Of ``events`` less ``trials * p``, tuned for ``p``; with fewer roundings.
    """
    a, b = weight * p, weight * (1 - p)
    return log_beta_peak(p, 1 - p, a, b) - log_beta_peak(
        p, 1 - p, a + events, b + (trials - events)
    )


def _end(excluded: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the first number from ``inside`` towards ``outside`` that is excluded, by halving.

    It is ``outside`` itself if none is before.
    """
    if excluded(outside) is False:
        return outside
    while (middle := (inside + outside) / 2) != inside and middle != outside:
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return outside


def _places(n: int, p: float, alpha: float, planned: float) -> tuple[int, int]:
    """Return which order statistics, from 1, bound the ``p`` quantile of ``n`` values.

    They are 0 and n + 1 where none does.

    If so few values are up to a point that the mixture excludes their number, or so many are below
    it, the point is not the quantile.
    """
    if (0 < p < 1) is False:
        raise ValueError(f"p={p!r} is not between 0 and 1; the 99th percentile is 0.99")
    needed, weight = _needed(alpha), _weight(planned)

    def excluded(k: int) -> bool:
        return _beta_binomial(p, k, n, weight) >= needed

    low, too_low = floor(n * p), -1
    while low - too_low > 1:
        middle = (low + too_low) // 2
        low, too_low = (low, middle) if excluded(middle) else (middle, too_low)
    possible, high = ceil(n * p), n + 1
    while high - possible > 1:
        middle = (possible + high) // 2
        possible, high = (possible, middle) if excluded(middle) else (middle, high)
    return low, high
