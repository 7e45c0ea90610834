"""Prometheus and what speaks its HTTP API (VictoriaMetrics, Thanos, Mimir) as metrics: exact counts
out of raw samples.

::

    requests = Counter("http_requests_total", version="version", labels={"job": "shop"})
    prometheus = Prometheus(
        "http://prometheus:9090",
        metrics={
            ERRORS: Ratio(events=requests.where(code=Regex("5..")), total=requests),
            LATENCY: Buckets(
                "http_request_duration_seconds_bucket", version="version", labels={"job": "shop"}
            ),
            QUEUE: PromQL('max(queue_depth{job="shop", version="{backend}"})'),
        },
    )

An event counts in the window in which it was scraped, which is up to one scrape interval after it
happened. So give an analysis a warm-up of at least that, if what came just before it shall stay
out. What a server has of versions is told apart by labels, of the series or of an info metric
(`Joined`). A series that goes on under other labels is one counter, if its version, job, instance
and name stay the same. `counting` says what odd forms of samples mean, and the page "What a raw
counter's samples mean" what a server makes of them.
"""

from __future__ import annotations

from .provider import (
    ERRORS,
    LATENCY,
    REQUEST_RATE,
    Buckets,
    Counter,
    Http,
    Joined,
    Not,
    Prometheus,
    PromQL,
    Rate,
    Ratio,
    Regex,
    errors,
    istio,
    latency,
    request_rate,
)

__all__ = [
    "ERRORS",
    "LATENCY",
    "REQUEST_RATE",
    "Buckets",
    "Counter",
    "Http",
    "Joined",
    "Not",
    "PromQL",
    "Prometheus",
    "Rate",
    "Ratio",
    "Regex",
    "errors",
    "istio",
    "latency",
    "request_rate",
]
