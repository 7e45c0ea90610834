"""A service whose instances are scraped, and a Prometheus that has what was scraped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.fake_prometheus import FakePrometheus

from progressive.adapters.flow import feed
from progressive.metrics.prometheus import ERRORS, Buckets, Counter, Prometheus, Ratio, Regex
from progressive.model.measurement import Look, Metric, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import minutes, seconds

RELEASE = Release(
    service="shop", stable=Version("1.0", backend="v1"), candidate=Version("1.1", backend="v2")
)


BOTH = (Track.STABLE, Track.CANDIDATE)
REQUESTS = Counter("requests_total", version="version")
RATIO = Ratio(events=REQUESTS.where(code=Regex("5..")), total=REQUESTS)
BUCKETS = Buckets("seconds_bucket", version="version")
QUEUE = Metric("queue", kind="value", lag=minutes(1))
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
ZERO = 1_795_435_200_000
"""`START` in milliseconds."""


def scraping(query: Any, metric: Metric, **more: Any) -> Prometheus:
    """A provider of one metric, whose targets are scraped every second."""
    return Prometheus("http://127.0.0.1:9090", metrics={metric: query}, scrape=seconds(1), **more)


class World:
    """A server with a history that a test writes, second by second from `START`."""

    def __init__(self) -> None:
        self.server = FakePrometheus()

    def scrape(
        self, second: float, instance: str = "a:80", version: str = "v1", **codes: float | str
    ) -> None:
        """One scrape of one target: ``scrape(3, _200=10, _500=1)``."""
        moment = ZERO + round(second * 1000)
        self.server.add(moment, 1, name="up", job="shop", instance=instance)
        for code, value in codes.items():
            self.server.add(
                moment, value, job="shop", instance=instance, version=version, code=code[1:]
            )

    def observe(
        self, second: float, *counts: float, edges: str = "0.1 0.5 +Inf", **labels: str
    ) -> None:
        """One scrape of a histogram."""
        named = {
            "name": "seconds_bucket",
            "job": "shop",
            "instance": "a:80",
            "version": "v1",
            **labels,
        }
        for edge, count in zip(edges.split(), counts, strict=True):
            self.server.add(ZERO + round(second * 1000), count, le=edge, **named)

    def look(
        self, begin: float, end: float, query: Any = RATIO, metric: Metric = ERRORS, **more: Any
    ) -> Look:
        window = Window(START + timedelta(seconds=begin), START + timedelta(seconds=end))
        flow = scraping(query, metric)._measure(
            more.pop("release", RELEASE), metric, more.pop("tracks", BOTH), window, None
        )
        return feed(flow, self.server)

    def stable(
        self, begin: float, end: float, query: Any = RATIO, metric: Metric = ERRORS, **more: Any
    ) -> Any:
        return self.look(begin, end, query, metric, **more).of(Track.STABLE)


def vector(*values: Any, **more: Any) -> bytes:
    result = [
        {"metric": {"n": str(i)}, "value": [1_795_435_200, value]} for i, value in enumerate(values)
    ]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}, **more}
    ).encode()


INJECTION = 'x"}[5m])) or vector(1) #'
