"""The state of one check over its looks: how each look changes it, and which action it requires."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.model import fields
from progressive.model.actions import Action, Memory
from progressive.model.replace import evolve

from .contract import Budget, Judgement, Tolerance, Verdict

__all__ = [
    "CheckState",
    "action_for",
    "budget_of",
    "is_outstanding",
    "reset_failures",
    "reset_for_new_traffic",
    "update",
]


UNCLEAR: Final = (Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.ERROR, Verdict.MISSING)
"""The verdicts that are neither pass nor fail."""

_NONE: Final = (0, 0, 0, 0)


@attrs.frozen(kw_only=True)
class CheckState:
    """The verdicts of one check so far. Its size does not grow with the number of looks.

    ``passes_at_weight`` and ``looks_at_weight`` count since the traffic was last changed;
    ``failures``, ``consecutive_failures`` and ``unclear`` since the last resume. The ``stuck``
    fields describe the latest unbroken run of looks that were neither pass nor fail;
    ``unanswered_since`` is when the first of a run of unanswered or missing looks was taken, where
    the budget goes by that; ``unclear`` counts the looks of each verdict of `UNCLEAR` in all, where
    the budget does.
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
    unanswered_since: datetime | None = None
    unclear: tuple[int, int, int, int] = _NONE
    memory: Memory = None


WHY_LIMIT = 160
"""Characters of a reason that the state keeps; the notes have it whole."""


def update(
    state: CheckState,
    judgement: Judgement,
    memory: Memory,
    tolerance: Tolerance,
    *,
    start: datetime,
    end: datetime,
    taken: datetime | None = None,
    here: bool = True,
) -> CheckState:
    """Return the state after one more judgement of the window from ``start`` to ``end``.

    ``taken``: when the look was taken, by default at the end of its window. Only that goes on while
    the rest of older traffic, or a first reading, is asked for again and again.

    ``here``: whether the window lies in the current traffic. A pass in other traffic does not count
    as a pass at this weight; a failure counts in any traffic.
    """
    verdict = judgement.verdict
    failing, passing, goes_on = verdict is Verdict.FAIL, verdict is Verdict.PASS, False
    failures, consecutive_failures = state.failures, state.consecutive_failures
    if failing:
        failures, consecutive_failures = failures + 1, consecutive_failures + 1
    elif passing:
        consecutive_failures = 0
    failed = failing and (
        consecutive_failures >= tolerance.in_a_row
        or (tolerance.failures is not None and failures > tolerance.failures)
    )
    passed_here = 1 if passing and here else 0
    pooling = verdict is Verdict.NO_DATA and not judgement.starved
    if failing or passing or pooling:
        stuck_verdict, stuck_looks, stuck_since, stuck_until = None, 0, None, None
    elif goes_on := _goes_on(state.stuck_verdict, verdict, tolerance):
        stuck_verdict, stuck_looks = verdict, state.stuck_looks + 1
        stuck_since, stuck_until = state.stuck_since, end
    else:
        stuck_verdict, stuck_looks, stuck_since, stuck_until = verdict, 1, start, end
    unanswered_since, taken, unclear = None, taken or end, state.unclear
    budget = None if stuck_verdict is None else budget_of(tolerance, stuck_verdict)
    if budget is not None and budget.in_all is not None:
        inconclusive, starved, errors, missing = unclear
        unclear = (
            inconclusive + (verdict is Verdict.INCONCLUSIVE),
            starved + (verdict is Verdict.NO_DATA),
            errors + (verdict is Verdict.ERROR),
            missing + (verdict is Verdict.MISSING),
        )
    if budget is not None and budget.both:
        before = state.unanswered_since if goes_on else None
        unanswered_since = before or taken
        stuck_until = taken
    elif stuck_verdict is Verdict.ERROR and (start == end or not here):
        stuck_until = taken
    return CheckState(
        verdict=verdict,
        why=judgement.why[:WHY_LIMIT],
        looks=state.looks + 1,
        passes=state.passes + passed_here,
        passes_at_weight=state.passes_at_weight + passed_here,
        looks_at_weight=state.looks_at_weight + (1 if here else 0),
        failures=failures,
        consecutive_failures=consecutive_failures,
        failed=failed,
        stuck_verdict=stuck_verdict,
        stuck_looks=stuck_looks,
        stuck_since=stuck_since,
        stuck_until=stuck_until,
        unanswered_since=unanswered_since,
        unclear=unclear,
        memory=memory,
    )


def _goes_on(before: Verdict | None, verdict: Verdict, tolerance: Tolerance) -> bool:
    """Return whether a run of looks goes on. One of unanswered looks does so in missing ones, and
    the other way round, where the same is tolerated of both.
    """
    blind = (Verdict.ERROR, Verdict.MISSING)
    return verdict is before or (
        before in blind and verdict in blind and tolerance.no_answer == tolerance.missing
    )


def reset_failures(state: CheckState) -> CheckState:
    """Return the state after a resume: failure counters are cleared, sequential evidence stays."""
    return evolve(
        reset_for_new_traffic(state),
        failures=0,
        consecutive_failures=0,
        failed=False,
        unclear=_NONE,
    )


def reset_for_new_traffic(state: CheckState) -> CheckState:
    """Return the state after a change of traffic.

    Nothing has passed at the new weight yet, and a run of looks without a clear verdict ends.
    """
    return evolve(
        state,
        passes_at_weight=0,
        looks_at_weight=0,
        stuck_verdict=None,
        stuck_looks=0,
        stuck_since=None,
        stuck_until=None,
        unanswered_since=None,
    )


def is_outstanding(state: CheckState) -> bool:
    """Return whether the check still has to pass at this weight.

    True until it has passed there, and again while its last clear verdict is not a pass. One look
    without data does not undo a pass: a closing look may be a few milliseconds long.
    """
    return (
        not state.passes_at_weight
        or state.consecutive_failures > 0
        or state.stuck_verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.MISSING)
        or (state.stuck_verdict is Verdict.NO_DATA and state.stuck_looks > 1)
    )


def action_for(state: CheckState, tolerance: Tolerance, *, full: bool) -> tuple[Action, str] | None:
    """Return the action that a state requires, and why; None if it requires none.

    ``full``: whether the candidate has all traffic. A budget then holds where it would roll back.
    """
    if state.failed:
        return tolerance.then, state.why
    if state.stuck_verdict is None:
        return None
    budget = budget_of(tolerance, state.stuck_verdict)
    since = state.unanswered_since or state.stuck_since
    stretch = (
        state.stuck_until - since
        if since is not None and state.stuck_until is not None
        else timedelta()
    )
    too_many = budget.looks is not None and state.stuck_looks > budget.looks
    too_long = budget.within is not None and stretch >= budget.within
    in_a_run = too_many and too_long if budget.both else too_many or too_long
    in_all = budget.in_all is not None and _in_all(state, state.stuck_verdict) > budget.in_all
    if not (in_a_run or in_all):
        return None
    return (Action.HOLD if full and budget.then is Action.ROLL_BACK else budget.then), state.why


def _in_all(state: CheckState, verdict: Verdict) -> int:
    """Return how many looks of an unclear verdict were counted in all."""
    return state.unclear[UNCLEAR.index(verdict)]


def budget_of(tolerance: Tolerance, verdict: Verdict) -> Budget:
    """Return how many looks of a verdict that is neither pass nor fail are tolerated."""
    if verdict is Verdict.INCONCLUSIVE:
        return tolerance.inconclusive
    if verdict is Verdict.NO_DATA:
        return tolerance.no_data
    return tolerance.missing if verdict is Verdict.MISSING else tolerance.no_answer
