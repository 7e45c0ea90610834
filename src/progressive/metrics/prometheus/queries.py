"""What a metric is at a Prometheus-compatible server, and how a look at it is made of raw samples.

Counts are differences of raw samples, taken here: the server's ``increase()`` and ``rate()``
extrapolate, lose the first event of every new series, and answer from a target that is gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, TypeAlias

import attrs

from progressive.adapters.http import HttpFlow
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Measurement,
    NoAnswer,
    NoData,
)
from progressive.model.traffic import Track

from .asking import Asking
from .counting import Line, Misread, Unusable
from .custom import PromQL
from .histograms import edges_of, line_of
from .selectors import Counter, Joined, Selected
from .series import Series
from .watching import Found, Watched, around

__all__ = ["Buckets", "PromQL", "Query", "Rate", "Ratio"]


def _is_counter(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    fields.a(Counter, value, fields.where(instance, attribute), "Counter({}, version='version')")


def _apart(counter: Counter) -> str:
    told = counter.version
    return repr(told if isinstance(told, Joined) else dict(told))


def _judged(watched: Watched, track: Track, measure: Callable[[], Measurement]) -> Measurement:
    """What was measured of a version; why not, if it has nothing or nothing usable. What can't be
    judged for any version is raised.
    """
    try:
        return watched.silent.get(track) or measure()
    except Misread:
        raise
    except Unusable as why:
        return NoAnswer(str(why))


@attrs.frozen
class Ratio:
    """Events among trials: ``Ratio(events=requests.where(code=Regex("5..")), total=requests)``. For
    metrics of kind ratio.

    The events are a part of the total. A version without one event has 0 events; one without
    requests has no data.
    """

    kind: ClassVar[Kind] = Kind.RATIO

    events: Counter = attrs.field(kw_only=True, validator=_is_counter)
    total: Counter = attrs.field(kw_only=True, validator=_is_counter)

    def __attrs_post_init__(self) -> None:
        if self.events.version != self.total.version:
            raise StrategyError(
                f"Ratio: events and total tell the versions apart by {_apart(self.events)} "
                f"and by {_apart(self.total)}; a part and its whole must have the same "
                "labels for that"
            )
        if self.events.delta is not self.total.delta:
            raise StrategyError(
                "Ratio: events and total must both have delta=True, or neither; they are of one "
                "service"
            )

    @property
    def text(self) -> str:
        """What is counted, with placeholders."""
        return f"{self.events.meaning} of {self.total.meaning}"

    def look(self, asking: Asking) -> HttpFlow[Found]:
        """Count both in one window."""
        watched = yield from around(asking, (self.events, self.total))
        measured: dict[Track, Measurement] = {}
        for track, [events, total] in watched.mine.items():
            measured[track] = _judged(
                watched, track, partial(self._measured, watched, events, total)
            )
            if events and not total:
                measured[track] = NoAnswer(
                    f"there are events ({self.events.of()}), but nothing of the total "
                    f"({self.total.of()})"
                )
        return Found(measured=measured, end=watched.end)

    def _measured(
        self, watched: Watched, events: Sequence[Series], total: Sequence[Series]
    ) -> Measurement:
        watch, lines = watched.watch, [watched.watch.counter(each) for each in total]
        trials, failed = _sum(lines, watched), _sum(map(watch.counter, events), watched)
        if not trials and not failed:
            return watched.idle(lines)
        # Of two counters with two names, an event may be counted before its request is: then that
        # one is the request.
        return Counts(events=failed, trials=max(trials, failed))


def _sum(lines: Iterable[Line], watched: Watched) -> int:
    return sum(rise[0] for line in lines if (rise := watched.rise(line)) is not None)


@attrs.frozen
class Rate:
    """How many events a second: ``Rate(requests)``. For metrics of kind value. A version that is
    scraped and idle has 0.
    """

    kind: ClassVar[Kind] = Kind.VALUE

    counter: Counter = attrs.field(validator=_is_counter)

    @property
    def text(self) -> str:
        """What is counted, with placeholders."""
        return f"{self.counter.meaning} a second"

    def look(self, asking: Asking) -> HttpFlow[Found]:
        """The rate between the first and the last sample around the window, which are less than a
        scrape from its edges.
        """
        watched = yield from around(asking, (self.counter,))
        measured: dict[Track, Measurement] = {}
        for track, [series] in watched.mine.items():
            measured[track] = _judged(watched, track, partial(self._measured, watched, series))
        return Found(measured=measured, end=watched.end)

    @staticmethod
    def _measured(watched: Watched, series: Sequence[Series]) -> Measurement:
        rate = watched.watch.per_second(series, watched.end)
        if rate is None:
            return NoData(
                "no two samples in this window: it is shorter than the scrape interval, or its job "
                "was just added"
            )
        return Gauge(samples=(rate,))


@attrs.frozen
class Buckets(Selected):
    """A histogram: ``Buckets("http_request_duration_seconds_bucket", version="version")``. For
    metrics of kind latency.

    ``labels``, ``version`` and ``delta`` as with `Counter`. ``unit``: what 1 in ``le`` stands for;
    ``ms(1)`` for a histogram in milliseconds. Quantiles are the check's matter; a limit is judged
    exactly where the histogram has a bucket that ends there.

    With ``_bucket`` at its end the name is that of a classic histogram. Where a version has none,
    the native one without that ending is read, and for all versions if all have it: never both
    together. Without ``_bucket`` the name is that of a native histogram, exponential or with custom
    buckets. The exponential buckets of VictoriaMetrics (``vmrange``) are read too.
    """

    spread: ClassVar[bool] = True
    kind: ClassVar[Kind] = Kind.LATENCY

    unit: timedelta = attrs.field(
        default=timedelta(seconds=1), kw_only=True, validator=fields.is_duration
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if "le" in dict(self.labels):
            raise StrategyError(
                f"Buckets({self.name}): labels= has 'le', but all of the buckets are needed; leave "
                "it out"
            )

    @property
    def text(self) -> str:
        """What is counted, with placeholders."""
        return f"{self.meaning} in {self.unit}"

    def look(self, asking: Asking) -> HttpFlow[Found]:
        """Count every bucket in one window."""
        watched = yield from around(asking, (self,))
        chosen = {track: (watched, series) for track, [series] in watched.mine.items()}
        absent = [track for track, (_, series) in chosen.items() if not _is_there(series)]
        if absent and (name := self.name.removesuffix("_bucket")) != self.name:
            chosen |= yield from self._native(asking, name, watched, absent)
        end = min((each.end for each, _ in chosen.values()), default=asking.end)
        measured: dict[Track, Measurement] = {}
        for track, (each, series) in chosen.items():
            judged = attrs.evolve(each, end=end)
            measured[track] = _judged(judged, track, partial(self._measured, judged, series))
        return Found(measured=measured, end=end)

    def _native(
        self, asking: Asking, name: str, classic: Watched, absent: Sequence[Track]
    ) -> HttpFlow[dict[Track, tuple[Watched, Sequence[Series]]]]:
        """The native histograms of versions that have no classic one; of all, if all have it."""
        edges = edges_of(each for [series] in classic.mine.values() for each in series)
        watched = yield from around(asking, (attrs.evolve(self, name=name),), also=edges)
        found: dict[Track, tuple[Watched, Sequence[Series]]] = {
            track: (watched, [each for each in series if each.spread])
            for track, [series] in watched.mine.items()
        }
        native = {track: each for track, each in found.items() if _is_there(each[1])}
        if len(native) < len(found):
            native = {track: each for track, each in native.items() if track in absent}
        return native

    def _measured(self, watched: Watched, series: Sequence[Series]) -> Measurement:
        watch = watched.watch
        lines = [
            line_of(group, watch.base, watch.start, watch.scrape) for group in _grouped(series)
        ]
        return self._sum(lines, _shared(line.edges for line in lines), watched)

    def _sum(self, lines: Sequence[Line], edges: Sequence[float], watched: Watched) -> Measurement:
        cumulative = [0] * (len(edges) + 1)
        for line in lines:
            rose = dict(zip((*line.edges, math.inf), watched.rise(line) or (), strict=False))
            cumulative = [
                sum_ + rose.get(edge, 0)
                for sum_, edge in zip(cumulative, (*edges, math.inf), strict=True)
            ]
        if not cumulative[-1]:
            return watched.idle(lines)
        if not edges:
            seen = " and ".join(
                dict.fromkeys(
                    ", ".join(f"{edge:g}" for edge in line.edges) or "none" for line in lines
                )
            )
            raise Unusable(
                f"the instances of one version have no bucket of {self.name} in common, so nothing "
                f"can be added up: {seen}"
            )
        unit = Decimal(self.unit // timedelta(microseconds=1)) / 1_000_000
        return Histogram(
            edges=tuple(float(Decimal(repr(edge)) * unit) for edge in edges),
            cumulative=tuple(cumulative),
        )


def _is_there(series: Iterable[Series]) -> bool:
    return any(each.samples for each in series)


def _shared(edges: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """The edges that all have: counts below these can be added up, whatever lies between."""
    every = [frozenset(each) for each in edges]
    return tuple(sorted(frozenset.intersection(*every))) if every else ()


def _grouped(buckets: Iterable[Series]) -> Iterable[list[Series]]:
    """The buckets of each histogram: what differs in ``le`` only."""
    groups: dict[object, list[Series]] = {}
    for each in (each for each in buckets if each.samples):
        groups.setdefault(tuple(pair for pair in each.key if pair[0] != "le"), []).append(each)
    return groups.values()


Query: TypeAlias = Ratio | Rate | Buckets | PromQL
"""What a metric is at the server."""
