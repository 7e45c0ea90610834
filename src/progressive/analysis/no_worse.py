"""The sequential comparison with a control: it may be looked at at any time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.measurement import Bad, Kind, Look, Measurement, Metric
from progressive.model.traffic import Track, Traffic

from .comparisons import clumped
from .comparisons.base import Numbers, Question
from .comparisons.of_kind import AnyAcceptance, AnyComparison, acceptance_of, comparison_of
from .comparisons.words import format_count, rounded_up
from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance, stored_before
from .memory import kept_beside, kept_pair, kept_weighed
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

LEVEL_MARGIN: Final = 1.05
"""The margin of levels where none is given: two instances of one version differ a little."""

NEVER: Final = 1e12
"""A test that needs so many more requests, values or looks is reported as unable to end."""

ROUNDING: Final = 1e-9
"""Less evidence, in nats, is none: the parts of a test are kept with twelve digits."""

UNITS: Final = {
    Kind.RATIO: "request",
    Kind.LATENCY: "request",
    Kind.MEAN: "value",
    Kind.VALUE: "look",
}
"""The unit in which an acceptance counts what it needs, by the kind of metric."""

MOST: Final = 1000.0
"""The largest ``accept`` and ``share_of_alpha``. No test excludes a larger ratio in useful time,
and a larger share of alpha leaves nothing for the other checks.
"""


@attrs.frozen(kw_only=True)
class NoWorse(Comparing):
    """Fail if the candidate is proven worse than its control: ``NoWorse(ERRORS)``,
    ``NoWorse(LATENCY)``, ``NoWorse(ORDERS, margin=1.1)``.

    Evidence is kept from the first look to the last, over all steps, and may be looked at at any
    time: the chance that a candidate which is not worse ever fails is at most this check's part of
    the plan's ``alpha``, for requests that are independent of each other. PASS means "no proof of
    harm so far". A query that changes starts the evidence, and this bound, anew. The check is
    dormant while the control gets no traffic, so put a `Limit` beside it for the bake at 100 %.

    What is compared depends on the metric's kind; its ``bad`` is the direction of harm:

    * ratio: rates of events.
    * latency: whole distributions, at the bucket edges that both sides have. Where these change,
      the evidence goes on; without one in common the verdict is ERROR.
    * mean: means. The bound on false alarms is then approximate, and nothing is judged before
      there are 30 values of the candidate.
    * value: in how many looks the candidate's level is above the control's.

    What else can be asked:

    * ``than``: the control's track.
    * ``margin``: the multiple that is still tolerated, 1 to 1000: 1.1 is a tenth more errors, a
      tenth more time, or, where down is bad, 1.1 times as much on the control. By default 1, and
      1.05 for values: two instances of one version never stand at quite the same level.
    * ``share_of_alpha``: the weight by which the plan's alpha is split, above 0, at most 1000.
    * ``accept``: no PASS before a candidate at least so many times as bad is excluded, with a
      chance of error of ``beta``; above ``margin``, at most 1000. A PASS is taken back if later
      looks are evidence against it. A step that waits for it ends by evidence, not by the clock.
      2.0 is twice the rate or mean, or half of it where down is bad; of a latency, times twice as
      long, both where the slowest fifth and where the slowest hundredth begins; of a level, twice
      as high in half of the looks.
    * ``beta``: the chance to accept a candidate that is ``accept`` times as bad, between 0 and 1.
    * ``dispersion``: how many events come at a time, such as retries, 1 or more
      (`progressive.stats.planning.dispersion`). Without it requests are taken as independent, and
      verdicts on ratios and latencies say so where the control's own looks show that they are not.
    * ``exact``: use an exact test, which needs a tenth fewer errors, but keeps the bound only if
      weights and looks do not depend on the evidence: no ``accept`` in the whole plan, no person
      who goes on because it looks good. For ratios where up is bad.
    * ``blocks``: take each look as one observation. The bound then holds for events in clumps of
      any size (a user's retries), as long as a clump falls on either track as a request does and
      is over by the end of its look; and for means of values of any distribution that are never
      below 0. It needs at least some ten looks, many more for a fall at a small weight, and gives
      no bounds on the ratio. Of a latency, it asks in how many looks the candidate is slower, in
      the middle (p50) and in the tail (p90), so that a version's own stalls (garbage collection,
      whole seconds in which all requests are slow) are no harm where the other has as many; a look
      needs twenty requests of each, and a hundred for the tail. For ratios, means and latencies.
    * ``small``: find small rises as well, given the requests: every one in the end, at some more
      than the fewest errors that can tell it, for a rise of a fiftieth as for one of a half.
      With a margin or a dispersion, from a hundredth above the margin on. Without it, nothing
      below a quarter more is ever found. For ratios.
    * ``raises``: let no healthy time at lower weights hide harm that begins with a raise: at each
      one, a fifth of what the test may still bet is bet anew, and the estimate begins again. For
      ratios, with ``small``, and for latencies; not in ``blocks``, nor with ``exact``.
    """

    kind: ClassVar[str] = "no_worse"

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    than: Track = attrs.field(
        default=Track.STABLE, converter=track_of, validator=fields.is_one_of(Track)
    )
    margin: float = attrs.field(
        default=attrs.Factory(lambda self: self._default_margin(), takes_self=True),
        metadata=fields.missing_means(1.0),
    )
    share_of_alpha: float = 1.0
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(
        default=TOLERANCE, validator=is_tolerance, metadata=stored_before(TOLERANCE)
    )
    id: str = attrs.field(
        validator=fields.is_name,
        default=attrs.Factory(lambda self: self._default_id(), takes_self=True),
    )
    accept: float | None = None
    beta: float = 0.05
    dispersion: float | None = attrs.field(default=None, metadata=fields.missing_means(1.0))
    exact: bool = attrs.field(default=False, validator=is_flag)
    blocks: bool = attrs.field(default=False, validator=is_flag)
    small: bool = attrs.field(default=True, validator=is_flag, metadata=fields.missing_means(False))
    raises: bool = attrs.field(
        default=True, validator=is_flag, metadata=fields.missing_means(False)
    )

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
        if self.dispersion is not None and not (
            is_number(self.dispersion) and self.dispersion >= 1
        ):
            problems.append(
                f"dispersion={self.dispersion!r} is how many events come at a time, 1.0 or more"
            )
        if self._dispersion != 1 and self.metric.kind is Kind.VALUE:
            problems.append(
                "dispersion= is for what is counted; a look at a level is one observation, "
                "however it comes about"
            )
        problems += comparing_problems(self.than)
        problems += self._acceptance_problems()
        if self.exact and (
            self.metric.kind is not Kind.RATIO
            or self.metric.bad is not Bad.UP
            or self._dispersion != 1
        ):
            problems.append(
                "exact=True is for ratios where up is bad, without a dispersion; leave it out"
            )
        if self.blocks and (
            self.metric.kind is Kind.VALUE
            or (self._dispersion, self.accept) != (1, None)
            or (self.margin != 1 and self.metric.kind is not Kind.LATENCY)
            or self.exact
        ):
            problems.append(
                "blocks=True is for ratios, means and latencies, without dispersion=, accept= or "
                "exact=, and for latencies alone with margin=; leave those out"
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

    def _default_margin(self) -> float:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        return LEVEL_MARGIN if self.metric.kind is Kind.VALUE else 1.0

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)
        return f"{self.metric.name}-no-worse"

    @property
    def _dispersion(self) -> float:
        return 1.0 if self.dispersion is None else self.dispersion

    @property
    def _looks_for_clumps(self) -> bool:
        """Whether requests are taken as independent though nobody has said that they are."""
        counted = self.metric.kind in (Kind.RATIO, Kind.LATENCY)
        return counted and self.dispersion is None and not self.blocks

    @property
    def anytime(self) -> bool:
        """Whether more and shorter looks cause no more false alarms: not if a look is one
        observation, or how often there are looks is part of the test.
        """
        counted = self.metric.kind in (Kind.RATIO, Kind.LATENCY)
        return counted and not self.exact and not self.blocks

    @cached_property
    def _question(self) -> Question:
        return Question(
            than=self.than.value,
            up=self.metric.bad is not Bad.DOWN,
            down=self.metric.bad is not Bad.UP,
            margin=self.margin,
            dispersion=self._dispersion,
            exact=self.exact,
            blocks=self.blocks,
            small=self.small,
            # As tests were begun before: a dispersion of 1 is what all had then.
            reserve=self._begins_again and self.dispersion != 1,
            unit=self.metric.unit,
        )

    @cached_property
    def _comparison(self) -> AnyComparison:
        return comparison_of(self.metric.kind, self._question)

    @cached_property
    def _acceptance(self) -> AnyAcceptance | None:
        return (
            None
            if self.accept is None
            else acceptance_of(self.metric.kind, self._question, self.accept)
        )

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        """Judge a look that was taken in the traffic of the one before it."""
        return self._judge(look, memory, alpha, None)

    def judge_in(
        self, traffic: Traffic, look: Look, memory: Memory, alpha: float
    ) -> tuple[Judgement, Memory]:
        """Judge a look that was taken in ``traffic``."""
        return self._judge(look, memory, alpha, traffic.candidate.ppm)

    def _judge(
        self, look: Look, memory: Memory, alpha: float, weight: int | None
    ) -> tuple[Judgement, Memory]:
        candidate, control = look.of(Track.CANDIDATE), look.of(self.than)
        if not (candidate.sample and control.sample):
            return self._no_data(candidate, control), memory
        if (misfit := self._misfit(candidate, control)) is not None:
            return Judgement(verdict=Verdict.ERROR, why=misfit), memory
        if not self._looks_for_clumps:
            return self._compare(memory, candidate, control, alpha, weight)
        known, memory = kept_beside(memory)
        known = clumped.learn(known, candidate, control)
        judgement, memory = self._compare(memory, candidate, control, alpha, weight)
        warning, numbers = clumped.told(known, self.than.value)
        if warning:
            judgement = attrs.evolve(
                judgement, why=judgement.why + warning, numbers=judgement.numbers + numbers
            )
        return judgement, (known, memory)

    def _compare(
        self,
        memory: Memory,
        candidate: Measurement,
        control: Measurement,
        alpha: float,
        weight: int | None,
    ) -> tuple[Judgement, Memory]:
        """Judge what can be compared, by the test for harm and by what is to be excluded."""
        if self._acceptance is None:
            return self._judge_harm(memory, candidate, control, alpha, weight)
        harm_memory, acceptance_memory = kept_pair(memory)
        judgement, harm_memory = self._judge_harm(harm_memory, candidate, control, alpha, weight)
        acceptance_memory = self._acceptance.learn(acceptance_memory, candidate, control)
        lacking, numbers = self._lacking(self._acceptance, acceptance_memory, candidate, control)
        verdict, why = judgement.verdict, judgement.why
        if lacking and verdict is not Verdict.FAIL:
            verdict, why = Verdict.NO_DATA, f"{lacking}; {why}"
        return (
            Judgement(verdict=verdict, why=why, numbers=judgement.numbers + numbers),
            (harm_memory, acceptance_memory),
        )

    def _misfit(self, candidate: Measurement, control: Measurement) -> str | None:
        misfit = self._comparison.fits(candidate, control)
        if misfit is None and self._acceptance is not None:
            return self._acceptance.fits(candidate, control)
        return misfit

    def _no_data(self, candidate: Measurement, control: Measurement) -> Judgement:
        track, measured = (self.than, control) if candidate.sample else (Track.CANDIDATE, candidate)
        return Judgement(
            verdict=Verdict.NO_DATA,
            why=no_data_on(track, measured, "no requests"),
            starved=not candidate.sample and control.sample > 0,
        )

    def _judge_harm(
        self,
        memory: Memory,
        candidate: Measurement,
        control: Measurement,
        alpha: float,
        weight: int | None,
    ) -> tuple[Judgement, Memory]:
        """Judge by the test for harm alone, and return what it keeps."""
        state, kept = self._before(memory, weight)
        state = self._comparison.learn(state, candidate, control, alpha)
        evidence = self._comparison.evidence(state, alpha)
        if self._question.reserve and abs(evidence) < ROUNDING:
            evidence = 0.0
        harm = evidence >= math.log(1 / alpha)
        summary, numbers = self._comparison.summarize(state, candidate, control, alpha)
        finding = "worse" if harm else "no proof of harm"
        verdict, why = (
            Verdict.FAIL if harm else Verdict.PASS,
            f"{finding}: {summary}{self._question.proof_in_words(evidence, alpha)}",
        )
        lacks = self._comparison.lacks(state)
        if lacks and not harm:
            verdict, why = Verdict.NO_DATA, lacks
        numbers += (("log_evidence", evidence), ("alpha", alpha))
        return Judgement(verdict=verdict, why=why, numbers=numbers), (
            *kept,
            state,
        ) if kept else state

    def _before(self, memory: Memory, weight: int | None) -> tuple[Any, tuple[int, ...]]:
        """Return what the test for harm knows before a look, and what is kept beside it: the
        candidate's weight in the last one, in millionths, if the test is begun again with a raise.

        ``weight``: that of the look; None if it is not known.
        """
        again = self._again
        if again is None:
            return memory, ()
        last, state = kept_weighed(memory)
        if last is None:
            return memory, ()
        if weight is None:
            weight = last
        return again(state) if state is not None and weight > last else state, (weight,)

    @cached_property
    def _again(self) -> Callable[[Any], Any] | None:
        return getattr(self._comparison, "again", None) if self._begins_again else None

    @property
    def _begins_again(self) -> bool:
        return self.raises and (self.small or self.metric.kind is Kind.LATENCY)

    def _lacking(
        self,
        acceptance: AnyAcceptance,
        memory: Memory,
        candidate: Measurement,
        control: Measurement,
    ) -> tuple[str, Numbers]:
        """Return what is missing to accept the candidate (empty if nothing is), and the numbers."""
        evidence, enough = acceptance.evidence(memory), math.log(1 / self.beta)
        numbers: Numbers = (("log_acceptance", evidence), ("beta", self.beta))
        if evidence >= enough:
            return "", numbers
        missing = f"not yet proven that it is not {self.accept:g} times as bad"
        needed = acceptance.needed(memory, enough, candidate, control)
        if math.isnan(needed) or needed >= NEVER:
            return f"{missing}; nothing that was seen so far can prove it", numbers
        needed = math.ceil(needed)
        unit = UNITS[self.metric.kind]
        at_share = "" if self.metric.kind is Kind.VALUE else ", at this share"
        more = format_count(rounded_up(needed), f"more {unit}")
        return (
            f"{missing}; about {more} would{at_share}",
            (*numbers, (f"{unit}s_needed", float(needed))),
        )
