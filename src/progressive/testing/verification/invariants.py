"""The promises that every transition of the walk must keep: functions that return a sentence for
one that does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from progressive.model.router_state import Marker
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.plan.plan import Plan
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

__all__ = ["BACK", "PROMISES", "Invariant", "Transition"]

BACK: Final = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)


@attrs.frozen(kw_only=True)
class Transition:
    """One tick of the walk, for an invariant.

    * ``what``: the name of the perturbation.
    * ``before``, ``after``: the rollout.
    * ``served``: the traffic that the router served before the tick.
    * ``written``: the traffic of its writes, in order.
    * ``on_router``: the traffic after it.
    * ``marker``: the marker on the router before its writes.
    * ``judged_at_full``: whether anything was measured at full traffic so far.
    * ``took_back``: whether 0 % was written, or the marker closed, since the rollout turned back.
    """

    what: str
    before: Rollout
    after: Rollout
    served: Traffic
    written: tuple[Traffic, ...]
    on_router: Traffic
    marker: Marker | None
    judged_at_full: bool
    took_back: bool


Invariant = Callable[[Transition], str | None]
"""A promise about every transition: returns None, or a sentence if it does not hold."""


def _full(plan: Plan) -> Traffic:
    return plan.traffics[-1]


def _r1(move: Transition) -> str | None:
    """R1: traffic is never above that of the steps that were reached."""
    if not move.written:
        return None
    allowed = move.after.plan.traffics[: move.after.progress.step + 1]
    above = [traffic for traffic in move.written if all(traffic.exceeds(one) for one in allowed)]
    if above and above[0].exceeds(move.served):
        return f"R1: wrote {above[0]} in step {move.after.status.step}, which allows less"
    return None


def _r2(move: Transition) -> str | None:
    """R2: traffic is never raised after the rollout turned back."""
    turned = move.before.phase in BACK
    raised = [traffic for traffic in move.written if traffic.exceeds(move.served)]
    return (
        f"R2: wrote {raised[0]} after it had turned back, {move.served} was served"
        if turned and raised
        else None
    )


def _r2_owner(move: Transition) -> str | None:
    """R2: a rollout that lost its marker raises nothing, and never writes over another owner's."""
    routing, marker = move.before.routing, move.marker
    if not routing.ownership_confirmed or not move.written:
        return None
    if marker is not None and marker.owner not in ("", routing.owner):
        return f"R2: wrote {move.written[0]} over the marker of {marker.owner}"
    raised = [traffic for traffic in move.written if traffic.exceeds(move.served)]
    lost = marker is None and routing.marked and not routing.reassert
    if lost and raised and move.what != "resume":
        return f"R2: wrote {raised[0]} on a router that had lost its marker"
    return None


def _r15(move: Transition) -> str | None:
    """R15: no promotion without a measurement at full traffic, where a check could have had one."""
    plan, progress = move.after.plan, move.after.progress
    entered = move.after.phase is Phase.PROMOTED and move.before.phase is not Phase.PROMOTED
    if not entered or move.judged_at_full or progress.waived or _promoted_by_hand(move):
        return None
    last = {guard.analysis for guard in plan.guards}.union(
        *(step.analyses for step in plan.steps if step.traffic is None)
    )
    judges = any(
        planned.analysis.name in last
        and not planned.check.observe
        and all(_full(plan).reaches(track) for track in planned.check.required_tracks)
        for planned in plan.checks
    )
    return "R15: promoted without one measurement at full traffic" if judges else None


def _promoted_by_hand(move: Transition) -> bool:
    return (
        move.what == "promote now"
        or move.before.progress.forced
        or move.before.progress.skipped
        or move.what == "skip"
    )


def _r17(move: Transition) -> str | None:
    """R17: a rollout never goes forward with a failed check that is not waived."""
    after = move.after
    if after.phase is not Phase.PROGRESSING:
        return None
    for planned in after.plan.checks:
        if (
            after.evidence.check_state(planned).failed
            and not planned.check.observe
            and planned.key not in after.progress.waived
            and planned.check.id not in after.progress.waived
        ):
            return f"R17: {planned.key} has failed, and it goes on"
    return None


def _r23(move: Transition) -> str | None:
    """R23: rolled back only after a write of 0 %, or when another rollout took over; promoted only
    while the router serves full traffic.
    """
    after = move.after
    if after.phase is move.before.phase:
        return None
    if (
        after.phase is Phase.ROLLED_BACK
        and after.routing.any_write_sent
        and not after.progress.reason.startswith("superseded")
    ):
        if not move.took_back:
            return "R23: rolled back without a write of 0 %"
        if move.on_router != ALL_STABLE:
            return f"R23: rolled back, and the router serves {move.on_router}"
    if after.phase is Phase.PROMOTED and move.on_router != _full(after.plan):
        return f"R23: promoted, and the router serves {move.on_router}"
    return None


def _r24(move: Transition) -> str | None:
    """R24: a final phase is never left."""
    before, after = move.before, move.after
    return (
        f"R24: left {before.phase.value} for {after.phase.value}"
        if before.final and after.phase is not before.phase
        else None
    )


def _r30(move: Transition) -> str | None:
    """R30: every wait has a reason, a deadline and an action; only a way back has no deadline."""
    after, waiting = move.after, move.after.progress.waiting
    if after.over:
        return None if after.wake_at is None else "R30: over, and somebody is to come back"
    if after.wake_at is None:
        return "R30: not over, and nobody is to come back"
    if waiting is None:
        return None if after.final else "R30: it waits, and does not say for what"
    if not waiting.why or (
        waiting.until is None and after.phase is not Phase.ROLLING_BACK and not waiting.then
    ):
        return f"R30: waits for {waiting.why!r} without a deadline and an action"
    return None


PROMISES: Final[tuple[Invariant, ...]] = (_r1, _r2, _r2_owner, _r15, _r17, _r23, _r24, _r30)
