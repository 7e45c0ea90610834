"""Envoy's own statistics as metrics: raw counters and histograms of a version's cluster, with no
other server between.

Envoy keeps no history, so every look is the difference between two readings, and the first look of
a series is only a reading. What counts is what users got: the final answer of each request, retries
left out, and with it the answers that Envoy gave itself because the version could not be reached
(no connection, no healthy host, a time-out): all of those are in the same counters.

Mirrored copies are left out: Envoy counts them as *internal* requests of the cluster, beside the
*external* ones of clients.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Any, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import (
    Http,
    HttpClient,
    HttpFlow,
    Malformed,
    Request,
    Response,
    get_path,
    to_http,
)
from progressive.adapters.provider import NO_VERSION, Provider, versions_of
from progressive.errors import Failure, MetricsError, StrategyError
from progressive.model import fields
from progressive.model.measurement import (
    READING_LIMIT,
    Counts,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    NoData,
    Side,
    Window,
)
from progressive.model.release import Release
from progressive.model.traffic import Track

__all__ = ["CLIENT_ERRORS", "ERRORS", "LATENCY", "EnvoyStats", "Http", "latency"]

FRESH: Final = timedelta(seconds=1)
"""Counters are read as they stand: this is how soon after a raise it is worth a request to do so.
"""

ERRORS: Final = Metric(
    "error-rate", kind=Kind.RATIO, counter=True, side=Side.CALLER, resolution=FRESH
)
"""Answers 5xx among all answers. (gRPC answers 200 and puts its status elsewhere: not seen here.)
"""

CLIENT_ERRORS: Final = Metric(
    "client-error-rate", kind=Kind.RATIO, counter=True, side=Side.CALLER, resolution=FRESH
)
"""Answers 4xx among all answers: a version that has lost a route answers 404, not 500."""


def latency(flush: timedelta) -> Metric:
    """`LATENCY` of an Envoy whose ``stats_flush_interval`` is ``flush``."""
    return Metric(
        "latency",
        kind=Kind.LATENCY,
        unit="s",
        counter=True,
        lag=flush,
        side=Side.CALLER,
        resolution=flush,
    )


LATENCY: Final = latency(timedelta(seconds=5))
"""From the end of a request to the end of its answer, for answers that came from the version
itself. Envoy merges its histograms when it flushes (``stats_flush_interval``, 5 s by default),
hence the lag.
"""

_ERROR_CLASS: Final = {ERRORS.name: 5, CLIENT_ERRORS.name: 4}

_EDGES: Final = tuple(
    timedelta(milliseconds=ms)
    for ms in (
        *(1, 2, 3, 4, 5, 6, 8),
        *(
            mantissa * decade
            for decade in (1, 10, 100, 1000)
            for mantissa in (10, 12, 15, 20, 25, 30, 40, 50, 60, 75)
        ),
        *(100_000, 300_000, 600_000),
    )
)
"""Where a limit on latency can be judged exactly: 1 ms to 10 min, a quarter apart."""

_TOTAL: Final = 0
"""The place of ``upstream_rq_total`` among the numbers of a cluster; 1 to 5 are the answers by
class. Trials are the sum of the classes, not ``upstream_rq_completed``: that counter is read at
another moment and could show fewer answers than errors.
"""

_Numbers = dict[int, int]
"""Numbers of one cluster that only ever rise, by their place; zeros are left out."""


def _utcnow() -> datetime:
    return datetime.now(UTC)


def _steps(value: Iterable[timedelta]) -> tuple[timedelta, ...]:
    return tuple(value)


def _two_digits(
    instance: object, attribute: attrs.Attribute[Any], value: tuple[timedelta, ...]
) -> None:
    where = fields.where(instance, attribute)
    for edge in value:
        fields.is_duration(instance, attribute, edge)
        ms = edge / timedelta(milliseconds=1)
        if not ms.is_integer() or len(str(int(ms)).rstrip("0")) > 2:
            raise StrategyError(
                f"{where}: {edge!r} is between two of Envoy's bins; use whole milliseconds of two "
                "digits (ms(250))"
            )
    if not value or any(b <= a for a, b in pairwise(value)):
        raise StrategyError(f"{where}: must be one or more rising durations")


@attrs.frozen(kw_only=True)
class EnvoyStats(Provider[Request, Response]):
    """One Envoy's numbers for the clusters of a release. ``admin``: the address of its admin
    interface, or an `Http`.

    ``internal``: count internal requests too, needed where all clients are internal (Envoy's
    ``internal_address_config``); mirrored copies then count as traffic. ``flush``: Envoy's
    ``stats_flush_interval``. ``edges``: the bucket edges of `LATENCY`. ``clock``: says when an
    answer arrived.

    A look tells what came since the reading ``since``; without one it is an opening reading.
    `Look.covered` ends when the answer arrived, for `LATENCY` one ``flush`` earlier: up to there it
    is complete. A little of what came before its start may be in it too, so give an analysis of
    `LATENCY` a warm-up of at least ``flush``.
    """

    admin: Http = attrs.field(default=Http("http://127.0.0.1:9901"), converter=to_http)
    internal: bool = False
    flush: timedelta = attrs.field(
        default=LATENCY.lag, converter=fields.whole_ms, validator=fields.is_duration
    )
    edges: tuple[timedelta, ...] = attrs.field(
        default=_EDGES, converter=_steps, validator=_two_digits, repr=False
    )
    clock: Callable[[], datetime] = attrs.field(default=_utcnow, repr=False)
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.admin, MetricsError, "Envoy"), takes_self=True
        ),
    )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """`ERRORS`, `CLIENT_ERRORS` and `LATENCY`."""
        return (ERRORS, CLIENT_ERRORS, latency(self.flush))

    def _measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> HttpFlow[Look]:
        if metric.name not in {each.name for each in self.metrics}:
            known = ", ".join(each.name for each in self.metrics)
            raise MetricsError(
                f"EnvoyStats answers for {known}; not for {metric.name}", failure=Failure.PERMANENT
            )
        histogram = metric.kind is Kind.LATENCY
        clusters = {
            track: version.backend for track, version in versions_of(release, tracks).items()
        }
        request = _histograms(clusters.values()) if histogram else _counters(clusters.values())
        response = yield request
        now = fields.utc(self.clock()) - (self.flush if histogram else timedelta())
        found = _Stats.of(response)
        mark = self._fingerprint(metric)
        reading = _Reading(
            mark=mark,
            at=max(now, window.start),
            uptime=found.uptime,
            clusters={name: self._numbers(found, name, histogram) for name in clusters.values()},
        )
        before = None if since is None else _Reading.parse(since, mark)
        if before is None:
            opening = NoData(
                "opening reading"
                if since is None
                else "the reading before was taken with other settings; read anew"
            )
            measured: dict[Track, Measurement] = dict.fromkeys(tracks, opening)
        else:
            measured = {
                track: self._since(metric, before, reading, clusters.get(track)) for track in tracks
            }
        return Look(
            metric=metric.name,
            window=window,
            tracks=measured,
            # The clock may have been put back since then: the time between is not known, but the
            # numbers are.
            covered=Window(
                reading.at if before is None else min(before.at, reading.at), reading.at
            ),
            reading=reading.dump(),
            query=request.target,
            fingerprint=mark,
        )

    def _numbers(self, found: _Stats, cluster: str, histogram: bool) -> _Numbers | None:
        """The numbers of a cluster; None if Envoy does not know it."""
        name = _stat(cluster)
        total = found.counters.get(f"{name}.upstream_rq_total")
        if total is None:
            return None
        numbers: dict[int, int] = {} if histogram else {_TOTAL: total}
        for origin in ("external", "internal") if self.internal else ("external",):
            if histogram:
                for low, count in found.bins.get(f"{name}.{origin}.upstream_rq_time", ()):
                    place = bisect_right(self.edges, timedelta(milliseconds=low))
                    numbers[place] = numbers.get(place, 0) + count
            else:
                for place in range(1, 6):
                    numbers[place] = numbers.get(place, 0) + found.counters.get(
                        f"{name}.{origin}.upstream_rq_{place}xx", 0
                    )
        return {place: number for place, number in numbers.items() if number}

    def _since(
        self, metric: Metric, before: _Reading, now: _Reading, cluster: str | None
    ) -> Measurement:
        if cluster is None:
            return NO_VERSION
        if cluster not in before.clusters:
            return NoData("opening reading")
        new, old = now.clusters[cluster], before.clusters[cluster] or {}
        if new is None:
            return NoData(
                f"Envoy has no counters of cluster {cluster!r}: no such cluster, or stats_matcher "
                "leaves it out"
            )
        if now.uptime < before.uptime or any(
            new.get(place, 0) < number for place, number in old.items()
        ):
            return NoData("the counters fell: Envoy was restarted or reset; read anew")
        rose = {place: number - old.get(place, 0) for place, number in new.items()}
        if metric.kind is Kind.LATENCY:
            return self._histogram(rose)
        return _counts(rose, _ERROR_CLASS[metric.name])

    def _histogram(self, rose: _Numbers) -> Measurement:
        if not any(rose.values()):
            return NoData("no requests")
        edges = tuple(edge / timedelta(seconds=1) for edge in self.edges)
        return Histogram(
            edges=edges,
            cumulative=tuple(accumulate(rose.get(place, 0) for place in range(len(edges) + 1))),
        )

    def _fingerprint(self, metric: Metric) -> str:
        """What the numbers mean; not for which clusters they were asked, which is the release's
        matter.
        """
        edges = [str(edge) for edge in self.edges] if metric.kind is Kind.LATENCY else []
        return hashlib.sha256(
            repr(("envoy/1", metric.name, self.internal, edges)).encode()
        ).hexdigest()[:16]


def _counts(rose: _Numbers, bad: int) -> Measurement:
    trials = sum(rose.get(place, 0) for place in range(1, 6))
    if not trials:
        unseen = rose.get(_TOTAL, 0)
        hint = (
            f"; {unseen} that are internal (mirrored copies, or see internal=True) or not answered "
            "yet"
            if unseen
            else ""
        )
        return NoData(f"no requests{hint}")
    return Counts(events=rose.get(bad, 0), trials=trials)


# ------------------------------------------------------------------------------------------- asking


def _stat(cluster: str) -> str:
    """The name of a cluster within Envoy's statistics, which know no colons."""
    return "cluster." + cluster.replace("://", "_").replace(":/", "_").replace(":", "_")


def _counters(clusters: Iterable[str]) -> Request:
    return _query(clusters, r"upstream_rq_total|(external|internal)\.upstream_rq_[1-5]xx", ())


def _histograms(clusters: Iterable[str]) -> Request:
    # Detailed: Envoy's bins themselves, of two significant digits, whatever buckets are configured.
    # The buckets leave out what is beyond the last of them, and show what took 1.9 ms as "at most 1
    # ms", because values are cut to whole milliseconds.
    return _query(
        clusters,
        r"upstream_rq_total|(external|internal)\.upstream_rq_time",
        (("histogram_buckets", "detailed"),),
    )


def _query(clusters: Iterable[str], names: str, more: tuple[tuple[str, str], ...]) -> Request:
    which = "|".join(re.escape(_stat(cluster)) for cluster in clusters)
    return Request(
        "GET",
        "/stats",
        params=(("format", "json"), ("filter", rf"^(({which})\.({names})|server\.uptime)$"), *more),
    )


@attrs.frozen(kw_only=True)
class _Stats:
    """Envoy's answer: counters by name, and histograms' bins as (lower bound in ms, count)."""

    uptime: int
    counters: Mapping[str, int]
    bins: Mapping[str, tuple[tuple[float, int], ...]]

    @classmethod
    def of(cls, response: Response) -> _Stats:
        counters: dict[str, int] = {}
        bins: dict[str, tuple[tuple[float, int], ...]] = {}
        for stat in get_path(response.json(), "stats", list):
            if "histograms" not in get_path(stat, "", dict):
                counters[get_path(stat, "name", str)] = get_path(stat, "value", int)
                continue
            for each in get_path(stat, "histograms.details", list):
                bins[get_path(each, "name", str)] = tuple(
                    _bin(one) for one in get_path(each, "totals", list)
                )
        if "server.uptime" not in counters:
            raise Malformed(
                "there is no server.uptime in it; let stats_matcher keep it, so that a restart is "
                "seen"
            )
        return cls(uptime=counters.pop("server.uptime"), counters=counters, bins=bins)


def _bin(value: Any) -> tuple[float, int]:
    low: object = get_path(value, "lower_bound", object)
    if not isinstance(low, int | float):
        raise Malformed("the lower_bound of a bin is not a number")
    return low, get_path(value, "count", int)


# ----------------------------------------------------------------------------------------- readings


@attrs.frozen(kw_only=True)
class _Reading:
    """What the next look needs: every number, when it was read, and what it means (``mark``)."""

    mark: str
    at: datetime
    uptime: int
    clusters: Mapping[str, _Numbers | None]

    def dump(self) -> str:
        of = {
            name: None if numbers is None else {str(k): v for k, v in numbers.items()}
            for name, numbers in self.clusters.items()
        }
        text = json.dumps(
            {"mark": self.mark, "at": self.at.isoformat(), "up": self.uptime, "of": of},
            separators=(",", ":"),
        )
        if len(text) > READING_LIMIT:
            raise MetricsError(
                f"a reading of {len(text)} characters is too long for a rollout; give fewer edges=",
                failure=Failure.PERMANENT,
            )
        return text

    @classmethod
    def parse(cls, text: str, mark: str) -> _Reading | None:
        """The reading again; None if it was taken with other settings or by another version of this
        library.
        """
        try:
            value = json.loads(text)
            if get_path(value, "mark", str) != mark:
                return None
            of = {
                name: None
                if numbers is None
                else {int(k): get_path(v, "", int) for k, v in numbers.items()}
                for name, numbers in get_path(value, "of", dict).items()
            }
            return cls(
                mark=mark,
                at=fields.utc(datetime.fromisoformat(get_path(value, "at", str))),
                uptime=get_path(value, "up", int),
                clusters=of,
            )
        except (ValueError, AttributeError):
            return None
