"""Replace the checks of a plan by stubs, whose verdicts the perturbation decides, so that every
verdict is walked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Final

import attrs

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Check, Judgement, Tolerance, Verdict, metrics_of
from progressive.model.actions import Memory
from progressive.model.measurement import Gauge, Look, Metric
from progressive.model.traffic import Track
from progressive.model.units import hours, seconds
from progressive.plan.plan import Plan

__all__ = ["abstract"]

ZERO: Final = timedelta()

STARVED, NOTHING = (
    Judgement(verdict=Verdict.NO_DATA, why="no data on the candidate", starved=starved)
    for starved in (True, False)
)
SAYS: Final = tuple(
    Judgement(verdict=verdict, why=f"it says {verdict.value}") for verdict in Verdict
)


@attrs.frozen(kw_only=True)
class _StubCheck:
    """A check whose verdict stands in the look: its level is the verdict's index in `Verdict`. No
    requests are counted, so that none are missing unless it says so.
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
        level = look.of(Track.CANDIDATE)
        if not isinstance(level, Gauge):
            return STARVED if isinstance(look.of(Track.STABLE), Gauge) else NOTHING, None
        return SAYS[int(level.samples[0])], None


def _stub_of(check: Check) -> _StubCheck:
    return _StubCheck(
        of=check,
        id=check.id,
        metric=check.metric,
        metrics=metrics_of(check),
        observe=check.observe,
        tolerance=check.tolerance,
        required_tracks=tuple(check.required_tracks),
        measured_tracks=tuple(check.measured_tracks),
    )


def abstract(plan: Plan) -> Plan:
    """Return the plan with stubs for its checks, and looks as seldom as its longest step allows:
    two in it.
    """
    longest = max([step.span for step in plan.steps], default=ZERO)
    seldom = max(longest / 2, seconds(1))
    analyses = tuple(
        Analysis(
            each.name,
            checks=[_stub_of(check) for check in each.checks],
            interval=max(each.interval, seldom),
            warmup=each.warmup,
            synthetic=each.synthetic,
        )
        for each in plan.analyses
    )
    return attrs.evolve(
        plan, analyses=analyses, watch_every=max(plan.watch_every, longest + hours(1))
    )
