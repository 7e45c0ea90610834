"""What the router says, and what is asked of it: verified, drifted, lagging, unknown, unreachable,
taken over.

Traffic counts as verified only when a read shows exactly what is wanted. From then on a stretch is
open; a read that shows anything else, or the same under another version (edited and put back),
breaks it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from progressive.errors import Failure
from progressive.model.actions import Open
from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE
from progressive.model.units import format_duration
from progressive.rollout.commands import Apply
from progressive.rollout.events import CommandFailed, RouterApplied, RouterRead
from progressive.rollout.notes import Drifted, Escalated, EventRecorded, Late, Verified
from progressive.rollout.phases import Phase

from .capacity import short_of
from .draft import ZERO, Draft
from .transitions import (
    ENGINE_HOLD,
    at_most,
    end_stable_period,
    finish,
    hold,
    request_traffic,
    roll_back,
)

LAG: Final = timedelta(seconds=10)
"""How long an answered write may take to show before it is sent again."""

BACKOFF: Final = (1, 2, 4, 8, 16, 32, 60)
"""Seconds until a failed write is sent again, by how often it failed; the last one for ever. A
promise never given up costs a request a minute.
"""

DRIFTS: Final = 3
DRIFT_SPAN: Final = timedelta(minutes=10)
"""Somebody who raises the candidate above its step three times in ten minutes is at war with this
rollout: it goes back.
"""

UNREADABLE: Final = timedelta(minutes=15)
"""A router that can't be read for this long: nobody knows what users get."""

ESCALATE_AFTER: Final = timedelta(minutes=2)
ESCALATE_EVERY: Final = timedelta(minutes=15)


# ------------------------------------------------------------------------------------------ reading


def seen(draft: Draft, event: RouterRead) -> None:
    """The router was read."""
    _absorb(draft, event.at, event.served, ours=False)


def wrote(draft: Draft, event: RouterApplied) -> None:
    """A write was answered. One of another epoch says nothing about what is wanted now; the next
    read will.
    """
    routing = draft.routing
    if event.epoch != draft.progress.epoch or event.traffic != routing.desired:
        draft.routing = evolve(routing, last_attempt_at=None)
        draft.refuse(event, f"it is of epoch {event.epoch}, this is {draft.progress.epoch}")
        return
    draft.routing = evolve(
        routing, acked_epoch=event.epoch, attempts=routing.attempts + 1, retry_at=event.at + LAG
    )
    if draft.progress.phase is Phase.PENDING and _shows(draft, event.served):
        draft.routing = evolve(draft.routing, ownership_confirmed=True)
    _absorb(draft, event.at, event.served, ours=True)


def _ours(draft: Draft, served: Served) -> bool:
    """Does the marker prove that a write of this epoch is what is served, though its answer may
    have been lost?
    """
    marker, (epoch, serial) = served.marker, draft.routing.first_sent
    return (
        marker is not None
        and epoch == draft.progress.epoch
        and marker.generation == draft.routing.generation
        and marker.serial >= serial
        and _shows(draft, served)
    )


def _shows(draft: Draft, served: Served) -> bool:
    return served.shows(draft.routing.desired)


def _absorb(draft: Draft, at: datetime, served: Served, *, ours: bool) -> None:
    before = draft.routing
    draft.routing = evolve(before, observed=served, read_at=at, last_attempt_at=at)
    if _ours(draft, served):
        draft.routing = evolve(
            draft.routing, acked_epoch=draft.progress.epoch, ownership_confirmed=True
        )
    if draft.clocks.unreadable:
        draft.clocks = evolve(draft.clocks, unreadable=ZERO)
    if (
        not before.ownership_confirmed
        and not draft.routing.ownership_confirmed
        and draft.progress.phase in (Phase.PENDING, Phase.HELD)
    ):
        was, marker = before.observed, served.marker
        if (
            was is not None
            and marker is not None
            and marker.closed
            and not (was.marker is not None and was.marker.closed)
        ):
            roll_back(draft, "its marker on the router was closed by hand before it began")
        return
    if not draft.final and (_taken_over(draft, served) or _wrong_identity(draft, served)):
        return
    if _shows(draft, served):
        _matches(draft, at, served, before.observed, ours=ours)
    else:
        _differs(draft, at, served, before.observed, ours=ours)


def _matches(
    draft: Draft, at: datetime, served: Served, before: Served | None, *, ours: bool
) -> None:
    routing = draft.routing
    ours = (
        ours or routing.attempts > 0
    )  # a write of ours that was not answered may be what moved the version
    if (
        routing.verified_since is not None
        and not ours
        and before is not None
        and served.version != before.version
    ):
        end_stable_period(draft)
        _restart_bake(draft)
        why = (
            f"edited and put back: version {before.version} became {served.version} and the "
            "weights are the same"
        )
        draft.note(Drifted(at=at, asked=routing.desired, served=served, why=why))
    tried = draft.routing.attempts > 0 or draft.routing.retry_at is not None
    if tried and (
        draft.progress.phase is not Phase.ROLLING_BACK
        or draft.routing.acked_epoch >= draft.progress.epoch
    ):
        draft.routing = evolve(draft.routing, attempts=0, retry_at=None)
    routing = draft.routing
    if routing.verified_since is None:
        draft.note(Verified(at=at, traffic=served.traffic, version=served.version))
        draft.routing = evolve(
            routing, last_verified=routing.desired, verified_since=at, verified_at=at
        )
        return
    last = routing.verified_at or at
    draft.routing = evolve(routing, verified_at=at)
    if at - last > draft.plan.watch_every:
        late = at - last - draft.plan.watch_every
        why = (
            f"came {format_duration(late)} late: {format_duration(at - last)} between two reads, "
            f"{format_duration(draft.plan.watch_every)} allowed; not counted as watched"
        )
        draft.note(Late(at=at, by=late, why=why))
    elif _bakes(draft) and at > max(last, draft.clocks.entered):
        # The last read may have been in a hold; what runs since is the step's own time, which began
        # anew with the resume.
        since = min(
            at - max(last, draft.clocks.entered), max(ZERO, draft.clocks.stepped - (draft.now - at))
        )
        draft.clocks = evolve(draft.clocks, watched=draft.clocks.watched + since)


def _bakes(draft: Draft) -> bool:
    """Does verified time count for the current step? Not while it is held, nor at less traffic than
    the step wants.
    """
    return (
        draft.progress.phase is Phase.PROGRESSING
        and draft.routing.desired == draft.plan.traffics[draft.progress.step]
    )


def _differs(
    draft: Draft, at: datetime, served: Served, before: Served | None, *, ours: bool
) -> None:
    """The router serves something else: drift if it was verified, otherwise a write that is not
    there yet.
    """
    routing, phase = draft.routing, draft.progress.phase
    was_verified = routing.verified_since is not None
    above = served.traffic.exceeds(routing.desired)
    risen = before is not None and served.traffic.exceeds(before.traffic)
    moved = was_verified or (above and risen and not ours)
    if not moved:
        return
    end_stable_period(draft)
    _restart_bake(draft)
    why = f"asked for {routing.desired}, the router serves {served.traffic}"
    why += (
        f" and {served.unattributed} elsewhere"
        if served.unattributed.ppm
        else ""
        if served.converged
        else ", not everywhere the same"
    )
    draft.note(Drifted(at=at, asked=routing.desired, served=served, why=why))
    draft.routing = evolve(draft.routing, retry_at=None, attempts=0)
    if phase not in (Phase.PROGRESSING, Phase.HELD):
        return
    if above:
        drifts = tuple(when for when in (*routing.drifts, at) if at - when < DRIFT_SPAN)[-DRIFTS:]
        draft.routing = evolve(draft.routing, drifts=drifts)
        if len(drifts) >= DRIFTS:
            roll_back(
                draft,
                f"drift: the candidate was raised above its step {DRIFTS} times in "
                f"{format_duration(DRIFT_SPAN)}; last: {why}",
            )
    elif phase is Phase.HELD:
        request_traffic(draft, at_most(draft, served.traffic), "a hold never raises")
    elif routing.reasserted:
        hold(draft, "drift", f"{why}, a second time in this step")
        request_traffic(draft, at_most(draft, served.traffic), "a hold never raises")
    else:
        draft.routing = evolve(draft.routing, reasserted=True)


def _restart_bake(draft: Draft) -> None:
    draft.clocks = evolve(draft.clocks, watched=ZERO)


def _taken_over(draft: Draft, served: Served) -> bool:
    """Does the marker say that somebody else decides now, or that this generation was closed by
    hand?
    """
    marker, routing = served.marker, draft.routing
    if marker is None or routing.generation is None:
        return False
    if marker.generation > routing.generation:
        finish(
            draft,
            Phase.ROLLED_BACK,
            f"superseded: the router carries generation {marker.generation}, this rollout "
            f"has {routing.generation}; nothing more is written",
        )
        return True
    if marker.closed and routing.ownership_confirmed:
        # Whatever its generation: ours was there when we claimed, so this one was written later, by
        # hand and perhaps on an empty object.
        if draft.progress.phase is not Phase.ROLLING_BACK:
            roll_back(
                draft,
                "its marker on the router was closed: taken back by hand, or while the "
                "store was down",
            )
        draft.routing = evolve(draft.routing, acked_epoch=draft.progress.epoch)
        return False
    overtaken = marker.generation == routing.generation and marker.serial > draft.given.serial + 1
    if overtaken and draft.progress.phase is Phase.PROGRESSING:
        hold(
            draft,
            "overtaken",
            f"the router carries serial {marker.serial} of this rollout, this state has "
            f"{draft.given.serial}",
        )
    return False


def _wrong_identity(draft: Draft, served: Served) -> bool:
    """Does a track run something else than the release says (R9)? Then nothing that was learned is
    about this release.
    """
    for track, identity in served.identities:
        version = track.version(draft.release)
        if (
            version is not None
            and identity != version.identity
            and draft.progress.phase is Phase.PROGRESSING
        ):
            why = f"{track.label(draft.release)} really runs {identity}"
            draft.note(Drifted(at=draft.now, asked=draft.routing.desired, served=served, why=why))
            end_stable_period(draft)
            hold(draft, f"identity:{track.value}", why)
            return True
    return False


# ------------------------------------------------------------------------------------------ failing


def failed(draft: Draft, event: CommandFailed) -> None:
    """A read or a write failed."""
    draft.note(EventRecorded(at=draft.now, event=event))
    if event.command == "read":
        draft.routing = evolve(draft.routing, last_attempt_at=event.at)
        if draft.progress.phase is Phase.PENDING and event.failure is Failure.PERMANENT:
            roll_back(draft, f"the router can't be read: {event.why}")
        return
    if event.epoch != draft.progress.epoch:
        return
    routing = draft.routing
    attempts = routing.attempts + 1
    wait = timedelta(seconds=BACKOFF[min(attempts, len(BACKOFF)) - 1])
    sent = event.failure in (Failure.UNKNOWN, Failure.CONFLICT)
    draft.routing = evolve(
        routing,
        attempts=attempts,
        retry_at=event.at + wait,
        last_attempt_at=None if sent else routing.last_attempt_at,
    )
    if event.failure is Failure.PERMANENT:
        if draft.progress.phase is Phase.ROLLING_BACK:
            request_traffic(
                draft, ALL_STABLE, "the way back, at once: the router refuses to go in steps"
            )
        if draft.progress.phase is Phase.PENDING:
            never = routing.attempts == 0
            draft.routing = evolve(draft.routing, any_write_sent=not never)
            roll_back(draft, f"the router can't be written: {event.why}")
        elif draft.progress.phase is Phase.PROGRESSING:
            hold(draft, "router", f"it refuses: {event.why}", within=ENGINE_HOLD)


def unreachable(draft: Draft) -> bool:
    """Act on a router that can't be read for too long. True if the phase changed."""
    if draft.clocks.unreadable >= UNREADABLE and draft.progress.phase in (
        Phase.PROGRESSING,
        Phase.HELD,
    ):
        roll_back(draft, f"the router could not be read for {format_duration(UNREADABLE)}")
        return True
    return False


def astray_now(draft: Draft) -> bool:
    """Did the last read show more on the candidate than is wanted, while this rollout is on its way
    forward or held?
    """
    routing = draft.routing
    return (
        draft.progress.phase in (Phase.PROGRESSING, Phase.HELD)
        and routing.ownership_confirmed
        and routing.verified_since is None
        and routing.observed is not None
        and routing.observed.traffic.exceeds(routing.desired)
    )


def astray(draft: Draft) -> bool:
    """Act on traffic that can't be brought down: call a person, and go back after a while. True if
    the phase changed.
    """
    if not draft.clocks.astray:
        return False
    what = (
        "the router serves "
        f"{draft.routing.observed.traffic if draft.routing.observed else 'too much'}, asked for "
        f"{draft.routing.desired}"
    )
    if draft.clocks.astray >= UNREADABLE:
        roll_back(draft, f"{what} for {format_duration(draft.clocks.astray)}")
        return True
    escalate(draft, what, draft.clocks.astray)
    return False


def escalate(draft: Draft, what: str, lasted: timedelta) -> None:
    """Call a person after two minutes of something that has ``lasted``, and every fifteen minutes
    from then on.
    """
    clocks = draft.clocks
    next_one = clocks.escalated + ESCALATE_EVERY if clocks.escalated else ESCALATE_AFTER
    if lasted >= next_one:
        draft.note(
            Escalated(
                at=draft.now, why=f"{what} for {format_duration(lasted)}", undo=draft.routing.undo
            )
        )
        draft.clocks = evolve(clocks, escalated=lasted)
        next_one = lasted + ESCALATE_EVERY
    draft.look_again(draft.now + (next_one - lasted))


def poll(draft: Draft) -> timedelta:
    """How soon to read again while the router does not serve what is wanted.

    Acknowledged is not effective, and most systems that lag do so for less than a second; so it
    begins with one, and slows down as the writes fail or the reads do.
    """
    failing = max(draft.routing.attempts, int(draft.clocks.unreadable.total_seconds()).bit_length())
    return timedelta(seconds=BACKOFF[min(max(failing, 1), len(BACKOFF)) - 1])


# ------------------------------------------------------------------------------------------ writing


def apply_due(draft: Draft, serial: int) -> Apply | None:
    """The write that is wanted now, or None and when to come back.

    Forward it needs a read of this tick; on the way back it does not wait for one.
    """
    routing, phase = draft.routing, draft.progress.phase
    served = routing.observed
    read_now = routing.read_at is not None and (
        draft.clocks.ticked is None or routing.read_at >= draft.clocks.ticked
    )
    if not _wanted(draft, served) or (phase is not Phase.ROLLING_BACK and not read_now):
        return None
    if routing.retry_at is not None and draft.now < routing.retry_at:
        draft.look_again(routing.retry_at)
        return None
    now_served = served.traffic if served is not None else draft.routing.last_verified
    raises = routing.desired.exceeds(now_served)
    if raises and (short_of(draft, routing.desired) is not None or not gates_open(draft)):
        return None
    generation = routing.generation
    if generation is None:
        on_router = (
            served.marker.generation if served is not None and served.marker is not None else 0
        )
        generation = on_router + 1
    if routing.first_sent[0] != draft.progress.epoch:
        draft.routing = evolve(
            routing,
            any_write_sent=True,
            generation=generation,
            first_sent=(draft.progress.epoch, serial),
        )
    on_router_now = served.marker if served is not None else None
    closed = False
    if not raises and on_router_now is not None and on_router_now.generation == generation:
        serial, closed = (
            max(serial, on_router_now.serial),
            on_router_now.closed and phase is Phase.ROLLING_BACK,
        )
    return Apply(
        epoch=draft.progress.epoch,
        traffic=routing.desired,
        marker=Marker(generation=generation, serial=serial, closed=closed),
        expect=served.version if served is not None and read_now else None,
        raises=raises,
    )


def gates_open(draft: Draft) -> bool:
    """Has every gate of the plan said in this tick that traffic may be raised? Those that have not
    are to be asked.
    """
    if (closed := draft.closed_gate) is not None:
        draft.look_again(closed.until)
        return False
    named = [gate for gate in draft.plan.gates if not draft.waived(gate)]
    draft.to_ask = [gate for gate in named if gate not in draft.gates]
    return all(isinstance(draft.gates.get(gate), Open) for gate in named)


def _wanted(draft: Draft, served: Served | None) -> bool:
    routing, phase = draft.routing, draft.progress.phase
    if phase is Phase.ROLLING_BACK:
        return routing.acked_epoch < draft.progress.epoch or routing.verified_since is None
    if phase is Phase.PENDING:
        return not routing.ownership_confirmed
    if phase is Phase.HELD:
        return (
            routing.ownership_confirmed
            and served is not None
            and served.traffic.exceeds(routing.desired)
        )
    return phase is Phase.PROGRESSING and routing.verified_since is None
