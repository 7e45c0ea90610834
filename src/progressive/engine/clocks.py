"""Time passes between two decisions: the accumulators run, and a wall clock that steps back gains
nothing and loses nothing.
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


def pass_time(draft: Draft) -> None:
    """Let the clocks run up to now. When the wall clock stepped back, nothing is credited and the
    windows begin anew.
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
    # Below zero is what a person's word came after the last tick, by the person's clock; one that
    # is wrong is wrong for one tick.
    stepped, ran = clocks.stepped, clocks.ran
    running = passed - _frozen_for(draft)
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


def _frozen_for(draft: Draft) -> timedelta:
    """The part of the time since the last decision in which a gate was closed and the traffic was
    as it should be.
    """
    closed, since = draft.progress.closed_gate, draft.clocks.now
    if closed is None or not draft.verified or closed.until <= since:
        return ZERO
    return min(draft.now, closed.until) - since


def _step_back(draft: Draft) -> None:
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
