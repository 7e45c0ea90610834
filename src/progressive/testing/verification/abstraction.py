"""The abstraction of the walk: which states are merged, and why those behave alike.

A promise is judged on a transition: on what one tick does to a rollout and a router. So two states
may be merged if every tick, under every perturbation, does the same to both, as far as a promise
can see. A key holds what the engine can read in a phase, and leaves out what it can't:

- *Sentences, serials and moments* are for people, for stores and for windows. Durations count in
  a few classes, counters up to the threshold that they are compared with.
- *When it is over*, it is not ticked, and persons' events are refused by the phase alone.
- *On the way back* only a write of 0 % that was read back ends it: evidence, memory, clocks of the
  step, causes, approvals and drifts are not read again.
- *While it is held* every way out (a resume, the way back) clears what the checks have counted at
  this weight, and their runs of looks without a clear verdict. Such a run is read for its budget
  alone, and one that can only hold, holds what is held already. The time in the step begins anew,
  and so does the one write that may put back what somebody has lowered. Of the causes only the
  lost marker is read, by the resume that then claims the router anew; other names are for the
  person who resumes, and every resume of the walk ends all causes.
- *Epochs* of writes, sent and read back, are read on the way back, which begins with a new one,
  and until the router is claimed.
- *A step's clocks* are read by steps that go by them: a bake by the watched time, a pause by the
  time in the step, one of a kind of your own perhaps by both; other standard steps by none, nor
  one that is skipped. An `Analyze` goes by the looks that have passed since it began.
- *A drift* counts for ten minutes, and then not any more.
- *How long the router has served too much* is a time before a deadline, like others; what it
  serves is kept.

What was seen on the way to a state is not in its key but beside it (`Past`): promises read it, the
engine does not.

Merged though they can differ by a tick: states that are nearer to or further from the next
deadline, the end of a bake or the next try of a write. The perturbations lead to each of these
from either state, but not with another perturbation in the same tick.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from progressive.analysis.check_state import UNCLEAR, CheckState, budget_of
from progressive.analysis.contract import Tolerance, Verdict
from progressive.engine.ownership import FORGOTTEN
from progressive.engine.routing import DRIFT_SPAN
from progressive.model.actions import Action
from progressive.plan.plan import Plan
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout
from progressive.steps.standard import Analyze, Approval, Bake, Hook, Pause, SetWeight

from .invariants import BACK
from .moves import SOON
from .perturbations import Router

__all__ = ["Abstraction", "Past", "past"]

ZERO: Final = timedelta()

NOT_BY_WATCHED: Final = (SetWeight, Pause, Approval, Analyze, Hook)
"""The steps that do not go by the watched time."""

NOT_BY_STEPPED: Final = (SetWeight, Bake, Approval, Analyze, Hook)
"""The steps that do not go by the time in the step, except for their deadline."""

Past: TypeAlias = tuple[bool, bool]
"""What promises read of the way to a state, and the engine does not: whether anything was measured
at full traffic (R15), and whether 0 % was written since the rollout turned back (R23).

Either promise is broken only where it was not. So of two states with the same key the one with less
of a past stands for both: what the other one breaks, it breaks too.
"""


def past(rollout: Rollout, router: Router) -> Past:
    """Return what promises may still read of the way to a state."""
    if rollout.over:
        return False, False
    return router.judged and rollout.phase not in BACK, router.back


class Abstraction:
    """Maps states to keys; states with equal keys are merged. The module says why they may be."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tolerances = tuple(planned.check.tolerance for planned in plan.checks)
        self._spans = tuple(step.span for step in plan.steps)
        self._halves = tuple(step.span / 2 for step in plan.steps)
        self._by_watched = tuple(type(step) not in NOT_BY_WATCHED for step in plan.steps)
        self._by_stepped = tuple(type(step) not in NOT_BY_STEPPED for step in plan.steps)

    def key(self, rollout: Rollout, router: Router) -> object:
        """Return the key of a state; it is equal for states that behave alike."""
        phase, step = rollout.phase, rollout.progress.step
        key = (phase, step, _routing(rollout), _on_router(rollout, router))
        if rollout.final or phase is Phase.ROLLING_BACK:
            return (*key, _ending(rollout), _way_back(rollout))
        return (*key, self._progress(rollout), self._evidence(rollout), self._clocks(rollout))

    def _progress(self, rollout: Rollout) -> object:
        progress = rollout.progress
        return (
            self._memory(rollout),
            type(progress.answer),
            progress.skipped,
            progress.forced,
            any(cause.name == FORGOTTEN for cause in progress.causes),
            tuple(given.approval for given in progress.approvals),
            progress.waived,
            progress.closing is not None,
            progress.closed_gate is not None and progress.closed_gate.until > rollout.clocks.now,
            progress.overdue,
        )

    def _memory(self, rollout: Rollout) -> object:
        """Return the memory of the step; of an `Analyze`, what it makes of it."""
        memory, step = rollout.progress.memory, self._plan.steps[rollout.progress.step]
        if not (type(step) is Analyze and isinstance(memory, int)):
            return repr(memory)
        return tuple(
            min(check_state.passes - memory, step.count)
            for planned, check_state in zip(
                self._plan.checks, rollout.evidence.check_states, strict=True
            )
            if planned.analysis.name == step.analysis
        )

    def _evidence(self, rollout: Rollout) -> object:
        evidence = rollout.evidence
        of_check = _held_check_state if rollout.phase is Phase.HELD else _check_state
        return (
            tuple(map(of_check, evidence.check_states, self._tolerances)),
            tuple((each.start is None, each.tail is None) for each in evidence.series),
            tuple(probe.answered for probe in evidence.probes),
        )

    def _clocks(self, rollout: Rollout) -> object:
        clocks, step = rollout.clocks, rollout.progress.step
        span, skipped = self._spans[step], rollout.progress.skipped
        by_watched = self._by_watched[step] and not skipped
        by_stepped = self._by_stepped[step] and not skipped and rollout.phase is not Phase.HELD
        return (
            by_watched and clocks.watched >= self._halves[step],
            by_watched and clocks.watched >= span,
            by_stepped and clocks.stepped >= span,
            bool(clocks.unreadable),
        )


def _ending(rollout: Rollout) -> object:
    progress = rollout.progress
    return (
        progress.retirement,
        progress.reason.startswith("superseded"),
        rollout.routing.any_write_sent,
    )


def _way_back(rollout: Rollout) -> object:
    routing, epoch = rollout.routing, rollout.progress.epoch
    return (
        routing.acked_epoch >= epoch,
        routing.first_sent[0] == epoch,
        rollout.progress.overdue,
    )


def _check_state(check_state: CheckState, tolerance: Tolerance) -> object:
    verdict = check_state.stuck_verdict
    return (
        check_state.passes_at_weight > 0,
        check_state.looks_at_weight > 0,
        *_failures(check_state, tolerance),
        None if verdict is None else _run(check_state, tolerance, verdict),
        min(check_state.stuck_looks, 2) if verdict is Verdict.NO_DATA else 0,  # two undo a pass
    )


def _held_check_state(check_state: CheckState, tolerance: Tolerance) -> object:
    verdict = check_state.stuck_verdict
    harmless = verdict is None or budget_of(tolerance, verdict).then is not Action.ROLL_BACK
    return (
        *_failures(check_state, tolerance),
        None if verdict is None or harmless else _run(check_state, tolerance, verdict),
    )


def _failures(check_state: CheckState, tolerance: Tolerance) -> tuple[object, ...]:
    most = tolerance.failures
    return (
        None if most is None else min(check_state.failures, most + 1),
        min(check_state.consecutive_failures, tolerance.in_a_row),
        check_state.failed,
        *(_unclear(check_state, tolerance) if any(check_state.unclear) else ()),
    )


def _run(check_state: CheckState, tolerance: Tolerance, verdict: Verdict) -> object:
    """Return the key of looks in a row that neither passed nor failed.

    Their budget is exhausted by number or by length.
    """
    budget = budget_of(tolerance, verdict)
    since, until = check_state.unanswered_since or check_state.stuck_since, check_state.stuck_until
    lasted = ZERO if since is None or until is None else until - since
    return (
        verdict,
        None if budget.looks is None else min(check_state.stuck_looks, 1 + budget.looks),
        budget.within is not None and lasted >= budget.within,
    )


def _unclear(check_state: CheckState, tolerance: Tolerance) -> Iterator[int]:
    """Yield how much of each budget is used that counts looks in all."""
    for verdict, count in zip(UNCLEAR, check_state.unclear, strict=True):
        most = budget_of(tolerance, verdict).in_all
        if most is not None:
            yield min(count, 1 + most)


def _routing(rollout: Rollout) -> object:
    routing, phase = rollout.routing, rollout.phase
    claims, judged = not routing.ownership_confirmed, phase in (Phase.PROGRESSING, Phase.HELD)
    return (
        routing.desired,
        routing.last_verified,
        None if routing.observed is None else routing.observed.traffic,
        routing.verified_since is None,
        claims and (routing.any_write_sent, routing.first_sent[0] == rollout.progress.epoch),
        routing.generation is None,
        routing.attempts > 0,
        _ticks_until(routing.retry_at, rollout.clocks.now),
        judged and routing.last_attempt_at != routing.read_at,
        judged and _drifts(rollout),
        phase is Phase.PROGRESSING and routing.reasserted,
        routing.inspected,
        routing.marked,
    )


def _ticks_until(retry_at: datetime | None, now: datetime) -> int:
    """Return how many of the soonest ticks come before a write is tried again: 0, 1 or more."""
    if retry_at is None or retry_at <= now + SOON:
        return 0
    return 1 if retry_at <= now + 2 * SOON else 2


def _drifts(rollout: Rollout) -> int:
    """Return how many drifts still count for the next one."""
    now = rollout.clocks.now
    return sum(now - when < DRIFT_SPAN for when in rollout.routing.drifts)


def _on_router(rollout: Rollout, router: Router) -> object:
    ours, present = rollout.routing.generation, router.marker
    marker = None
    if present is not None:
        mine = present.owner in ("", rollout.routing.owner)
        marker = (ours is None or present.generation == ours, mine, present.closed)
    return router.traffic, marker
