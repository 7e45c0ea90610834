"""The state of one check over its looks, how each look changes it, and what it leads to."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from progressive.model.actions import Action, Memory
from progressive.model.replace import evolve

from .contract import Budget, Judgement, Tolerance, Verdict

__all__ = ["Tally", "consequence", "cooled", "fold", "forgive", "owes"]


@attrs.frozen(kw_only=True)
class Tally:
    """What one check has seen so far. Its size is the same after ten looks and after ten thousand.

    ``here`` and ``looks_here`` count since the traffic was last changed; ``failures`` and
    ``in_a_row`` since the last resume. The ``bad`` ones describe the unbroken stretch of looks that
    were neither pass nor fail.
    """

    verdict: Verdict | None = None
    why: str = ""
    looks: int = 0
    passes: int = 0
    here: int = 0
    looks_here: int = 0
    failures: int = 0
    in_a_row: int = 0
    failed: bool = False
    bad: Verdict | None = None
    bad_looks: int = 0
    bad_since: datetime | None = None
    bad_until: datetime | None = None
    memory: Memory = None


WHY_LIMIT = 160
"""Longer reasons are cut in the state; the notes have them whole."""


def fold(
    tally: Tally,
    judgement: Judgement,
    memory: Memory,
    tolerance: Tolerance,
    *,
    start: datetime,
    end: datetime,
    here: bool = True,
) -> Tally:
    """``tally`` after one more judgement of the window from ``start`` to ``end``.

    ``here``: the window lies in the traffic that there is now. What passed in other traffic is no
    pass here; what failed there has failed.
    """
    verdict = judgement.verdict
    failing, passing = verdict is Verdict.FAIL, verdict is Verdict.PASS
    pooling = verdict is Verdict.NO_DATA and not judgement.starved
    failures = tally.failures + failing
    in_a_row = tally.in_a_row + 1 if failing else tally.in_a_row if not passing else 0
    bad = None if failing or passing or pooling else verdict
    same = bad is not None and bad is tally.bad
    return Tally(
        verdict=verdict,
        why=judgement.why[:WHY_LIMIT],
        looks=tally.looks + 1,
        passes=tally.passes + (passing and here),
        here=tally.here + (passing and here),
        looks_here=tally.looks_here + here,
        failures=failures,
        in_a_row=in_a_row,
        failed=failing
        and (
            in_a_row >= tolerance.in_a_row
            or (tolerance.failures is not None and failures > tolerance.failures)
        ),
        bad=bad,
        bad_looks=0 if bad is None else tally.bad_looks + 1 if same else 1,
        bad_since=None if bad is None else tally.bad_since if same else start,
        bad_until=None if bad is None else end,
        memory=memory,
    )


def forgive(tally: Tally) -> Tally:
    """``tally`` with its counters cleared, as a resume does. What a sequential check has learned
    stays.
    """
    return evolve(cooled(tally), failures=0, in_a_row=0, failed=False)


def cooled(tally: Tally) -> Tally:
    """``tally`` as it goes into other traffic: nothing has passed there yet, and the stretch
    without a clear word is over.
    """
    return evolve(
        tally, here=0, looks_here=0, bad=None, bad_looks=0, bad_since=None, bad_until=None
    )


def owes(tally: Tally) -> bool:
    """A check owes its word while it has not passed at this traffic, or while its last clear word
    was not a pass.

    One look without data does not take a pass back: a closing look may be a few milliseconds long.
    """
    return (
        not tally.here
        or tally.in_a_row > 0
        or tally.bad in (Verdict.INCONCLUSIVE, Verdict.ERROR)
        or (tally.bad is Verdict.NO_DATA and tally.bad_looks > 1)
    )


def consequence(tally: Tally, tolerance: Tolerance, *, full: bool) -> tuple[Action, str] | None:
    """What a tally leads to, and why; None while it leads to nothing. ``full``: the candidate has
    all the traffic.
    """
    if tally.failed:
        return tolerance.then, tally.why
    if tally.bad is None:
        return None
    budget = _budget(tolerance, tally.bad)
    stretch = (
        tally.bad_until - tally.bad_since
        if tally.bad_since is not None and tally.bad_until is not None
        else timedelta()
    )
    over = budget.looks is not None and tally.bad_looks > budget.looks
    if over or (budget.within is not None and stretch >= budget.within):
        return (Action.HOLD if full and budget.then is Action.ROLL_BACK else budget.then), tally.why
    return None


def _budget(tolerance: Tolerance, verdict: Verdict) -> Budget:
    if verdict is Verdict.INCONCLUSIVE:
        return tolerance.inconclusive
    return tolerance.no_data if verdict is Verdict.NO_DATA else tolerance.no_answer
