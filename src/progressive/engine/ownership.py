"""The owner of the router: one rollout at a time, told apart by the marker on the router's object.

A rollout claims the object with its first write, one generation above what is there, and its
markers name it (`Marker.owner`). From then on another rollout's marker ends it, whatever its
generation; a closed one takes it back; none at all, where ours stood, holds it. A rollout that was
begun before markers had owners goes by the generation alone.
"""

from __future__ import annotations

from typing import Final

from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.rollout.phases import Phase

from .draft import Draft
from .transitions import ENGINE_HOLD, at_most, finish, hold, request_traffic, roll_back

__all__ = ["accept_loss", "is_taken_over", "see_loss", "see_marker", "taken_over"]

FORGOTTEN: Final = "marker"
"""The cause of a hold whose router has lost our marker."""


def see_marker(draft: Draft, marker: Marker | None) -> None:
    """Note that our marker stands there; choose the generation anew if another rollout has taken
    ours before we could claim it: nothing of ours was written then.
    """
    routing = draft.routing
    if marker is None or routing.generation is None or draft.of_older_rules:
        return
    if draft.owns(marker):
        if not routing.marked:
            draft.routing = evolve(routing, marked=True)
    elif (
        not routing.ownership_confirmed
        and draft.progress.phase is Phase.PENDING
        and marker.generation >= routing.generation
    ):
        draft.routing = evolve(
            routing, generation=None, found=None, first_sent=(-1, -1), any_write_sent=False
        )


def taken_over(draft: Draft, served: Served, before: Served | None) -> bool:
    """Act on a marker that shows that somebody else has written. True if nothing more may follow.

    ``before``: what was read last. Another rollout's marker ends this one, a closed one rolls it
    back, and a later serial than this state can have written holds it; so does none at all where
    ours stood, or one of ours that is older than the one that stood there.
    """
    marker, routing = served.marker, draft.routing
    assert routing.generation is not None  # it has claimed, or was about to
    if see_loss(draft, served, before) or marker is None:
        return False
    if is_taken_over(draft, marker):
        whose = f" of {marker.owner}" if marker.generation <= routing.generation else ""
        finish(
            draft,
            Phase.ROLLED_BACK,
            f"superseded: the router carries generation {marker.generation}{whose}, this rollout "
            f"has {routing.generation}; nothing more is written",
        )
        return True
    if marker.closed and routing.ownership_confirmed:
        # Whatever its generation: ours was read back when ownership was confirmed, so this one was
        # written later, by hand and perhaps on an empty object.
        if draft.progress.phase is not Phase.ROLLING_BACK:
            roll_back(
                draft,
                "its marker on the router was closed: taken back by hand, or while the "
                "store was down",
            )
        draft.routing = evolve(draft.routing, acked_epoch=draft.progress.epoch)
        return False
    overtaken = draft.owns(marker) and marker.serial > draft.given.serial + 1
    if overtaken and draft.progress.phase is Phase.PROGRESSING:
        hold(
            draft,
            "overtaken",
            f"the router carries serial {marker.serial} of this rollout, this state has "
            f"{draft.given.serial}",
        )
    return False


def see_loss(draft: Draft, served: Served, before: Served | None) -> bool:
    """Hold if our marker stood there and is gone. True if it is gone.

    ``before``: what was read last.
    """
    marker = served.marker
    if marker is None or (not marker.closed and _is_of_before(draft, marker)):
        _forgotten(draft, served, "it was restarted, made anew or restored")
        return True
    if _is_older(draft, marker, before):
        _forgotten(
            draft, served, "an older one of its own is back, from a restored object or a late write"
        )
        return True
    return False


def is_taken_over(draft: Draft, marker: Marker) -> bool:
    """Return whether a marker is another rollout's that claimed the router after this one.

    A higher generation is; and once we have claimed, any that is neither ours nor the one that we
    found: it came later, on an object that had lost our marker. Closed ones without an owner are a
    person's, who had nothing but the router.
    """
    routing = draft.routing
    assert routing.generation is not None  # it has claimed, or was about to
    if marker.generation > routing.generation:
        return True
    if draft.owns(marker) or draft.of_older_rules or (marker.closed and not marker.owner):
        return False
    if _is_of_before(draft, marker):
        return False
    return routing.ownership_confirmed or marker.generation == routing.generation


def _is_of_before(draft: Draft, marker: Marker) -> bool:
    """Return whether a marker is of who had the router before this rollout claimed it: the object
    was restored from before.
    """
    found = draft.routing.found
    return found is not None and (marker.generation, marker.owner) == (
        found.generation,
        found.owner,
    )


def _is_older(draft: Draft, marker: Marker, before: Served | None) -> bool:
    """Return whether a marker of ours is older than the one that was there.

    No router lets it take that one's place, so that was gone first: the object was restored, or it
    was made anew, and a driver that had read long ago has written since.
    """
    last = None if before is None else before.marker
    if last is None or draft.of_older_rules or not (draft.owns(marker) and draft.owns(last)):
        return False
    return marker.serial < last.serial and not marker.closed


def _forgotten(draft: Draft, served: Served, why: str) -> None:
    """Hold if the router does not have our marker any more (R2), and was perhaps taken back by hand
    before; ``why`` it has not.
    """
    routing = draft.routing
    if (
        not routing.marked
        or routing.reassert
        or draft.progress.phase not in (Phase.PENDING, Phase.PROGRESSING, Phase.HELD)
    ):
        return
    hold(
        draft,
        FORGOTTEN,
        f"the router has lost this rollout's marker: {why}, perhaps after a rollback by hand; it "
        f"serves {served.traffic}. Look, then resume or abort",
        within=ENGINE_HOLD,
    )
    # What was verified and is not served any more is absorbed as a drift, which lowers it.
    if draft.routing.verified_since is None and draft.routing.desired.exceeds(served.traffic):
        request_traffic(draft, at_most(draft, served.traffic), "a hold never raises")


def accept_loss(draft: Draft, *causes: str) -> None:
    """If a hold for a lost marker is among ``causes``, claim the router anew from now on."""
    if FORGOTTEN in causes:
        draft.routing = evolve(draft.routing, marked=False)
