"""Quantiles of samples and of buckets, with intervals that hold for any distribution.

``p`` is the part of the distribution below, 0 to 1: the 99th percentile is 0.99. The interval is
that of the binomial test turned round: the number of values at or below the true quantile is
binomial with ``p``. It needs samples that are independent of each other and nothing else; where
there are too few, an end is infinite rather than guessed.

Sources: Hyndman and Fan, The American Statistician 50 (1996), definition 7; David and Nagaraja,
"Order Statistics" (2003), 7.1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import floor, inf, isnan, nan

from .evidence import Interval, confidence_of
from .special import binomial_cdf, binomial_sf

__all__ = ["bucket_quantile", "bucket_quantile_interval", "quantile", "quantile_interval"]


def _part(p: float) -> float:
    if 0 <= p <= 1:
        return p
    raise ValueError(f"p={p!r} is not between 0 and 1; the 99th percentile is 0.99")


def sorted_samples(samples: Sequence[float]) -> list[float]:
    """Return the samples in order; raise `ValueError` if there are none, or one is NaN."""
    if not samples or any(isnan(sample) for sample in samples):
        raise ValueError(
            "samples: "
            f"{'none' if not samples else 'NaN has no place in the order; remove it first'}"
        )
    return sorted(samples)


def quantile(samples: Sequence[float], p: float) -> float:
    """Return the ``p`` quantile of at least one sample.

    By linear interpolation between order statistics (R's type 7, NumPy's default).
    """
    ordered = sorted_samples(samples)
    place = (len(ordered) - 1) * _part(p)
    below = floor(place)
    if below == place:
        return ordered[below]
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """Return the least k from 0 to n for which a monotonic condition holds; n + 1 if none does."""
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _order(n: int, p: float, confidence: float) -> tuple[int, int]:
    """Return which order statistics, from 1, bound the quantile; 0 and n + 1 where none does."""
    miss = (1 - confidence_of(confidence)) / 2
    low = _first(n, lambda k: binomial_cdf(k, n, p) > miss)
    high = _first(n, lambda k: binomial_sf(k, n, p) <= miss) + 1
    return low, high


def quantile_interval(samples: Sequence[float], p: float, *, confidence: float = 0.95) -> Interval:
    """Return the interval of the true ``p`` quantile, whose ends are samples.

    Each side misses it with a chance of at most ``(1 - confidence) / 2``. An end is infinite where
    too few samples reach that far out: an upper end for the 99th percentile takes 368 of them at 95
    %.
    """
    ordered = sorted_samples(samples)
    low, high = _order(len(ordered), _part(p), confidence)
    return Interval(
        ordered[low - 1] if low > 0 else -inf, ordered[high - 1] if high <= len(ordered) else inf
    )


def check_buckets(edges: Sequence[float], cumulative: Sequence[int]) -> None:
    """Raise `ValueError` unless these are cumulative counts of buckets with rising edges."""
    rising = all(one < other for one, other in pairwise(edges)) and all(
        -inf < edge < inf for edge in edges
    )
    if not edges or rising is False:
        raise ValueError(f"edges={edges!r} must be one or more rising numbers, without infinity")
    never_falls = all(one <= other for one, other in pairwise(cumulative))
    if len(cumulative) != len(edges) + 1 or cumulative[0] < 0 or never_falls is False:
        raise ValueError(
            f"cumulative={cumulative!r} must have one number more than edges (the last "
            "counts all) and never fall"
        )


def bucket_quantile_interval(
    edges: Sequence[float],
    cumulative: Sequence[int],
    p: float,
    *,
    confidence: float = 0.95,
    least: float = -inf,
) -> Interval:
    """Return the interval of the true ``p`` quantile from buckets, outward to their edges.

    * ``cumulative``: ``cumulative[i]`` values were at most ``edges[i]``, the last number counts
      all.
    * ``least``: the smallest value there can be (0 for durations).

    The upper end is infinite where it lies past the last edge; without values the interval is
    (``least``, infinity).
    """
    check_buckets(edges, cumulative)
    low, high = _order(cumulative[-1], _part(p), confidence)
    below, above = bisect_left(cumulative, low), bisect_left(cumulative, high)
    return Interval(
        edges[below - 1] if low > 0 and below > 0 else least,
        edges[above] if above < len(edges) else inf,
    )


def bucket_quantile(edges: Sequence[float], cumulative: Sequence[int], p: float) -> float:
    """Estimate the ``p`` quantile as Prometheus' ``histogram_quantile`` does.

    Linear within the bucket, from 0 in the first one; NaN without values. For people to look at,
    never for a verdict: the error is as large as the bucket. Past the last edge it is that edge.
    """
    check_buckets(edges, cumulative)
    rank = _part(p) * cumulative[-1]
    if cumulative[-1] == 0:
        return nan
    bucket = bisect_left(cumulative, rank)
    if bucket == len(edges):
        return edges[-1]
    if bucket == 0 and edges[0] <= 0:
        return edges[0]
    start, before = (edges[bucket - 1], cumulative[bucket - 1]) if bucket else (0.0, 0)
    inside = cumulative[bucket] - before
    return start + (edges[bucket] - start) * ((rank - before) / inside) if inside else start
