"""The state of one check over its looks, how each look changes it, and what it leads to."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from progressive.model import fields
from progressive.model.actions import Action, Memory
from progressive.model.replace import evolve

from .contract import Budget, Judgement, Tolerance, Verdict

__all__ = [
    "CheckState",
    "action_for",
    "is_outstanding",
    "reset_failures",
    "reset_for_new_traffic",
    "update",
]


@attrs.frozen(kw_only=True)
class CheckState:
    """What one check has seen so far. Its size does not grow with the number of looks.

    ``passes_at_weight`` and ``looks_at_weight`` count since the traffic was last changed;
    ``failures`` and ``consecutive_failures`` since the last resume. The ``stuck`` fields describe
    the latest unbroken run of looks that were neither pass nor fail.
    """

    verdict: Verdict | None = None
    why: str = ""
    looks: int = 0
    passes: int = 0
    passes_at_weight: int = attrs.field(default=0, metadata=fields.stored_as("here"))
    looks_at_weight: int = attrs.field(default=0, metadata=fields.stored_as("looks_here"))
    failures: int = 0
    consecutive_failures: int = attrs.field(default=0, metadata=fields.stored_as("in_a_row"))
    failed: bool = False
    stuck_verdict: Verdict | None = attrs.field(default=None, metadata=fields.stored_as("bad"))
    stuck_looks: int = attrs.field(default=0, metadata=fields.stored_as("bad_looks"))
    stuck_since: datetime | None = attrs.field(default=None, metadata=fields.stored_as("bad_since"))
    stuck_until: datetime | None = attrs.field(default=None, metadata=fields.stored_as("bad_until"))
    memory: Memory = None


WHY_LIMIT = 160
"""Longer reasons are cut in the state; the notes have them whole."""


def update(
    state: CheckState,
    judgement: Judgement,
    memory: Memory,
    tolerance: Tolerance,
    *,
    start: datetime,
    end: datetime,
    here: bool = True,
) -> CheckState:
    """``state`` after one more judgement of the window from ``start`` to ``end``.

    ``here``: the window lies in the traffic that there is now. What passed in other traffic is no
    pass here; what failed there has failed.
    """
    verdict = judgement.verdict
    failing, passing = verdict is Verdict.FAIL, verdict is Verdict.PASS
    pooling = verdict is Verdict.NO_DATA and not judgement.starved
    failures = state.failures + failing
    in_a_row = (
        state.consecutive_failures + 1
        if failing
        else state.consecutive_failures
        if not passing
        else 0
    )
    bad = None if failing or passing or pooling else verdict
    same = bad is not None and bad is state.stuck_verdict
    return CheckState(
        verdict=verdict,
        why=judgement.why[:WHY_LIMIT],
        looks=state.looks + 1,
        passes=state.passes + (passing and here),
        passes_at_weight=state.passes_at_weight + (passing and here),
        looks_at_weight=state.looks_at_weight + here,
        failures=failures,
        consecutive_failures=in_a_row,
        failed=failing
        and (
            in_a_row >= tolerance.in_a_row
            or (tolerance.failures is not None and failures > tolerance.failures)
        ),
        stuck_verdict=bad,
        stuck_looks=0 if bad is None else state.stuck_looks + 1 if same else 1,
        stuck_since=None if bad is None else state.stuck_since if same else start,
        stuck_until=None if bad is None else end,
        memory=memory,
    )


def reset_failures(state: CheckState) -> CheckState:
    """The state after a resume: failure counters are cleared, sequential evidence stays."""
    return evolve(reset_for_new_traffic(state), failures=0, consecutive_failures=0, failed=False)


def reset_for_new_traffic(state: CheckState) -> CheckState:
    """The state after a change of traffic: nothing has passed at the new weight yet, and no run of
    looks without a clear verdict goes on.
    """
    return evolve(
        state,
        passes_at_weight=0,
        looks_at_weight=0,
        stuck_verdict=None,
        stuck_looks=0,
        stuck_since=None,
        stuck_until=None,
    )


def is_outstanding(state: CheckState) -> bool:
    """True until the check has passed at this weight, and again while its last clear verdict is
    not a pass.

    One look without data does not take a pass back: a closing look may be a few milliseconds long.
    """
    return (
        not state.passes_at_weight
        or state.consecutive_failures > 0
        or state.stuck_verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)
        or (state.stuck_verdict is Verdict.NO_DATA and state.stuck_looks > 1)
    )


def action_for(state: CheckState, tolerance: Tolerance, *, full: bool) -> tuple[Action, str] | None:
    """The action that a state calls for, and why; None while it calls for none.

    ``full``: the candidate has all the traffic; then a budget never rolls back but holds.
    """
    if state.failed:
        return tolerance.then, state.why
    if state.stuck_verdict is None:
        return None
    budget = _budget(tolerance, state.stuck_verdict)
    stretch = (
        state.stuck_until - state.stuck_since
        if state.stuck_since is not None and state.stuck_until is not None
        else timedelta()
    )
    over = budget.looks is not None and state.stuck_looks > budget.looks
    if over or (budget.within is not None and stretch >= budget.within):
        return (Action.HOLD if full and budget.then is Action.ROLL_BACK else budget.then), state.why
    return None


def _budget(tolerance: Tolerance, verdict: Verdict) -> Budget:
    if verdict is Verdict.INCONCLUSIVE:
        return tolerance.inconclusive
    return tolerance.no_data if verdict is Verdict.NO_DATA else tolerance.no_answer
