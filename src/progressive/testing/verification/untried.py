"""What a walk did not try: for this plan, so far, or ever."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from progressive.plan.plan import Plan

from .perturbations import Perturbation

__all__ = ["untried"]

ALWAYS: Final = (
    (
        "times other than these: a tick comes when it is due, at the deadline that is waited for, "
        "after all deadlines, or an hour back; states that differ only in how near a deadline, the "
        "end of a bake or the next try of a write is are one"
    ),
    "two things that go wrong in the same tick",
    (
        "instances (no fleet is bound), a store that fails, drivers that die within a tick or come "
        "at the same time, a resume of one cause of several, and waivers (waive=)"
    ),
)


def untried(
    plan: Plan, perturbations: Sequence[Perturbation], tried: Collection[str]
) -> tuple[str, ...]:
    """Return what was not tried, in sentences: of perturbations, checks, times, and the world.

    * ``plan``: the one that was given, with its own checks.
    * ``perturbations``: all that this plan allows; ``tried``: the names of those that a tick had.
    """
    without = [each.name for each in perturbations if each.name not in tried]
    absent, checks = _absent(plan), ", ".join(planned.key for planned in plan.checks)
    found = []
    if absent:
        found.append(f"what the plan does not have: {', '.join(absent)}")
    if without:
        found.append(f"what no state that was ticked allows: {', '.join(without)}")
    if checks:
        found.append(
            f"the numbers of {checks}: a stub in their place gives every verdict, in one tick the "
            "same for all, and looks at most twice in the longest step"
        )
    return (*found, *ALWAYS)


def _absent(plan: Plan) -> list[str]:
    there = {
        "checks": bool(plan.checks),
        "hooks": any(step.hook for step in plan.steps),
        "approvals": any(step.approval for step in plan.steps),
        "gates": bool(plan.gates),
    }
    return [name for name, given in there.items() if not given]
