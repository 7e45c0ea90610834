"""The buckets of one histogram as one line: which of them were there throughout, and at
which moments all of them have a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from itertools import pairwise

import attrs

from .counting import Line, Unusable
from .series import Series

__all__ = ["edges_of", "line_of"]


@attrs.frozen(kw_only=True)
class _Bucket:
    """All series that end at one edge, one after the other: ``1`` may become ``1.0`` under way.

    ``base``: what it showed at the start of the window; None if nobody knows.
    """

    edge: Decimal
    counts: dict[int, int]
    base: int | None


def line_of(
    series: Iterable[Series], base_of: Callable[[Series], int | None], start: int, scrape: int
) -> Line:
    """Series that differ only in ``le``, as one line. Raises `Unusable` if they don't fit together.

    A moment at which some of them have no sample is left out for all; the next one tells all that
    it would have told. The newest must be there: not all of it may be stored yet. Buckets that were
    added or replaced under way are left out: counts below the other edges are right without them.
    """
    found = list(series)
    name, buckets = found[0].name, _buckets(found, base_of)
    times = sorted({moment for each in buckets for moment in each.counts})
    added = any(times[0] not in each.counts for each in buckets)
    if added and len(times) > 1 and times[1] <= start and _alone(times, buckets):
        times, added = times[1:], False
    kept = [each for each in buckets if times[0] in each.counts and times[-1] in each.counts]
    if len(kept) < len(buckets) and not added:
        raise Unusable(
            f"some buckets of {name} have samples that others lack: not all is stored yet, or "
            "buckets were removed"
        )
    if not kept or kept[-1].edge.is_finite():
        raise Unusable(
            f'{name} has no bucket with le="+Inf" throughout; ask for all of its buckets'
        )
    rows = tuple(
        (moment, tuple(each.counts[moment] for each in kept))
        for moment in times
        if all(moment in each.counts for each in kept)
    )
    if any(b < a for _, counts in rows for a, b in pairwise(counts)):
        raise Unusable(f"the buckets of {name} fall where they must rise; they are not cumulative")
    known = tuple(each.base for each in kept if each.base is not None)
    base = known if len(known) == len(kept) else None
    spread = found[0].spread
    return Line(
        samples=tuple((at, _inside(counts)) for at, counts in rows) if spread else rows,
        base=_inside(base) if spread and base is not None else base,
        spread=spread,
        edges=tuple(float(each.edge) for each in kept[:-1]),
        name=name,
        scrape=scrape,
    )


def _inside(below: Sequence[int]) -> tuple[int, ...]:
    """What is in each bucket but the last, and in all, out of what is below each edge."""
    return (*(high - low for low, high in pairwise((0, *below[:-1]))), below[-1])


def _alone(times: Sequence[int], buckets: Iterable[_Bucket]) -> bool:
    """Is the first moment the only one at which a bucket that is there throughout has no sample?"""
    return all(times[0] in each.counts or times[1] in each.counts for each in buckets) and all(
        times[-1] in each.counts for each in buckets
    )


def _buckets(
    series: Iterable[Series], base_of: Callable[[Series], int | None]
) -> tuple[_Bucket, ...]:
    by_edge: dict[Decimal, list[Series]] = {}
    for each in series:
        by_edge.setdefault(_edge(each), []).append(each)
    return tuple(_bucket(edge, by_edge[edge], base_of) for edge in sorted(by_edge))


def _bucket(
    edge: Decimal, series: list[Series], base_of: Callable[[Series], int | None]
) -> _Bucket:
    counts: dict[int, int] = {}
    for each in series:
        for moment, count in each.samples:
            if moment in counts:
                raise Unusable(
                    f"{each.name} has two buckets that end at {edge}; give labels= that select one "
                    "histogram"
                )
            counts[moment] = count
    series.sort(key=lambda each: each.samples[0][0])
    return _Bucket(edge=edge, counts=counts, base=base_of(series[0]))


def edges_of(series: Iterable[Series]) -> set[float]:
    """At which edges these are buckets; what is none is left to `line_of` to name."""
    edges = set()
    for each in series:
        with suppress(Unusable):
            edges.add(float(_edge(each)))
    return edges


def _edge(bucket: Series) -> Decimal:
    text = bucket.labels.get("le", "")
    try:
        edge = Decimal(text.removeprefix("+"))
    except InvalidOperation:
        edge = Decimal("NaN")
    if not edge.is_nan() and edge != -Decimal("Infinity"):
        return edge
    raise Unusable(
        f"{bucket.name} has a series with le={text!r}, which is no upper edge of a bucket"
    )
