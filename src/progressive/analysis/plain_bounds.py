"""Plain bounds: what is measured in a window is compared with them."""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import timedelta
from functools import cached_property
from typing import Final

import attrs

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

from .contract import Judgement, Verdict
from .pooling import pack, pooled

__all__ = ["Bound", "PlainBounds", "no_data"]

Bound = Percent | timedelta | float | Times


def _number(bound: Percent | timedelta | float) -> float:
    """Return a bound as a number: a fraction, seconds, or itself."""
    if isinstance(bound, Percent):
        return bound.fraction
    return bound.total_seconds() if isinstance(bound, timedelta) else float(bound)


def no_data(look: Look) -> Judgement:
    """Return the judgement of a look in which the candidate has no data."""
    latest = look.of(Track.CANDIDATE)
    reason = latest.why if isinstance(latest, NoData | NoAnswer) else "no requests"
    alone = not any(track is Track.STABLE for track, _ in look.tracks)
    return Judgement(
        verdict=Verdict.NO_DATA,
        why=f"no data on the candidate: {reason}",
        starved=alone or look.of(Track.STABLE).sample > 0,
    )


@attrs.frozen(kw_only=True)
class PlainBounds:
    """The bounds of a `Limit` that is not tested, as documented there.

    ``bounds``: each with its name, "at_most" or "at_least". ``least``: the sample that a verdict
    needs.
    """

    metric: Metric
    bounds: tuple[tuple[str, Bound], ...]
    quantile: float | None
    least: int

    @cached_property
    def relative(self) -> bool:
        """Whether one of the bounds is a multiple of stable's value."""
        return any(isinstance(bound, Times) for _, bound in self.bounds)

    @property
    def _quantile(self) -> float:
        assert self.quantile is not None  # a latency has one, and only latencies are histograms
        return self.quantile

    def judge(self, look: Look, memory: Memory) -> tuple[Judgement, Memory]:
        """Judge a look together with those that were pooled, and return what to keep."""
        latest, latest_control = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        candidate, control = latest, latest_control
        if memory is not None:
            candidate, control = pooled(memory, latest, latest_control, self._deciding)
        if not latest.sample:
            return no_data(look), (pack(candidate), pack(control))
        for track, measured in ((Track.CANDIDATE, candidate), (Track.STABLE, control)):
            if measured.sample < self.least and (track is Track.CANDIDATE or self.relative):
                why = (
                    f"{measured.sample} of the {self.least} {UNITS[self.metric.kind]} that a "
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
        for name, bound in self.bounds:
            value, control_value = own
            if isinstance(bound, Times):
                compared = self._at_shared_edges(name, candidate, control)
                if isinstance(compared, str):
                    return Judgement(verdict=Verdict.ERROR, why=compared, numbers=tuple(numbers))
                value, control_value = compared
            limit = self._limit(name, bound, control_value)
            if self._keeps(name, bound, limit, candidate, value):
                sign = "<=" if name == "at_most" else ">="
                reason = reason or f"{self._format(value)} {sign} {self._format(limit)}"
                continue
            side = "above" if name == "at_most" else "below"
            breach = f"{self._format(value)} is {side} {self._format(limit)}"
            if (
                not isinstance(bound, Times)
                and control.sample >= self.least
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
        for name, bound in self.bounds:
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

    def _limit(self, name: str, bound: Bound, control: float) -> float:
        """Return a bound as a number in the metric's unit; ``control`` is stable's value."""
        if not isinstance(bound, Times):
            return _number(bound)
        limit = bound.factor * control
        if bound.floor is None:
            return limit
        floor = _number(bound.floor)
        return max(limit, floor) if name == "at_most" else min(limit, floor)

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


UNITS: Final = {
    Kind.RATIO: "requests",
    Kind.LATENCY: "requests",
    Kind.MEAN: "values",
    Kind.VALUE: "samples",
}
"""The unit of ``min_sample``, by the kind of metric."""
