"""Latencies: whole distributions, in buckets."""

from __future__ import annotations

from math import isfinite, log
from typing import TypeAlias, cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Histogram, Measurement
from progressive.stats import histogram_tails as tails
from progressive.stats import latency_acceptance as not_slower
from progressive.stats import ratios
from progressive.stats.evidence import kept

from .base import Accepted, Numbers, Question, amount, bounded, counted, times

__all__ = ["Latencies", "LatenciesAccepted"]

_Known: TypeAlias = tuple[tuple[float, ...], tails.State, float]
"""The edges of the buckets, what was seen in them, and the evidence from before there were such
buckets.
"""


@attrs.frozen
class Latencies:
    """Slower is harm. Counts of other buckets can't be added, but evidence can: where the buckets
    change it goes on from what it was.
    """

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        if not (isinstance(candidate, Histogram) and isinstance(control, Histogram)):
            return "latencies are compared by histograms"
        if candidate.edges != control.edges:
            return (
                f"the two have other buckets ({len(candidate.edges)} and {len(control.edges)} "
                "edges); let both report the same"
            )
        if not tails.paired(candidate.edges, self.question.margin):
            return (
                f"no two edges are {self.question.margin:g} times apart; the last is "
                f"{_time(candidate.edges[-1])}"
            )
        return None

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        one, other = cast(Histogram, candidate), cast(Histogram, control)
        edges, state, before = cast("_Known", memory or (one.edges, tails.INITIAL, 0.0))
        if edges != one.edges:
            edges, state, before = one.edges, tails.INITIAL, kept(before + tails.evidence(state))
        question = self.question
        state = tails.update(
            state,
            edges=edges,
            candidate=one.cumulative,
            control=other.cumulative,
            margin=question.margin,
            dispersion=question.dispersion,
        )
        return edges, state, before

    def evidence(self, memory: Memory, alpha: float) -> float:
        _, state, before = cast("_Known", memory)
        return kept(before + tails.evidence(state))

    def lacks(self, memory: Memory) -> str:
        return "" if cast("_Known", memory)[1][0] else "too few requests to choose edges"

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        one, other, than = cast(Histogram, candidate), cast(Histogram, control), self.question.than
        edges, (chosen, above, _, _), _ = cast("_Known", memory)
        sample: Numbers = (
            ("candidate_sample", float(one.sample)),
            ("control_sample", float(other.sample)),
        )
        if not chosen:
            return f"{one.sample} and {other.sample} requests in this look", sample
        pairs = tails.paired(edges, self.question.margin)
        # Of the edges that are followed, the one that shows most.
        _, k, seen = max(zip(map(ratios.evidence, above), chosen, above, strict=True))
        i, j = pairs[k]
        numbers: Numbers = (
            *sample,
            ("edge", edges[j]),
            ("candidate_above", float(one.sample - one.cumulative[j])),
            ("control_edge", edges[i]),
            ("control_above", float(other.sample - other.cumulative[i])),
            ("margin_tested", tails.margin_tested(edges, self.question.margin)),
        )
        *_, events, expected, _ = seen
        if not expected:
            return (
                f"{self._whole(memory, alpha)}no requests above {_time(edges[j])} on either side",
                numbers,
            )
        # One request of the control's above its edge for one of the candidate's above its own is
        # what the margin tolerates.
        found = ratios.ratio(seen, dispersion=self.question.dispersion)
        beside = "" if i == j else f" of {than}'s above {_time(edges[i])}"
        seen_so = (
            f"{counted(events, 'request')} above {_time(edges[j])} where {amount(expected)} "
            f"were expected{beside}"
        )
        said = f"{self._whole(memory, alpha)}{seen_so}: {times(*found, than)}"
        return said, (*numbers, ("events", events), ("expected_events", expected), *bounded(*found))

    def _whole(self, memory: Memory, alpha: float) -> str:
        """Where harm is proven and no edge that is followed shows it: what does."""
        _, state, before = cast("_Known", memory)
        edges, tilts = tails.parts(state)
        if self.evidence(memory, alpha) < log(1 / alpha) or edges >= max(tilts, before):
            return ""
        return (
            "slower as a whole; in the tail, "
            if tilts >= before
            else "proven before the buckets changed; since then, "
        )


_Bounded: TypeAlias = tuple[tuple[float, ...], not_slower.State]
"""The edges of the buckets, and what was seen in them."""


@attrs.frozen
class LatenciesAccepted(Accepted):
    """Not ``limit`` times the time. Where the buckets change, the proof starts anew."""

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        edges = cast(Histogram, candidate).edges
        closest = not_slower.closest(edges)
        if not_slower.within(edges, self.limit):
            return None
        apart = (
            f"the closest edges are {closest:.3g} times apart"
            if isfinite(closest)
            else "there are no two edges above 0"
        )
        return (
            f"accept={self.limit:g} can't be proven with these buckets, "
            f"up to {_time(edges[-1])}: {apart}"
        )

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        one, other = cast(Histogram, candidate), cast(Histogram, control)
        edges, state = cast(_Bounded, memory or (one.edges, not_slower.INITIAL))
        return one.edges, not_slower.update(
            state if edges == one.edges else not_slower.INITIAL,
            edges=one.edges,
            candidate=one.cumulative,
            control=other.cumulative,
            limit=self.limit,
            dispersion=self.question.dispersion,
        )

    def evidence(self, memory: Memory) -> float:
        return not_slower.evidence(cast(_Bounded, memory)[1])

    def needed(
        self, memory: Memory, nats: float, candidate: Measurement, control: Measurement
    ) -> float:
        edges, state = cast(_Bounded, memory)
        share = candidate.sample / (candidate.sample + control.sample)
        return not_slower.needed(
            state,
            nats,
            edges=edges,
            share=share,
            limit=self.limit,
            dispersion=self.question.dispersion,
        )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.4g} ms"
