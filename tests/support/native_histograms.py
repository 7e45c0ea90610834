"""Native histograms as Prometheus' HTTP API tells them, made of the values that they count.

The shape is that of the documentation (Querying, HTTP API, "Native histograms"):
``{"count": "...", "sum": "...", "buckets": [[rule, lower, upper, count], ...]}``, with numbers as
texts, counts of each bucket alone, and empty buckets left out. As measured with 3.16: a histogram
without a value has no ``buckets``, the first of the custom buckets is closed at both ends, and an
edge is written without an exponent ("10000000").
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

__all__ = ["custom", "exponential"]

Values: TypeAlias = Iterable[float] | Counter[float]
"""What was measured, one by one or with how often."""


def custom(values: Values, edges: Sequence[float]) -> dict[str, Any]:
    """Custom buckets, as ``convert_classic_histograms_to_nhcb`` makes them."""
    found, ends = Counter(values), [-math.inf, *edges, math.inf]
    counts = Counter[int]()
    for value, count in found.items():
        counts[bisect_left(edges, value)] += count
    return _told(
        found,
        [
            (3 if place == 0 else 0, ends[place], ends[place + 1], count)
            for place, count in sorted(counts.items())
        ],
    )


def exponential(values: Values, schema: int, zero: float = 2.938735877055719e-39) -> dict[str, Any]:
    """Exponential buckets: 2 ** schema for each doubling, and one around zero."""
    found, around, positive = Counter(values), 0, Counter[int]()
    for value, count in found.items():
        if value > zero:
            positive[_place(value, schema)] += count
        else:
            around += count
    step = 2.0**-schema
    return _told(
        found,
        [(3, -zero, zero, around)] * bool(around)
        + [
            (0, 2 ** ((place - 1) * step), 2 ** (place * step), count)
            for place, count in sorted(positive.items())
        ],
    )


def _place(value: float, schema: int) -> int:
    place = math.ceil(math.log2(value) * 2**schema - 1e-9)
    return place + (value > 2 ** (place * 2.0**-schema))


def _told(
    found: Counter[float], buckets: Sequence[tuple[int, float, float, int]]
) -> dict[str, Any]:
    every = math.fsum(value * count for value, count in found.items())
    told: dict[str, Any] = {"count": str(found.total()), "sum": _said(every)}
    if buckets:
        told["buckets"] = [
            [rule, _said(low), _said(high), str(count)] for rule, low, high, count in buckets
        ]
    return told


def _said(number: float) -> str:
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if float(number).is_integer() else repr(number)
