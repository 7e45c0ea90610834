"""Absorb surveys of the fleet: is there capacity for a raise, can stable carry the way back, and
does each track run the version that the release names?

A fleet is surveyed beside every read of the router, if the caller has bound one. Without one,
nothing is assumed about instances. A fleet that does not answer keeps traffic from being raised,
never from being lowered.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.traffic import ALL_STABLE, Track, Traffic
from progressive.model.units import MILLION, format_duration
from progressive.rollout.events import CommandFailed, Surveyed
from progressive.rollout.notes import Escalated, EventRecorded
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Successor

from .draft import Draft
from .transitions import OVERLOADED, hold, request_traffic, roll_back, way_back

__all__ = [
    "due",
    "failed",
    "in_steps",
    "lacks_candidate",
    "lacks_preview",
    "lacks_served",
    "retreat",
    "short_of",
    "surveyed",
    "unready",
]

SURVEYED_IN: Final = (Phase.PENDING, Phase.PROGRESSING, Phase.HELD)

RECOVERY: Final = timedelta(seconds=30)
"""How soon the fleet is surveyed again on a way back in steps."""


def due(draft: Draft) -> bool:
    """Return whether the fleet is to be surveyed now.

    Once in every tick; on the way back only if it goes in steps, and after its first write; when it
    is final only before a version is removed.
    """
    known, ticked = draft.instances, draft.clocks.ticked
    in_steps = (
        draft.progress.phase is Phase.ROLLING_BACK
        and draft.routing.desired != ALL_STABLE
        and draft.routing.acked_epoch >= draft.progress.epoch
    )
    to_remove = (
        draft.progress.retirement is Retirement.DUE
        and draft.removed_after is not None
        and draft.clocks.stepped >= draft.removed_after
        and not draft.of_older_rules
    )
    if not known.bound or not (draft.progress.phase in SURVEYED_IN or in_steps or to_remove):
        return False
    return known.last_attempt_at is None or (ticked is not None and known.last_attempt_at < ticked)


def surveyed(draft: Draft, event: Surveyed) -> None:
    """Absorb the answer of the fleet."""
    known = draft.instances
    draft.instances = evolve(
        known,
        capacities=event.tracks,
        surveyed_as=event.successor,
        surveyed_at=event.at,
        last_attempt_at=event.at,
    )
    if draft.final:
        return
    if event.tracks != known.capacities:
        draft.note(EventRecorded(at=draft.now, event=event))
    _check_identities(draft)


def failed(draft: Draft, event: CommandFailed) -> None:
    """Absorb a failed survey: the capacities of an earlier one do not count any more."""
    draft.instances = evolve(
        draft.instances, capacities=(), surveyed_at=None, last_attempt_at=event.at
    )


def _check_identities(draft: Draft) -> None:
    """Roll back or hold if instances run another version than the release names (R9)."""
    for track, capacity in draft.instances.capacities:
        version = track.version(draft.release)
        if version is None or capacity.identity in (None, version.identity):
            continue
        why = f"{track.label(draft.release)} really runs {capacity.identity}"
        if draft.progress.phase is Phase.PENDING:
            roll_back(draft, why)
        elif draft.progress.phase is Phase.PROGRESSING:
            hold(draft, f"identity:{track.value}", why)


def unready(draft: Draft) -> str | None:
    """Return what stable lacks to take all traffic back, which the start waits for; None if
    nothing.
    """
    return _missing(draft, _needs_of_way_back(draft))


def short_of(draft: Draft, target: Traffic) -> str | None:
    """Return what the fleet lacks for this traffic and the way back from it; None if nothing."""
    needs = (target, Track.CANDIDATE), (target, Track.BASELINE), *_needs_of_way_back(draft)
    return _missing(draft, needs)


def _needs_of_way_back(draft: Draft) -> tuple[tuple[Traffic, Track], ...]:
    return ((ALL_STABLE, Track.STABLE),) if draft.plan.needs_stable else ()


def _missing(
    draft: Draft,
    needs: tuple[tuple[Traffic, Track], ...],
    successor: Successor | None = None,
) -> str | None:
    """Return the first capacity that is missing; None if nothing is, or no fleet is bound.

    Each of ``needs`` is a traffic and the track that must be able to carry its share of it: of this
    release, or of a successor's.
    """
    known, ticked = draft.instances, draft.clocks.ticked
    if not known.bound or not needs:
        return None
    whose, release = ("", draft.release)
    if successor is not None:
        whose, release = successor.rollout, successor.release
    if known.surveyed_at is None or known.surveyed_as != whose:
        return "the fleet to say what is ready"
    for target, track in needs:
        needed = target.share(track).ppm
        if track is Track.CANDIDATE:
            needed = max(needed + target.mirror.ppm, bool(target.matches))
        capacity = known.of(track)
        if needed and (capacity is None or capacity.able.ppm < min(needed, MILLION)):
            can = (
                "the fleet knows none of its instances"
                if capacity is None
                else f"it can carry {capacity}"
            )
            return f"{track.label(release)} to be ready for {target.share(track)}: {can}"
    # The last survey showed enough; it counts only if it was made in this tick.
    if ticked is not None and known.surveyed_at < ticked:
        return "the fleet to say what is ready now"
    return None


def lacks_candidate(draft: Draft) -> str | None:
    """Return what the candidate lacks to carry what it is asked to; None if nothing.

    Nothing is promoted and no old version is removed meanwhile.
    """
    if draft.of_older_rules:
        return None
    return _missing(draft, ((draft.routing.desired, Track.CANDIDATE),))


def lacks_served(draft: Draft, successor: Successor | None) -> str | None:
    """Return what the version that has all traffic lacks to carry it; None if nothing.

    The other one is not removed meanwhile. While a successor has the router: what its versions lack
    to carry what each of them has.
    """
    if successor is not None:
        assert draft.routing.observed is not None  # with the successor's marker
        served = draft.routing.observed.traffic
        needs = tuple((served, track) for track in Track)
        return None if draft.of_older_rules else _missing(draft, needs, successor)
    if draft.leaving is Track.STABLE:
        return lacks_candidate(draft)
    return _missing(draft, ((draft.routing.desired, Track.STABLE),))


def lacks_preview(draft: Draft) -> str | None:
    """Return what a look at a candidate without traffic waits for: that an instance of it is ready;
    None if nothing.
    """
    known = draft.instances
    if not known.bound or draft.of_older_rules or draft.routing.desired.reaches(Track.CANDIDATE):
        return None
    candidate = known.of(Track.CANDIDATE)
    if candidate is not None and candidate.able.ppm:
        return None
    return f"{Track.CANDIDATE.label(draft.release)} to have an instance ready"


def retreat(draft: Draft) -> None:
    """Go as far on the way back as stable can carry now, and never less far than before."""
    target = ALL_STABLE if _served_unknown(draft) else way_back(draft)
    if target != draft.routing.desired and not target.exceeds(draft.routing.desired):
        request_traffic(draft, target, "the way back")
    stable = draft.instances.of(Track.STABLE)
    if draft.routing.desired != ALL_STABLE and stable is not None and not draft.progress.overdue:
        draft.progress = evolve(draft.progress, overdue=True)
        why = (
            f"{Track.STABLE.label(draft.release)} can carry only {stable}: "
            f"{draft.routing.desired.candidate} stays on the candidate until it can "
            f"carry more, for {format_duration(OVERLOADED)} at most"
        )
        draft.note(Escalated(at=draft.now, why=why, undo=draft.routing.undo))


def _served_unknown(draft: Draft) -> bool:
    """Return whether it is unknown what the router serves now.

    A way back in steps could then raise the candidate, so it goes to all stable at once.
    """
    routing, ticked = draft.routing, draft.clocks.ticked
    tried = routing.last_attempt_at is not None and (
        ticked is None or routing.last_attempt_at >= ticked
    )
    seen = routing.read_at is not None and (ticked is None or routing.read_at >= ticked)
    return (tried and not seen) or (routing.observed is not None and not routing.observed.converged)


def in_steps(draft: Draft) -> str | None:
    """Return what a way back in steps waits for; None if it goes to all stable."""
    if draft.routing.desired == ALL_STABLE:
        return None
    draft.look_again(draft.now + RECOVERY)
    draft.look_again_after(OVERLOADED - draft.clocks.stepped)
    return (
        f"{Track.STABLE.label(draft.release)} to carry more than {draft.instances.of(Track.STABLE)}"
    )
