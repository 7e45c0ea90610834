"""Histograms that say what is in each bucket instead of below its end: native ones of Prometheus
(exponential, or with custom buckets), and those of VictoriaMetrics, whose buckets are series with
``vmrange``. They are read as the classic buckets that they could have been.

Empty buckets are not shown, so which edges a histogram has is known only where something is. But
where nothing is, every edge is as good as any other: how many values are at or below it is exact,
unless it lies strictly inside a bucket that has something in it. So all histograms of a look are
read at all edges that any of them shows, each as far as it is exact there. Exponential ones of
different scales need nothing else: a coarser bucket is made of finer ones, whose edges inside of it
drop out.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Final, TypeAlias

import attrs

from progressive.adapters.http import Malformed, get_path

from .answers import Answer, labels_of, number_in, series_of
from .counting import Unusable, counts_of
from .series import Labels, Series

__all__ = ["is_native", "spread_series_of"]

_FINEST: Final = 8
"""Edges for each doubling that are kept of an exponential histogram (schema 3, a step of 9 %):
finer ones tell nothing that a comparison or a limit would see, and cost state.
"""

_MOST: Final = 160
"""Edges up to which exponential histograms keep all of these; above, every other one goes, and so
on. It is the default of OpenTelemetry and most clients for one histogram.
"""

_HALVES: Final = (
    0.5,
    0.5452538663326288,
    0.5946035575013605,
    0.6484197773255048,
    0.7071067811865475,
    0.7711054127039704,
    0.8408964152537144,
    0.9170040432046711,
)
"""The edges of schema 3 from a half to one, in the digits of Prometheus (``exponentialBounds``)."""

_SAME: Final = 1e-9
"""Two edges that are nearer than this part of them are one, in other digits."""

_CLOSE: Final = 1e-6
"""How near a number of steps must be to a whole one."""

_DIGITS: Final = 8e-4
"""How far VictoriaMetrics' four digits can be from the edge that they stand for, in doublings."""

_OPEN_LEFT: Final = 0
"""How Prometheus marks a bucket that includes its upper end only."""

_CLOSED: Final = 3
"""How it marks one that includes both ends."""

_Bucket: TypeAlias = tuple[float, float, float]
"""What is above the first number and at or below the second; and how much that is."""


@attrs.frozen
class _Spread:
    """One histogram: its labels, and for each moment what it showed in each bucket and in all.
    ``rounded``: whether its edges have four digits only.
    """

    labels: dict[str, str]
    samples: tuple[tuple[int, tuple[_Bucket, ...], float], ...]
    rounded: bool = False


def is_native(found: dict[str, Any]) -> bool:
    """Is this series of an answer a native histogram?"""
    return "histograms" in found or "histogram" in found


def spread_series_of(
    answer: Answer, *, also: Iterable[float] = (), like: Iterable[Series] = ()
) -> tuple[Series, ...]:
    """The series of an answer, with one series for each edge in place of such histograms, and one
    for all.

    ``also``: edges of other histograms, at which these are read too. ``like``: series of an earlier
    answer; if there are any, their edges are taken and no others.
    """
    natives = [found for found in answer.result if is_native(get_path(found, "", dict))]
    plain = [found for found in answer.result if not is_native(found)]
    series = series_of(attrs.evolve(answer, result=plain))
    spreads = sorted(
        [*map(_native, natives), *_ranges(filter(_is_range, series))],
        key=lambda spread: sorted(spread.labels.items()),
    )
    if not spreads:
        return series
    given = {float(each.labels["le"]) for each in like if each.spread}
    edges = sorted(filter(math.isfinite, given)) if given else _edges(spreads, also)
    rest = (each for each in series if not _is_range(each))
    return (*rest, *(each for spread in spreads for each in _at(spread, edges)))


# ----------------------------------------------------------------------------------------- reading


def _native(found: dict[str, Any]) -> _Spread:
    labels, name = labels_of(found), get_path(found, "metric.__name__", str)
    shown = found["histograms"] if "histograms" in found else [found["histogram"]]
    samples = []
    for each in shown if isinstance(shown, list) else [None]:
        if not isinstance(each, list) or len(each) != 2 or not isinstance(each[0], int | float):
            raise Malformed("a sample is not a time and a histogram")
        histogram = get_path(each[1], "", dict)
        buckets = get_path(histogram, "buckets", list) if "buckets" in histogram else []
        samples.append(
            (
                round(each[0] * 1000),
                tuple(_bucket(name, bucket) for bucket in buckets),
                number_in(get_path(histogram, "count", str)),
            )
        )
    return _Spread(labels, tuple(samples))


def _bucket(name: str, given: object) -> _Bucket:
    if not isinstance(given, list) or len(given) != 4:
        raise Malformed("a bucket is not a rule, two ends and a count")
    rule, (low, high, count) = given[0], map(number_in, given[1:])
    # The bucket around zero is closed, and so is the first custom one, which has no lower end.
    whole = rule == _CLOSED and low in (-high, -math.inf) and high >= 0
    if not whole and (rule != _OPEN_LEFT or low < 0):
        raise Unusable(_negative(name, low, high))
    return low, high, count


def _negative(name: str, low: float, high: float) -> str:
    return (
        f"{name} is a native histogram with values from {low:g} to {high:g}; durations are never "
        "below 0"
    )


def _is_range(series: Series) -> bool:
    return "vmrange" in series.labels and "le" not in series.labels


def _ranges(series: Iterable[Series]) -> list[_Spread]:
    """The series of each histogram of VictoriaMetrics, as one."""
    groups: dict[Labels, dict[str, dict[int, int]]] = {}
    for each in series:
        rest = tuple(pair for pair in each.key if pair[0] != "vmrange")
        groups.setdefault(rest, {})[each.labels["vmrange"]] = dict(each.samples)
    return [_joined(dict(labels), group) for labels, group in groups.items()]


def _joined(labels: dict[str, str], buckets: dict[str, dict[int, int]]) -> _Spread:
    """A bucket is there from its first value on, until its process ends. So one that is missing
    where another one fell is empty; else its sample is missing, and that moment is left out.
    """
    ends = {text: _ends(labels["__name__"], text) for text in buckets}
    samples: list[tuple[int, tuple[_Bucket, ...], float]] = []
    before: dict[str, int] = {}
    moments = sorted({moment for counts in buckets.values() for moment in counts})
    for moment in moments:
        here = {text: counts[moment] for text, counts in buckets.items() if moment in counts}
        fell = any(count < before.get(text, 0) for text, count in here.items())
        if before.keys() <= here.keys() or fell:
            before = here
            shown = tuple((*ends[text], float(count)) for text, count in here.items())
            samples.append((moment, shown, 0.0))
    if moments and samples[-1][0] < moments[-1]:
        raise Unusable(
            f"some buckets of {labels['__name__']} have samples that others lack: not all is "
            "stored yet"
        )
    return _Spread(labels, tuple(samples), rounded=True)


def _ends(name: str, text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split("..."))
    except ValueError:
        low = high = math.nan
    if not low < high:  # such as "NaN...+Inf", which it makes of custom buckets
        raise Unusable(
            f"{name} has a series with vmrange={text!r}, which is no range of a bucket; "
            "VictoriaMetrics does not keep custom buckets that are written to it, so let the "
            "service export classic or exponential ones"
        )
    if low < 0 and low != -high:
        raise Unusable(_negative(name, low, high))
    return low, high


# ------------------------------------------------------------------------------------------- edges


def _edges(spreads: Iterable[_Spread], also: Iterable[float]) -> list[float]:
    """All edges that any of them shows, rising; not too many."""
    exact, rounded, doubling = set(also), set[float](), set[tuple[float, float]]()
    for spread in spreads:
        for _, buckets, _ in spread.samples:
            for low, high, count in buckets:
                # The bucket around zero has no edge that would tell anything.
                if not count or low == -high:
                    continue
                if spread.rounded:
                    rounded |= {low, high}
                elif low > 0 and _steps(low, high):
                    doubling.add((low, high))
                else:
                    exact |= {low, high}
    steps = _FINEST
    while len(even := _around(doubling, steps)) > _MOST and steps > 1:
        steps //= 2
    if len(rounded) > _MOST:
        rounded = {edge for edge in rounded if edge > 0 and _on_grid(edge, _FINEST, _DIGITS)}
    return sorted(filter(math.isfinite, exact | even | rounded))


def _around(buckets: Iterable[tuple[float, float]], steps: int) -> set[float]:
    """The nearest edges around exponential buckets, of so many for each doubling, or of their own
    if these are fewer.
    """
    edges = set[float]()
    for low, high in buckets:
        own = min(steps, _steps(low, high))
        edges.add(_on(math.floor(math.log2(low) * own + _CLOSE), own))
        edges.add(_on(math.ceil(math.log2(high) * own - _CLOSE), own))
    return edges


def _on(place: int, steps: int) -> float:
    """An edge by its number: 2 ** (place / steps), to the digit as Prometheus has it."""
    doublings, place = divmod(place * (_FINEST // steps), _FINEST)
    return math.ldexp(_HALVES[place], doublings + 1)


def _steps(low: float, high: float) -> int:
    """How many buckets an exponential histogram with this one has for each doubling; 0 if it is
    none.
    """
    if not math.isfinite(high):
        return 0
    width = math.log2(high / low)
    steps = round(1 / width)
    return steps if abs(steps * width - 1) < 1e-6 and _on_grid(high, steps) else 0


def _on_grid(edge: float, steps: int, within: float = _CLOSE) -> bool:
    if not math.isfinite(edge):
        return False
    place = math.log2(edge) * steps
    return abs(place - round(place)) < within * steps


def _at(spread: _Spread, edges: Sequence[float]) -> list[Series]:
    """A histogram as series, at those of these edges that no bucket with something in it spans."""
    spanned: set[int] = set()
    for _, buckets, _ in spread.samples:
        for low, high, count in buckets:
            if count:
                first = bisect_right(edges, low * (1 + _SAME))
                spanned.update(range(first, bisect_left(edges, high * (1 - _SAME))))
    exact = [edge for i, edge in enumerate(edges) if i not in spanned]
    rows: list[tuple[int, list[float]]] = []
    for moment, buckets, every in spread.samples:
        inside = [0.0] * (len(exact) + 1)
        for _, high, count in buckets:
            inside[bisect_left(exact, high * (1 - _SAME))] += count
        below = list(accumulate(inside))
        rows.append((moment, [*below[:-1], max(every, below[-1])]))
    name = spread.labels["__name__"]
    return [
        Series(
            labels={**spread.labels, "le": text},
            samples=counts_of(name, [(moment, row[i]) for moment, row in rows]),
            spread=True,
        )
        for i, text in enumerate((*map(repr, exact), "+Inf"))
    ]
