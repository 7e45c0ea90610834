"""What a strategy compiles to: steps, analyses, guards, gates and deadlines. It travels in the
rollout and never changes.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Protocol

import attrs

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Check, metrics_of
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Metric
from progressive.model.traffic import ALL_STABLE, Track, Traffic
from progressive.model.units import hours, minutes, ms

from .step import Deadline, Step, is_deadline
from .validation import problems_of

__all__ = ["Guard", "Plan", "PlannedCheck", "Series", "named_steps"]


@attrs.frozen(kw_only=True)
class Guard:
    """An analysis that runs beside the steps: from the first verified traffic on the candidate, or
    from the step ``since``, to the end.
    """

    analysis: str = attrs.field(kw_only=False, validator=fields.is_name)
    since: str | None = None


@attrs.frozen(eq=False)
class PlannedCheck:
    """A check with its place in the plan.

    ``index`` is where the evidence keeps its state, ``key`` its name as people write it
    (``analysis/check``), ``alpha`` its part of the plan's alpha (0 for a check without a bounded
    false-alarm rate).
    """

    index: int
    analysis: Analysis
    check: Check
    key: str
    alpha: float


@attrs.frozen(eq=False)
class Series:
    """One metric of one analysis: the unit in which windows follow each other.

    ``index`` is where the evidence keeps its state; ``checks`` are those that judge it.
    """

    index: int
    analysis: Analysis
    metric: Metric
    checks: tuple[PlannedCheck, ...]

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        """Every track that one of its checks looks at."""
        wanted = [track for planned in self.checks for track in planned.check.measured_tracks]
        return tuple(track for track in Track if track in wanted)


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that is going to happen, as data. Strategies make it; `describe` and the engine
    read it.

    The last step promotes. ``watch_every`` is the longest time between two reads that still counts
    as watched. ``alpha`` is the chance of a false alarm of all sequential checks together, over the
    whole rollout; it is split by their ``share_of_alpha``. ``deadline`` is the whole's; its clock
    stops in a freeze, an approval and a person's hold. ``unguarded`` says why there is no check,
    where none is. ``needs_stable``: the start and every raise wait for a stable that can carry
    everything, where a fleet can tell.
    """

    strategy: str = attrs.field(validator=fields.is_name)
    steps: tuple[Step, ...]
    analyses: tuple[Analysis, ...] = ()
    guards: tuple[Guard, ...] = ()
    gates: tuple[str, ...] = ()
    deadline: Deadline = attrs.field(default=Deadline(within=hours(24 * 7)), validator=is_deadline)
    watch_every: timedelta = attrs.field(
        default=minutes(1), converter=fields.whole_ms, validator=fields.is_duration
    )
    preflight: timedelta = attrs.field(
        default=minutes(5), converter=fields.whole_ms, validator=fields.is_duration
    )
    alpha: float = 0.01
    retire_after: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_span),
    )
    unguarded: str | None = None
    needs_stable: bool = attrs.field(default=True, validator=fields.is_a(bool, "True or False"))

    def __attrs_post_init__(self) -> None:
        problems = list(problems_of(self))
        if problems:
            raise StrategyError(problems)

    @cached_property
    def traffics(self) -> tuple[Traffic, ...]:
        """What is wanted in each step."""
        found, now = [], ALL_STABLE
        for step in self.steps:
            now = step.traffic or now
            found.append(now)
        return tuple(found)

    @cached_property
    def checks(self) -> tuple[PlannedCheck, ...]:
        """Every check, in the order in which the evidence keeps their states."""
        pairs = [(analysis, each) for analysis in self.analyses for each in analysis.checks]
        shares = 0.0
        for _, each in pairs:
            shares += each.share_of_alpha
        return tuple(
            PlannedCheck(
                index=i,
                analysis=analysis,
                check=each,
                key=f"{analysis.name}/{each.id}",
                alpha=self.alpha * each.share_of_alpha / shares if each.share_of_alpha else 0.0,
            )
            for i, (analysis, each) in enumerate(pairs)
        )

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The name of every check, as people write it: ``analysis/check``."""
        return tuple(planned.key for planned in self.checks)

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """Every series of windows, in the order in which the evidence keeps their states."""
        found: dict[tuple[str, Metric], list[PlannedCheck]] = {}
        for planned in self.checks:
            for metric in metrics_of(planned.check):
                found.setdefault((planned.analysis.name, metric), []).append(planned)
        return tuple(
            Series(index=i, analysis=checks[0].analysis, metric=metric, checks=tuple(checks))
            for i, ((_, metric), checks) in enumerate(found.items())
        )

    @cached_property
    def read_every(self) -> timedelta:
        """How often the router is read while nothing else is due: half of ``watch_every``, in whole
        milliseconds, one at least.
        """
        return max(fields.whole_ms(self.watch_every / 2), ms(1))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric once, in the order of the checks."""
        return tuple(
            {
                metric.name: metric
                for planned in self.checks
                for metric in metrics_of(planned.check)
            }.values()
        )

    @cached_property
    def _active(self) -> dict[tuple[int, bool], tuple[Series, ...]]:
        return {}

    def active(self, step: int, reached: bool) -> tuple[Series, ...]:
        """The series that are measured in ``step``; ``reached``: production traffic reaches the
        candidate.
        """
        if (found := self._active.get((step, reached))) is None:
            names = [
                guard.analysis for guard in self.guards if reached and self._begun(guard, step)
            ]
            names += self.steps[step].analyses
            found = tuple(series for series in self.series if series.analysis.name in names)
            self._active[step, reached] = found
        return found

    def _begun(self, guard: Guard, step: int) -> bool:
        return guard.since is None or any(each.id == guard.since for each in self.steps[: step + 1])


def named_steps(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """``steps`` with an id for each that has none: its kind and the candidate's weight, such as
    ``bake-10``.
    """
    taken = {step.id for step in steps if step.id}
    weight, found = ALL_STABLE, []
    for given in steps:
        step, weight = given, given.traffic or weight
        if not step.id:
            base = {"set_weight": "weight"}.get(step.kind, step.kind)
            label = getattr(step, "name", None) or weight.candidate.number
            wanted = candidate = f"{base}-{label}"
            again = 2
            while candidate in taken:
                candidate, again = f"{wanted}-{again}", again + 1
            taken.add(candidate)
            step = attrs.evolve(given, id=candidate)  # type: ignore[misc]
        found.append(step)
    return tuple(found)


class Strategy(Protocol):
    """What compiles to a plan."""

    @property
    def plan(self) -> Plan: ...
