"""Metrics, windows, measurements and looks.

No data is never zero and never success: a measurement is one of six closed kinds, and two of them
say why there is none.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import add, le, lt
from typing import ClassVar, TypeAlias

import attrs

from progressive.errors import StrategyError

from . import fields
from .replace import evolve
from .traffic import Track

__all__ = [
    "Bad",
    "Counts",
    "Gauge",
    "Histogram",
    "Kind",
    "Look",
    "Measurement",
    "Metric",
    "Moments",
    "NoAnswer",
    "NoData",
    "Side",
    "Window",
    "merge",
]

READING_LIMIT = 4096
"""Characters of a reading, which is stored with the rollout once for each series; with longer ones
the state would no longer be a small value.
"""


class Kind(enum.StrEnum):
    """The kind of a metric's numbers; it decides how windows merge and which checks apply."""

    RATIO = "ratio"
    """Events among trials: failed requests, conversions. Measured as `Counts`."""
    LATENCY = "latency"
    """A distribution of durations, in seconds. Measured as `Histogram`."""
    MEAN = "mean"
    """An average of many values: basket size. Measured as `Moments`."""
    VALUE = "value"
    """A level sampled now and then: queue depth. Measured as `Gauge`."""


class Bad(enum.StrEnum):
    """The direction in which a change of a metric is harm."""

    UP = "up"
    """More of it is harm: errors, latency, queue depth. The default."""
    DOWN = "down"
    """Less of it is harm: conversions, basket size, requests that hit a cache."""
    BOTH = "both"
    """Either is harm: a rate of requests that shall stay as it is."""


class Side(enum.StrEnum):
    """Where a metric's requests are counted."""

    CALLER = "caller"
    """By who sends them, such as a gateway: with those that the version did not take, and the
    answers that a proxy gave in its place."""
    CALLEE = "callee"
    """By the version itself or beside it: what does not reach it is not among them."""


def _side(value: Side | str | None) -> Side | None:
    return None if value is None else fields.chosen(Side, value)


def _kind(value: Kind | str) -> Kind:
    return fields.chosen(Kind, value)


def _bad(value: Bad | str) -> Bad:
    return fields.chosen(Bad, value)


@attrs.frozen
class Metric:
    """A quantity to measure. The query for it is the provider's.

    * ``name``: binds the plan to a provider.
    * ``kind``: the kind of its numbers: ``"ratio"`` (events among trials), ``"latency"`` (a
      distribution of durations), ``"mean"`` (an average of many values) or ``"value"`` (a level);
      see `Kind`.
    * ``unit``: for messages only.
    * ``lag``: how long after a moment its numbers are complete.
    * ``bad``: the direction of harm: ``"up"``, ``"down"`` or ``"both"``; see `Bad`.
    * ``counter``: whether the system keeps no history, so that a reading has to be taken at the
      start of a window too.
    * ``side``: where its requests are counted (`Side`); None if that is not known, or it counts
      none.
    * ``resolution``: how often the system has new numbers of it (a scrape interval); no window is
      shorter. None if that is not known.
    """

    name: str = attrs.field(validator=fields.is_name)
    kind: Kind = attrs.field(kw_only=True, converter=_kind, validator=fields.is_one_of(Kind))
    unit: str = attrs.field(kw_only=True, default="")
    lag: timedelta = attrs.field(
        kw_only=True, default=timedelta(), converter=fields.whole_ms, validator=fields.is_span
    )
    bad: Bad = attrs.field(
        kw_only=True, default=Bad.UP, converter=_bad, validator=fields.is_one_of(Bad)
    )
    counter: bool = attrs.field(kw_only=True, default=False)
    side: Side | None = attrs.field(
        kw_only=True,
        default=None,
        eq=False,  # it says something of the metric, and does not make it another one
        converter=_side,
        validator=fields.optional(fields.is_one_of(Side)),
    )
    resolution: timedelta | None = attrs.field(
        kw_only=True,
        default=None,
        eq=False,  # as above
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_duration),
    )

    def __str__(self) -> str:
        return self.name


@attrs.frozen
class Window:
    """A half-open interval of time ``[start, end)`` in UTC, in whole milliseconds.

    The engine owns windows; providers translate them.
    """

    start: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    end: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)

    def __attrs_post_init__(self) -> None:
        if self.end < self.start:
            raise StrategyError(
                f"window: the end {self.end.isoformat()} is before the start "
                f"{self.start.isoformat()}"
            )

    @property
    def length(self) -> timedelta:
        """The duration; zero for an opening reading."""
        return self.end - self.start


def _finite(value: object, what: str) -> float:
    if not fields.is_finite(value):
        raise StrategyError(
            f"{what}: {fields.brief(value)} is not a finite number; answer NoData(...) where there "
            "is none"
        )
    return value


_WHOLE = frozenset({int})
_NUMBERS = frozenset({int, float})


def _are_finite(values: tuple[float, ...], what: str) -> None:
    """Check that all are finite, quickly where they are: every look has some dozens."""
    try:
        finite = _NUMBERS.issuperset(map(type, values)) and all(map(math.isfinite, values))
    except OverflowError:
        finite = False
    if not finite:
        _ = [_finite(value, what) for value in values]


@attrs.frozen(kw_only=True)
class Counts:
    """A number of ``events`` among ``trials``.

    Both are whole numbers: take differences of raw counters, not extrapolated rates.
    """

    kind: ClassVar[str] = "counts"
    events: int = attrs.field(validator=fields.at_least(0))
    trials: int = attrs.field(validator=fields.at_least(0))

    def __attrs_post_init__(self) -> None:
        if self.events > self.trials:
            raise StrategyError(
                f"counts: {self.events} events among {self.trials} trials; events are part "
                "of the trials"
            )

    @property
    def sample(self) -> int:
        return self.trials


@attrs.frozen(kw_only=True)
class Histogram:
    """A distribution of durations in buckets.

    * ``edges``: the upper bounds of the buckets, in seconds, rising, without infinity.
    * ``cumulative``: ``cumulative[i]`` values were at most ``edges[i]``; one more, the last, counts
      all.
    """

    kind: ClassVar[str] = "histogram"
    edges: tuple[float, ...] = attrs.field(converter=fields.numbers)
    cumulative: tuple[int, ...] = attrs.field(converter=fields.wholes)

    def __attrs_post_init__(self) -> None:
        edges, counts = self.edges, self.cumulative
        _are_finite(edges, "histogram.edges")
        whole = _WHOLE.issuperset(map(type, counts))
        if not whole or min(counts, default=0) < 0 or max(counts, default=0) > fields.LARGEST:
            _ = [fields.whole(count, "histogram.cumulative") for count in counts]
        if not edges or not all(map(lt, edges, edges[1:])):
            raise StrategyError(
                f"histogram.edges: {self.edges!r} must be one or more rising numbers, "
                "without infinity"
            )
        if len(counts) != len(edges) + 1 or not all(map(le, counts, counts[1:])):
            raise StrategyError(
                f"histogram.cumulative: {self.cumulative!r} must have one number more than "
                "edges (the last counts all) and never fall"
            )

    @property
    def sample(self) -> int:
        return self.cumulative[-1]

    def above(self, bound: float) -> tuple[int, float]:
        """Count the values above the first edge at or past ``bound`` (in seconds).

        Return the count and that edge, which is infinity past the last.
        """
        i = bisect_left(self.edges, bound)
        edge = self.edges[i] if i < len(self.edges) else math.inf
        return self.sample - self.cumulative[i], edge

    def at(self, edges: Iterable[float]) -> Histogram:
        """Return the same distribution at some of its edges, one or more; counts stay exact."""
        chosen = tuple(edges)
        if chosen == self.edges:
            return self
        places = [bisect_left(self.edges, edge) for edge in chosen]
        return evolve(
            self,
            edges=chosen,
            cumulative=(*(self.cumulative[i] for i in places), self.sample),
        )

    def shared_edges(self, other: Histogram) -> tuple[float, ...]:
        """Return the edges that both have, at which they can be compared or added; maybe none."""
        if self.edges == other.edges:
            return self.edges
        theirs = frozenset(other.edges)
        return tuple(edge for edge in self.edges if edge in theirs)

    def quantile(self, q: float) -> float:
        """Return the upper edge of the bucket in which the ``q`` quantile lies, in seconds.

        This is an upper bound, never interpolated: infinity past the last edge, NaN without values.
        """
        if not self.sample:
            return math.nan
        i = bisect_left(self.cumulative, math.ceil(q * self.sample))
        return self.edges[i] if i < len(self.edges) else math.inf


@attrs.frozen(kw_only=True)
class Moments:
    """The mean of ``n`` values (1 or more), and ``m2``, the sum of squared distances from it.

    In this form (Welford) windows merge without cancellation.
    """

    kind: ClassVar[str] = "moments"
    n: int = attrs.field(validator=fields.at_least(1))
    mean: float
    m2: float

    def __attrs_post_init__(self) -> None:
        _finite(self.mean, "moments.mean")
        if _finite(self.m2, "moments.m2") < 0:
            raise StrategyError(
                f"moments.m2: {self.m2!r} is a sum of squares; it can't be negative"
            )

    @property
    def sample(self) -> int:
        return self.n


@attrs.frozen(kw_only=True)
class Gauge:
    """Samples of a level in one window, one or more, in the order of time.

    Gauges of several windows do not merge into one.
    """

    kind: ClassVar[str] = "gauge"
    samples: tuple[float, ...] = attrs.field(converter=fields.numbers)

    def __attrs_post_init__(self) -> None:
        if not self.samples:
            raise StrategyError("gauge.samples: none; answer NoData(...) instead")
        _are_finite(self.samples, "gauge.samples")

    @property
    def sample(self) -> int:
        return len(self.samples)


@attrs.frozen
class NoData:
    """The system answered that this window has no data, which is neither zero nor success."""

    kind: ClassVar[str] = "no_data"
    why: str = attrs.field(validator=fields.is_a(str, "the reason"))

    @property
    def sample(self) -> int:
        return 0


@attrs.frozen
class NoAnswer:
    """The system could not be asked, or its answer made no sense; this is no evidence at all."""

    kind: ClassVar[str] = "no_answer"
    why: str = attrs.field(validator=fields.is_a(str, "the reason"))

    @property
    def sample(self) -> int:
        return 0


Measurement: TypeAlias = Counts | Histogram | Moments | Gauge | NoData | NoAnswer


def merge(one: Measurement, other: Measurement) -> Measurement:
    """Merge the measurements of two windows of one series, ``other`` being the newer.

    No data adds nothing; of gauges only the newer is kept.

    Raises `StrategyError` where the shapes differ (other buckets, another kind). Moments by Chan,
    Golub and LeVeque (1983).
    """
    match one, other:
        case (_, NoData() | NoAnswer()):
            return one
        case (NoData() | NoAnswer(), _):
            return other
        case (Counts(), Counts()):
            return evolve(one, events=one.events + other.events, trials=one.trials + other.trials)
        case (Histogram(), Histogram()) if one.edges == other.edges:
            return evolve(one, cumulative=tuple(map(add, one.cumulative, other.cumulative)))
        case (Moments(), Moments()):
            n = one.n + other.n
            step = other.mean - one.mean
            return Moments(
                n=n,
                mean=one.mean + step * other.n / n,
                m2=one.m2 + other.m2 + step * step * one.n * other.n / n,
            )
        case (Gauge(), Gauge()):
            return other
        case _:
            raise StrategyError(f"measurements do not fit together: {one!r} and {other!r}")


def _by_track(
    value: Iterable[tuple[Track, Measurement]] | dict[Track, Measurement],
) -> tuple[tuple[Track, Measurement], ...]:
    pairs = value.items() if isinstance(value, dict) else value
    return tuple(
        sorted(
            ((Track(track), measurement) for track, measurement in pairs),
            key=lambda pair: pair[0].value,
        )
    )


def _is_short(_: object, __: object, value: str | None) -> None:
    if value is not None and len(value) > READING_LIMIT:
        raise StrategyError(
            f"look.reading: {len(value)} characters; {READING_LIMIT} are the most that a "
            "rollout carries"
        )


@attrs.frozen(kw_only=True)
class Look:
    """The measurements of one metric in one window, for all tracks asked.

    * ``metric``: the metric's name.
    * ``window``: the window that was asked for.
    * ``covered``: the window that the numbers really cover; the same, unless the system keeps no
      history.
    * ``reading``: the provider's own, at most 4096 characters; it is passed as ``since`` with the
      next look.
    * ``query``: the query as sent, for the audit trail.
    * ``fingerprint``: of the query without times; if it changes, the evidence starts anew.
    """

    metric: str = attrs.field(validator=fields.is_name)
    window: Window
    tracks: tuple[tuple[Track, Measurement], ...] = attrs.field(converter=_by_track)
    covered: Window = attrs.field(default=attrs.Factory(lambda self: self.window, takes_self=True))
    reading: str | None = attrs.field(default=None, validator=_is_short)
    query: str = ""
    fingerprint: str = ""

    def of(self, track: Track) -> Measurement:
        """Return the measurement of one track; `NoData` if it was not asked."""
        for measured, measurement in self.tracks:
            if measured is track:
                return measurement
        return NoData("not asked")
