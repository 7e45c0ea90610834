"""Windows that are too small to judge, kept and added up in a check's memory."""

from __future__ import annotations

from typing import cast

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

__all__ = ["pack", "pooled"]


def pooled(
    memory: Memory, fresh: Measurement, fresh_control: Measurement
) -> tuple[Measurement, Measurement]:
    """What was kept of earlier windows with the fresh ones; the fresh ones alone where they have
    another shape (other buckets) now.
    """
    kept, kept_control = _unpack(memory)
    try:
        return merge(kept, fresh), merge(kept_control, fresh_control)
    except StrategyError:
        return fresh, fresh_control


def pack(measured: Measurement) -> Memory:
    """A pooled measurement as plain numbers; nothing for none."""
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


def _unpack(memory: Memory) -> tuple[Measurement, Measurement]:
    one, other = cast("tuple[Memory, Memory]", memory or (None, None))
    return _one(one), _one(other)


def _one(packed: Memory) -> Measurement:
    match packed:
        case (int(events), int(trials)):
            return Counts(events=events, trials=trials)
        case (tuple(edges), tuple(cumulative)):
            return Histogram(
                edges=cast("tuple[float, ...]", edges),
                cumulative=cast("tuple[int, ...]", cumulative),
            )
        case (int(n), float() | int() as mean, float() | int() as m2):
            return Moments(n=n, mean=mean, m2=m2)
        case (tuple(samples),):
            return Gauge(samples=cast("tuple[float, ...]", samples))
        case _:
            return NoData("nothing yet")
