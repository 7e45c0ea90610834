"""The limit check: an absolute or relative bound on one metric."""

from __future__ import annotations

import math
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
    Histogram,
    Kind,
    Look,
    Metric,
)
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent, Times

from .bounded_rate import BoundedRate
from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance, stored_before
from .memory import kept_pair
from .parameters import MOST_MARGIN, is_metric, is_number
from .plain_bounds import Bound, PlainBounds, no_data

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
            if self.quantile is None or not 0 < self.quantile < 1:
                return 1  # what `_problems` refuses
            return math.ceil(round(10 / (1 - self.quantile), 6))
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

    @property
    def anytime(self) -> bool:
        """Whether more and shorter looks cause no more false alarms."""
        return self._tested

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

    @cached_property
    def _plain(self) -> PlainBounds:
        """The comparison that a plain bound is."""
        return PlainBounds(
            metric=self.metric,
            bounds=self._bounds,
            quantile=self.quantile,
            least=self.min_sample,
        )

    @property
    def required_tracks(self) -> tuple[Track, ...]:
        return (Track.CANDIDATE, Track.STABLE) if self._plain.relative else (Track.CANDIDATE,)

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
            return self._plain.judge(look, memory)
        candidate, stable = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        if not candidate.sample:
            return no_data(look), memory
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
