"""The limit check: an absolute or relative bound on one metric."""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import timedelta
from fractions import Fraction
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
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent, Times

from .bounded_rate import BoundedRate
from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance, stored_before
from .memory import kept_pair
from .parameters import MOST_MARGIN, is_metric, is_number
from .pooling import pack, pooled

__all__ = ["Bound", "Limit"]

type_of_bound = {Kind.RATIO: Percent, Kind.LATENCY: timedelta, Kind.MEAN: float, Kind.VALUE: float}
EXAMPLE_BOUND = {
    Kind.RATIO: "percent(1)",
    Kind.LATENCY: "ms(400)",
    Kind.MEAN: "12.5",
    Kind.VALUE: "12.5",
}

DEFAULT_SAMPLE: Final = {Kind.MEAN: 30, Kind.VALUE: 1}
"""``min_sample`` where it does not depend on the bound."""

_RAREST: Final = Fraction(1, 10**9)
"""Nobody counts requests enough to test a rarer event."""

SHARE: Final = 0.25
"""A version that is far worse than stable is found by a comparison first, with fewer requests."""

Bound = Percent | timedelta | float | Times


def _number(bound: Percent | timedelta | float) -> float:
    """Return a bound as a number: a fraction, seconds, or itself."""
    if isinstance(bound, Percent):
        return bound.fraction
    return bound.total_seconds() if isinstance(bound, timedelta) else float(bound)


@attrs.frozen(kw_only=True)
class Limit:
    """A bound on one metric of the candidate: ``Limit(ERRORS, at_most=percent(1))``,
    ``Limit(LATENCY, quantile=0.99, at_most=ms(400))``.

    * ``at_most``, ``at_least``: the bounds, both inclusive; one is required. A `Percent` for a
      ratio, a `timedelta` for a latency quantile, a number for a mean or a value, or `times` for a
      multiple of stable's in the same windows.
    * ``quantile``: required for a latency, between 0 and 1. It is judged by counting the requests
      above the first bucket edge at or past the bound, never by interpolation. Where stable has
      other buckets, a multiple of its quantile is taken at the edges that both have; if none of
      them is at or past the quantile, the verdict is ERROR.
    * ``plain``: how it is judged. By default an absolute bound on a ratio or a quantile is tested,
      and any other is plain.

    **A tested bound** (``plain=False``) is a question about counts, which may be looked at at any
    time: the chance that a candidate which keeps it in every look ever fails is at most this
    check's part of the plan's ``alpha``, for requests that are independent of each other. A breach
    that begins later, or with a raise, is found soon as well. What is proven stays proven, so a
    tolerance of several failing looks is for plain bounds.

    * ``accept``: no PASS at a weight before a candidate with ``accept`` times as many events as the
      bound allows (or, if that is less, halfway between the bound and all requests) is excluded
      there, with a chance of error of ``beta``; above 1, at most 1000. It takes about 87 requests
      at half of a bound of 1 %.
    * ``beta``: the chance to pass a candidate that is ``accept`` times as bad, between 0 and 1.
    * ``min_sample``: requests at a weight without which nothing passes there; by default 1.

    **A plain bound** is compared with what is measured, and has no bounded false-alarm rate; put a
    `NoWorse` beside it.

    * ``min_sample``: requests, values or samples that a verdict needs. Windows are pooled until
      they have so many, then judged and forgotten. By default 3 / limit for a ratio (zero events
      then exclude the limit with 95 %), 10 / (1 - q) for a quantile, 30 for a mean, 1 for a value.

    If stable breaks an absolute bound in the same windows too, and the candidate is not proven to
    be worse, the verdict is INCONCLUSIVE: the candidate is not the cause. Where stable has too few
    requests to tell, it is.

    ``min_sample`` and ``tolerance`` follow from the other fields when a limit is made; to change
    ``plain`` with ``attrs.evolve``, give them too.
    """

    kind: ClassVar[str] = "limit"

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    at_most: Bound | None = None
    at_least: Bound | None = None
    quantile: float | None = None
    plain: bool | None = attrs.field(
        default=None,
        validator=fields.optional(is_flag),
        metadata=fields.missing_means(True),
    )
    accept: float = 5.0
    beta: float = 0.05
    min_sample: int = attrs.field(
        validator=fields.at_least(1),
        default=attrs.Factory(lambda self: self._default_sample(), takes_self=True),
    )
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(
        default=attrs.Factory(lambda self: self._default_tolerance(), takes_self=True),
        validator=is_tolerance,
        metadata=stored_before(Tolerance()),
    )
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
                    f"{name}={fields.brief(bound)}: a {kind.value} takes {EXAMPLE_BOUND[kind]} or "
                    "times(1.5)"
                )
        if (kind is Kind.LATENCY) is not (self.quantile is not None):
            problems.append(
                "a latency needs quantile=, such as quantile=0.99"
                if self.quantile is None
                else f"quantile= is for a latency, not for a {kind.value}"
            )
        elif self.quantile is not None and not 0 < self.quantile < 1:
            problems.append(
                f"quantile={fields.brief(self.quantile)} is not between 0 and 1; the 99th "
                "percentile is quantile=0.99"
            )
        return problems + self._problems_of_a_test()

    def _problems_of_a_test(self) -> list[str]:
        problems = []
        if self.plain is False and not self._countable:
            problems.append(
                "plain=False tests a count: give a ratio or a latency with bounds such as "
                f"at_most={EXAMPLE_BOUND[Kind.RATIO]}, above 0 and below 100 %, and a multiple of "
                "stable's as NoWorse(..., margin=1.5); leave plain= out"
            )
        if not self._tested and (self.accept, self.beta) != (5.0, 0.05):
            problems.append("accept= and beta= are for a bound that is tested; leave them out")
        if not is_number(self.accept) or not 1 < self.accept <= MOST_MARGIN:
            problems.append(
                f"accept={fields.brief(self.accept)} is the multiple of the bound to be excluded, "
                f"above 1 and at most {MOST_MARGIN:g}"
            )
        if not is_number(self.beta) or not 0 < self.beta < 1:
            problems.append(
                f"beta={fields.brief(self.beta)} is a probability between 0 and 1: of passing a "
                "candidate that is accept= times as bad"
            )
        return problems

    def _fits(self, given: object) -> bool:
        if self.metric.kind in (Kind.RATIO, Kind.LATENCY):
            return isinstance(given, type_of_bound[self.metric.kind])
        return fields.is_finite(given)

    def _default_sample(self) -> int:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        if self._tested:
            return 1
        if self.metric.kind is Kind.RATIO:
            return self._default_trials()
        if self.metric.kind is Kind.LATENCY:
            valid = self.quantile is not None and 0 < self.quantile < 1
            return math.ceil(round(10 / (1 - self._quantile), 6)) if valid else 1
        return DEFAULT_SAMPLE[self.metric.kind]

    def _default_tolerance(self) -> Tolerance:
        is_metric(self, None, self.metric)
        return Tolerance(in_a_row=1) if self._tested else Tolerance()

    def _default_trials(self) -> int:
        """Return 3 / the rarest rate that a bound allows, of events or of their absence."""
        rates = [bound.floor if isinstance(bound, Times) else bound for _, bound in self._bounds]
        rarest = [
            min(rate.ppm, MILLION - rate.ppm)
            for rate in rates
            if isinstance(rate, Percent) and 0 < rate.ppm < MILLION
        ]
        return math.ceil(3 * MILLION / min(rarest)) if rarest else 300

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)
        return (
            self.metric.name
            if not fields.is_finite(self.quantile)  # None, or what `_problems` refuses
            else f"{self.metric.name}-p{self.quantile * 100:g}"
        )

    @property
    def share_of_alpha(self) -> float:
        """A quarter of what a comparison takes for a tested bound; 0 for a plain one."""
        return SHARE if self._tested else 0.0

    @cached_property
    def _tested(self) -> bool:
        return self._countable if self.plain is None else not self.plain

    @property
    def _countable(self) -> bool:
        """Whether the bounds are questions about how many of all requests are events."""
        return bool(self._bounds) and all(
            (rate := self._rate(name, bound)) is not None and _RAREST <= rate <= 1 - _RAREST
            for name, bound in self._bounds
        )

    def _rate(self, name: str, bound: Bound) -> Fraction | None:
        """Return which part of all requests may be on the wrong side of a bound; None where that is
        not said.
        """
        match self.metric.kind, bound:
            case Kind.RATIO, Percent(ppm=ppm):
                part = Fraction(ppm, MILLION)
            case Kind.LATENCY, timedelta() if fields.is_finite(self.quantile):
                part = 1 - Fraction(str(self.quantile))
            case _:
                return None
        return part if name == "at_most" else 1 - part

    @cached_property
    def _rates(self) -> tuple[BoundedRate, ...]:
        """The questions that a tested bound is."""
        return tuple(
            BoundedRate(
                rate=rate,
                upper=name == "at_most",
                edge=bound.total_seconds() if isinstance(bound, timedelta) else None,
                accept=self.accept,
                beta=self.beta,
                least=self.min_sample,
            )
            for name, bound in self._bounds
            if (rate := self._rate(name, bound)) is not None
        )

    @property
    def excluded(self) -> tuple[tuple[str, int], ...]:
        """What a pass of a tested bound excludes, in words, and after how many requests at a
        weight, in the mean for a version at half the bound; nothing for a plain one.
        """
        rates = self._rates if self._tested else ()
        return tuple((each.excluded, each.requests_to_pass) for each in rates)

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
        """Judge a look that was taken in the traffic of the one before it."""
        return self._judge(look, memory, alpha, None)

    def judge_in(
        self, traffic: Traffic, look: Look, memory: Memory, alpha: float
    ) -> tuple[Judgement, Memory]:
        """Judge a look that was taken in ``traffic``."""
        return self._judge(look, memory, alpha, traffic)

    def _judge(
        self, look: Look, memory: Memory, alpha: float, traffic: Traffic | None
    ) -> tuple[Judgement, Memory]:
        if not self._tested:
            return self._judge_plainly(look, memory)
        candidate, stable = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        if not candidate.sample:
            return self._no_data(look), memory
        if not isinstance(candidate, Histogram if self.metric.kind is Kind.LATENCY else Counts):
            why = (
                f"a {self.metric.kind.value} without counts can't be tested; let the provider "
                "answer counts, or compare the value: plain=True"
            )
            return Judgement(verdict=Verdict.ERROR, why=why), memory
        known, kept = kept_pair(memory)
        here = known if traffic is None else _traffic_key(traffic)
        each_kept = kept if isinstance(kept, tuple) else (None,) * len(self._rates)
        judged = [
            rate.judge(
                own,
                candidate,
                stable,
                alpha=alpha / len(self._rates),
                moved=memory is not None and here != known,
            )
            for rate, own in zip(self._rates, each_kept, strict=True)
        ]
        worst = max((judgement for judgement, _ in judged), key=lambda each: _GRAVITY[each.verdict])
        return worst, (here, tuple(memory for _, memory in judged))

    def _no_data(self, look: Look) -> Judgement:
        latest = look.of(Track.CANDIDATE)
        reason = latest.why if isinstance(latest, NoData | NoAnswer) else "no requests"
        alone = not any(track is Track.STABLE for track, _ in look.tracks)
        return Judgement(
            verdict=Verdict.NO_DATA,
            why=f"no data on the candidate: {reason}",
            starved=alone or look.of(Track.STABLE).sample > 0,
        )

    def _judge_plainly(self, look: Look, memory: Memory) -> tuple[Judgement, Memory]:
        latest, latest_control = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        candidate, control = latest, latest_control
        if memory is not None:
            candidate, control = pooled(memory, latest, latest_control, self._deciding)
        if not latest.sample:
            return self._no_data(look), (pack(candidate), pack(control))
        for track, measured in ((Track.CANDIDATE, candidate), (Track.STABLE, control)):
            if measured.sample < self.min_sample and (track is Track.CANDIDATE or self._relative):
                why = (
                    f"{measured.sample} of the {self.min_sample} {UNITS[self.metric.kind]} that a "
                    f"verdict needs on {track.value}"
                )
                return Judgement(verdict=Verdict.NO_DATA, why=why), (pack(candidate), pack(control))
        return self._compare(candidate, control), None

    def _compare(self, candidate: Measurement, control: Measurement) -> Judgement:
        own = self._value(candidate), self._value(control)
        numbers = [("candidate", own[0]), ("candidate_sample", float(candidate.sample))]
        if control.sample:
            numbers += [("stable", own[1]), ("stable_sample", float(control.sample))]
        sample = f"({candidate.sample} {UNITS[self.metric.kind]})"
        reason = ""
        for name, bound in self._bounds:
            value, control_value = own
            if isinstance(bound, Times):
                compared = self._at_shared_edges(name, candidate, control)
                if isinstance(compared, str):
                    return Judgement(verdict=Verdict.ERROR, why=compared, numbers=tuple(numbers))
                value, control_value = compared
            limit = self._limit(bound, control_value)
            if self._keeps(name, bound, limit, candidate, value):
                sign = "<=" if name == "at_most" else ">="
                reason = reason or f"{self._format(value)} {sign} {self._format(limit)}"
                continue
            side = "above" if name == "at_most" else "below"
            breach = f"{self._format(value)} is {side} {self._format(limit)}"
            if (
                not isinstance(bound, Times)
                and control.sample >= self.min_sample
                and not self._keeps(name, bound, limit, control, control_value)
            ):
                return Judgement(
                    verdict=Verdict.INCONCLUSIVE,
                    why=f"{breach}, and stable with {self._format(control_value)} is no better",
                    numbers=tuple(numbers),
                )
            return Judgement(verdict=Verdict.FAIL, why=f"{breach} {sample}", numbers=tuple(numbers))
        return Judgement(verdict=Verdict.PASS, why=f"{reason} {sample}", numbers=tuple(numbers))

    def _at_shared_edges(
        self, name: str, candidate: Measurement, control: Measurement
    ) -> tuple[float, float] | str:
        """Return the candidate's value and stable's as they are compared; or why they can't be.

        A quantile is rounded up to an edge. Where the two have other edges, the side that must not
        be less is rounded to those that both have: so two versions that are alike keep any multiple
        of 1 or more, and a quantile is never rounded to the candidate's disadvantage.
        """
        value, control_value = self._value(candidate), self._value(control)
        if not (
            isinstance(candidate, Histogram)
            and isinstance(control, Histogram)
            and candidate.edges != control.edges
        ):
            return value, control_value
        edges = candidate.shared_edges(control)
        rounded = (
            self._value((control if name == "at_most" else candidate).at(edges))
            if edges
            else math.inf
        )
        if math.isinf(rounded):
            return (
                "the two have other buckets, and no edge that both have is at or past the quantile "
                f"on {Track.STABLE.value if name == 'at_most' else Track.CANDIDATE.value}, so it "
                "can't be compared" + (f"; the last is {self._format(edges[-1])}" if edges else "")
            )
        return (value, rounded) if name == "at_most" else (rounded, control_value)

    def _deciding(self, edges: tuple[float, ...]) -> tuple[float, ...]:
        """Return at which edges the absolute bounds are judged, in a histogram with these."""
        deciding = []
        for name, bound in self._bounds:
            if not isinstance(bound, Times):
                place = bisect_left(edges, _number(bound))
                # As in `_keeps`: at or past the upper bound, or the last one; before the lower one.
                place = min(place, len(edges) - 1) if name == "at_most" else place - 1
                deciding.append(edges[place] if place >= 0 else -math.inf)
        return tuple(deciding)

    def _keeps(
        self, name: str, bound: Bound, limit: float, measured: Measurement, value: float
    ) -> bool:
        """Return whether ``measured`` keeps the bound.

        A value that is not finite never does (R16). A quantile is decided by counting the requests
        above the bound, not by its edge.
        """
        if isinstance(measured, Histogram) and name == "at_most" and not isinstance(bound, Times):
            # How far requests lie past the last edge is not known. Those at or below that edge are
            # below a bound past it too.
            above, _ = measured.above(min(limit, measured.edges[-1]))
            return above <= (1 - self._quantile) * measured.sample
        return (
            math.isfinite(value)
            and math.isfinite(limit)
            and (value <= limit if name == "at_most" else value >= limit)
        )

    def _limit(self, bound: Bound, control: float) -> float:
        """Return a bound as a number in the metric's unit; ``control`` is stable's value."""
        if not isinstance(bound, Times):
            return _number(bound)
        limit = bound.factor * control
        if bound.floor is None:
            return limit
        floor = _number(bound.floor)
        return max(limit, floor) if bound is self.at_most else min(limit, floor)

    def _value(self, measured: Measurement) -> float:
        """Return the number that the bounds apply to; NaN if there is no data."""
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

    def _format(self, value: float) -> str:
        if self.metric.kind is Kind.RATIO:
            return f"{value * 100:.4g} %"
        if self.metric.kind is Kind.LATENCY:
            return (
                f"{value * 1000:.4g} ms"
                if math.isfinite(value)
                else "a time past the last bucket's edge"
            )
        return f"{value:.6g}{f' {self.metric.unit}' if self.metric.unit else ''}"


_GRAVITY: Final = {
    verdict: place
    for place, verdict in enumerate(
        (Verdict.PASS, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.FAIL)
    )
}
"""Which verdict counts where the bounds have several."""


def _traffic_key(traffic: Traffic) -> Memory:
    """Return what differs where the traffic does."""
    routes = (f"{match.source} {match.name}: {match.value}" for match in traffic.matches)
    return (traffic.candidate.ppm, traffic.mirror.ppm, *routes)


UNITS: Final = {
    Kind.RATIO: "requests",
    Kind.LATENCY: "requests",
    Kind.MEAN: "values",
    Kind.VALUE: "samples",
}
"""The unit of ``min_sample``, by the kind of metric."""
