"""Prepare a series as Kayenta does before it is judged: missing points, then outliers."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence

from progressive.stats.quantiles import quantile

__all__ = [
    "NanStrategy",
    "OutlierStrategy",
    "beyond_fences",
    "beyond_sigmas",
    "remove_nans",
    "remove_outliers",
    "replace_nans",
]

Detector = Callable[[Sequence[float]], list[bool]]
"""Returns for each value whether it is an outlier."""


class NanStrategy(enum.StrEnum):
    """The treatment of a missing point."""

    REMOVE = "remove"
    """Leave it out."""
    REPLACE = "replace"
    """Take it for zero: for counts that a system reports only while there are any."""


class OutlierStrategy(enum.StrEnum):
    """The treatment of values far outside of the others."""

    KEEP = "keep"
    REMOVE = "remove"


def remove_nans(values: Sequence[float]) -> list[float]:
    """Return the values without NaN."""
    return [value for value in values if not math.isnan(value)]


def replace_nans(values: Sequence[float], by: float = 0.0) -> list[float]:
    """Return the values with ``by`` in place of NaN."""
    return [by if math.isnan(value) else value for value in values]


def beyond_fences(
    values: Sequence[float], factor: float = 3.0, *, reduce_sensitivity: bool = True
) -> list[bool]:
    """Detect outliers by Tukey's fences.

    They are strictly outside of the quartiles (R-7) less and plus ``factor`` times their distance.

    ``reduce_sensitivity``, as in Kayenta's judge: nothing between the first and the 99th percentile
    is one, so that a series that is mostly constant (distance 0) does not lose everything else.
    """
    if not values:
        return []
    first, third = quantile(values, 0.25), quantile(values, 0.75)
    low, high = first - factor * (third - first), third + factor * (third - first)
    if reduce_sensitivity:
        low, high = min(low, quantile(values, 0.01)), max(high, quantile(values, 0.99))
    return [value < low or value > high for value in values]


def beyond_sigmas(values: Sequence[float], factor: float = 3.0) -> list[bool]:
    """Detect outliers by distance from the mean: more than ``factor`` standard deviations (of the
    population). Kayenta's judge does not use it.
    """
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [abs(value - mean) > factor * deviation for value in values]


def remove_outliers(values: Sequence[float], detector: Detector = beyond_fences) -> list[float]:
    """Return the values that ``detector`` does not report as outliers."""
    return [value for value, outlier in zip(values, detector(values), strict=True) if not outlier]
