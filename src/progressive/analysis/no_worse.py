"""The comparison that may be looked at at any time."""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar, Final, cast

import attrs

from .. import _validators as check
from ..errors import StrategyError
from ..measurement import Bad, Counts, Kind, Look, Measurement, Metric
from ..stats import acceptance, limits
from ..traffic import Track
from ._metric import Comparing, comparing_problems, is_metric, is_number, margin_problems, no_data_on, track_of
from .comparisons import COMPARISONS
from .comparisons.comparison import Comparison, Numbers, Question
from .verdict import Judgement, Memory, Tolerance, Verdict, is_flag, is_tolerance

__all__ = ["NoWorse"]

TOLERANCE: Final = Tolerance(in_a_row=1)

MOST: Final = 1000.0
"""No test excludes a larger ratio in useful time, and beside a larger share of alpha nothing is left for the others."""


@attrs.frozen(kw_only=True)
class NoWorse(Comparing):
    """The candidate is not worse than its control: ``NoWorse(ERRORS)``, ``NoWorse(LATENCY)``, ``NoWorse(ORDERS, margin=1.1)``.

    Evidence is kept from the first look to the last, over all steps, and may be looked at at any time: the chance that a candidate which
    is not worse ever fails is at most this check's part of the plan's ``alpha``, for requests that are independent of each other. PASS
    means "no proof of harm so far"; a query that changes starts the evidence, and the promise, anew. It is dormant while the control gets
    no traffic, so put a `Limit` beside it for the bake at 100 %.

    What is compared depends on the metric: rates of events for a ratio, whole distributions for a latency (buckets as they are, the
    same on both sides), means for a mean (the promise is then approximate, and nothing is judged before the candidate has 30 values), and
    for a level in how many looks the candidate stands above. Which direction is harm is the metric's ``bad``.

    ``margin`` is what is still tolerated, as a multiple: 1.1 is a tenth more errors, a tenth more time, or, where down is bad, the
    control having 1.1 times as much. ``accept=2.0`` asks for proof before it passes: not until a candidate that is at least twice as bad
    is excluded, with a chance of error of ``beta``, is there a PASS, and it is taken back if later looks speak against it. So a step that
    waits for a pass ends as soon as the evidence is in, and not by the clock. (Ratios only.) ``dispersion`` is by how much events come in
    clumps, such as retries (`progressive.stats.dispersion`).

    ``exact=True`` needs a tenth fewer errors, and keeps its promise only if weights and looks do not depend on the evidence: no ``accept``
    in the whole plan, no person who goes on because it looks good. (Ratios where up is bad only.)
    """

    kind: ClassVar[str] = "no_worse"

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    than: Track = attrs.field(default=Track.STABLE, converter=track_of, validator=check.is_one_of(Track))
    margin: float = 1.0
    share_of_alpha: float = 1.0
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(default=TOLERANCE, validator=is_tolerance)
    id: str = attrs.field(
        validator=check.is_name,
        default=attrs.Factory(lambda self: self._default_id(), takes_self=True),
    )
    accept: float | None = None
    beta: float = 0.05
    dispersion: float = 1.0
    exact: bool = attrs.field(default=False, validator=is_flag)

    def __attrs_post_init__(self) -> None:
        problems = []
        if self.metric.kind is Kind.LATENCY and self.metric.bad is not Bad.UP:
            problems.append(f"the metric's bad={self.metric.bad.value!r}: of latencies, only slower ones can be told from; use bad='up'")
        problems += margin_problems(self.margin)
        if not is_number(self.share_of_alpha) or not 0 < self.share_of_alpha <= MOST:
            problems.append(f"share_of_alpha={self.share_of_alpha!r} must be above 0 (and at most {MOST:g}); it is a weight beside the other checks'")
        if not is_number(self.dispersion) or self.dispersion < 1:
            problems.append(f"dispersion={self.dispersion!r} is how many events come at a time, 1.0 or more")
        problems += comparing_problems(self.than)
        problems += self._acceptance_problems()
        if self.exact and (self.metric.kind is not Kind.RATIO or self.metric.bad is not Bad.UP or self.dispersion != 1):
            problems.append("exact=True is for ratios where up is bad, without a dispersion; leave it out")
        if problems:
            raise StrategyError([f"NoWorse({self.metric.name}): {problem}" for problem in problems])

    def _acceptance_problems(self) -> list[str]:
        problems = []
        if self.accept is not None and self.metric.kind is Kind.RATIO and self.metric.bad is not Bad.BOTH:
            if not is_number(self.accept) or not (is_number(self.margin) and self.margin < self.accept <= MOST):
                above = f"above the margin of {self.margin!r}, and at most {MOST:g}"
                problems.append(f"accept={self.accept!r} is the ratio to be excluded; it must be {above}")
            if self.exact:
                problems.append("exact=True needs a schedule that does not depend on the evidence, which accept= makes it do; choose one")
        elif self.accept is not None:
            problems.append(f"accept= is for ratios where one direction is bad, not for a {self.metric.kind.value} (bad={self.metric.bad.value!r})")
        if not is_number(self.beta) or not 0 < self.beta < 1:
            problems.append(f"beta={self.beta!r} is a probability between 0 and 1: of accepting a candidate that is accept= times as bad")
        return problems

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        return f"{self.metric.name}-no-worse"

    @cached_property
    def _comparison(self) -> Comparison:
        return COMPARISONS[self.metric.kind](
            Question(
                than=self.than.value,
                up=self.metric.bad is not Bad.DOWN,
                down=self.metric.bad is not Bad.UP,
                margin=self.margin,
                dispersion=self.dispersion,
                exact=self.exact,
                unit=self.metric.unit,
            )
        )

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        candidate, control = look.of(Track.CANDIDATE), look.of(self.than)
        if not (candidate.sample and control.sample):
            return self._no_data(candidate, control), memory
        if (misfit := self._comparison.fits(candidate, control)) is not None:
            return Judgement(verdict=Verdict.ERROR, why=misfit), memory
        seen, accepting = _parted(memory) if self.accept is not None else (memory, None)
        seen = self._comparison.learn(seen, candidate, control, alpha)
        found = self._comparison.evidence(seen, alpha)
        harm = found >= math.log(1 / alpha)
        said, numbers = self._comparison.say(seen, candidate, control, alpha)
        p = math.exp(-max(0.0, found))
        verdict = Verdict.FAIL if harm else Verdict.PASS
        why = f"{'worse' if harm else 'no proof of harm'}: {said}; p = {p:.3g}, alarm at {alpha:.3g}"
        numbers += (("log_evidence", found), ("alpha", alpha))
        if (lacks := self._comparison.lacks(seen)) and not harm:
            verdict, why = Verdict.NO_DATA, lacks
        if self.accept is None:
            return Judgement(verdict=verdict, why=why, numbers=numbers), seen
        accepting = self._accepting(accepting, cast(Counts, candidate), cast(Counts, control))
        lacking, more = self._lacking(accepting, cast(Counts, candidate), cast(Counts, control))
        if lacking and not harm:
            verdict, why = Verdict.NO_DATA, f"{lacking}; {why}"
        return Judgement(verdict=verdict, why=why, numbers=numbers + more), (seen, accepting)

    def _no_data(self, candidate: Measurement, control: Measurement) -> Judgement:
        missing = Track.CANDIDATE if not candidate.sample else self.than
        found = candidate if missing is Track.CANDIDATE else control
        why = no_data_on(missing, found, "no requests")
        return Judgement(verdict=Verdict.NO_DATA, why=why, starved=not candidate.sample and control.sample > 0)

    def _accepting(self, before: _Accepting, candidate: Counts, control: Counts) -> _Accepting:
        """What is kept for the acceptance, after one more look: its evidence, all events and all trials."""
        logs, events, trials = before or (acceptance.NOTHING, 0, 0)
        worse, other = (control, candidate) if self.metric.bad is Bad.DOWN else (candidate, control)
        logs = acceptance.update(
            logs,
            events=worse.events,
            trials=worse.trials,
            control_events=other.events,
            control_trials=other.trials,
            limit=cast(float, self.accept),
            dispersion=self.dispersion,
        )
        return logs, events + candidate.events + control.events, trials + candidate.trials + control.trials

    def _lacking(self, accepting: _Accepting, candidate: Counts, control: Counts) -> tuple[str, Numbers]:
        """What is missing to accept the candidate, empty if nothing is."""
        logs, events, trials = cast("tuple[tuple[float, ...], int, int]", accepting)
        found, limit = acceptance.evidence(logs), cast(float, self.accept)
        numbers: Numbers = (("log_acceptance", found), ("beta", self.beta))
        needed = math.log(1 / self.beta) - found
        if needed <= 0:
            return "", numbers
        rate = min(max(events, 0.5) / trials, 1 - 0.5 / trials)
        worse, other = (control, candidate) if self.metric.bad is Bad.DOWN else (candidate, control)
        share = worse.trials / (worse.trials + other.trials)
        more = math.ceil(self.dispersion * limits.requests_needed(needed, rate, rate, share, null=limit))
        why = f"not yet proven that it is not {limit:g} times as bad; about {_rounded(more):,} more requests would, at this share"
        return why, (*numbers, ("requests_needed", float(more)))


_Accepting = tuple[tuple[float, ...], int, int] | None


def _parted(memory: Memory) -> tuple[Memory, _Accepting]:
    return cast("tuple[Memory, _Accepting]", memory or (None, None))


def _rounded(count: int) -> int:
    """To two digits: it is an expectation, and more digits would say more than is known."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit
