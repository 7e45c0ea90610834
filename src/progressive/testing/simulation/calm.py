"""What needs no judging. A check that stayed calm while a worse version was looked at stays calm
for a better one: in the same looks at the same requests, of which fewer are events.

`Looks` draws them so. A rollout of a version that is three times as bad is then told, for such a
check, from one of a version that is ten times as bad; a test compares that with judging it.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from progressive.analysis.contract import Check, Verdict
from progressive.analysis.limit import Limit
from progressive.analysis.no_worse import NoWorse
from progressive.model.measurement import Bad, Kind
from progressive.plan.plan import Plan, PlannedCheck

from .looks import Place, Scene, State

__all__ = ["Calm", "Trail", "calmest", "covers", "predictable"]

Trail: TypeAlias = dict[Place, State]
"""The states of one check after each look of a rollout."""


@attrs.frozen
class Calm:
    """A rollout in which a check was calm from the first look to the last.

    ``chance`` is how likely an event was on the candidate.
    """

    chance: float
    trail: Trail


def predictable(plan: Plan) -> frozenset[int]:
    """Return the checks of which it is known that more events never speak for the candidate.

    Nobody counts their passes, and nothing but requests and events of one metric decides them.
    """
    if any(traffic.mirror.ppm for traffic in plan.traffics):
        return frozenset()
    named = {name for step in plan.steps for name in step.analyses}
    return frozenset(
        planned.index
        for planned in plan.checks
        if planned.analysis.name not in named and _one_way(planned.check)
    )


def _one_way(check: Check) -> bool:
    if check.metric.kind is not Kind.RATIO or check.metric.bad is Bad.BOTH:
        return False
    up = check.metric.bad is Bad.UP
    if type(check) is Limit:
        return (check.at_least if up else check.at_most) is None
    return type(check) is NoWorse and (check.accept, check.exact, check.blocks) == (
        None,
        False,
        False,
    )


def calmest(known: Calm | None, scene: Scene, planned: PlannedCheck, trail: Trail) -> Calm | None:
    """Return the calm rollout of the worst version: the one that is known, or that of this trail.

    ``trail``: of a rollout that went all the way, and in which nothing waited for the check.
    """
    chance = scene.chances.get(planned.check.metric.name)
    calm = (Verdict.PASS, Verdict.NO_DATA)
    if chance is None or any(state.of.verdict not in calm for state in trail.values()):
        return known
    if known is not None and covers(known, scene, planned):
        return known
    return Calm(chance, trail)


def covers(known: Calm, scene: Scene, planned: PlannedCheck) -> bool:
    """Return whether the version of a scene is no worse than that of a calm rollout."""
    metric = planned.check.metric
    if (chance := scene.chances.get(metric.name)) is None:
        return False
    return chance <= known.chance if metric.bad is Bad.UP else chance >= known.chance
