"""Latencies: whole distributions, in buckets."""

from __future__ import annotations

from math import isfinite, log
from typing import TypeAlias

import attrs

from progressive.model.measurement import Histogram, Measurement
from progressive.stats import histogram_tails, latency_acceptance, ratios
from progressive.stats.evidence import kept

from .base import (
    Accepted,
    Numbers,
    Question,
    format_amount,
    format_count,
    format_ratio,
    ratio_numbers,
)

__all__ = ["Latencies", "LatenciesAccepted"]

_State: TypeAlias = tuple[tuple[float, ...], histogram_tails.State, float]
"""The edges of the buckets, the evidence with these edges, and the evidence (in nats) from before
the buckets changed.
"""


@attrs.frozen
class Latencies:
    """Test whether the candidate is slower.

    Counts of different buckets can't be added, but evidence can: when the buckets change, the
    evidence so far is kept and added to what the new ones show.
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
        if not histogram_tails.paired(candidate.edges, self.question.margin):
            return (
                f"no two edges are {self.question.margin:g} times apart; the last is "
                f"{_format_time(candidate.edges[-1])}"
            )
        return None

    def learn(
        self, state: _State | None, candidate: Histogram, control: Histogram, alpha: float
    ) -> _State:
        edges, tails, before = state or (candidate.edges, histogram_tails.INITIAL, 0.0)
        if edges != candidate.edges:
            before = kept(before + histogram_tails.evidence(tails))
            tails = histogram_tails.INITIAL
        tails = histogram_tails.update(
            tails,
            edges=candidate.edges,
            candidate=candidate.cumulative,
            control=control.cumulative,
            margin=self.question.margin,
            dispersion=self.question.dispersion,
        )
        return candidate.edges, tails, before

    def evidence(self, state: _State, alpha: float) -> float:
        _, tails, before = state
        return kept(before + histogram_tails.evidence(tails))

    def lacks(self, state: _State) -> str:
        _, (chosen, *_), _ = state
        return "" if chosen else "too few requests to choose edges"

    def summarize(
        self, state: _State, candidate: Histogram, control: Histogram, alpha: float
    ) -> tuple[str, Numbers]:
        edges, (chosen, above, _, _), _ = state
        sample: Numbers = (
            ("candidate_sample", float(candidate.sample)),
            ("control_sample", float(control.sample)),
        )
        if not chosen:
            return f"{candidate.sample} and {control.sample} requests in this look", sample
        margin = self.question.margin
        # Of the edges that are followed, show the one with the most evidence.
        _, pair, shown = max(zip(map(ratios.evidence, above), chosen, above, strict=True))
        control_edge, edge = histogram_tails.paired(edges, margin)[pair]
        numbers: Numbers = (
            *sample,
            ("edge", edges[edge]),
            ("candidate_above", float(candidate.sample - candidate.cumulative[edge])),
            ("control_edge", edges[control_edge]),
            ("control_above", float(control.sample - control.cumulative[control_edge])),
            ("margin_tested", histogram_tails.margin_tested(edges, margin)),
        )
        *_, events, expected, _ = shown
        prefix = self._proof_elsewhere(state, alpha)
        edge_time = _format_time(edges[edge])
        if not expected:
            return f"{prefix}no requests above {edge_time} on either side", numbers
        than = self.question.than
        other_edge = (
            ""
            if control_edge == edge
            else f" of {than}'s above {_format_time(edges[control_edge])}"
        )
        # The margin is in the edges: what it tolerates is one request of the control's above its
        # edge for one of the candidate's above its own.
        ratio = ratios.ratio(shown, dispersion=self.question.dispersion)
        summary = (
            f"{prefix}{format_count(events, 'request')} above {edge_time} where "
            f"{format_amount(expected)} were expected{other_edge}: {format_ratio(*ratio, than)}"
        )
        return summary, (
            *numbers,
            ("events", events),
            ("expected_events", expected),
            *ratio_numbers(*ratio),
        )

    def _proof_elsewhere(self, state: _State, alpha: float) -> str:
        """Return what proves harm if the edges that are followed do not; else nothing."""
        _, tails, before = state
        edges, whole = histogram_tails.parts(tails)
        if self.evidence(state, alpha) < log(1 / alpha) or edges >= max(whole, before):
            return ""
        return (
            "slower as a whole; in the tail, "
            if whole >= before
            else "proven before the buckets changed; since then, "
        )


_Bounded: TypeAlias = tuple[tuple[float, ...], latency_acceptance.State]
"""The edges of the buckets, and the evidence with these edges."""


@attrs.frozen
class LatenciesAccepted(Accepted[Histogram]):
    """Exclude latencies ``limit`` times as long. When the buckets change, the proof starts anew."""

    def fits(self, candidate: Histogram, control: Histogram) -> str | None:
        edges = candidate.edges
        if latency_acceptance.within(edges, self.limit):
            return None
        closest = latency_acceptance.closest(edges)
        apart = (
            f"the closest edges are {closest:.3g} times apart"
            if isfinite(closest)
            else "there are no two edges above 0"
        )
        return (
            f"accept={self.limit:g} can't be proven with these buckets, "
            f"up to {_format_time(edges[-1])}: {apart}"
        )

    def learn(self, state: _Bounded | None, candidate: Histogram, control: Histogram) -> _Bounded:
        edges, known = state or (candidate.edges, latency_acceptance.INITIAL)
        return candidate.edges, latency_acceptance.update(
            known if edges == candidate.edges else latency_acceptance.INITIAL,
            edges=candidate.edges,
            candidate=candidate.cumulative,
            control=control.cumulative,
            limit=self.limit,
            dispersion=self.question.dispersion,
        )

    def evidence(self, state: _Bounded) -> float:
        _, known = state
        return latency_acceptance.evidence(known)

    def needed(
        self, state: _Bounded, nats: float, candidate: Histogram, control: Histogram
    ) -> float:
        edges, known = state
        return latency_acceptance.needed(
            known,
            nats,
            edges=edges,
            share=candidate.sample / (candidate.sample + control.sample),
            limit=self.limit,
            dispersion=self.question.dispersion,
        )


def _format_time(seconds: float) -> str:
    return f"{seconds * 1000:.4g} ms"
