"""A plain bound on one metric."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import cached_property
from typing import ClassVar, Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
)
from progressive.model.traffic import Track
from progressive.model.units import Percent, Times

from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance
from .parameters import Unweighted, is_metric
from .pooling import pack, pooled

__all__ = ["Bound", "Limit"]

type_of_bound = {Kind.RATIO: Percent, Kind.LATENCY: timedelta, Kind.MEAN: float, Kind.VALUE: float}
EXAMPLE_BOUND = {
    Kind.RATIO: "percent(1)",
    Kind.LATENCY: "ms(400)",
    Kind.MEAN: "12.5",
    Kind.VALUE: "12.5",
}

Bound = Percent | timedelta | float | Times


def _number(bound: Percent | timedelta | float) -> float:
    if isinstance(bound, Percent):
        return bound.fraction
    return bound.total_seconds() if isinstance(bound, timedelta) else float(bound)


@attrs.frozen(kw_only=True)
class Limit(Unweighted):
    """A bound on one metric of the candidate: ``Limit(ERRORS, at_most=percent(1))``,
    ``Limit(LATENCY, quantile=0.99, at_most=ms(400))``.

    The bound is a `Percent` for a ratio, a `timedelta` for a latency quantile, a number for a mean
    or a value, or `times` for a multiple of what stable shows in the same windows; it is inclusive.
    Windows are pooled until ``min_sample`` (requests, values) is reached, then judged and
    forgotten; by default 3 / limit for a ratio (zero events then exclude the limit with 95 %), 10 /
    (1 - q) for a quantile, 30 for a mean. If stable breaks an absolute bound in the same windows
    too, the verdict is INCONCLUSIVE: it is not the candidate. A quantile is judged by the requests
    above the first bucket edge at or past the bound, never by interpolation.

    A plain limit has no bounded false-alarm rate; put a `NoWorse` beside it.
    """

    kind: ClassVar[str] = "limit"

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    at_most: Bound | None = None
    at_least: Bound | None = None
    quantile: float | None = None
    min_sample: int = attrs.field(
        validator=fields.at_least(1),
        default=attrs.Factory(lambda self: self._default_sample(), takes_self=True),
    )
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(default=Tolerance(), validator=is_tolerance)
    id: str = attrs.field(
        validator=fields.is_name,
        default=attrs.Factory(lambda self: self._default_id(), takes_self=True),
    )

    def __attrs_post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise StrategyError([f"Limit({self.metric.name}): {problem}" for problem in problems])

    @cached_property
    def _bounds(self) -> tuple[tuple[str, Bound], ...]:
        return tuple(
            (name, bound)
            for name, bound in (("at_most", self.at_most), ("at_least", self.at_least))
            if bound is not None
        )

    def _problems(self) -> list[str]:
        kind, problems = self.metric.kind, []
        if not self._bounds:
            problems.append(f"give at_most= or at_least=, such as at_most={EXAMPLE_BOUND[kind]}")
        for name, bound in self._bounds:
            given = bound.floor if isinstance(bound, Times) else bound
            if given is not None and not self._fits(given):
                problems.append(
                    f"{name}={bound!r}: a {kind.value} takes {EXAMPLE_BOUND[kind]} or times(1.5)"
                )
        if (kind is Kind.LATENCY) is not (self.quantile is not None):
            wrong = (
                "a latency needs quantile=, such as quantile=0.99",
                f"quantile= is for a latency, not for a {kind.value}",
            )
            problems.append(wrong[self.quantile is not None])
        elif self.quantile is not None and not 0 < self.quantile < 1:
            problems.append(
                f"quantile={self.quantile!r} is not between 0 and 1; the 99th percentile is "
                "quantile=0.99"
            )
        return problems

    def _fits(self, given: object) -> bool:
        if self.metric.kind in (Kind.RATIO, Kind.LATENCY):
            return isinstance(given, type_of_bound[self.metric.kind])
        return (
            isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
        )

    def _default_sample(self) -> int:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        if self.metric.kind is Kind.LATENCY:
            return (
                math.ceil(round(10 / (1 - self.quantile), 6))
                if self.quantile is not None and 0 < self.quantile < 1
                else 1
            )
        if self.metric.kind is not Kind.RATIO:
            return 30 if self.metric.kind is Kind.MEAN else 1
        rates = [b.floor if isinstance(b, Times) else b for _, b in self._bounds]
        rarest = [
            min(r.ppm, 1_000_000 - r.ppm)
            for r in rates
            if isinstance(r, Percent) and 0 < r.ppm < 1_000_000
        ]
        return math.ceil(3_000_000 / min(rarest)) if rarest else 300

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)
        return (
            self.metric.name
            if self.quantile is None
            else f"{self.metric.name}-p{self.quantile * 100:g}"
        )

    @property
    def _quantile(self) -> float:
        assert self.quantile is not None  # a latency has one, and only latencies are histograms
        return self.quantile

    @cached_property
    def _relative(self) -> bool:
        return any(isinstance(bound, Times) for _, bound in self._bounds)

    @property
    def required_tracks(self) -> tuple[Track, ...]:
        return (Track.CANDIDATE, Track.STABLE) if self._relative else (Track.CANDIDATE,)

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        return (Track.CANDIDATE, Track.STABLE)

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        candidate, control = fresh, fresh_control = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        if memory is not None:
            candidate, control = pooled(memory, fresh, fresh_control)
        if not fresh.sample:
            why = (
                "no data on the candidate: "
                f"{fresh.why if isinstance(fresh, NoData | NoAnswer) else 'no requests'}"
            )
            alone = not any(track is Track.STABLE for track, _ in look.tracks)
            starved = alone or fresh_control.sample > 0
            return Judgement(verdict=Verdict.NO_DATA, why=why, starved=starved), (
                pack(candidate),
                pack(control),
            )
        for track, measured in ((Track.CANDIDATE, candidate), (Track.STABLE, control)):
            if measured.sample < self.min_sample and (track is Track.CANDIDATE or self._relative):
                why = (
                    f"{measured.sample} of the {self.min_sample} {_unit(self.metric)} that a "
                    f"verdict needs on {track.value}"
                )
                return Judgement(verdict=Verdict.NO_DATA, why=why), (pack(candidate), pack(control))
        return self._compare(candidate, control), None

    def _compare(self, candidate: Measurement, control: Measurement) -> Judgement:
        value, control_value = self._value(candidate), self._value(control)
        numbers = [("candidate", value), ("candidate_sample", float(candidate.sample))]
        if control.sample:
            numbers += [("stable", control_value), ("stable_sample", float(control.sample))]
        reason = ""
        for name, bound in self._bounds:
            limit = self._limit(bound, control_value)
            said = (
                f"{self._summarize(value)} {'<=' if name == 'at_most' else '>='} "
                f"{self._summarize(limit)}"
            )
            if self._kept(name, bound, limit, candidate, value):
                reason = reason or said
                continue
            said = (
                f"{self._summarize(value)} is {'above' if name == 'at_most' else 'below'} "
                f"{self._summarize(limit)}"
            )
            absolute = not isinstance(bound, Times)
            if (
                absolute
                and control.sample >= self.min_sample
                and not self._kept(name, bound, limit, control, control_value)
            ):
                return Judgement(
                    verdict=Verdict.INCONCLUSIVE,
                    why=f"{said}, and stable with {self._summarize(control_value)} is no better",
                    numbers=tuple(numbers),
                )
            return Judgement(
                verdict=Verdict.FAIL,
                why=f"{said} ({candidate.sample} {_unit(self.metric)})",
                numbers=tuple(numbers),
            )
        return Judgement(
            verdict=Verdict.PASS,
            why=f"{reason} ({candidate.sample} {_unit(self.metric)})",
            numbers=tuple(numbers),
        )

    def _kept(
        self, name: str, bound: Bound, limit: float, measured: Measurement, value: float
    ) -> bool:
        """Does ``measured`` keep the bound? Not finite never does (R16); a quantile is decided by
        counting, not by its edge.
        """
        if isinstance(measured, Histogram) and name == "at_most" and not isinstance(bound, Times):
            # Past the last edge nobody knows how far; what is below that edge is below the bound
            # too.
            above, _ = measured.above(min(limit, measured.edges[-1]))
            return above <= (1 - self._quantile) * measured.sample
        return (
            math.isfinite(value)
            and math.isfinite(limit)
            and (value <= limit if name == "at_most" else value >= limit)
        )

    def _limit(self, bound: Bound, control: float) -> float:
        if not isinstance(bound, Times):
            return _number(bound)
        limit = bound.factor * control
        if bound.floor is None:
            return limit
        floor = _number(bound.floor)
        return max(limit, floor) if bound is self.at_most else min(limit, floor)

    def _value(self, measured: Measurement) -> float:
        match measured:
            case Counts(events=events, trials=trials) if trials:
                return events / trials
            case Histogram():
                return measured.quantile(self._quantile)
            case Moments(mean=mean):
                return mean
            case Gauge(samples=samples):
                return math.fsum(samples) / len(samples)
            case _:
                return math.nan

    def _summarize(self, value: float) -> str:
        if self.metric.kind is Kind.RATIO:
            return f"{value * 100:.4g} %"
        if self.metric.kind is Kind.LATENCY:
            return (
                f"{value * 1000:.4g} ms"
                if math.isfinite(value)
                else "a time past the last bucket's edge"
            )
        return f"{value:.6g}{f' {self.metric.unit}' if self.metric.unit else ''}"


UNITS: Final = {
    Kind.RATIO: "requests",
    Kind.LATENCY: "requests",
    Kind.MEAN: "values",
    Kind.VALUE: "samples",
}
"""What a sample is made of."""


def _unit(metric: Metric) -> str:
    return UNITS[metric.kind]
