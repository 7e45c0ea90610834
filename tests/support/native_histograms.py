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
from typing import Any

__all__ = ["custom", "exponential"]


def custom(values: Iterable[float], edges: Sequence[float]) -> dict[str, Any]:
    """Custom buckets, as ``convert_classic_histograms_to_nhcb`` makes them."""
    found = list(values)
    ends = [-math.inf, *edges, math.inf]
    counts = Counter(bisect_left(edges, value) for value in found)
    return _told(
        found,
        [
            (3 if place == 0 else 0, ends[place], ends[place + 1], count)
            for place, count in sorted(counts.items())
        ],
    )


def exponential(
    values: Iterable[float], schema: int, zero: float = 2.938735877055719e-39
) -> dict[str, Any]:
    """Exponential buckets: 2 ** schema for each doubling, and one around zero."""
    found = list(values)
    positive = Counter(_place(value, schema) for value in found if value > zero)
    around = sum(value <= zero for value in found)
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


def _told(found: list[float], buckets: Sequence[tuple[int, float, float, int]]) -> dict[str, Any]:
    told: dict[str, Any] = {"count": str(len(found)), "sum": _said(math.fsum(found))}
    if buckets:
        told["buckets"] = [
            [rule, _said(low), _said(high), str(count)] for rule, low, high, count in buckets
        ]
    return told


def _said(number: float) -> str:
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if float(number).is_integer() else repr(number)
