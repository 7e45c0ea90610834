"""Retire the old version after the promotion: have the fleet remove it when its time has come and
nobody can need it any more, else keep it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.model.units import format_duration
from progressive.rollout.notes import Escalated, Released
from progressive.rollout.phases import Retirement

from .capacity import lacks_candidate
from .draft import ZERO, Draft
from .ownership import is_taken_over
from .routing import escalate

__all__ = ["promoted"]

RETIRE_PATIENCE: Final = timedelta(hours=24)
"""The longest wait for the router to serve the new version alone, and then for the fleet to answer;
after it the old version is kept, and a person is called.
"""


def promoted(draft: Draft) -> bool:
    """Have the old version removed when it is due. True if its retirement began.

    It is due when ``plan.retire_after`` is over and the router, read in this tick, serves the new
    version alone.
    """
    if draft.progress.retirement is Retirement.ASKED:
        return _await_fleet(draft)
    if draft.progress.retirement is not Retirement.DUE or draft.plan.retire_after is None:
        return False
    left = draft.plan.retire_after - draft.clocks.stepped
    if left > ZERO:
        draft.wait("the old version's time to be over", until=draft.now + left, then="remove it")
        return False
    read_now = draft.routing.read_at is not None and draft.routing.read_at >= (
        draft.clocks.ticked or draft.now
    )
    served = draft.routing.observed
    marker = None if served is None else served.marker
    if marker is not None and is_taken_over(draft, marker):
        _keep_old_version(
            draft,
            f"another rollout (generation {marker.generation}) has used the router since, and may "
            "need it",
        )
        return False
    lacks = lacks_candidate(draft)
    alone = read_now and served is not None and served.shows(draft.routing.desired)
    if alone and lacks is None:
        draft.progress = evolve(
            draft.progress,
            retirement=Retirement.ASKED,
            epoch=draft.progress.epoch + 1,
            waiting=None,
        )
        draft.clocks = evolve(draft.clocks, stepped=ZERO, unwatched=ZERO, escalated=ZERO)
        draft.note(Released(at=draft.now, version=Track.STABLE.label(draft.release)))
        return True
    if left <= -RETIRE_PATIENCE and not draft.clocks.gap:
        _keep_old_version(
            draft,
            f"for {format_duration(RETIRE_PATIENCE)} the router did not serve the new "
            "version alone",
        )
        return False
    until = draft.now + left + RETIRE_PATIENCE
    waited = lacks if alone and lacks else f"the router to serve {draft.routing.desired}"
    draft.wait(
        f"{waited} before {Track.STABLE.label(draft.release)} is removed",
        until=until,
        then="keep it",
    )
    escalate(
        draft,
        "the old version can't be removed: "
        f"{lacks if alone else 'the router does not serve the new one alone'}",
        -left,
    )
    return False


def _await_fleet(draft: Draft) -> bool:
    """Wait for the fleet to remove the old version; keep it if that takes too long. Always False:
    the phase stays.
    """
    left = RETIRE_PATIENCE - draft.clocks.stepped
    if left <= ZERO and not draft.clocks.gap:
        _keep_old_version(
            draft, f"for {format_duration(RETIRE_PATIENCE)} the fleet did not say that it was done"
        )
        return False
    draft.wait(
        f"the fleet to remove {Track.STABLE.label(draft.release)}",
        until=draft.now + left,
        then="give up",
    )
    escalate(
        draft,
        f"the fleet has not removed {Track.STABLE.label(draft.release)}",
        draft.clocks.stepped,
    )
    return False


def _keep_old_version(draft: Draft, why: str) -> None:
    draft.progress = evolve(draft.progress, retirement=Retirement.NONE, waiting=None)
    draft.note(
        Escalated(at=draft.now, why=f"{Track.STABLE.label(draft.release)} was not removed: {why}")
    )
