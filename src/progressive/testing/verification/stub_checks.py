"""A plan with oracles for its checks: each says what the weather tells it to say, so that every
verdict is walked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

import attrs

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Check, Judgement, Tolerance, Verdict, metrics_of
from progressive.model.actions import Memory
from progressive.model.measurement import Counts, Look, Metric
from progressive.model.traffic import Track
from progressive.model.units import hours, seconds
from progressive.plan.plan import Plan

__all__ = ["abstract"]

ZERO: Final = timedelta()


@attrs.frozen(kw_only=True)
class _Oracle:
    """A check that says what it is told: the number of events in a look is the place of the verdict
    in `Verdict`.
    """

    kind: ClassVar[str] = "oracle"
    of: Check
    id: str
    metric: Metric
    metrics: tuple[Metric, ...]
    observe: bool
    tolerance: Tolerance
    share_of_alpha: float = 0.0
    required_tracks: tuple[Track, ...]
    measured_tracks: tuple[Track, ...]

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        found = look.of(Track.CANDIDATE)
        if not isinstance(found, Counts):
            starved = isinstance(look.of(Track.STABLE), Counts)
            return Judgement(
                verdict=Verdict.NO_DATA, why="no data on the candidate", starved=starved
            ), None
        verdict = tuple(Verdict)[found.events]
        return Judgement(verdict=verdict, why=f"it says {verdict.value}"), None


def _oracle(each: Check) -> _Oracle:
    return _Oracle(
        of=each,
        id=each.id,
        metric=each.metric,
        metrics=metrics_of(each),
        observe=each.observe,
        tolerance=each.tolerance,
        required_tracks=tuple(each.required_tracks),
        measured_tracks=tuple(each.measured_tracks),
    )


def abstract(plan: Plan) -> Plan:
    """The plan with oracles for its checks, and looked at as seldom as its longest step allows:
    twice in it.
    """
    longest = max([step.span for step in plan.steps], default=ZERO)
    seldom = max(longest / 2, seconds(1))
    analyses = tuple(
        Analysis(
            each.name,
            checks=[_oracle(one) for one in each.checks],
            interval=max(each.interval, seldom),
            warmup=each.warmup,
            synthetic=each.synthetic,
        )
        for each in plan.analyses
    )
    return attrs.evolve(
        plan, analyses=analyses, watch_every=max(plan.watch_every, longest + hours(1))
    )
