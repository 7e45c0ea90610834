"""Remove the version that is left without traffic, the old one after a promotion or the candidate
after a way back: have the fleet remove it when its time has come and nobody can need it any more,
else keep it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.model.units import format_duration
from progressive.rollout.events import Superseded
from progressive.rollout.notes import Escalated, EventRecorded, Released
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Successor

from .capacity import lacks_served
from .draft import ZERO, Draft
from .ownership import is_taken_over
from .routing import escalate

__all__ = ["ended", "superseded"]

RETIRE_PATIENCE: Final = timedelta(hours=24)
"""The longest wait for the router to serve the other version alone, and then for the fleet to
answer; after it the version is kept, and a person is called.
"""


def ended(draft: Draft) -> bool:
    """Have the version without traffic removed when it is due. True if its removal began.

    It is due when the plan's time for it is over and the router, read in this tick, serves the
    other version alone, or those of a later rollout that does not need it (`Superseded`).
    """
    if draft.progress.retirement is Retirement.ASKED:
        return _await_fleet(draft)
    if draft.progress.retirement is not Retirement.DUE or draft.removed_after is None:
        return False
    left = draft.removed_after - draft.clocks.stepped
    if left > ZERO:
        draft.wait(f"{_what(draft)}'s time to be over", left=left, then="remove it")
        return False
    read_now = draft.routing.read_at is not None and draft.routing.read_at >= (
        draft.clocks.ticked or draft.now
    )
    successor = draft.progress.successor
    served = draft.routing.observed if successor is None else successor.served
    marker = None if served is None else served.marker
    if marker is not None and _may_need_it(draft, marker):
        _keep(
            draft,
            f"another rollout (generation {marker.generation}) has used the router since, and may "
            "need it",
        )
        return False
    lacks = lacks_served(draft) if successor is None else None
    alone = read_now and served is not None and _has_none_of_it(draft, served)
    if alone and lacks is None:
        draft.progress = evolve(
            draft.progress,
            retirement=Retirement.ASKED,
            epoch=draft.progress.epoch + 1,
            waiting=None,
        )
        draft.clocks = evolve(draft.clocks, stepped=ZERO, unwatched=ZERO, escalated=ZERO)
        draft.note(Released(at=draft.now, version=_label(draft)))
        return True
    if left <= -RETIRE_PATIENCE and not draft.clocks.gap:
        _keep(
            draft,
            f"for {format_duration(RETIRE_PATIENCE)} the router did not serve "
            f"{_other(draft)} alone",
        )
        return False
    serve = draft.routing.desired if successor is None else f"{_other(draft)} alone"
    waited = lacks if alone and lacks else f"the router to serve {serve}"
    draft.wait(
        f"{waited} before {_label(draft)} is removed",
        left=left + RETIRE_PATIENCE,
        then="keep it",
    )
    escalate(
        draft,
        f"{_what(draft)} can't be removed: "
        f"{lacks if alone else f'the router does not serve {_other(draft)} alone'}",
        -left,
    )
    return False


def superseded(draft: Draft, event: Superseded) -> None:
    """Have the router read by a later rollout's release from now on, if a version of this one is
    still to be removed which that one does not need.
    """
    if draft.progress.retirement is not Retirement.DUE:
        draft.refuse(event, f"it has no version to remove ({event.by}: {event.why})")
        return
    removed = draft.leaving.version(draft.release)
    assert removed is not None  # it is stable or the candidate
    if removed.backend in (version.backend for version in event.release.versions.values()):
        draft.refuse(event, f"{event.rollout} needs {removed}; an Abort keeps it")
        return
    successor = Successor(rollout=event.rollout, release=event.release)
    draft.progress = evolve(draft.progress, successor=successor)
    draft.note(EventRecorded(at=draft.now, event=event))


def _may_need_it(draft: Draft, marker: Marker) -> bool:
    """Return whether a marker is of a rollout that may need the version: of any that has taken the
    router over, but for the one that has said that it does not.
    """
    successor = draft.progress.successor
    known = successor is not None and marker.owner == Marker.owner_of(successor.rollout)
    return is_taken_over(draft, marker) and not known


def _has_none_of_it(draft: Draft, served: Served) -> bool:
    """Return whether what is served proves that the version has no traffic: it is what this rollout
    has left there, or it is all the successor's, whose versions are others.
    """
    if draft.progress.successor is None:
        return served.shows(draft.routing.desired)
    return served.converged and not served.unattributed.ppm


def _await_fleet(draft: Draft) -> bool:
    """Wait for the fleet to remove the old version; keep it if that takes too long. Always False:
    the phase stays.
    """
    left = RETIRE_PATIENCE - draft.clocks.stepped
    if left <= ZERO and not draft.clocks.gap:
        _keep(
            draft, f"for {format_duration(RETIRE_PATIENCE)} the fleet did not say that it was done"
        )
        return False
    draft.wait(
        f"the fleet to remove {_label(draft)}",
        left=left,
        then="give up",
    )
    escalate(
        draft,
        f"the fleet has not removed {_label(draft)}",
        draft.clocks.stepped,
    )
    return False


def _keep(draft: Draft, why: str) -> None:
    draft.progress = evolve(draft.progress, retirement=Retirement.NONE, waiting=None)
    draft.note(Escalated(at=draft.now, why=f"{_label(draft)} was not removed: {why}"))


def _label(draft: Draft) -> str:
    return draft.leaving.label(draft.release)


def _promoted(draft: Draft) -> bool:
    return draft.progress.phase is Phase.PROMOTED


def _what(draft: Draft) -> str:
    return "the old version" if _promoted(draft) else "the candidate"


def _other(draft: Draft) -> str:
    if draft.progress.successor is not None:
        return f"the versions of {draft.progress.successor.rollout}"
    return "the new one" if _promoted(draft) else "stable"
