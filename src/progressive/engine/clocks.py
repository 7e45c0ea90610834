"""Time passes between two decisions: the accumulators run, and a wall clock that steps back gains
nothing and loses nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.actions import NotYet
from progressive.model.replace import evolve
from progressive.rollout.phases import Phase, Retirement

from .draft import ZERO, Turn
from .routing import BACKOFF, astray_now
from .windows import restart_windows

__all__ = ["pass_time"]

LATEST_RETRY: Final = timedelta(seconds=BACKOFF[-1])


def pass_time(turn: Turn) -> None:
    """Let the clocks run up to now. When the wall clock stepped back, nothing is credited and the
    windows begin anew.
    """
    clocks, phase, now = turn.clocks, turn.progress.phase, turn.now
    if now == clocks.now:
        return
    passed = now - clocks.now
    if passed < ZERO:
        _step_back(turn)
        return
    if turn.final and turn.progress.retirement not in (Retirement.DUE, Retirement.ASKED):
        return
    # Below zero is what a person's word came after the last tick, by the person's clock; one that
    # is wrong is wrong for one tick.
    stepped, ran = clocks.stepped, clocks.ran
    running = passed - _frozen_for(turn)
    if phase is Phase.HELD:
        causes = tuple(
            evolve(cause, held=max(ZERO, cause.held + passed)) for cause in turn.progress.causes
        )
        turn.progress = evolve(turn.progress, causes=causes)
        if not any(cause.person for cause in causes):
            ran += passed
    else:
        stepped = max(ZERO, stepped + running)
        if phase is Phase.PROGRESSING and turn.plan.steps[turn.progress.step].approval is None:
            ran += running
    unanswered = turn.routing.tried_at is not None and turn.routing.tried_at != turn.routing.read_at
    astray = astray_now(turn)
    turn.clocks = evolve(
        clocks,
        now=now,
        stepped=stepped,
        ran=ran,
        unreadable=clocks.unreadable + passed if unanswered else clocks.unreadable,
        astray=clocks.astray + passed if astray else ZERO,
        escalated=clocks.escalated if astray or not clocks.astray else ZERO,
    )


def _frozen_for(turn: Turn) -> timedelta:
    """The part of the time since the last decision in which a gate was closed and the traffic was
    as it should be.
    """
    frozen, since = turn.progress.frozen, turn.clocks.now
    if frozen is None or not turn.verified or frozen[2] <= since:
        return ZERO
    return min(turn.now, frozen[2]) - since


def _step_back(turn: Turn) -> None:
    now, routing = turn.now, turn.routing
    latest = now + LATEST_RETRY
    turn.routing = evolve(
        routing,
        verified_since=None,
        verified_at=None,
        read_at=None,
        tried_at=None,
        retry_at=None if routing.retry_at is None else min(routing.retry_at, latest),
    )
    turn.clocks = evolve(turn.clocks, now=now, ticked=None, entered=min(turn.clocks.entered, now))
    turn.instances = evolve(turn.instances, surveyed_at=None, tried_at=None)
    answer = None if isinstance(turn.progress.answer, NotYet) else turn.progress.answer
    turn.progress = evolve(turn.progress, closing=None, frozen=None, answer=answer)
    turn.evidence = evolve(
        turn.evidence,
        probes=tuple(
            evolve(probe, start=min(probe.start, now), retry_at=None, reading=None)
            for probe in turn.evidence.probes
        ),
    )
    restart_windows(turn)
