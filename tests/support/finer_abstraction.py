"""A finer abstraction of a walk than the library's: what a decision might read in any phase."""

from __future__ import annotations

from datetime import timedelta

from progressive.analysis.check_state import CheckState, budget_of
from progressive.plan.plan import Plan
from progressive.rollout import Rollout
from progressive.testing.verification.perturbations import Router

MOMENT = timedelta(seconds=1)


class FinerAbstraction:
    """Keeps apart all states, except by moments, serials, sentences, and what is past a bound."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def key(self, rollout: Rollout, router: Router) -> object:
        progress, routing, clocks = rollout.progress, rollout.routing, rollout.clocks
        span, marker = self.plan.steps[progress.step].span, router.marker
        return (
            progress.phase,
            progress.step,
            repr(progress.memory),
            type(progress.answer),
            progress.skipped,
            progress.forced,
            tuple((cause.name, cause.person) for cause in progress.causes),
            tuple(given.approval for given in progress.approvals),
            progress.closing is None,
            progress.closed_gate is None or progress.closed_gate.until <= clocks.now,
            progress.retirement,
            progress.overdue,
            progress.reason.startswith("superseded"),
            routing.desired,
            routing.last_verified,
            None if routing.observed is None else routing.observed.traffic,
            routing.verified_since is None,
            routing.last_attempt_at == routing.read_at,
            routing.generation is None,
            routing.any_write_sent,
            routing.ownership_confirmed,
            routing.first_sent[0] == progress.epoch,
            routing.acked_epoch >= progress.epoch,
            min(routing.attempts, 2),
            routing.retry_at is None or routing.retry_at <= clocks.now + MOMENT,
            len(routing.drifts),
            routing.reasserted,
            routing.inspected,
            routing.marked,
            clocks.watched >= span / 2,
            clocks.watched >= span,
            clocks.stepped >= span,
            bool(clocks.unreadable),
            bool(clocks.astray),
            bool(clocks.escalated),
            tuple(map(self._check_state, rollout.evidence.check_states, range(99))),
            tuple((each.start is None, each.tail is None) for each in rollout.evidence.series),
            tuple(probe.answered for probe in rollout.evidence.probes),
            router.traffic,
            router.judged,
            router.back,
            marker
            and (
                routing.generation is None or marker.generation == routing.generation,
                marker.owner in ("", routing.owner),
                marker.closed,
            ),
        )

    def _check_state(self, state: CheckState, index: int) -> object:
        tolerance, verdict = self.plan.checks[index].check.tolerance, state.stuck_verdict
        within = timedelta.max if verdict is None else budget_of(tolerance, verdict).within
        since, until = state.unanswered_since or state.stuck_since, state.stuck_until
        return (
            min(state.passes_at_weight, 3),
            state.looks_at_weight > 0,
            min(state.failures, 3),
            min(state.consecutive_failures, 3),
            state.failed,
            verdict,
            min(state.stuck_looks, 5),
            None not in (since, until, within) and until - since >= within,
        )
