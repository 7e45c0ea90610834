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
from progressive.stats.special import binomial_sf

from .comparisons.words import format_count, rounded_up
from .contract import Judgement, Verdict

__all__ = ["BoundedRate"]

_STABLE_TOO: Final = 0.05
"""Stable is no better if as many events as it had had at most this chance within the bound."""

_Counted: TypeAlias = tuple[int, int]
"""Events, and requests."""

_Kept: TypeAlias = tuple[bound.State, _Counted, _Counted, _Counted]
"""The evidence against the bound; what the candidate had at this weight; and what the candidate and
stable had since there was no evidence.
"""

_BEGIN: Final[_Kept] = (bound.INITIAL, (0, 0), (0, 0), (0, 0))


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
        return self._named(self.limit)

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
        evidence, here, run, stable_run = cast(_Kept, memory) if memory else _BEGIN
        own = self._counted(candidate)
        other = (
            self._counted(stable)
            if isinstance(stable, Counts | Histogram) and type(stable) is type(candidate)
            else (0, 0)
        )
        evidence = bound.update(
            evidence, events=own[0], trials=own[1], rate=self.rate, alpha=alpha, anew=moved
        )
        nats = bound.evidence(evidence, alpha=alpha)
        here = own if moved else _sum(here, own)
        run, stable_run = _sum(run, own), _sum(stable_run, other)
        judgement = self._judgement(nats, here, run, stable_run, alpha)
        if nats <= 0:  # what counts against it begins here
            run = stable_run = (0, 0)
        kept: _Kept = (evidence, here, run, stable_run)
        return judgement, _BEGIN if judgement.verdict is Verdict.INCONCLUSIVE else kept

    def _judgement(
        self, nats: float, here: _Counted, run: _Counted, stable_run: _Counted, alpha: float
    ) -> Judgement:
        excluded = exclusion.evidence(*here, rate=float(self.rate), limit=self.limit)
        numbers = [
            ("candidate", self._shown(here)),
            ("candidate_sample", float(here[1])),
            ("log_evidence", nats),
            ("alpha", alpha),
            ("log_exclusion", excluded),
            ("beta", self.beta),
        ]
        if stable_run[1]:
            numbers += [
                ("stable", self._shown(stable_run)),
                ("stable_sample", float(stable_run[1])),
            ]
        if nats >= -math.log(alpha):
            verdict, why = self._broken(run, stable_run)
            return Judgement(verdict=verdict, why=why, numbers=tuple(numbers))
        missing, needed = self._missing(excluded, here)
        if missing:
            return Judgement(
                verdict=Verdict.NO_DATA,
                why=missing,
                numbers=(*numbers, ("requests_needed", float(needed))),
            )
        bound_kept = here[0] <= self.rate * here[1]
        proof = "" if bound_kept else f" is no proof of {self._beyond}"
        why = f"{self._described(here)}{proof}; {self.excluded} is excluded"
        return Judgement(verdict=Verdict.PASS, why=why, numbers=tuple(numbers))

    def _shown(self, counted: _Counted) -> float:
        """The rate of events as the metric is read."""
        rate = _rate(counted)
        return 1 - rate if self._flipped else rate

    def _broken(self, run: _Counted, stable_run: _Counted) -> tuple[Verdict, str]:
        """Return what follows from a bound that is broken: was it the candidate?"""
        breach = f"{self._named(_rate(run))} is {self._beyond}"
        events, requests = stable_run
        if requests and binomial_sf(events - 1, requests, float(self.rate)) <= _STABLE_TOO:
            stable = self._percent(_rate(stable_run))
            return Verdict.INCONCLUSIVE, f"{breach}, and stable with {stable} is no better"
        return Verdict.FAIL, f"{breach} ({self._of(run)})"

    def _missing(self, excluded: float, here: _Counted) -> tuple[str, int]:
        """Return what a pass lacks (empty if nothing), and how many requests more it takes, in the
        mean for a version at half the bound.
        """
        requests = here[1]
        lacks = -math.log(self.beta) - excluded
        if lacks > 0:
            needed = exclusion.needed(lacks, rate=float(self.rate), limit=self.limit)
            more = max(1, math.ceil(needed))
            missing = (
                f"{self.excluded} is not excluded yet: {self._described(here)}; about "
                f"{format_count(rounded_up(more), 'more request')} would"
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

    # ------------------------------------------------------------------------------------- in words

    @property
    def _beyond(self) -> str:
        """What a broken bound is: "above 1 %", and of a latency "more than 1 %"."""
        way = "more than" if self.edge is not None else "above" if self.upper else "below"
        return f"{way} {self._percent(float(self.rate))}"

    def _percent(self, rate: float) -> str:
        """A rate of events as the metric is read: of a lower bound on a ratio, what is left."""
        return f"{(1 - rate if self._flipped else rate) * 100:.4g} %"

    def _named(self, rate: float) -> str:
        """A rate of events, and what they are: "5 %", "5 % above 400 ms"."""
        if self.edge is None:
            return self._percent(rate)
        way = "above" if self.upper else "below"
        return f"{self._percent(rate)} {way} {self.edge * 1000:.4g} ms"

    def _described(self, counted: _Counted) -> str:
        return f"{self._named(_rate(counted))} ({self._of(counted)})"

    def _of(self, counted: _Counted) -> str:
        events, requests = counted
        shown = requests - events if self._flipped else events
        return f"{shown:,} of {requests:,} requests"


def _rate(counted: _Counted) -> float:
    events, requests = counted
    return events / requests


def _sum(one: _Counted, other: _Counted) -> _Counted:
    return one[0] + other[0], one[1] + other[1]
