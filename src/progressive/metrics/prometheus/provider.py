"""`Prometheus`, a provider of exact counts out of raw samples, and the metrics that come with
it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import Http, HttpClient, HttpFlow, Request, Response, to_http
from progressive.adapters.provider import NO_VERSION, Declared, Provider, declaration, declared
from progressive.errors import MetricsError, StrategyError
from progressive.model import fields
from progressive.model.measurement import Bad, Kind, Look, Metric, NoAnswer, Side, Window
from progressive.model.release import Release
from progressive.model.traffic import Track

from .asking import Asking
from .counting import Unusable
from .custom import PromQL
from .promql import Match, Not, Regex
from .queries import Buckets, Query, Rate, Ratio
from .selectors import Counter, Joined, Telling
from .watching import Found

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

SCRAPE: Final = timedelta(seconds=15)
"""The scrape interval of most installations."""

STORING: Final = timedelta(seconds=15)
"""From the end of a scrape until its samples are there for every query. Prometheus needs none of
it; VictoriaMetrics shows samples a second late, and a *new* series up to ten seconds late (measured
with 1.79): the first errors of a version are such a series. Sending on to another server (remote
write) takes a few seconds, too.
"""

LAG: Final = SCRAPE + STORING
"""A sample bears the time at which its scrape began, and a scrape takes at most its interval."""

BODY_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of an answer. Raw samples are many: twenty buckets of a hundred pods are some megabytes in
ten minutes.
"""


def errors(lag: timedelta, side: Side | None = None) -> Metric:
    """`ERRORS` at a server whose numbers are complete after ``lag``, counted on this ``side``."""
    return Metric("error-rate", kind=Kind.RATIO, lag=lag, side=side)


def latency(lag: timedelta, side: Side | None = None) -> Metric:
    """`LATENCY` at a server whose numbers are complete after ``lag``, counted on this ``side``."""
    return Metric("latency", kind=Kind.LATENCY, unit="s", lag=lag, side=side)


def request_rate(lag: timedelta, side: Side | None = None) -> Metric:
    """`REQUEST_RATE` at a server whose numbers are complete after ``lag``, counted on this
    ``side``.
    """
    return Metric(
        "request-rate", kind=Kind.VALUE, unit="requests/s", bad=Bad.DOWN, lag=lag, side=side
    )


ERRORS: Final = errors(LAG)
"""Failed requests among all, at a scrape interval of 15 s."""

LATENCY: Final = latency(LAG)
"""How long requests take; every quantile comes from this one. At a scrape interval of 15 s."""

REQUEST_RATE: Final = request_rate(LAG)
"""Requests a second: a version that gets no traffic, or loses it, fails no request. At a scrape
interval of 15 s.
"""


_SERVICE_AND_VERSION: Final = MappingProxyType(
    {"destination_service_name": "{service}", "destination_version": "{backend}"}
)
_NOTHING: Final[Mapping[str, Match]] = MappingProxyType({})


def istio(
    namespace: str,
    *,
    reporter: Literal["destination", "source", "waypoint"] = "destination",
    version: Telling = _SERVICE_AND_VERSION,
    labels: Mapping[str, Match] = _NOTHING,
    lag: timedelta = LAG,
) -> dict[Metric, Query]:
    """`ERRORS` (answers 5xx), `LATENCY` and `REQUEST_RATE` from Istio's standard metrics:
    ``Prometheus(url, metrics=istio("shop"))``.

    ``namespace``: of the workloads. ``reporter``: who counts. The version's own sidecar
    (destination) sees every request that reached it, from whatever client. What could not reach it
    (no healthy pod, ejected, connection refused) only the client's proxy sees (source): take that
    where all traffic comes through a gateway or a mesh of yours, perhaps with
    ``labels={"source_workload": "istio-ingressgateway"}``. In ambient mode it is the waypoint. The
    metrics say which `Side` it is. Never count two of them together.

    ``version``: the labels that tell versions apart; the default is the Service by the release's
    name, and the pods' label ``version`` by the version's ``backend``. Where each version is a
    Deployment or a Service of its own, write ``version="destination_workload"`` or
    ``version="destination_service_name"``.

    gRPC answers 200 and puts its status elsewhere: for that declare a `Ratio` of your own, with
    ``grpc_response_status``.
    """
    if reporter not in ("destination", "source", "waypoint"):
        raise StrategyError(
            f"istio: reporter={reporter!r} is not one of 'destination', 'source', 'waypoint'"
        )
    shared = {"reporter": reporter, "destination_workload_namespace": namespace, **labels}
    requests = Counter("istio_requests_total", version=version, labels=shared)
    side = Side.CALLEE if reporter == "destination" else Side.CALLER
    return {
        errors(lag, side): Ratio(events=requests.where(response_code=Regex("5..")), total=requests),
        latency(lag, side): Buckets(
            "istio_request_duration_milliseconds_bucket",
            version=version,
            labels=shared,
            unit=timedelta(milliseconds=1),
        ),
        request_rate(lag, side): Rate(requests),
    }


def _complete_after(scrape: timedelta) -> timedelta:
    # Defaults are made before the fields are checked: what is no duration is left for its validator
    # to name.
    return scrape + STORING if isinstance(scrape, timedelta) else LAG


def _server(value: str | Http) -> Http:
    return value if isinstance(value, Http) else attrs.evolve(to_http(value), body_limit=BODY_LIMIT)


def _declared(value: Mapping[Metric, Query] | Declared[Query]) -> Declared[Query]:
    # Of its own type: type checkers do not see through a generic converter.
    return declared(value)


def _are_queries(_: object, __: object, value: Any) -> None:
    if not isinstance(value, tuple) or not value:
        raise StrategyError(
            "Prometheus.metrics: give a mapping of metrics to queries, such as {ERRORS: "
            "Ratio(events=..., total=...)}"
        )
    for metric, query in value:
        fields.a(Metric, metric, "Prometheus.metrics", "Metric({}, kind='ratio')")
        if not isinstance(query, Query):
            what = fields.brief(query)
            raise StrategyError(
                f"Prometheus.metrics[{metric.name}]: {what} is no Ratio(...), Buckets(...), "
                "Rate(...) or PromQL(...)"
            )


@attrs.frozen(kw_only=True)
class Prometheus(Provider[Request, Response]):
    """A Prometheus-compatible server. ``server``: what comes before ``/api/v1`` in its address, or
    an `Http`.

    ``metrics``: what each metric is there. ``scrape``: the scrape interval of the targets; one that
    misses three in a row counts as down. ``lag``: how long after a moment its samples are complete;
    one scrape interval and 15 s by default, which is enough for VictoriaMetrics; for Prometheus
    itself a scrape interval and a second are. What comes later than that is lost, not counted
    later. Every metric's own ``lag`` must be at least that; `errors`, `latency` and `request_rate`
    make metrics with another one.

    A look needs no ``since``: the server has a history. `Look.covered` ends early where a version
    was scraped for the last time within the window: it is judged up to there, and silence after
    that is no data.
    """

    server: Http = attrs.field(kw_only=False, converter=_server)
    _queries: Declared[Query] = attrs.field(
        alias="metrics", converter=_declared, validator=_are_queries, repr=False
    )
    scrape: timedelta = attrs.field(
        default=SCRAPE, converter=fields.whole_ms, validator=fields.is_duration
    )
    lag: timedelta = attrs.field(
        default=attrs.Factory(lambda self: _complete_after(self.scrape), takes_self=True),
        converter=fields.whole_ms,
        validator=fields.is_span,
    )
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.server, MetricsError, "Prometheus"), takes_self=True
        ),
    )

    def __attrs_post_init__(self) -> None:
        problems = [
            problem for metric, query in self._queries for problem in self._problems(metric, query)
        ]
        names = [metric.name for metric, _ in self._queries]
        problems += [
            f"{name!r} stands for two metrics"
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
        if problems:
            raise StrategyError([f"Prometheus.metrics: {problem}" for problem in problems])

    def _problems(self, metric: Metric, query: Query) -> list[str]:
        problems = []
        if query.kind is not metric.kind:
            problems.append(
                f"{metric.name} is a {metric.kind.value}, and {type(query).__name__}(...) measures "
                f"a {query.kind.value}"
            )
        if metric.counter:
            problems.append(
                f"{metric.name} has counter=True, which is for systems without history; leave it "
                "out"
            )
        if metric.lag < self.lag:
            seconds = self.lag / timedelta(seconds=1)
            problems.append(
                f"{metric.name} has a lag of {metric.lag}, but numbers are complete after "
                f"{self.lag}; write lag=seconds({seconds:g})"
            )
        return problems

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that were declared, with the scrape interval as their resolution where they say
        none.
        """
        return self._metrics

    @cached_property
    def _metrics(self) -> tuple[Metric, ...]:
        return tuple(
            attrs.evolve(metric, resolution=metric.resolution or self.scrape)
            for metric, _ in self._queries
        )

    def _measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> HttpFlow[Look]:
        _, query = declaration("Prometheus", self._queries, metric)
        asking = Asking.of(release, tracks, window, self.scrape)
        found = Found(measured={}, end=asking.end)
        if asking.versions:
            try:
                found = yield from query.look(asking)
            except Unusable as why:
                found = Found(
                    measured=dict.fromkeys(asking.versions, NoAnswer(str(why))), end=asking.end
                )
        return Look(
            metric=metric.name,
            window=window,
            tracks={track: found.measured.get(track, NO_VERSION) for track in tracks},
            covered=Window(
                window.start, window.end - timedelta(milliseconds=asking.end - found.end)
            ),
            query="\n".join(asking.sent),
            fingerprint=_fingerprint(metric, query),
        )


def _fingerprint(metric: Metric, query: Query) -> str:
    """What the numbers mean; not for which versions or when they were asked, which is the release's
    and the window's matter. Nor in which buckets: these are the checks' matter, which go on where
    they change.
    """
    # The last one was the edges of buckets once. It stays, empty as it was for what has none, so
    # that these keep their fingerprint.
    meaning = ("prometheus/1", metric.name, type(query).__name__, query.text, "")
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]
