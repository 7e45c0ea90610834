"""Looks, metrics and verdicts for the tests of checks."""

from __future__ import annotations

from tests.support.world import START

from progressive import Limit, Metric, Track, ms, percent, seconds
from progressive.analysis import Verdict
from progressive.model import Counts, Gauge, Histogram, Look, Measurement, NoData, Window

PASS, FAIL, INCONCLUSIVE, NO_DATA, ERROR, MISSING = Verdict

ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="latency")
BASKET = Metric("basket", kind="mean", unit="EUR", bad="down")
QUEUE = Metric("queue", kind="value")
WINDOW = Window(START, START + seconds(30))
NOTHING = NoData("no requests")


def look(candidate: Measurement, stable: Measurement = NOTHING, **others: Measurement) -> Look:
    tracks = {Track.CANDIDATE: candidate, Track.STABLE: stable} | {
        Track(name): found for name, found in others.items()
    }
    return Look(metric="x", window=WINDOW, tracks=tracks)


def counts(events: int, trials: int) -> Counts:
    return Counts(events=events, trials=trials)


EDGES = (0.1, 0.2, 0.4, 0.8)


def times(*cumulative: int, edges: tuple[float, ...] = EDGES) -> Histogram:
    return Histogram(edges=edges, cumulative=cumulative)


def level(*samples: float) -> Gauge:
    return Gauge(samples=samples)


LOW = [float(k % 7) for k in range(30)]
HIGH = [value + 6 for value in LOW]


AT_1 = Limit(ERRORS, at_most=percent(1))
P99 = Limit(LATENCY, quantile=0.99, at_most=ms(400))
