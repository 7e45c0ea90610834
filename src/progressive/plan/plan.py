"""What a strategy compiles to: steps, analyses, guards, gates and deadlines. It travels in the rollout and never changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Final, Protocol

import attrs

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Check, metrics_of
from progressive.errors import StrategyError
from progressive.model import fields as check
from progressive.model.actions import Action
from progressive.model.measurement import Metric
from progressive.model.router_state import Capabilities
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, hours, minutes, ms

from .step import Deadline, Step, is_deadline

__all__ = ["Guard", "Plan", "Series", "named_steps", "shortfalls"]

NOTHING = Traffic()


UNJUDGED: Final = "no deciding check can judge it"


NO_ANALYSIS: Final = "no analysis runs here; name it in guards="
"""A strategy without ``guards=`` has another mend for this."""


@attrs.frozen(kw_only=True)
class Guard:
    """An analysis that runs beside the steps: from the first verified traffic on the candidate, or from the step ``since``, to the end."""

    analysis: str = attrs.field(kw_only=False, validator=check.is_name)
    since: str | None = None


@attrs.frozen
class Series:
    """One metric of one analysis: the unit in which windows follow each other."""

    analysis: int
    metric: Metric
    checks: tuple[int, ...]
    wants: tuple[Track, ...]


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that is going to happen, as data. Strategies make it; `describe` and the engine read it.

    The last step promotes. ``watch_every`` is the longest time between two reads that still counts as watched. ``alpha`` is the chance
    of a false alarm of all sequential checks together, over the whole rollout; it is split by their ``share_of_alpha``. ``deadline`` is
    the whole's; its clock stops in a freeze, an approval and a person's hold. ``unguarded`` says why there is no check, where none is.
    ``needs_stable``: the start and every raise wait for a stable that can carry everything, where a fleet can tell.
    """

    strategy: str = attrs.field(validator=check.is_name)
    steps: tuple[Step, ...]
    analyses: tuple[Analysis, ...] = ()
    guards: tuple[Guard, ...] = ()
    gates: tuple[str, ...] = ()
    deadline: Deadline = attrs.field(default=Deadline(within=hours(24 * 7)), validator=is_deadline)
    watch_every: timedelta = attrs.field(default=minutes(1), converter=check.whole_ms, validator=check.is_duration)
    preflight: timedelta = attrs.field(default=minutes(5), converter=check.whole_ms, validator=check.is_duration)
    alpha: float = 0.01
    retire_after: timedelta | None = attrs.field(
        default=None, converter=attrs.converters.optional(check.whole_ms), validator=check.optional(check.is_span)
    )
    unguarded: str | None = None
    needs_stable: bool = attrs.field(default=True, validator=check.is_a(bool, "True or False"))

    def __attrs_post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise StrategyError(problems)

    @cached_property
    def traffics(self) -> tuple[Traffic, ...]:
        """What is wanted in each step."""
        found, now = [], NOTHING
        for step in self.steps:
            now = step.traffic or now
            found.append(now)
        return tuple(found)

    @cached_property
    def checks(self) -> tuple[tuple[Analysis, Check], ...]:
        """Every check with its analysis, in the order in which the evidence stands."""
        return tuple((analysis, each) for analysis in self.analyses for each in analysis.checks)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The name of every check, as people write it: ``analysis/check``."""
        return tuple(f"{analysis.name}/{each.id}" for analysis, each in self.checks)

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """Every series of windows, in the order in which the evidence stands."""
        found: dict[tuple[int, Metric], list[int]] = {}
        for i, (analysis, each) in enumerate(self.checks):
            for metric in metrics_of(each):
                found.setdefault((self.analyses.index(analysis), metric), []).append(i)
        return tuple(
            Series(analysis, metric, tuple(members), _wants(self, members)) for (analysis, metric), members in found.items()
        )

    @cached_property
    def read_every(self) -> timedelta:
        """How often the router is read while nothing else is due: half of ``watch_every``, in whole milliseconds, one at least."""
        return max(check.whole_ms(self.watch_every / 2), ms(1))

    @cached_property
    def alphas(self) -> tuple[float, ...]:
        """Each check's part of ``alpha``; 0 for those without a bounded false-alarm rate."""
        shares = [each.share_of_alpha for _, each in self.checks]
        whole = 0.0
        for share in shares:
            whole += share
        return tuple(self.alpha * share / whole if share else 0.0 for share in shares)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric once, in the order of the checks."""
        return tuple({metric.name: metric for _, each in self.checks for metric in metrics_of(each)}.values())

    @cached_property
    def _active(self) -> dict[tuple[int, bool], tuple[int, ...]]:
        return {}

    def active(self, step: int, reached: bool) -> tuple[int, ...]:
        """The indices of the series that are measured in ``step``; ``reached``: production traffic reaches the candidate."""
        if (found := self._active.get((step, reached))) is None:
            names = [guard.analysis for guard in self.guards if reached and self._begun(guard, step)]
            names += self.steps[step].analyses
            found = tuple(i for i, series in enumerate(self.series) if self.analyses[series.analysis].name in names)
            self._active[step, reached] = found
        return found

    def _begun(self, guard: Guard, step: int) -> bool:
        return guard.since is None or any(each.id == guard.since for each in self.steps[: step + 1])


def _wants(plan: Plan, members: list[int]) -> tuple[Track, ...]:
    wanted = [track for i in members for track in plan.checks[i][1].wants]
    return tuple(track for track in Track if track in wanted)


def named_steps(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """``steps`` with an id for each that has none: its kind and the candidate's weight, such as ``bake-10``."""
    taken = {step.id for step in steps if step.id}
    weight, found = NOTHING, []
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


def _problems(plan: Plan) -> Iterator[str]:
    """Every mistake in a plan, each in a line that names the place."""
    if not plan.steps:
        yield "steps: none; give weights= or steps="
        return
    if isinstance(plan.alpha, bool) or not isinstance(plan.alpha, int | float) or not 0 < plan.alpha < 1:
        yield f"alpha: {plan.alpha!r} is a probability between 0 and 1; 0.01 is one false alarm in a hundred rollouts"
    if plan.deadline.then is Action.WAIT:
        yield "deadline: the whole's can't wait, it is the last one; use Action.ROLL_BACK or Action.HOLD"
    yield from _step_problems(plan)
    yield from _analysis_problems(plan)
    if plan.unguarded is not None and not (isinstance(plan.unguarded, str) and plan.unguarded.strip()):
        yield f"unguarded: {plan.unguarded!r} says nothing; say why nothing guards it"
    asks = plan.strategy != "canary" and any(step.hook or step.approval for step in plan.steps)
    if plan.unguarded is None and not _decides(plan) and not asks:
        yield (
            f"{plan.strategy}: nothing would ever stop it: no check decides"
            f"{'' if plan.strategy == 'canary' else ', no hook, no approval'}; add checks=[...] or say unguarded='why'"
        )


def _step_problems(plan: Plan) -> Iterator[str]:
    seen: dict[str, int] = {}
    given = NOTHING
    for i, step in enumerate(plan.steps):
        where = f"steps[{i}]"
        try:
            check.name(step.id, f"{where}.id")
        except StrategyError as error:
            yield str(error)
        if step.id in seen:
            yield f"{where}.id: {step.id!r} is the id of steps[{seen[step.id]}] too"
        seen.setdefault(step.id, i)
        if step.deadline is None and not step.span:
            yield f"{where}.deadline: {step.kind} has none; a wait without an end is not allowed"
        if step.traffic is not None:
            if step.traffic.candidate.ppm <= given.candidate.ppm and given.candidate.ppm:
                yield (
                    f"{where}.weight: {step.traffic.candidate} is not above the {given.candidate} before it; "
                    "weights must rise (the way back is the rollback)"
                )
            given = step.traffic
    if given.candidate.ppm != MILLION:
        yield f"steps: they end at {given.candidate}; the last weight must be percent(100)"


def _analysis_problems(plan: Plan) -> Iterator[str]:
    names = [analysis.name for analysis in plan.analyses]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        yield f"analyses: two are named {twice!r}"
    described: dict[str, Metric] = {}
    for key, (_, each) in zip(plan.keys, plan.checks, strict=True):
        for metric in metrics_of(each):
            if described.setdefault(metric.name, metric) != metric:
                yield f"{key}: metric {metric.name!r} is described in two ways: {metric!r} and {described[metric.name]!r}"
    for i, guard in enumerate(plan.guards):
        if guard.analysis not in names:
            yield f"guards[{i}]: there is no analysis {guard.analysis!r}; there are {names or 'none'}"
        if guard.since is not None and guard.since not in [step.id for step in plan.steps]:
            yield f"guards[{i}].since: there is no step {guard.since!r}"
    for i, step in enumerate(plan.steps):
        for name in step.analyses:
            if name not in names:
                yield f"steps[{i}].analysis: there is no analysis {name!r}; there are {names or 'none'}"
        for analysis in (each for each in plan.analyses if each.name in step.analyses):
            if not analysis.synthetic and not plan.traffics[i].reaches(Track.CANDIDATE):
                yield (
                    f"steps[{i}]: {analysis.name!r} is to be judged while the candidate has no traffic; "
                    "Analysis(synthetic=True) says that your hook sends it requests"
                )
            elif not any(_able(plan, i, analysis, each) for each in analysis.checks):
                yield f"steps[{i}]: no deciding check of {analysis.name!r} can judge there, so it could never end; add one that decides"
    if plan.unguarded is not None or not _decides(plan):
        return
    for i, step in enumerate(plan.steps):
        if step.kind == "bake" and plan.traffics[i].reaches(Track.CANDIDATE) and (why := _not_judged(plan, i)) is not None:
            yield f"steps[{i}] ({step.id}): {UNJUDGED}: {why}"


def _able(plan: Plan, step: int, analysis: Analysis, each: Check) -> bool:
    """Can this check decide in this step?"""
    traffic = plan.traffics[step]
    return not each.observe and all(
        traffic.reaches(track) or (analysis.synthetic and track is Track.CANDIDATE) for track in each.needs
    )


def _decides(plan: Plan) -> bool:
    return any(not each.observe for _, each in plan.checks)


def _not_judged(plan: Plan, step: int) -> str | None:
    """Why no check can judge this step; None if one can."""
    traffic = plan.traffics[step]
    active = [plan.checks[i][1] for series in plan.active(step, True) for i in plan.series[series].checks]
    deciding = [each for each in active if not each.observe]
    if not deciding:
        return "those that run here only observe; add one that decides" if active else NO_ANALYSIS
    if any(all(traffic.reaches(track) for track in each.needs) for each in deciding):
        return None
    return f"at {traffic.candidate} a comparison has nothing to compare with; add a Limit"


def shortfalls(plan: Plan, able: Capabilities) -> Iterator[str]:
    """What the plan asks of the router that it can't do, each in a line. Nothing is rounded, nothing silently left out (R12)."""
    for step, traffic in zip(plan.steps, plan.traffics, strict=True):
        if step.traffic is not None:
            yield from (f"{step.id}: {lack}" for lack in able.lacking(traffic))


class Strategy(Protocol):
    """What compiles to a plan."""

    @property
    def plan(self) -> Plan: ...
