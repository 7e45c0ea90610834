"""The abstraction of the walk: which states are merged, and why those behave alike."""

from __future__ import annotations

from datetime import timedelta

from progressive.analysis.check_state import CheckState, budget_of
from progressive.analysis.contract import Tolerance, Verdict
from progressive.plan.plan import Plan
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .perturbations import Router

__all__ = ["Abstraction"]


class Abstraction:
    """Maps states to keys; states with equal keys are merged.

    Times, serials and sentences are left out of the key; durations count in a few classes, counters
    up to their threshold. Whatever the engine does not read any more is left out too:

    - *When it is over*, it is not ticked, and persons' events are refused by the phase alone:
      evidence and clocks are not read again.
    - *On the way back* nothing is judged (a late look is refused by the phase alone): evidence is
      not read again.
    - *While it is held* the time in the step stands still, and every way out of a hold sets it anew
      (a resume, a promotion, the way back).
    - The last verdict of a check state and its reason are for people; their effects are in its
      counters. ``looks_at_weight`` counts only as 0 or more.
    - Stuck looks count only up to one more than the budget allows, and to the second, which undoes
      a pass.

    Merged though they can differ by a tick: states that are nearer to or further from the next
    deadline, the end of a bake or the next try of a write. The perturbations lead to each of these
    from either state, but not with another perturbation in the same tick.
    """

    def __init__(self, plan: Plan) -> None:
        self._tolerances = tuple(planned.check.tolerance for planned in plan.checks)
        self._spans = tuple(step.span for step in plan.steps)
        self._halves = tuple(step.span / 2 for step in plan.steps)
        self._enough = max([getattr(step, "count", 1) for step in plan.steps], default=1)

    def key(self, rollout: Rollout, router: Router) -> object:
        """Return the key of a state; it is equal for states that behave alike."""
        return (
            _progress(rollout),
            _routing(rollout),
            self._evidence(rollout),
            self._clocks(rollout),
            _on_router(rollout, router),
        )

    def _evidence(self, rollout: Rollout) -> object:
        evidence = rollout.evidence
        if rollout.over or rollout.phase is Phase.ROLLING_BACK:
            return None
        return (
            tuple(map(self._check_state, evidence.check_states, self._tolerances)),
            tuple((each.start is None, each.tail is None) for each in evidence.series),
            tuple(probe.answered for probe in evidence.probes),
        )

    def _check_state(self, check_state: CheckState, tolerance: Tolerance) -> object:
        return (
            min(check_state.passes_at_weight, self._enough),
            check_state.looks_at_weight > 0,
            None
            if tolerance.failures is None
            else min(check_state.failures, tolerance.failures + 1),
            min(check_state.consecutive_failures, tolerance.in_a_row),
            check_state.failed,
            None
            if check_state.stuck_verdict is None
            else _stuck(check_state, tolerance, check_state.stuck_verdict),
        )

    def _clocks(self, rollout: Rollout) -> object:
        clocks = rollout.clocks
        if rollout.over:
            return None
        step = rollout.progress.step
        span = self._spans[step]
        return (
            clocks.watched >= self._halves[step],
            clocks.watched >= span,
            rollout.phase is not Phase.HELD and clocks.stepped >= span,
            bool(clocks.unreadable),
            bool(clocks.astray),
            bool(clocks.escalated),
        )


def _stuck(check_state: CheckState, tolerance: Tolerance, verdict: Verdict) -> object:
    """Return the key of looks in a row that neither passed nor failed.

    Two without data undo a pass; a budget is exhausted by number or by length.
    """
    budget = budget_of(tolerance, verdict)
    since = check_state.unanswered_since or check_state.stuck_since
    lasted = (
        check_state.stuck_until - since
        if since is not None and check_state.stuck_until is not None
        else timedelta()
    )
    return (
        verdict,
        min(check_state.stuck_looks, max(2, 1 + (budget.looks or 0))),
        budget.within is not None and lasted >= budget.within,
    )


def _progress(rollout: Rollout) -> object:
    progress = rollout.progress
    return (
        progress.phase,
        progress.step,
        repr(progress.memory),
        type(progress.answer),
        progress.skipped,
        progress.forced,
        tuple((cause.name, cause.person) for cause in progress.causes),
        tuple(given.approval for given in progress.approvals),
        progress.waived,
        progress.closing is not None,
        progress.closed_gate is not None and progress.closed_gate.until > rollout.clocks.now,
        progress.retirement,
        progress.overdue,
        progress.reason.startswith("superseded"),
    )


def _routing(rollout: Rollout) -> object:
    routing = rollout.routing
    return (
        routing.desired,
        routing.last_verified,
        None if routing.observed is None else routing.observed.traffic,
        routing.verified_since is None,
        routing.ownership_confirmed,
        routing.any_write_sent,
        routing.acked_epoch >= rollout.progress.epoch,
        routing.first_sent[0] == rollout.progress.epoch,
        routing.generation is None,
        min(routing.attempts, 2),
        len(routing.drifts),
        routing.reasserted,
        routing.inspected,
        routing.marked,
    )


def _on_router(rollout: Rollout, router: Router) -> object:
    ours, present = rollout.routing.generation, router.marker
    marker = None
    if present is not None:
        mine = present.owner in ("", rollout.routing.owner)
        marker = (ours is None or present.generation == ours, mine, present.closed)
    return (router.traffic, marker, router.back, router.judged)
