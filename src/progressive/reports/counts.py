"""Whom the candidate met: the requests in the looks that were taken, by metric and track.

A request that no look counted is not among them, so this is the least that it met.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from progressive.model.measurement import (
    Bad,
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
)
from progressive.model.traffic import Track
from progressive.rollout.events import Measured
from progressive.rollout.notes import Asked, EventRecorded

from .record import Record

__all__ = ["Counted", "Exposure", "counted", "exposure", "looks"]

PREFLIGHT: Final = "preflight"
"""The name under which the engine asks whether a metric answers at all, before there is traffic."""

UNITS: Final = {Counts: "requests", Histogram: "requests", Moments: "values", Gauge: "samples"}


@attrs.frozen(kw_only=True)
class Counted:
    """All looks at one metric of one track.

    * ``looks``, ``empty``: how many there were, and how many of them had no data or no answer.
    * ``sample``: requests, values or samples; ``unit`` says which.
    * ``events``: of a ratio, how many of them were events; None of other metrics.
    """

    looks: int = 0
    empty: int = 0
    sample: int = 0
    unit: str = ""
    events: int | None = None

    def plus(self, measured: Measurement) -> Counted:
        """Return this with one more look."""
        events = self.events
        if isinstance(measured, Counts):
            events = measured.events + (events or 0)
        return Counted(
            looks=self.looks + 1,
            empty=self.empty + (type(measured) not in UNITS),
            sample=self.sample + measured.sample,
            unit=self.unit or UNITS.get(type(measured), ""),
            events=events,
        )


@attrs.frozen(kw_only=True)
class Exposure:
    """The requests that the candidate met, and those of them that failed, at least.

    * ``requests``: None if no metric counts requests.
    * ``failed``, ``metric``: of the metric with the most events for which up is bad; None if there
      is no such metric, or its direction is not known.
    * ``mirrored``: whether copies were asked for, whose answers nobody saw, and which are among
      them.
    """

    requests: int | None
    failed: int | None
    metric: str
    mirrored: bool

    def __str__(self) -> str:
        if self.requests is None:
            return "not counted"
        said = f"{self.requests:,} requests"
        if self.failed is not None:
            said += f", {self.failed:,} of them bad ({self.metric})"
        return f"{said}, mirrored copies included" if self.mirrored else said


def looks(record: Record) -> Iterator[Measured]:
    """Yield every look that was taken since the preflight."""
    for note in record.all(EventRecorded):
        if isinstance(note.event, Measured) and note.event.analyses != (PREFLIGHT,):
            yield note.event


def counted(record: Record) -> dict[str, dict[Track, Counted]]:
    """Return what was counted for each metric, by its name.

    A metric that several analyses look at in windows of their own is counted where most was seen,
    not twice.
    """
    series: dict[str, dict[tuple[str, ...], dict[Track, Counted]]] = {}
    for event in looks(record):
        metric = series.setdefault(event.look.metric, {})
        _add(metric.setdefault(event.analyses, {}), event.look)
    return {name: max(of.values(), key=_candidates) for name, of in series.items()}


def _add(tracks: dict[Track, Counted], look: Look) -> None:
    for track, measured in look.tracks:
        tracks[track] = tracks.get(track, Counted()).plus(measured)


def _candidates(tracks: dict[Track, Counted]) -> int:
    return tracks.get(Track.CANDIDATE, Counted()).sample


def exposure(record: Record, found: dict[str, dict[Track, Counted]]) -> Exposure:
    """Return whom the candidate met, by what `counted` has found.

    Metrics that only synthetic analyses look at are left out: no user sent those requests.
    """
    metrics = _metrics(record)
    own = {
        name: tracks[Track.CANDIDATE]
        for name, tracks in found.items()
        if Track.CANDIDATE in tracks and name not in _synthetic(record)
    }
    requests = [each.sample for each in own.values() if each.unit == "requests"]
    bad = [
        (each.events, name)
        for name, each in own.items()
        if each.events is not None
        and (metric := metrics.get(name)) is not None
        and metric.kind is Kind.RATIO
        and metric.bad is Bad.UP
    ]
    failed, metric_of_it = max(bad) if bad else (None, "")
    return Exposure(
        requests=max(requests, default=None),
        failed=failed,
        metric=metric_of_it,
        mirrored=any(note.traffic.mirror.ppm for note in record.all(Asked)),
    )


def _metrics(record: Record) -> dict[str, Metric]:
    return {} if record.rollout is None else {m.name: m for m in record.rollout.plan.metrics}


def _synthetic(record: Record) -> list[str]:
    """Name the metrics of load tests alone."""
    series = () if record.rollout is None else record.rollout.plan.series
    seen = [each.metric.name for each in series if not each.analysis.synthetic]
    return [each.metric.name for each in series if each.metric.name not in seen]
