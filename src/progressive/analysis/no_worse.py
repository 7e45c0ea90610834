"""The comparison that may be looked at at any time."""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar, Final, cast

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.measurement import Bad, Kind, Look, Measurement, Metric
from progressive.model.traffic import Track

from .comparisons import acceptance_of, comparison_of
from .comparisons.base import Acceptance, Comparison, Numbers, Question, counted
from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance
from .parameters import (
    Comparing,
    comparing_problems,
    is_metric,
    is_number,
    margin_problems,
    no_data_on,
    track_of,
)

__all__ = ["NoWorse"]

TOLERANCE: Final = Tolerance(in_a_row=1)

NEVER: Final = 1e12
"""Who needs so many more requests will not have them."""

UNITS: Final = {
    Kind.RATIO: "request",
    Kind.LATENCY: "request",
    Kind.MEAN: "value",
    Kind.VALUE: "look",
}
"""What more of is proof that a candidate is good enough."""

MOST: Final = 1000.0
"""No test excludes a larger ratio in useful time, and beside a larger share of alpha nothing is
left for the others.
"""


@attrs.frozen(kw_only=True)
class NoWorse(Comparing):
    """The candidate is not worse than its control: ``NoWorse(ERRORS)``, ``NoWorse(LATENCY)``,
    ``NoWorse(ORDERS, margin=1.1)``.

    Evidence is kept from the first look to the last, over all steps, and may be looked at at any
    time: the chance that a candidate which is not worse ever fails is at most this check's part of
    the plan's ``alpha``, for requests that are independent of each other. PASS means "no proof of
    harm so far"; a query that changes starts the evidence, and the promise, anew. It is dormant
    while the control gets no traffic, so put a `Limit` beside it for the bake at 100 %.

    What is compared depends on the metric: rates of events for a ratio, whole distributions for a
    latency (buckets as they are, the same on both sides), means for a mean (the promise is then
    approximate, and nothing is judged before the candidate has 30 values), and for a level in how
    many looks the candidate stands above. Which direction is harm is the metric's ``bad``.

    ``margin`` is what is still tolerated, as a multiple: 1.1 is a tenth more errors, a tenth more
    time, or, where down is bad, the control having 1.1 times as much. ``accept=2.0`` asks for proof
    before it passes: not until a candidate that is at least twice as bad is excluded, with a chance
    of error of ``beta``, is there a PASS, and it is taken back if later looks speak against it. So
    a step that waits for a pass ends as soon as the evidence is in, and not by the clock. Twice as
    bad is twice the rate or the mean, or half of it; of a latency, all times stretched twice, where
    the slowest fifth and where the slowest hundredth begins; of a level, twice as high in as many
    looks as not. ``dispersion`` is by how much events come in clumps, such as retries
    (`progressive.stats.planning.dispersion`).

    ``exact=True`` needs a tenth fewer errors, and keeps its promise only if weights and looks do
    not depend on the evidence: no ``accept`` in the whole plan, no person who goes on because it
    looks good. (Ratios where up is bad only.)

    ``blocks=True`` takes each look as one observation: the promise then holds for events that come
    in clumps of any size (a user's retries), as long as a clump falls on either track as a request
    does, and is over by the end of its look; and for means of values of any law that are never
    below 0. It needs some ten looks at the least, many more for a fall at a small weight, and says
    no bounds. (Ratios and means.)
    """

    kind: ClassVar[str] = "no_worse"

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    than: Track = attrs.field(
        default=Track.STABLE, converter=track_of, validator=fields.is_one_of(Track)
    )
    margin: float = 1.0
    share_of_alpha: float = 1.0
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(default=TOLERANCE, validator=is_tolerance)
    id: str = attrs.field(
        validator=fields.is_name,
        default=attrs.Factory(lambda self: self._default_id(), takes_self=True),
    )
    accept: float | None = None
    beta: float = 0.05
    dispersion: float = 1.0
    exact: bool = attrs.field(default=False, validator=is_flag)
    blocks: bool = attrs.field(default=False, validator=is_flag)

    def __attrs_post_init__(self) -> None:
        problems = []
        if self.metric.kind is Kind.LATENCY and self.metric.bad is not Bad.UP:
            problems.append(
                f"the metric's bad={self.metric.bad.value!r}: of latencies, only slower "
                "ones can be told from; use bad='up'"
            )
        problems += margin_problems(self.margin)
        if not is_number(self.share_of_alpha) or not 0 < self.share_of_alpha <= MOST:
            problems.append(
                f"share_of_alpha={self.share_of_alpha!r} must be above 0 (and at most "
                f"{MOST:g}); it is a weight beside the other checks'"
            )
        if not is_number(self.dispersion) or self.dispersion < 1:
            problems.append(
                f"dispersion={self.dispersion!r} is how many events come at a time, 1.0 or more"
            )
        if self.dispersion != 1 and self.metric.kind is Kind.VALUE:
            problems.append(
                "dispersion= is for what is counted; a look at a level is one observation, "
                "however it comes about"
            )
        problems += comparing_problems(self.than)
        problems += self._acceptance_problems()
        if self.exact and (
            self.metric.kind is not Kind.RATIO
            or self.metric.bad is not Bad.UP
            or self.dispersion != 1
        ):
            problems.append(
                "exact=True is for ratios where up is bad, without a dispersion; leave it out"
            )
        in_blocks = self.metric.kind in (Kind.RATIO, Kind.MEAN)
        if self.blocks and (
            not in_blocks
            or (self.margin, self.dispersion, self.accept) != (1, 1, None)
            or self.exact
        ):
            problems.append(
                "blocks=True is for ratios and means, without margin=, dispersion=, "
                "accept= or exact=; leave those out"
            )
        if problems:
            raise StrategyError([f"NoWorse({self.metric.name}): {problem}" for problem in problems])

    def _acceptance_problems(self) -> list[str]:
        problems = []
        if self.accept is not None:
            if not is_number(self.accept) or not (
                is_number(self.margin) and self.margin < self.accept <= MOST
            ):
                above = f"above the margin of {self.margin!r}, and at most {MOST:g}"
                problems.append(
                    f"accept={self.accept!r} is the ratio to be excluded; it must be {above}"
                )
            if self.exact:
                problems.append(
                    "exact=True needs a schedule that does not depend on the evidence, "
                    "which accept= makes it do; choose one"
                )
        if not is_number(self.beta) or not 0 < self.beta < 1:
            problems.append(
                f"beta={self.beta!r} is a probability between 0 and 1: of accepting a "
                "candidate that is accept= times as bad"
            )
        return problems

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        return f"{self.metric.name}-no-worse"

    @cached_property
    def _question(self) -> Question:
        return Question(
            than=self.than.value,
            up=self.metric.bad is not Bad.DOWN,
            down=self.metric.bad is not Bad.UP,
            margin=self.margin,
            dispersion=self.dispersion,
            exact=self.exact,
            blocks=self.blocks,
            unit=self.metric.unit,
        )

    @cached_property
    def _comparison(self) -> Comparison:
        return comparison_of(self.metric.kind, self._question)

    @cached_property
    def _acceptance(self) -> Acceptance | None:
        return (
            None
            if self.accept is None
            else acceptance_of(self.metric.kind, self._question, self.accept)
        )

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        candidate, control = look.of(Track.CANDIDATE), look.of(self.than)
        if not (candidate.sample and control.sample):
            return self._no_data(candidate, control), memory
        if (misfit := self._misfit(candidate, control)) is not None:
            return Judgement(verdict=Verdict.ERROR, why=misfit), memory
        seen, proven = _parted(memory) if self._acceptance else (memory, None)
        seen = self._comparison.learn(seen, candidate, control, alpha)
        found = self._comparison.evidence(seen, alpha)
        harm = found >= math.log(1 / alpha)
        said, numbers = self._comparison.summarize(seen, candidate, control, alpha)
        p = math.exp(-max(0.0, found))
        verdict = Verdict.FAIL if harm else Verdict.PASS
        why = (
            f"{'worse' if harm else 'no proof of harm'}: {said}; p = {p:.3g}, alarm at {alpha:.3g}"
        )
        numbers += (("log_evidence", found), ("alpha", alpha))
        if (lacks := self._comparison.lacks(seen)) and not harm:
            verdict, why = Verdict.NO_DATA, lacks
        if self._acceptance is None:
            return Judgement(verdict=verdict, why=why, numbers=numbers), seen
        proven = self._acceptance.learn(proven, candidate, control)
        lacking, more = self._lacking(self._acceptance, proven, candidate, control)
        if lacking and not harm:
            verdict, why = Verdict.NO_DATA, f"{lacking}; {why}"
        return Judgement(verdict=verdict, why=why, numbers=numbers + more), (seen, proven)

    def _misfit(self, candidate: Measurement, control: Measurement) -> str | None:
        misfit = self._comparison.fits(candidate, control)
        return (
            self._acceptance.fits(candidate, control)
            if misfit is None and self._acceptance
            else misfit
        )

    def _no_data(self, candidate: Measurement, control: Measurement) -> Judgement:
        missing = Track.CANDIDATE if not candidate.sample else self.than
        found = candidate if missing is Track.CANDIDATE else control
        why = no_data_on(missing, found, "no requests")
        return Judgement(
            verdict=Verdict.NO_DATA, why=why, starved=not candidate.sample and control.sample > 0
        )

    def _lacking(
        self, acceptance: Acceptance, proven: Memory, candidate: Measurement, control: Measurement
    ) -> tuple[str, Numbers]:
        """What is missing to accept the candidate, empty if nothing is."""
        found, enough = acceptance.evidence(proven), math.log(1 / self.beta)
        numbers: Numbers = (("log_acceptance", found), ("beta", self.beta))
        if found >= enough:
            return "", numbers
        missing = f"not yet proven that it is not {self.accept:g} times as bad"
        more = acceptance.needed(proven, enough, candidate, control)
        if (more < NEVER) is False:
            return f"{missing}; nothing that was seen so far can prove it", numbers
        more = math.ceil(more)
        unit = UNITS[self.metric.kind]
        split = "" if self.metric.kind is Kind.VALUE else ", at this share"
        return f"{missing}; about {counted(_rounded(more), f'more {unit}')} would{split}", (
            *numbers,
            (f"{unit}s_needed", float(more)),
        )


def _parted(memory: Memory) -> tuple[Memory, Memory]:
    return cast("tuple[Memory, Memory]", memory or (None, None))


def _rounded(count: int) -> int:
    """To two digits: it is an expectation, and more digits would say more than is known."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
