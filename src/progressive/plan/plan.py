"""The plan that a strategy compiles to. It is stored with the rollout and never changes."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Final, Protocol, TypeAlias

import attrs

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Check, may_look_early, metrics_of
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Metric
from progressive.model.traffic import ALL_STABLE, Track, Traffic
from progressive.model.units import hours, minutes, ms, seconds

from .step import Deadline, Step, is_deadline
from .validation import problems_of

SOON: Final = seconds(5)
"""The time from a change of traffic to the first look at a metric whose system does not say how
often it has new numbers.
"""

__all__ = ["Guard", "NamedGuard", "Plan", "PlannedCheck", "Series", "named_steps", "plan_of"]


@attrs.frozen(kw_only=True)
class Guard:
    """An analysis that runs beside the steps, until the end.

    It begins with the first verified traffic on the candidate, or with the step ``since`` (its id).
    """

    analysis: str = attrs.field(kw_only=False, validator=fields.is_name)
    since: str | None = None


NamedGuard: TypeAlias = str | Guard
"""A guard, or the name of its analysis if it guards from the beginning."""


@attrs.frozen(eq=False)
class PlannedCheck:
    """A check with its place in the plan.

    * ``index``: its index in `Evidence.check_states`.
    * ``key``: its name for people: ``analysis/check``.
    * ``alpha``: its part of the plan's alpha; 0 for a check without a bounded false-alarm rate.
    * ``required_tracks``: `Check.required_tracks`, asked once.
    """

    index: int
    analysis: Analysis
    check: Check
    key: str
    alpha: float
    required_tracks: tuple[Track, ...]


@attrs.frozen(eq=False)
class Series:
    """One metric of one analysis; its windows follow each other.

    ``index`` is its index in `Evidence.series`; ``checks`` are those that judge it, and
    ``deciding`` those of them that decide and whose first metric it is; ``early`` is whether the
    candidate is looked at soon after each change of traffic (`Analysis.early`).
    """

    index: int
    analysis: Analysis
    metric: Metric
    checks: tuple[PlannedCheck, ...]
    deciding: tuple[PlannedCheck, ...]
    early: bool = False

    def look_after(self, age: timedelta, resolution: timedelta | None) -> timedelta:
        """Return how long a window is at least that begins ``age`` after the traffic changed, or
        after the warm-up that follows.

        Early looks come beside the others, so windows end where a whole number of intervals is
        over, unless one would be too short for that. ``resolution``: how often there are new
        numbers; None if that is not known.
        """
        interval = self.analysis.interval
        if not self.early:
            return interval
        least = min(resolution or SOON, interval)
        length = min(max(least, fields.whole_ms(age / 4)), interval)
        to_whole = (age + length) // interval * interval - age
        return to_whole if to_whole >= least else length

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        """Every track that one of its checks measures."""
        measured = [track for planned in self.checks for track in planned.check.measured_tracks]
        return tuple(track for track in Track if track in measured)


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that is going to happen, as data. Strategies make it; `describe` and the engine
    read it.

    * ``strategy``: the kind of the strategy that made it.
    * ``steps``: in order; the rollout is promoted after the last.
    * ``analyses``: those that steps and guards name.
    * ``guards``: the analyses that run beside the steps.
    * ``gates``: the names of gates, asked before every raise.
    * ``deadline``: of the whole rollout; its clock stops in a freeze, an approval and a person's
      hold.
    * ``watch_every``: the longest time between two reads that still counts as watched.
    * ``preflight``: the longest time that the checks before the start may take.
    * ``alpha``: the chance of a false alarm of all sequential checks together over the whole
      rollout, between 0 and 1; split by their ``share_of_alpha``.
    * ``retire_after``: when the fleet is asked to remove the old version, counted from the
      promotion; None for never.
    * ``remove_candidate_after``: the same for the candidate, counted from the end of a way back.
    * ``unguarded``: why there is no check, where there is none.
    * ``needs_stable``: the start and every raise wait until stable can carry all traffic, where a
      fleet reports that.

    Raises `StrategyError` with one line for each mistake.
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
    remove_candidate_after: timedelta | None = attrs.field(
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
        """The traffic that each step asks for."""
        traffics, traffic = [], ALL_STABLE
        for step in self.steps:
            traffic = step.traffic or traffic
            traffics.append(traffic)
        return tuple(traffics)

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
                required_tracks=tuple(each.required_tracks),
            )
            for i, (analysis, each) in enumerate(pairs)
        )

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The name of every check for people: ``analysis/check``."""
        return tuple(planned.key for planned in self.checks)

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """Every series of windows, in the order in which the evidence keeps their states."""
        counted = {name for step in self.steps for name in step.analyses}
        by_series: dict[tuple[str, Metric], list[PlannedCheck]] = {}
        for planned in self.checks:
            for metric in metrics_of(planned.check):
                by_series.setdefault((planned.analysis.name, metric), []).append(planned)
        return tuple(
            Series(
                index=i,
                analysis=checks[0].analysis,
                metric=metric,
                checks=tuple(checks),
                deciding=tuple(
                    planned
                    for planned in checks
                    if not planned.check.observe and metrics_of(planned.check)[0] == metric
                ),
                early=checks[0].analysis.early
                and name not in counted
                and all(may_look_early(planned.check) for planned in checks),
            )
            for i, ((name, metric), checks) in enumerate(by_series.items())
        )

    @cached_property
    def read_every(self) -> timedelta:
        """The time between two reads of the router while nothing else is due.

        This is half of ``watch_every``, in whole milliseconds, at least one.
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
    def kept(self) -> dict[object, object]:
        """What others have made of this plan and keep as long as it, each by a key of its own."""
        return {}

    @cached_property
    def _active(self) -> dict[tuple[int, bool], tuple[Series, ...]]:
        return {}

    def active(self, step: int, reached: bool) -> tuple[Series, ...]:
        """Return the series that are measured in a step.

        ``reached``: whether production traffic reaches the candidate, without which guards rest.
        """
        if (active := self._active.get((step, reached))) is None:
            names = [
                guard.analysis for guard in self.guards if reached and self._begun(guard, step)
            ]
            names += self.steps[step].analyses
            active = tuple(series for series in self.series if series.analysis.name in names)
            self._active[step, reached] = active
        return active

    def _begun(self, guard: Guard, step: int) -> bool:
        return guard.since is None or any(each.id == guard.since for each in self.steps[: step + 1])


def named_steps(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Give each step without an id one of its kind and the candidate's weight: ``bake-10``."""
    taken = {step.id for step in steps if step.id}
    traffic, named = ALL_STABLE, []
    for step in steps:
        traffic = step.traffic or traffic
        if step.id:
            named.append(step)
            continue
        base = {"set_weight": "weight"}.get(step.kind, step.kind)
        label = getattr(step, "name", None) or traffic.candidate.number
        name = f"{base}-{label}"
        number = 2
        while name in taken:
            name, number = f"{base}-{label}-{number}", number + 1
        taken.add(name)
        named.append(attrs.evolve(step, id=name))  # type: ignore[misc]
    return tuple(named)


def plan_of(strategy: object, what: str) -> Plan:
    """Return the plan of a strategy; `StrategyError` for anything that has none.

    ``what`` names the call and its parameter in the message.
    """
    plan = getattr(strategy, "plan", None)
    if isinstance(plan, Plan):
        return plan
    raise StrategyError(
        f"{what}: {fields.brief(strategy)} has no plan; pass a Canary(...), a BlueGreen(...) or a "
        "stored Rollout"
    )


class Strategy(Protocol):
    """A description that compiles to a plan."""

    @property
    def plan(self) -> Plan: ...
