"""Validate a plan: every mistake, each in a line that names the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Check, metrics_of
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Action
from progressive.model.measurement import Metric
from progressive.model.router_state import Capabilities
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["capability_problems", "problems_of"]

UNJUDGED: Final = "no deciding check can judge it"


NO_ANALYSIS: Final = "no analysis runs here; name it in guards="
"""A strategy without ``guards=`` replaces this by another hint."""


def problems_of(plan: Plan) -> Iterator[str]:
    """Yield every mistake in a plan, each in a line that names the place."""
    if not plan.steps:
        yield "steps: none; give weights= or steps="
        return
    splits = fields.is_finite(plan.alpha) and 0 < plan.alpha < 1
    if not splits:
        yield (
            f"alpha: {plan.alpha!r} is a probability between 0 and 1; 0.01 is one false alarm "
            "in a hundred rollouts"
        )
    if plan.deadline.then is Action.WAIT:
        yield (
            "deadline: the whole's can't wait, it is the last one; use Action.ROLL_BACK or "
            "Action.HOLD"
        )
    yield from _step_problems(plan)
    yield from _analysis_problems(plan)
    if splits and plan.unguarded is None and _decides(plan):
        yield from _unjudged_bakes(plan)
    if plan.unguarded is not None and not (
        isinstance(plan.unguarded, str) and plan.unguarded.strip()
    ):
        yield f"unguarded: {plan.unguarded!r} says nothing; say why nothing guards it"
    waits_for_answer = plan.strategy != "canary" and any(
        step.hook or step.approval for step in plan.steps
    )
    if plan.unguarded is None and not _decides(plan) and not waits_for_answer:
        yield (
            f"{plan.strategy}: nothing would ever stop it: no check decides"
            f"{'' if plan.strategy == 'canary' else ', no hook, no approval'}; add "
            "checks=[...] or say unguarded='why'"
        )


def _step_problems(plan: Plan) -> Iterator[str]:
    seen: dict[str, int] = {}
    given = Traffic()
    for i, step in enumerate(plan.steps):
        where = f"steps[{i}]"
        try:
            fields.name(step.id, f"{where}.id")
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
                    f"{where}.weight: {step.traffic.candidate} is not above the "
                    f"{given.candidate} before it; "
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
    for analysis, check in _checks(plan):
        key = f"{analysis.name}/{check.id}"
        for metric in metrics_of(check):
            if described.setdefault(metric.name, metric) != metric:
                yield (
                    f"{key}: metric {metric.name!r} is described in two ways: {metric!r} and "
                    f"{described[metric.name]!r}"
                )
    for i, guard in enumerate(plan.guards):
        if guard.analysis not in names:
            yield (
                f"guards[{i}]: there is no analysis {guard.analysis!r}; there are {names or 'none'}"
            )
        if guard.since is not None and guard.since not in [step.id for step in plan.steps]:
            yield (
                f"guards[{i}].since: there is no step {guard.since!r}; there are "
                f"{[step.id for step in plan.steps]}"
            )
    for i, step in enumerate(plan.steps):
        for name in step.analyses:
            if name not in names:
                yield (
                    f"steps[{i}].analysis: there is no analysis {name!r}; there are "
                    f"{names or 'none'}"
                )
        for analysis in (each for each in plan.analyses if each.name in step.analyses):
            if not analysis.synthetic and not plan.traffics[i].reaches(Track.CANDIDATE):
                yield (
                    f"steps[{i}]: {analysis.name!r} is to be judged while the candidate has "
                    "no traffic; "
                    "Analysis(synthetic=True) says that your hook sends it requests"
                )
            elif not any(_able(plan, i, analysis, each) for each in analysis.checks):
                yield (
                    f"steps[{i}]: no deciding check of {analysis.name!r} can judge there, so it "
                    "could never end; add one that decides"
                )


def _unjudged_bakes(plan: Plan) -> Iterator[str]:
    steps = [step.id for step in plan.steps]
    if any(guard.since is not None and guard.since not in steps for guard in plan.guards):
        return  # where that guard should begin is what is wrong
    for i, step in enumerate(plan.steps):
        if (
            step.kind == "bake"
            and plan.traffics[i].reaches(Track.CANDIDATE)
            and (why := _not_judged(plan, i)) is not None
        ):
            yield f"steps[{i}] ({step.id}): {UNJUDGED}: {why}"


def _able(plan: Plan, step: int, analysis: Analysis, each: Check) -> bool:
    """Return whether this check can decide in this step."""
    traffic = plan.traffics[step]
    return not each.observe and all(
        traffic.reaches(track) or (analysis.synthetic and track is Track.CANDIDATE)
        for track in each.required_tracks
    )


def _checks(plan: Plan) -> Iterator[tuple[Analysis, Check]]:
    """Yield every check, also of a plan whose alpha can't be split among them."""
    for analysis in plan.analyses:
        for check in analysis.checks:
            yield analysis, check


def _decides(plan: Plan) -> bool:
    return any(not check.observe for _, check in _checks(plan))


def _not_judged(plan: Plan, step: int) -> str | None:
    """Return why no check can judge this step; None if one can."""
    traffic = plan.traffics[step]
    active = [planned.check for series in plan.active(step, True) for planned in series.checks]
    deciding = [each for each in active if not each.observe]
    if not deciding:
        return "those that run here only observe; add one that decides" if active else NO_ANALYSIS
    if any(all(traffic.reaches(track) for track in each.required_tracks) for each in deciding):
        return None
    return f"at {traffic.candidate} a comparison has nothing to compare with; add a Limit"


def capability_problems(plan: Plan, able: Capabilities) -> Iterator[str]:
    """Yield each thing that the plan asks for and the router can't do, in a line.

    Nothing is rounded, nothing silently left out (R12).
    """
    for step, traffic in zip(plan.steps, plan.traffics, strict=True):
        if step.traffic is not None:
            yield from (f"{step.id}: {lack}" for lack in able.problems_with(traffic))
