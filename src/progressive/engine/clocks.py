"""Advance the accumulators of a rollout by the time since the last decision.

A wall clock that steps back credits no time and loses none that was credited.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.actions import NotYet
from progressive.model.replace import evolve
from progressive.rollout.phases import Phase, Retirement

from .draft import ZERO, Draft
from .routing import BACKOFF, astray_now
from .windows import restart_windows

__all__ = ["pass_time"]

LATEST_RETRY: Final = timedelta(seconds=BACKOFF[-1])
"""After a clock stepped back, no retry is due later than this from the new reading."""


def pass_time(draft: Draft) -> None:
    """Advance the clocks to the time of this decision.

    If the wall clock stepped back, no time is credited and the windows restart.
    """
    clocks, phase, now = draft.clocks, draft.progress.phase, draft.now
    if now == clocks.now:
        return
    passed = now - clocks.now
    if passed < ZERO:
        _step_back(draft)
        return
    if draft.final and draft.progress.retirement not in (Retirement.DUE, Retirement.ASKED):
        return
    # `stepped` may be negative: a person's event can carry a time later than the last tick. If that
    # person's clock is wrong, `stepped` is wrong for one tick only.
    stepped, ran = clocks.stepped, clocks.ran
    running = passed - _time_at_closed_gate(draft)
    if phase is Phase.HELD:
        causes = tuple(
            evolve(cause, held=max(ZERO, cause.held + passed)) for cause in draft.progress.causes
        )
        draft.progress = evolve(draft.progress, causes=causes)
        if not any(cause.person for cause in causes):
            ran += passed
    else:
        stepped = max(ZERO, stepped + running)
        if phase is Phase.PROGRESSING and draft.plan.steps[draft.progress.step].approval is None:
            ran += running
    unanswered = (
        draft.routing.last_attempt_at is not None
        and draft.routing.last_attempt_at != draft.routing.read_at
    )
    astray = astray_now(draft)
    draft.clocks = evolve(
        clocks,
        now=now,
        stepped=stepped,
        ran=ran,
        unreadable=clocks.unreadable + passed if unanswered else clocks.unreadable,
        astray=clocks.astray + passed if astray else ZERO,
        escalated=clocks.escalated if astray or not clocks.astray else ZERO,
    )


def _time_at_closed_gate(draft: Draft) -> timedelta:
    """Return how much of the time since the last decision was spent at a closed gate, with the
    desired traffic verified.
    """
    closed, since = draft.progress.closed_gate, draft.clocks.now
    if closed is None or not draft.verified or closed.until <= since:
        return ZERO
    return min(draft.now, closed.until) - since


def _step_back(draft: Draft) -> None:
    """Accept an earlier reading of the clock: forget times that now lie in the future."""
    now, routing = draft.now, draft.routing
    latest = now + LATEST_RETRY
    draft.routing = evolve(
        routing,
        verified_since=None,
        verified_at=None,
        read_at=None,
        last_attempt_at=None,
        retry_at=None if routing.retry_at is None else min(routing.retry_at, latest),
    )
    draft.clocks = evolve(
        draft.clocks, now=now, ticked=None, entered=min(draft.clocks.entered, now)
    )
    draft.instances = evolve(draft.instances, surveyed_at=None, last_attempt_at=None)
    answer = None if isinstance(draft.progress.answer, NotYet) else draft.progress.answer
    draft.progress = evolve(draft.progress, closing=None, closed_gate=None, answer=answer)
    draft.evidence = evolve(
        draft.evidence,
        probes=tuple(
            evolve(probe, start=min(probe.start, now), retry_at=None, reading=None)
            for probe in draft.evidence.probes
        ),
    )
    restart_windows(draft)
