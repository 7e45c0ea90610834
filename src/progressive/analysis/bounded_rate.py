"""An absolute bound on a ratio or a latency quantile, judged as a sequential test of counts."""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction
from typing import Final, TypeAlias, cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Counts, Histogram, Measurement
from progressive.stats import bound, exclusion
from progressive.stats.evidence import kept
from progressive.stats.proportions import fisher_exact
from progressive.stats.special import binomial_sf, normal_sf

from .comparisons.words import format_count, format_percent, rounded_up
from .contract import Judgement, Verdict

__all__ = ["BoundedRate"]

_STABLE_TOO: Final = 0.05
"""Stable breaks the bound as well if as many events as it had had at most this chance within it."""

_WORSE: Final = 0.002
"""The candidate is worse than stable if so large a part of both sides' events had at most this
chance to fall on it.
"""

_SUSPECTED: Final = math.log(2.0)
"""A run begins where the candidate looks as if it had twice the odds of the bound,"""

_MOST_SUSPECTED: Final = 3.0
"""and ends when what speaks for that, of which no more than this is kept, is gone."""

_MANY: Final = 10_000
"""From so many events on their distribution is taken for a normal one."""

_Counted: TypeAlias = tuple[int, int]
"""Events, and requests."""

_Sides: TypeAlias = tuple[int, int, int, int]
"""Events and requests of the candidate, then of stable, in the same looks."""

_NOTHING: Final[_Sides] = (0, 0, 0, 0)

_Kept: TypeAlias = tuple[bound.State, _Sides, _Sides, _Sides, float, int, _Sides]
"""The evidence against the bound; what there was since that began, at this weight, and in this run;
what speaks for a run; whether stable has excused it; and what the bound was broken by, once it was.
"""

_BEGIN: Final[_Kept] = (bound.INITIAL, _NOTHING, _NOTHING, _NOTHING, 0.0, 0, _NOTHING)


@attrs.frozen(kw_only=True)
class BoundedRate:
    """One bound as a question about counts: of all requests, which part may be ``events``?

    * ``rate``: that part, between 0 and 1, exclusive. Requests are events where they are on the
      wrong side of the bound.
    * ``edge``: the bound of a latency, in seconds; None for a ratio.
    * ``upper``: whether the bound is ``at_most``.
    * ``accept``, ``beta``: a version at ``accept`` times the rate, or halfway between it and all
      requests if that is less, passes with a chance of at most ``beta``.
    * ``least``: requests at this weight without which nothing passes.
    """

    rate: Fraction
    upper: bool
    edge: float | None = None
    accept: float
    beta: float
    least: int

    @property
    def limit(self) -> float:
        """The rate that a version which passes is shown not to have."""
        rate = float(self.rate)
        return min(self.accept * rate, (1 + rate) / 2)

    @property
    def requests_to_pass(self) -> int:
        """The requests at a weight until it passes there, in the mean for a version at half the
        bound.
        """
        nats = -math.log(self.beta)
        needed = exclusion.needed(nats, rate=float(self.rate), limit=self.limit)
        return max(self.least, math.ceil(needed))

    @property
    def excluded(self) -> str:
        """What a pass excludes: "5 %", "5 % above 400 ms"."""
        return self._named(self.limit, self.edge)

    @property
    def _flipped(self) -> bool:
        """Whether the metric's own events are the good ones."""
        return self.edge is None and not self.upper

    def judge(
        self,
        memory: Memory,
        candidate: Counts | Histogram,
        stable: Measurement,
        *,
        alpha: float,
        moved: bool,
    ) -> tuple[Judgement, Memory]:
        """Judge one look by all since the begin, and return what to keep.

        ``moved``: whether this is the first look in its traffic.
        """
        evidence, whole, here, run, suspicion, excused, proof = (
            cast(_Kept, memory) if memory else _BEGIN
        )
        own, at = self._counted(candidate), self._edge_of(candidate)
        look: _Sides = (*own, *self._counted_beside(stable, candidate))
        suspicion = self._suspicion(suspicion, own)
        run = _sum(run, look) if suspicion else _NOTHING
        if excused and not suspicion:  # what stable had too is over
            evidence, whole, here, excused, moved = bound.INITIAL, _NOTHING, _NOTHING, 0, True
        evidence = bound.update(
            evidence, events=own[0], trials=own[1], rate=self.rate, alpha=alpha, anew=moved
        )
        whole, here = _sum(whole, look), look if moved else _sum(here, look)
        nats = bound.evidence(evidence, alpha=alpha)
        alarm = nats >= -math.log(alpha)
        sides = proof if proof[1] else here if not alarm else run if suspicion else whole
        excluded = exclusion.evidence(*here[:2], rate=float(self.rate), limit=self.limit)
        if proof[1]:
            verdict, why, needed = Verdict.FAIL, self._breach(proof[:2], at), 0
        elif alarm:
            (verdict, why), needed = self._blame(sides, at), 0
        else:
            verdict, why, needed = self._kept_so_far(here[:2], excluded, at)
        if verdict is Verdict.FAIL and not proof[1]:
            proof = sides
        numbers = [
            ("candidate", self._shown(sides[:2])),
            ("candidate_sample", float(sides[1])),
            *([("stable", self._shown(sides[2:]))] if sides[3] else []),
            *([("stable_sample", float(sides[3]))] if sides[3] else []),
            ("log_evidence", nats),
            ("alpha", alpha),
            ("log_exclusion", excluded),
            ("beta", self.beta),
            *([("requests_needed", float(needed))] if needed else []),
        ]
        memory_after: _Kept = (
            evidence,
            whole,
            here,
            run,
            suspicion,
            int(verdict is Verdict.INCONCLUSIVE or bool(excused)),
            proof,
        )
        return Judgement(verdict=verdict, why=why, numbers=tuple(numbers)), memory_after

    def _suspicion(self, before: float, own: _Counted) -> float:
        """Return what speaks for a run after one more look, in nats: 0 where there is none."""
        events, requests = own
        look = bound.look_at(requests, self.rate)
        now = before + look.excess(events) * _SUSPECTED - look.cost(_SUSPECTED)
        return kept(min(max(0.0, now), _MOST_SUSPECTED))

    def _shown(self, counted: _Counted) -> float:
        """The rate of events as the metric is read."""
        rate = _rate(counted)
        return 1 - rate if self._flipped else rate

    def _blame(self, sides: _Sides, at: float | None) -> tuple[Verdict, str]:
        """Return what follows from a bound that is broken: was it the candidate?

        It was, where stable keeps the bound or the candidate is worse; it was not, where stable
        breaks it too. In between more has to be seen.
        """
        own, other = sides[:2], sides[2:]
        breach = self._breach(own, at)
        if other[0] <= self.rate * other[1] or _is_worse(sides):
            return Verdict.FAIL, breach
        stable = self._percent(_rate(other))
        if self._breaks(other):
            return Verdict.INCONCLUSIVE, f"{breach}, and stable with {stable} is no better"
        why = f"{breach}; with {stable} it is not known yet whether stable is any better"
        return Verdict.NO_DATA, why

    def _breaks(self, counted: _Counted) -> bool:
        """Return whether these counts are too many for a version that keeps the bound."""
        events, requests = counted
        rate = float(self.rate)
        variance = requests * rate * (1 - rate)
        if variance < _MANY:
            return binomial_sf(events - 1, requests, rate) <= _STABLE_TOO
        return normal_sf((events - requests * rate) / math.sqrt(variance)) <= _STABLE_TOO

    def _breach(self, counted: _Counted, at: float | None) -> str:
        return f"{self._named(_rate(counted), at)} is {self._beyond} ({self._of(counted)})"

    def _kept_so_far(
        self, here: _Counted, excluded: float, at: float | None
    ) -> tuple[Verdict, str, int]:
        """Return the verdict on a bound that is not broken, why, and how many requests a pass
        needs.
        """
        missing, needed = self._missing(excluded, here, at)
        if missing:
            return Verdict.NO_DATA, missing, needed
        proof = "" if here[0] <= self.rate * here[1] else f" is no proof of {self._beyond}"
        why = f"{self._described(here, at)}{proof}; {self._named(self.limit, at)} is excluded"
        return Verdict.PASS, why, 0

    def _missing(self, excluded: float, here: _Counted, at: float | None) -> tuple[str, int]:
        """Return what a pass lacks (empty if nothing), and how many requests more it takes, in the
        mean for a version at half the bound.
        """
        requests = here[1]
        lacks = -math.log(self.beta) - excluded
        if lacks > 0:
            needed = exclusion.needed(lacks, rate=float(self.rate), limit=self.limit)
            more = max(1, math.ceil(needed), self.least - requests)
            missing = (
                f"{self._named(self.limit, at)} is not excluded yet: {self._described(here, at)}; "
                f"about {format_count(rounded_up(more), 'more request')} would"
            )
            return missing, more
        if requests < self.least:
            return (
                f"{requests} of the {self.least} requests that a pass needs on candidate",
                self.least - requests,
            )
        return "", 0

    def _counted(self, measured: Counts | Histogram) -> _Counted:
        """Return how many requests are on the wrong side, and how many there are."""
        if isinstance(measured, Counts):
            events, requests = measured.events, measured.trials
            return (requests - events if self._flipped else events), requests
        assert self.edge is not None  # only a latency is measured as a histogram
        if self.upper:
            # How far requests lie past the last edge is not known. Those at or below that edge are
            # below a bound past it too.
            above, _ = measured.above(min(self.edge, measured.edges[-1]))
            return above, measured.sample
        below = bisect_left(measured.edges, self.edge)
        return (measured.cumulative[below - 1] if below else 0), measured.sample

    def _counted_beside(self, stable: Measurement, candidate: Counts | Histogram) -> _Counted:
        """Return stable's counts; none where they say nothing about the bound."""
        if isinstance(stable, Counts) and isinstance(candidate, Counts):
            return self._counted(stable)
        if isinstance(stable, Histogram) and isinstance(candidate, Histogram):
            assert self.edge is not None
            if not (self.upper and stable.edges[-1] < self.edge):
                return self._counted(stable)
        return 0, 0

    def _edge_of(self, measured: Counts | Histogram) -> float | None:
        """Return the edge at which requests are counted; None for a ratio."""
        if isinstance(measured, Counts):
            return None
        assert self.edge is not None
        place = bisect_left(measured.edges, self.edge)
        if self.upper:
            return measured.edges[min(place, len(measured.edges) - 1)]
        return measured.edges[place - 1] if place else self.edge

    # ------------------------------------------------------------------------------------- in words

    @property
    def _beyond(self) -> str:
        """What a broken bound is: "above 1 %", and of a latency "more than 1 %"."""
        way = "more than" if self.edge is not None else "above" if self.upper else "below"
        return f"{way} {self._percent(float(self.rate))}"

    def _percent(self, rate: float) -> str:
        """A rate of events as the metric is read: of a lower bound on a ratio, what is left."""
        return format_percent(1 - rate if self._flipped else rate)

    def _named(self, rate: float, at: float | None) -> str:
        """A rate of events, and what they are: "5 %", "5 % above 400 ms"; ``at``: the edge that
        they were counted at.
        """
        if at is None:
            return self._percent(rate)
        ms = at * 1000
        way, time = "above" if self.upper else "below", f"{ms:,.0f}" if ms >= 1000 else f"{ms:.4g}"
        return f"{self._percent(rate)} {way} {time} ms"

    def _described(self, counted: _Counted, at: float | None) -> str:
        return f"{self._named(_rate(counted), at)} ({self._of(counted)})"

    def _of(self, counted: _Counted) -> str:
        events, requests = counted
        shown = requests - events if self._flipped else events
        return f"{shown:,} of {requests:,} requests"


def _is_worse(sides: _Sides) -> bool:
    """Return whether the candidate has more of both sides' events than its part of the requests
    explains.
    """
    events, requests, other_events, other_requests = sides
    every, whole = events + other_events, requests + other_requests
    if every < _MANY:
        p = fisher_exact(events, requests, other_events, other_requests, alternative="greater")
        return p <= _WORSE
    share = requests / whole
    variance = every * share * (1 - share) * ((whole - every) / whole)
    excess = (events * whole - every * requests) / whole
    return variance > 0 and normal_sf(excess / math.sqrt(variance)) <= _WORSE


def _rate(counted: _Counted) -> float:
    events, requests = counted
    return events / requests


def _sum(one: _Sides, other: _Sides) -> _Sides:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])
