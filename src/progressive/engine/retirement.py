"""Remove the version that is left without traffic, the old one after a promotion or the candidate
after a way back: have the fleet remove it when its time has come and nobody can need it any more,
else keep it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.router_state import Served
from progressive.model.units import format_duration
from progressive.rollout.events import Superseded
from progressive.rollout.notes import Escalated, EventRecorded, Released
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Successor, successor_of

from .capacity import lacks_served
from .draft import ZERO, Draft
from .ownership import is_taken_over
from .routing import escalate

__all__ = ["ended", "superseded"]

RETIRE_PATIENCE: Final = timedelta(hours=24)
"""The longest wait for the router to serve the other version alone, and then for the fleet to
answer; after it the version is kept, and a person is called.
"""


REMEMBERED: Final = 8
"""How many later rollouts are remembered. One that has the router and is not is another's."""


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
    served = draft.routing.observed
    marker = None if served is None else served.marker
    successor = successor_of(draft.progress, marker)
    if marker is not None and successor is None and is_taken_over(draft, marker):
        _keep(
            draft,
            f"another rollout (generation {marker.generation}) has used the router since, and may "
            "need it",
        )
        return False
    alone = read_now and served is not None and _has_none_of_it(draft, served, successor)
    lacks = lacks_served(draft, successor)
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
    other = _other(draft, successor)
    if left <= -RETIRE_PATIENCE and not draft.clocks.gap:
        _keep(
            draft,
            f"for {format_duration(RETIRE_PATIENCE)} the router did not serve {other} alone",
        )
        return False
    serve = draft.routing.desired if successor is None else f"{other} alone"
    waited = lacks if alone and lacks else f"the router to serve {serve}"
    draft.wait(
        f"{waited} before {_label(draft)} is removed",
        left=left + RETIRE_PATIENCE,
        then="keep it",
    )
    escalate(
        draft,
        f"{_what(draft)} can't be removed: "
        f"{lacks if alone else f'the router does not serve {other} alone'}",
        -left,
    )
    return False


def superseded(draft: Draft, event: Superseded) -> None:
    """Remember a later rollout of the service that does not need the version which is still to be
    removed here.
    """
    removed = draft.leaving.version(draft.release)
    refusal = None
    if draft.progress.retirement is not Retirement.DUE or removed is None:
        refusal = "it has no version to remove"
    elif event.rollout == draft.given.id or event.release.service != draft.release.service:
        refusal = f"{event.rollout} is no later rollout of {draft.release.service}"
    elif removed.backend in (version.backend for version in event.release.versions.values()):
        refusal = f"{event.rollout} needs {removed}; an Abort keeps it"
    if refusal is not None:
        draft.refuse(event, f"{refusal} ({event.by}: {event.why})")
        return
    successor = Successor(rollout=event.rollout, release=event.release)
    if successor in draft.progress.successors:
        return
    others = [each for each in draft.progress.successors if each.rollout != event.rollout]
    draft.progress = evolve(draft.progress, successors=(*others, successor)[-REMEMBERED:])
    draft.note(EventRecorded(at=draft.now, event=event))


def _has_none_of_it(draft: Draft, served: Served, successor: Successor | None) -> bool:
    """Return whether what is served proves that the version has no traffic: it is what this rollout
    has left there, or all of it is on the versions of the successor, which are others.
    """
    if successor is None:
        return not draft.routing.read_as and served.shows(draft.routing.desired)
    read = draft.routing.read_as == successor.rollout
    return read and served.converged and not served.unattributed.ppm


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


def _other(draft: Draft, successor: Successor | None) -> str:
    if successor is not None:
        return f"the versions of {successor.rollout}"
    return "the new one" if _promoted(draft) else "stable"
