"""Pool windows that are too small to judge in a check's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from progressive.errors import StrategyError
from progressive.model.actions import Memory
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Measurement,
    Moments,
    NoData,
    merge,
)

from .memory import kept_counts, kept_numbers, kept_pair

__all__ = ["pack", "pooled"]


Deciding: TypeAlias = Callable[[tuple[float, ...]], object]
"""What a histogram with these edges is judged at."""


def pooled(
    memory: Memory, candidate: Measurement, control: Measurement, deciding: Deciding
) -> tuple[Measurement, Measurement]:
    """Merge the pooled windows of both tracks with new ones.

    ``memory`` has two packed measurements, the candidate's and the control's. Histograms whose
    edges changed are merged at those that stay, if they are judged at the same ones as before: a
    limit must not move because buckets do. Otherwise, or where one has another kind now, return the
    new ones alone.
    """
    pooled_candidate, pooled_control = map(_unpack, kept_pair(memory))
    try:
        return (
            _merged(pooled_candidate, candidate, deciding),
            _merged(pooled_control, control, deciding),
        )
    except StrategyError:
        return candidate, control


def _merged(old: Measurement, new: Measurement, deciding: Deciding) -> Measurement:
    """Raise `StrategyError` where they can't be merged."""
    if isinstance(old, Histogram) and isinstance(new, Histogram):
        edges = new.shared_edges(old)
        if edges and deciding(edges) == deciding(old.edges) == deciding(new.edges):
            return merge(old.at(edges), new.at(edges))
    return merge(old, new)


def pack(measured: Measurement) -> Memory:
    """Return a measurement as plain numbers; None if there is no data."""
    match measured:
        case Counts(events=events, trials=trials):
            return (events, trials)
        case Histogram(edges=edges, cumulative=cumulative):
            return (edges, cumulative)
        case Moments(n=n, mean=mean, m2=m2):
            return (n, float(f"{mean:.12g}"), float(f"{m2:.12g}"))
        case Gauge(samples=samples):
            return (samples,)
        case _:
            return None


def _unpack(packed: Memory) -> Measurement:
    """Return a packed measurement; its kind follows from its shape."""
    match packed:
        case (int(events), int(trials)):
            return Counts(events=events, trials=trials)
        case (tuple(edges), tuple(cumulative)):
            return Histogram(edges=kept_numbers(edges), cumulative=kept_counts(cumulative))
        case (int(n), float() | int() as mean, float() | int() as m2):
            return Moments(n=n, mean=mean, m2=m2)
        case (tuple(samples),):
            return Gauge(samples=kept_numbers(samples))
        case _:
            return NoData("nothing yet")
