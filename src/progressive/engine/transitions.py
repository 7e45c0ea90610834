"""The moves that rules make: want other traffic, enter a phase or step, hold, go back, end. Each
keeps the rollout's invariants.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent
from progressive.rollout.notes import Asked, Entered, Released
from progressive.rollout.phases import FINAL, Phase, Retirement, moved
from progressive.rollout.state import Cause

from .draft import NOTHING, ZERO, Turn
from .windows import close_windows

ENGINE_HOLD: Final = timedelta(hours=1)
"""How long the engine's own hold waits for a person before it rolls back."""


def at_most(turn: Turn, served: Traffic) -> Traffic:
    """What the router serves, or a little less: weights that somebody set by hand may be finer than
    it can be asked for.
    """
    if served in turn.plan.traffics:
        return served
    shares = (served.candidate, served.baseline, served.mirror)
    candidate, baseline, mirror = (
        Percent(share.ppm // WHOLE_PERCENT * WHOLE_PERCENT) for share in shares
    )
    return Traffic(candidate=candidate, baseline=baseline, matches=served.matches, mirror=mirror)


OVERLOADED: Final = timedelta(minutes=10)
"""How long a part of the traffic may stay on the candidate because stable can't carry it. Then a
version that is known to be bad has had its time, and the rest goes back all the same.
"""

WHOLE_PERCENT: Final = MILLION // 100


def want(turn: Turn, traffic: Traffic, why: str) -> None:
    """From now on the router shall serve ``traffic``."""
    if traffic == turn.routing.wanted:
        return
    break_stretch(turn)
    turn.routing = evolve(turn.routing, wanted=traffic, attempts=0, retry_at=None)
    turn.progress = evolve(
        turn.progress, epoch=turn.progress.epoch + 1, closing=None, frozen=None, forced=False
    )
    turn.note(Asked(at=turn.now, traffic=traffic, why=why))


def break_stretch(turn: Turn) -> None:
    """The traffic is no longer what was verified; what was not yet judged of it is owed or lost."""
    if turn.routing.verified_since is not None:
        close_windows(turn)
        if turn.progress.frozen is not None:
            turn.progress = evolve(turn.progress, frozen=None)
        turn.routing = evolve(turn.routing, verified_since=None)


def enter(
    turn: Turn, phase: Phase, why: str, *, by: str = "engine", step: int | None = None
) -> None:
    """Go to a phase (or stay in it) and, where given, to another step; its clock starts anew in a
    new step or a new direction.
    """
    old, progress = turn.progress.phase, turn.progress
    if phase is not old:
        moved(old, phase)
    step_changed = step is not None and step != progress.step
    turn.progress = evolve(
        progress,
        phase=phase,
        step=progress.step if step is None else step,
        epoch=progress.epoch + 1,
        closing=None,
        frozen=None,
        waiting=None,
        overdue=False,
        memory=None if step_changed else progress.memory,
        answer=None if step_changed else progress.answer,
        skipped=False if step_changed else progress.skipped,
        reason=why if phase in FINAL or phase in (Phase.ROLLING_BACK, Phase.HELD) else "",
    )
    if step_changed or (phase not in (old, Phase.HELD) and old is not Phase.HELD):
        turn.clocks = evolve(
            turn.clocks, entered=turn.now, stepped=ZERO, watched=ZERO, escalated=ZERO
        )
    at_step = turn.plan.steps[turn.progress.step].id if phase is Phase.PROGRESSING else ""
    turn.note(
        Entered(
            at=turn.now, phase=phase.value, step=at_step, epoch=turn.progress.epoch, why=why, by=by
        )
    )


def hold(
    turn: Turn,
    cause: str,
    why: str,
    *,
    by: str = "engine",
    person: bool = False,
    within: timedelta = ENGINE_HOLD,
    held: timedelta = ZERO,
) -> None:
    """Stop at the traffic that was last verified, never above it. The same cause twice is one."""
    if any(held.name == cause for held in turn.progress.causes):
        return
    causes = (
        *turn.progress.causes,
        Cause(name=cause, why=why, by=by, person=person, within=within, held=held),
    )
    turn.progress = evolve(turn.progress, causes=causes)
    if turn.progress.phase is not Phase.HELD:
        enter(turn, Phase.HELD, f"{cause}: {why}", by=by)
        if turn.routing.wanted.exceeds(turn.routing.standing):
            want(turn, turn.routing.standing, "a hold never raises")


def go_back(turn: Turn, why: str, *, by: str = "engine") -> None:
    """All traffic to stable. A rollout that never wrote is over at once."""
    if turn.final or turn.progress.phase is Phase.ROLLING_BACK:
        return
    turn.progress = evolve(turn.progress, causes=())
    if not turn.routing.touched:
        end(turn, Phase.ROLLED_BACK, f"{why} (nothing was ever written)", by=by)
        return
    enter(turn, Phase.ROLLING_BACK, why, by=by)
    turn.clocks = evolve(turn.clocks, entered=turn.now, stepped=ZERO, watched=ZERO, escalated=ZERO)
    want(turn, way_back(turn), "the way back")
    turn.routing = evolve(turn.routing, attempts=0, retry_at=None)


def way_back(turn: Turn) -> Traffic:
    """All traffic to stable; if the fleet says that stable can't carry it, as much as it can,
    rounded to what every router can do.

    Never more for the candidate than it has now, and for no longer than `OVERLOADED`.
    """
    stable = turn.instances.of(Track.STABLE)
    if stable is None or stable.able.ppm == MILLION or turn.clocks.stepped >= OVERLOADED:
        return NOTHING
    served = turn.routing.served
    most = min(
        turn.routing.wanted.candidate.ppm,
        turn.routing.wanted.candidate.ppm if served is None else served.traffic.candidate.ppm,
    )
    left = -(-(MILLION - stable.able.ppm) // WHOLE_PERCENT) * WHOLE_PERCENT
    return Traffic(candidate=Percent(min(left, most // WHOLE_PERCENT * WHOLE_PERCENT)))


def end(turn: Turn, phase: Phase, why: str, *, by: str = "engine") -> None:
    """A final phase; the old version is released or its retirement becomes due."""
    break_stretch(turn)
    if turn.progress.causes:
        turn.progress = evolve(turn.progress, causes=())
    enter(turn, phase, why, by=by)
    if phase is Phase.PROMOTED:
        turn.clocks = evolve(turn.clocks, entered=turn.now, stepped=ZERO)
        if turn.plan.retire_after is None:
            turn.note(Released(at=turn.now, version=Track.STABLE.label(turn.release)))
        else:
            turn.progress = evolve(turn.progress, retirement=Retirement.DUE)
