"""The changes that several rules make: request traffic, enter a phase or step, hold, roll back,
finish. Each keeps the rollout's invariants.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.traffic import ALL_STABLE, Track, Traffic
from progressive.model.units import MILLION, Percent
from progressive.rollout.notes import Asked, PhaseEntered, Released
from progressive.rollout.phases import FINAL, Phase, Retirement, moved
from progressive.rollout.state import Cause

from .draft import ZERO, Draft
from .windows import close_windows

ENGINE_HOLD: Final = timedelta(hours=1)
"""How long the engine's own hold waits for a person before it rolls back."""


def at_most(draft: Draft, served: Traffic) -> Traffic:
    """Return what is both desired and served, part by part, rounded down to whole percents unless
    the plan has it.

    Weights that somebody set by hand may be finer than the router can be asked for.
    """
    desired = draft.routing.desired
    both = Traffic(
        candidate=min(desired.candidate, served.candidate),
        baseline=min(desired.baseline, served.baseline),
        matches=[match for match in desired.matches if match in served.matches],
        mirror=min(desired.mirror, served.mirror),
        sticky=desired.sticky,
    )
    if both == desired or both in draft.plan.traffics:
        return both
    candidate, baseline, mirror = (
        Percent(share.ppm // WHOLE_PERCENT * WHOLE_PERCENT)
        for share in (both.candidate, both.baseline, both.mirror)
    )
    return evolve(both, candidate=candidate, baseline=baseline, mirror=mirror)


OVERLOADED: Final = timedelta(minutes=10)
"""How long (exclusive) a part of the traffic may stay on the candidate because stable can't carry
it. After that a version that is known to be bad has had its time, and the rest goes back all the
same.
"""

WHOLE_PERCENT: Final = MILLION // 100
"""One percent, in parts per million."""


def request_traffic(draft: Draft, traffic: Traffic, why: str) -> None:
    """Make ``traffic`` the desired traffic. The epoch rises, so late replies are ignored.

    It has no effect if the traffic is desired already.
    """
    if traffic == draft.routing.desired:
        return
    end_stable_period(draft)
    draft.routing = evolve(draft.routing, desired=traffic, attempts=0, retry_at=None)
    draft.progress = evolve(
        draft.progress, epoch=draft.progress.epoch + 1, closing=None, closed_gate=None, forced=False
    )
    draft.note(Asked(at=draft.now, traffic=traffic, why=why))


def end_stable_period(draft: Draft) -> None:
    """End the stable period: the traffic is not verified any more, and its windows close.

    It has no effect outside a stable period.
    """
    if draft.routing.verified_since is not None:
        close_windows(draft)
        if draft.progress.closed_gate is not None:
            draft.progress = evolve(draft.progress, closed_gate=None)
        draft.routing = evolve(draft.routing, verified_since=None)


def enter_phase(
    draft: Draft, phase: Phase, why: str, *, by: str = "engine", step: int | None = None
) -> None:
    """Enter a phase, or stay in it, and another step if ``step`` (its index) is given.

    The step's clocks restart in a new step and in a new phase, but not for a hold. Raises
    `AssertionError` if the table of phases does not allow the change.
    """
    old, progress = draft.progress.phase, draft.progress
    if phase is not old:
        moved(old, phase)
    step_changed = step is not None and step != progress.step
    draft.progress = evolve(
        progress,
        phase=phase,
        step=progress.step if step is None else step,
        epoch=progress.epoch + 1,
        closing=None,
        closed_gate=None,
        waiting=None,
        overdue=False,
        memory=None if step_changed else progress.memory,
        answer=None if step_changed else progress.answer,
        skipped=False if step_changed else progress.skipped,
        reason=why if phase in FINAL or phase in (Phase.ROLLING_BACK, Phase.HELD) else "",
    )
    if step_changed or (phase not in (old, Phase.HELD) and old is not Phase.HELD):
        restart_clocks(draft)
    at_step = draft.plan.steps[draft.progress.step].id if phase is Phase.PROGRESSING else ""
    draft.note(
        PhaseEntered(
            at=draft.now,
            phase=phase.value,
            step=at_step,
            epoch=draft.progress.epoch,
            why=why,
            by=by,
        )
    )


def restart_clocks(draft: Draft) -> None:
    """Let the time of a step or phase begin now."""
    draft.clocks = evolve(
        draft.clocks,
        entered=draft.latest,
        stepped=ZERO,
        unwatched=ZERO,
        watched=ZERO,
        escalated=ZERO,
    )


def hold(
    draft: Draft,
    cause: str,
    why: str,
    *,
    by: str = "engine",
    person: bool = False,
    within: timedelta = ENGINE_HOLD,
    held: timedelta = ZERO,
) -> None:
    """Hold at the traffic that was last verified, or at less if less is desired.

    It has no effect if the rollout is held for ``cause`` already.

    * ``cause``: the name by which a `Resume` ends it.
    * ``person``: whether a person caused it.
    * ``within``: the longest time that it may hold; then the rollout rolls back.
    * ``held``: the time that it counts as held already; negative if it begins later than now.
    """
    if any(held.name == cause for held in draft.progress.causes):
        return
    causes = (
        *draft.progress.causes,
        Cause(name=cause, why=why, by=by, person=person, within=within, held=held),
    )
    draft.progress = evolve(draft.progress, causes=causes)
    if draft.progress.phase is not Phase.HELD:
        enter_phase(draft, Phase.HELD, f"{cause}: {why}", by=by)
        if draft.routing.desired.exceeds(draft.routing.last_verified):
            request_traffic(draft, draft.routing.last_verified, "a hold never raises")
    elif not person and not draft.of_older_rules:  # a person's is noted as an event
        enter_phase(draft, Phase.HELD, f"{cause}: {why}", by=by)


def roll_back(draft: Draft, why: str, *, by: str = "engine") -> None:
    """Roll back: all traffic to stable. A rollout that never wrote ends ROLLED_BACK at once.

    It has no effect if the rollout is final or rolling back already.
    """
    if draft.final or draft.progress.phase is Phase.ROLLING_BACK:
        return
    draft.progress = evolve(draft.progress, causes=())
    if not draft.routing.any_write_sent:
        finish(draft, Phase.ROLLED_BACK, f"{why} (nothing was ever written)", by=by)
        return
    enter_phase(draft, Phase.ROLLING_BACK, why, by=by)
    restart_clocks(draft)
    request_traffic(draft, way_back(draft), "the way back")
    draft.routing = evolve(draft.routing, attempts=0, retry_at=None)


def way_back(draft: Draft) -> Traffic:
    """Return the traffic of the way back: all to stable, or as much as stable can carry now.

    What it can't carry stays on the candidate, in whole percents, which every router can serve. It
    is never more than the candidate has now, and it stays for no longer than `OVERLOADED`.
    """
    stable = draft.instances.of(Track.STABLE)
    if stable is None or stable.able.ppm == MILLION or draft.clocks.stepped >= OVERLOADED:
        return ALL_STABLE
    served = draft.routing.observed
    most = min(
        draft.routing.desired.candidate.ppm,
        draft.routing.desired.candidate.ppm if served is None else served.traffic.candidate.ppm,
    )
    left = -(-(MILLION - stable.able.ppm) // WHOLE_PERCENT) * WHOLE_PERCENT
    candidate = Percent(min(left, most // WHOLE_PERCENT * WHOLE_PERCENT))
    # Who has met the candidate stays with it, where users stay: drawn anew, all would meet it.
    return Traffic(candidate=candidate, sticky=draft.routing.desired.sticky)


def finish(draft: Draft, phase: Phase, why: str, *, by: str = "engine") -> None:
    """Enter a final phase. The version that is left without traffic is released, or due to be
    removed.
    """
    end_stable_period(draft)
    if draft.progress.causes:
        draft.progress = evolve(draft.progress, causes=())
    enter_phase(draft, phase, why, by=by)
    if phase is Phase.ROLLED_BACK and not _may_go(draft):
        return
    draft.clocks = evolve(draft.clocks, entered=draft.latest, stepped=ZERO, unwatched=ZERO)
    if draft.removed_after is None:
        draft.note(Released(at=draft.now, version=draft.leaving.label(draft.release)))
    else:
        draft.progress = evolve(draft.progress, retirement=Retirement.DUE)


def _may_go(draft: Draft) -> bool:
    """Return whether the candidate had traffic and may go: not if the router is another rollout's,
    which may need it.
    """
    served = draft.routing.observed
    of_another = served is not None and not draft.owns(served.marker)
    return draft.routing.any_write_sent and bool(draft.clocks.readings) and not of_another
