"""Latencies: whole distributions, in buckets."""

from __future__ import annotations

from typing import TypeAlias, cast

import attrs

from ...measurement import Histogram, Measurement
from ...stats import sequential, tails
from ...stats._evidence import kept
from ..verdict import Memory
from .comparison import Numbers, Question

__all__ = ["Latencies"]

_Known: TypeAlias = tuple[tuple[float, ...], tails.State, float]
"""The edges of the buckets, what was seen in them, and the evidence from before there were such buckets."""


@attrs.frozen
class Latencies:
    """Slower is harm. Counts of other buckets can't be added, but evidence can: where the buckets change it goes on from what it was."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        if not (isinstance(candidate, Histogram) and isinstance(control, Histogram)):
            return "latencies are compared by histograms"
        if candidate.edges != control.edges:
            return f"the two have other buckets ({len(candidate.edges)} and {len(control.edges)} edges); let both report the same"
        if not tails.paired(candidate.edges, self.question.margin):
            return f"no two edges are {self.question.margin:g} times apart; the last is {_time(candidate.edges[-1])}"
        return None

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        one, other = cast(Histogram, candidate), cast(Histogram, control)
        edges, state, before = cast("_Known", memory or (one.edges, tails.NOTHING, 0.0))
        if edges != one.edges:
            edges, state, before = one.edges, tails.NOTHING, kept(before + tails.evidence(state))
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

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        one, other = cast(Histogram, candidate), cast(Histogram, control)
        edges, (chosen, logs, _, _), _ = cast("_Known", memory)
        sample: Numbers = (("candidate_sample", float(one.sample)), ("control_sample", float(other.sample)))
        if not chosen:
            return f"{one.sample} and {other.sample} requests in this look", sample
        pairs = tails.paired(edges, self.question.margin)
        # Of the edges that are followed, the one that shows most.
        i, j = pairs[max(zip(map(sequential.evidence, logs), chosen, strict=True))[1]]
        slow, control_slow = one.sample - one.cumulative[j], other.sample - other.cumulative[i]
        said = (
            f"{slow:,} of {one.sample:,} above {_time(edges[j])}, {control_slow:,} of {other.sample:,} above {_time(edges[i])} "
            f"on {self.question.than} in this look"
        )
        return said, (
            *sample,
            ("edge", edges[j]),
            ("candidate_above", float(slow)),
            ("control_edge", edges[i]),
            ("control_above", float(control_slow)),
            ("margin_tested", tails.margin_tested(edges, self.question.margin)),
        )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.4g} ms"
