"""Advance the accumulators of a rollout by the time since the last decision.

A wall clock that steps back credits no time and loses none that was credited; nor do several
drivers whose clocks differ (`readings`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.actions import NotYet
from progressive.model.replace import evolve
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Reading

from .draft import ZERO, Draft
from .readings import credited, furthest
from .routing import BACKOFF, astray_now
from .windows import restart_windows

__all__ = ["pass_time"]

ON_TIME: Final = timedelta(seconds=1)
"""How late a tick may come and still be taken for one that came when it was due."""

LATEST_RETRY: Final = timedelta(seconds=BACKOFF[-1])
"""After a clock stepped back, no retry is due later than this from the new reading."""


def pass_time(draft: Draft) -> None:
    """Advance the clocks to the time of this decision.

    Of clocks that differ, only what lies beyond the furthest one is credited. Where the furthest
    one is gone, as a wall clock that was set back, the windows restart.
    """
    clocks, phase, now = draft.clocks, draft.progress.phase, draft.now
    if now == clocks.now:
        return
    passed, readings = _credited(draft)
    if now < clocks.now:
        if not readings:
            _step_back(draft)
            return
        _fall_behind(draft)
    if draft.final and draft.progress.retirement not in (Retirement.DUE, Retirement.ASKED):
        draft.clocks = evolve(draft.clocks, readings=readings)
        return
    elapsed, unwatched, gap = _watched(draft, passed)
    clocks = draft.clocks
    stepped, ran = clocks.stepped, clocks.ran
    running = elapsed - _time_at_closed_gate(draft, elapsed)
    if phase is Phase.HELD:
        causes = tuple(
            evolve(cause, held=max(ZERO, cause.held + elapsed)) for cause in draft.progress.causes
        )
        draft.progress = evolve(draft.progress, causes=causes)
        if not any(cause.person for cause in causes):
            ran += max(ZERO, elapsed - unwatched)
    else:
        stepped = max(ZERO, stepped + running)  # negative in states of older versions
        if phase is Phase.PROGRESSING and draft.plan.steps[draft.progress.step].approval is None:
            ran += max(ZERO, running - unwatched)
    known = passed - max(ZERO, unwatched)
    unanswered = (
        draft.routing.last_attempt_at is not None
        and draft.routing.last_attempt_at != draft.routing.read_at
    )
    astray = astray_now(draft)
    draft.clocks = evolve(
        clocks,
        now=now,
        since=None,
        stepped=stepped,
        unwatched=max(ZERO, clocks.unwatched + (unwatched if phase is not Phase.HELD else ZERO)),
        gap=clocks.gap or gap,
        ran=ran,
        unreadable=max(ZERO, clocks.unreadable + known) if unanswered else clocks.unreadable,
        astray=max(ZERO, clocks.astray + known) if astray else ZERO,
        escalated=clocks.escalated if astray or not clocks.astray else ZERO,
        readings=readings,
    )
    if _furthest_clock_is_gone(draft):
        _step_back(draft)


def _credited(draft: Draft) -> tuple[timedelta, tuple[Reading, ...]]:
    """Return how much time has passed, and the clocks' readings from then on, if they are kept."""
    clocks = draft.clocks
    if not clocks.readings:
        return draft.now - clocks.now, ()
    return credited(clocks.readings, draft.now, draft.plan.watch_every)


def _furthest_clock_is_gone(draft: Draft) -> bool:
    """Return whether the clock by which windows lie was given up in this decision."""
    before = draft.given.clocks.readings
    return draft.latest < furthest(before, draft.now, draft.plan.watch_every)


def _watched(draft: Draft, passed: timedelta) -> tuple[timedelta, timedelta, bool]:
    """Return how much of the time that has passed is credited to the step or phase, how much of it
    nobody watched, and whether nobody came for long.

    A rollout begins with its first tick, and a step or phase that a person's event began with that
    event: if that person's clock is wrong, so is the credit, for one tick only. A rollout of older
    rules counts all time since the last decision.
    """
    clocks, now = draft.clocks, draft.now
    if draft.of_older_rules:
        return passed, ZERO, False
    begun = now if clocks.ticked is None else min(max(clocks.since or clocks.now, clocks.now), now)
    elapsed = min(passed, now - begun)
    # What is taken back was not watched either.
    unwatched = elapsed if elapsed < ZERO else max(ZERO, elapsed - draft.plan.watch_every)
    return elapsed, unwatched, passed > draft.plan.read_every + ON_TIME


def _time_at_closed_gate(draft: Draft, elapsed: timedelta) -> timedelta:
    """Return how much of the time that is credited was spent at a closed gate, with the desired
    traffic verified.
    """
    closed, since = draft.progress.closed_gate, draft.now - elapsed
    if closed is None or not draft.verified or closed.until <= since:
        return ZERO
    return min(draft.now, closed.until) - since


def _fall_behind(draft: Draft) -> None:
    """Come by a clock that is behind: read and ask anew, and let nothing that lowers traffic wait
    for the other one.
    """
    latest_retry, routing = draft.now + LATEST_RETRY, draft.routing
    draft.routing = evolve(
        routing,
        read_at=None,
        last_attempt_at=None,
        retry_at=None if routing.retry_at is None else min(routing.retry_at, latest_retry),
    )
    draft.clocks = evolve(draft.clocks, since=None)
    draft.instances = evolve(draft.instances, surveyed_at=None, last_attempt_at=None)
    answer = None if isinstance(draft.progress.answer, NotYet) else draft.progress.answer
    draft.progress = evolve(draft.progress, closed_gate=None, answer=answer)
    draft.evidence = evolve(
        draft.evidence,
        series=tuple(evolve(each, retry_at=None) for each in draft.evidence.series),
        probes=tuple(evolve(each, retry_at=None) for each in draft.evidence.probes),
    )


def _step_back(draft: Draft) -> None:
    """Go by a clock that is behind for good: forget times that lie in its future."""
    now, routing = draft.now, draft.routing
    latest_retry = now + LATEST_RETRY
    draft.routing = evolve(
        routing,
        verified_since=None,
        verified_at=None,
        read_at=None,
        last_attempt_at=None,
        retry_at=None if routing.retry_at is None else min(routing.retry_at, latest_retry),
    )
    draft.clocks = evolve(
        draft.clocks, now=now, ticked=None, since=None, entered=min(draft.clocks.entered, now)
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
