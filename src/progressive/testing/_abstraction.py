"""What tells two states of the walk apart, and why those that it merges behave alike."""

from __future__ import annotations

from datetime import timedelta

from ..rollout import Rollout
from ._weather import Router

__all__ = ["state_key"]


def state_key(rollout: Rollout, router: Router) -> object:
    """What tells two states apart: everything but times, serials and sentences; how long something lasted counts in a few classes."""
    return (_progress(rollout), _routing(rollout), _evidence(rollout), _clocks(rollout), _on_router(rollout, router))


def _class(length: timedelta, *bounds: timedelta) -> int:
    return sum(length >= bound for bound in bounds)


def _progress(rollout: Rollout) -> object:
    progress = rollout.progress
    return (
        progress.phase,
        progress.step,
        repr(progress.memory),
        type(progress.answer).__name__,
        progress.skipped,
        progress.forced,
        tuple((cause.name, cause.person) for cause in progress.causes),
        tuple(given.approval for given in progress.approvals),
        progress.waived,
        progress.closing is not None,
        progress.frozen is not None and progress.frozen[2] > rollout.clocks.now,
        progress.retirement,
        progress.overdue,
        progress.reason.startswith("superseded"),
    )


def _routing(rollout: Rollout) -> object:
    routing = rollout.routing
    return (
        routing.wanted,
        routing.standing,
        None if routing.served is None else routing.served.traffic,
        routing.verified_since is None,
        routing.claimed,
        routing.touched,
        routing.written >= rollout.progress.epoch,
        routing.sent[0] == rollout.progress.epoch,
        routing.generation is None,
        min(routing.attempts, 2),
        len(routing.drifts),
        routing.reasserted,
        routing.inspected,
    )


def _evidence(rollout: Rollout) -> object:
    evidence = rollout.evidence
    enough = max([getattr(step, "count", 1) for step in rollout.plan.steps], default=1)
    tallies = tuple(
        (
            tally.verdict,
            min(tally.here, enough),
            min(tally.looks_here, enough),
            None if each.tolerance.failures is None else min(tally.failures, each.tolerance.failures + 1),
            min(tally.in_a_row, each.tolerance.in_a_row),
            tally.failed,
            tally.bad,
        )
        for tally, (_, each) in zip(evidence.tallies, rollout.plan.checks, strict=True)
    )
    series = tuple((each.start is None, each.tail is None) for each in evidence.series)
    return tallies, series, tuple(probe.answered for probe in evidence.probes)


def _clocks(rollout: Rollout) -> object:
    clocks, span = rollout.clocks, rollout.plan.steps[rollout.progress.step].span
    watched, stepped = _class(clocks.watched, span / 2, span), _class(clocks.stepped, span)
    return (watched, stepped, bool(clocks.unreadable), bool(clocks.astray), bool(clocks.escalated))


def _on_router(rollout: Rollout, router: Router) -> object:
    ours, there = rollout.routing.generation, router.marker
    marker = None if there is None else (ours is None or there.generation == ours, there.closed)
    return (router.traffic, marker, router.back, router.judged)
