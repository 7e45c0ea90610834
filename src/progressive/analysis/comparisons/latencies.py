"""Latencies: whole distributions, in buckets."""

from __future__ import annotations

from math import isfinite, log
from typing import TypeAlias

import attrs

from progressive.model.measurement import Histogram, Measurement
from progressive.stats import histogram_tails, latency_acceptance, ratios
from progressive.stats.evidence import kept

from .base import (
    SINCE,
    Accepted,
    Numbers,
    Question,
    ratio_numbers,
)
from .words import format_amount, format_count, format_time

__all__ = ["Latencies", "LatenciesAccepted", "misfit_of_edges"]

_State: TypeAlias = tuple[tuple[float, ...], histogram_tails.State, float]
"""The edges that both had in the last look, the evidence with these edges, and the evidence (in
nats) of earlier ones.
"""


@attrs.frozen
class Latencies:
    """Test whether the candidate is slower, at the edges that both have.

    How many requests are above an edge is exact, whatever buckets lie around it, so two versions
    with different buckets are compared at the edges that they share. Which these are follows from
    the buckets, not from how requests fell into them: the bound on false alarms is that of any
    other edges.

    Edges may change under way, in three ways:

    * **One is gone.** The counts below the others are known, and the evidence goes on with them.
      Where a gone edge was followed, the evidence so far is kept as a number and multiplied with
      what comes later (`progressive.stats.histogram_tails.moved`). What finer edges have shown
      stays: it was fair when it was seen.
    * **One is new.** It counts from the next look on. Some systems show only buckets that have
      something in them, so which edges a look has may depend on its own requests; a bet must not.
    * **None is left** of those so far. The evidence is kept as a number, and more is collected at
      the new ones.
    """

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        if (misfit := misfit_of_edges(candidate, control, self.question.than)) is not None:
            return misfit
        assert isinstance(candidate, Histogram)  # by now
        assert isinstance(control, Histogram)
        edges = candidate.shared_edges(control)
        if not histogram_tails.paired(edges, self.question.margin):
            return (
                f"no two edges{_that_both_have(candidate, control)} are "
                f"{self.question.margin:g} times apart; the last is {format_time(edges[-1])}"
            )
        return None

    def learn(
        self, state: _State | None, candidate: Histogram, control: Histogram, alpha: float
    ) -> _State:
        edges = candidate.shared_edges(control)
        known, tails, before = state or (edges, self._initial, 0.0)
        there = frozenset(edges)
        used = tuple(edge for edge in known if edge in there)
        if histogram_tails.paired(used, self.question.margin):
            tails, gone = self._moved(tails, known, used)
        else:
            tails, gone, used = self._initial, histogram_tails.evidence(tails), edges
        tails = histogram_tails.update(
            tails,
            edges=used,
            candidate=candidate.at(used).cumulative,
            control=control.at(used).cumulative,
            margin=self.question.margin,
            dispersion=self.question.dispersion,
        )
        tails, also_gone = self._moved(tails, used, edges)
        return edges, tails, kept(before + gone + also_gone)

    @property
    def _initial(self) -> histogram_tails.State:
        return histogram_tails.RESERVED if self.question.reserve else histogram_tails.INITIAL

    def again(self, state: _State) -> _State:
        edges, tails, before = state
        return edges, histogram_tails.again(tails), before

    def _moved(
        self, tails: histogram_tails.State, edges: tuple[float, ...], to: tuple[float, ...]
    ) -> tuple[histogram_tails.State, float]:
        """Return the evidence at other edges, and how much it does not hold any more."""
        if edges == to:
            return tails, 0.0
        return histogram_tails.moved(tails, edges=edges, to=to, margin=self.question.margin)

    def evidence(self, state: _State, alpha: float) -> float:
        _, tails, before = state
        return kept(before + histogram_tails.evidence(tails))

    def lacks(self, state: _State) -> str:
        _, (chosen, *_), _ = state
        return "" if chosen else "too few requests to choose edges"

    def summarize(
        self, state: _State, candidate: Histogram, control: Histogram, alpha: float
    ) -> tuple[str, Numbers]:
        edges, tails, _ = state
        chosen, above, *_ = tails
        sample: Numbers = (
            ("candidate_sample", float(candidate.sample)),
            ("control_sample", float(control.sample)),
        )
        at_shared = ""
        if candidate.edges != control.edges:
            sample += (("shared_edges", float(len(edges))),)
            at_shared = f"; compared at {_format_range(edges)}, which both have"
        candidate, control = candidate.at(edges), control.at(edges)
        if not chosen:
            return (
                f"{candidate.sample} and {control.sample} requests in this look{at_shared}",
                sample,
            )
        margin = self.question.margin
        # Of the edges that are followed, show the one with the most evidence.
        _, pair, shown = max(zip(histogram_tails.of_edges(tails), chosen, above, strict=True))
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
        edge_time = format_time(edges[edge])
        since = SINCE if histogram_tails.begun_again(tails) else ""
        if not expected:
            nothing = f"no requests above {edge_time} on either side{since}"
            return f"{prefix}{nothing}{at_shared}", numbers
        than = self.question.than
        other_edge = (
            "" if control_edge == edge else f" of {than}'s above {format_time(edges[control_edge])}"
        )
        # The margin is in the edges: what it tolerates is one request of the control's above its
        # edge for one of the candidate's above its own.
        ratio = ratios.ratio(shown, dispersion=self.question.dispersion)
        summary = (
            f"{prefix}{format_count(events, 'request')} above {edge_time} where "
            f"{format_amount(expected)} were expected{other_edge}{since}: "
            f"{self.question.ratio_in_words(*ratio)}{at_shared}"
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
"""The edges that both had in the last look, and the evidence with these edges."""


@attrs.frozen
class LatenciesAccepted(Accepted[Histogram]):
    """Exclude latencies ``limit`` times as long, at the edges that both have.

    Where the edges change, a proof goes on at a place whose two edges are still there, and starts
    anew elsewhere (`progressive.stats.latency_acceptance.moved`).
    """

    def fits(self, candidate: Histogram, control: Histogram) -> str | None:
        edges = candidate.shared_edges(control)
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
            f"up to {format_time(edges[-1])}{_that_both_have(candidate, control)}: {apart}"
        )

    def learn(self, state: _Bounded | None, candidate: Histogram, control: Histogram) -> _Bounded:
        edges = candidate.shared_edges(control)
        before, known = state or (edges, latency_acceptance.INITIAL)
        if before != edges:
            known = latency_acceptance.moved(known, edges=before, to=edges, limit=self.limit)
        return edges, latency_acceptance.update(
            known,
            edges=edges,
            candidate=candidate.at(edges).cumulative,
            control=control.at(edges).cumulative,
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


def _format_range(edges: tuple[float, ...]) -> str:
    """Format edges as how many there are and from where to where: "3 edges, 100 ms to 800 ms"."""
    first = format_time(edges[0])
    return (
        f"1 edge, {first}"
        if len(edges) == 1
        else f"{len(edges)} edges, {first} to {format_time(edges[-1])}"
    )


def _that_both_have(candidate: Histogram, control: Histogram) -> str:
    return "" if candidate.edges == control.edges else " that both have"


def misfit_of_edges(candidate: Measurement, control: Measurement, than: str) -> str | None:
    """Return why these two can't be compared at edges that both have; None if they can."""
    if not (isinstance(candidate, Histogram) and isinstance(control, Histogram)):
        return "latencies are compared by histograms"
    edges = candidate.shared_edges(control)
    if not edges:
        return (
            "the two have no edge of a bucket in common, so nothing can be compared "
            f"({_format_range(candidate.edges)}, and {_format_range(control.edges)} on "
            f"{than}); let both report at least one that is the same"
        )
    return None
