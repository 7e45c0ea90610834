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
from progressive.model.units import said
from progressive.rollout.commands import Apply
from progressive.rollout.events import CommandFailed, Seen, Wrote
from progressive.rollout.notes import Drifted, Escalated, Happened, Late, Verified
from progressive.rollout.phases import Phase

from .capacity import short_of
from .draft import NOTHING, ZERO, Turn
from .transitions import ENGINE_HOLD, at_most, break_stretch, end, go_back, hold, want

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


def seen(turn: Turn, event: Seen) -> None:
    """The router was read."""
    _absorb(turn, event.at, event.served, ours=False)


def wrote(turn: Turn, event: Wrote) -> None:
    """A write was answered. One of another epoch says nothing about what is wanted now; the next
    read will.
    """
    routing = turn.routing
    if event.epoch != turn.progress.epoch or event.traffic != routing.wanted:
        turn.routing = evolve(routing, tried_at=None)
        turn.refuse(event, f"it is of epoch {event.epoch}, this is {turn.progress.epoch}")
        return
    turn.routing = evolve(
        routing, written=event.epoch, attempts=routing.attempts + 1, retry_at=event.at + LAG
    )
    if turn.progress.phase is Phase.PENDING and _shows(turn, event.served):
        turn.routing = evolve(turn.routing, claimed=True)
    _absorb(turn, event.at, event.served, ours=True)


def _ours(turn: Turn, served: Served) -> bool:
    """Does the marker prove that a write of this epoch is what is served, though its answer may
    have been lost?
    """
    marker, (epoch, serial) = served.marker, turn.routing.sent
    return (
        marker is not None
        and epoch == turn.progress.epoch
        and marker.generation == turn.routing.generation
        and marker.serial >= serial
        and _shows(turn, served)
    )


def _shows(turn: Turn, served: Served) -> bool:
    return served.traffic == turn.routing.wanted and served.settled and not served.elsewhere.ppm


def _absorb(turn: Turn, at: datetime, served: Served, *, ours: bool) -> None:
    before = turn.routing
    turn.routing = evolve(before, served=served, read_at=at, tried_at=at)
    if _ours(turn, served):
        turn.routing = evolve(turn.routing, written=turn.progress.epoch, claimed=True)
    if turn.clocks.unreadable:
        turn.clocks = evolve(turn.clocks, unreadable=ZERO)
    if (
        not before.claimed
        and not turn.routing.claimed
        and turn.progress.phase in (Phase.PENDING, Phase.HELD)
    ):
        was, marker = before.served, served.marker
        if (
            was is not None
            and marker is not None
            and marker.closed
            and not (was.marker is not None and was.marker.closed)
        ):
            go_back(turn, "its marker on the router was closed by hand before it began")
        return
    if not turn.final and (_taken_over(turn, served) or _wrong_identity(turn, served)):
        return
    if _shows(turn, served):
        _matches(turn, at, served, before.served, ours=ours)
    else:
        _differs(turn, at, served, before.served, ours=ours)


def _matches(
    turn: Turn, at: datetime, served: Served, before: Served | None, *, ours: bool
) -> None:
    routing = turn.routing
    ours = (
        ours or routing.attempts > 0
    )  # a write of ours that was not answered may be what moved the version
    if (
        routing.verified_since is not None
        and not ours
        and before is not None
        and served.version != before.version
    ):
        break_stretch(turn)
        _restart_bake(turn)
        why = (
            f"edited and put back: version {before.version} became {served.version} and the "
            "weights are the same"
        )
        turn.note(Drifted(at=at, asked=routing.wanted, served=served, why=why))
    tried = turn.routing.attempts > 0 or turn.routing.retry_at is not None
    if tried and (
        turn.progress.phase is not Phase.ROLLING_BACK or turn.routing.written >= turn.progress.epoch
    ):
        turn.routing = evolve(turn.routing, attempts=0, retry_at=None)
    routing = turn.routing
    if routing.verified_since is None:
        turn.note(Verified(at=at, traffic=served.traffic, version=served.version))
        turn.routing = evolve(routing, standing=routing.wanted, verified_since=at, verified_at=at)
        return
    last = routing.verified_at or at
    turn.routing = evolve(routing, verified_at=at)
    if at - last > turn.plan.watch_every:
        late = at - last - turn.plan.watch_every
        why = (
            f"came {said(late)} late: {said(at - last)} between two reads, "
            f"{said(turn.plan.watch_every)} allowed; not counted as watched"
        )
        turn.note(Late(at=at, by=late, why=why))
    elif _bakes(turn) and at > max(last, turn.clocks.entered):
        # The last read may have been in a hold; what runs since is the step's own time, which began
        # anew with the resume.
        since = min(
            at - max(last, turn.clocks.entered), max(ZERO, turn.clocks.stepped - (turn.now - at))
        )
        turn.clocks = evolve(turn.clocks, watched=turn.clocks.watched + since)


def _bakes(turn: Turn) -> bool:
    """Does verified time count for the current step? Not while it is held, nor at less traffic than
    the step wants.
    """
    return (
        turn.progress.phase is Phase.PROGRESSING
        and turn.routing.wanted == turn.plan.traffics[turn.progress.step]
    )


def _differs(
    turn: Turn, at: datetime, served: Served, before: Served | None, *, ours: bool
) -> None:
    """The router serves something else: drift if it was verified, otherwise a write that is not
    there yet.
    """
    routing, phase = turn.routing, turn.progress.phase
    was_verified = routing.verified_since is not None
    above = served.traffic.exceeds(routing.wanted)
    risen = before is not None and served.traffic.exceeds(before.traffic)
    moved = was_verified or (above and risen and not ours)
    if not moved:
        return
    break_stretch(turn)
    _restart_bake(turn)
    why = f"asked for {routing.wanted}, the router serves {served.traffic}"
    why += (
        f" and {served.elsewhere} elsewhere"
        if served.elsewhere.ppm
        else ""
        if served.settled
        else ", not everywhere the same"
    )
    turn.note(Drifted(at=at, asked=routing.wanted, served=served, why=why))
    turn.routing = evolve(turn.routing, retry_at=None, attempts=0)
    if phase not in (Phase.PROGRESSING, Phase.HELD):
        return
    if above:
        drifts = tuple(when for when in (*routing.drifts, at) if at - when < DRIFT_SPAN)[-DRIFTS:]
        turn.routing = evolve(turn.routing, drifts=drifts)
        if len(drifts) >= DRIFTS:
            go_back(
                turn,
                f"drift: the candidate was raised above its step {DRIFTS} times in "
                f"{said(DRIFT_SPAN)}; last: {why}",
            )
    elif phase is Phase.HELD:
        want(turn, at_most(turn, served.traffic), "a hold never raises")
    elif routing.reasserted:
        hold(turn, "drift", f"{why}, a second time in this step")
        want(turn, at_most(turn, served.traffic), "a hold never raises")
    else:
        turn.routing = evolve(turn.routing, reasserted=True)


def _restart_bake(turn: Turn) -> None:
    turn.clocks = evolve(turn.clocks, watched=ZERO)


def _taken_over(turn: Turn, served: Served) -> bool:
    """Does the marker say that somebody else decides now, or that this generation was closed by
    hand?
    """
    marker, routing = served.marker, turn.routing
    if marker is None or routing.generation is None:
        return False
    if marker.generation > routing.generation:
        end(
            turn,
            Phase.ROLLED_BACK,
            f"superseded: the router carries generation {marker.generation}, this rollout "
            f"has {routing.generation}; nothing more is written",
        )
        return True
    if marker.closed and routing.claimed:
        # Whatever its generation: ours was there when we claimed, so this one was written later, by
        # hand and perhaps on an empty object.
        if turn.progress.phase is not Phase.ROLLING_BACK:
            go_back(
                turn,
                "its marker on the router was closed: taken back by hand, or while the "
                "store was down",
            )
        turn.routing = evolve(turn.routing, written=turn.progress.epoch)
        return False
    overtaken = marker.generation == routing.generation and marker.serial > turn.given.serial + 1
    if overtaken and turn.progress.phase is Phase.PROGRESSING:
        hold(
            turn,
            "overtaken",
            f"the router carries serial {marker.serial} of this rollout, this state has "
            f"{turn.given.serial}",
        )
    return False


def _wrong_identity(turn: Turn, served: Served) -> bool:
    """Does a track run something else than the release says (R9)? Then nothing that was learned is
    about this release.
    """
    for track, identity in served.identities:
        version = track.version(turn.release)
        if (
            version is not None
            and identity != version.identity
            and turn.progress.phase is Phase.PROGRESSING
        ):
            why = f"{track.label(turn.release)} really runs {identity}"
            turn.note(Drifted(at=turn.now, asked=turn.routing.wanted, served=served, why=why))
            break_stretch(turn)
            hold(turn, f"identity:{track.value}", why)
            return True
    return False


# ------------------------------------------------------------------------------------------ failing


def failed(turn: Turn, event: CommandFailed) -> None:
    """A read or a write failed."""
    turn.note(Happened(at=turn.now, event=event))
    if event.command == "read":
        turn.routing = evolve(turn.routing, tried_at=event.at)
        if turn.progress.phase is Phase.PENDING and event.failure is Failure.PERMANENT:
            go_back(turn, f"the router can't be read: {event.why}")
        return
    if event.epoch != turn.progress.epoch:
        return
    routing = turn.routing
    attempts = routing.attempts + 1
    wait = timedelta(seconds=BACKOFF[min(attempts, len(BACKOFF)) - 1])
    sent = event.failure in (Failure.UNKNOWN, Failure.CONFLICT)
    turn.routing = evolve(
        routing,
        attempts=attempts,
        retry_at=event.at + wait,
        tried_at=None if sent else routing.tried_at,
    )
    if event.failure is Failure.PERMANENT:
        if turn.progress.phase is Phase.ROLLING_BACK:
            want(turn, NOTHING, "the way back, at once: the router refuses to go in steps")
        if turn.progress.phase is Phase.PENDING:
            never = routing.attempts == 0
            turn.routing = evolve(turn.routing, touched=not never)
            go_back(turn, f"the router can't be written: {event.why}")
        elif turn.progress.phase is Phase.PROGRESSING:
            hold(turn, "router", f"it refuses: {event.why}", within=ENGINE_HOLD)


def unreachable(turn: Turn) -> bool:
    """Act on a router that can't be read for too long. True if the phase changed."""
    if turn.clocks.unreadable >= UNREADABLE and turn.progress.phase in (
        Phase.PROGRESSING,
        Phase.HELD,
    ):
        go_back(turn, f"the router could not be read for {said(UNREADABLE)}")
        return True
    return False


def astray_now(turn: Turn) -> bool:
    """Did the last read show more on the candidate than is wanted, while this rollout is on its way
    forward or held?
    """
    routing = turn.routing
    return (
        turn.progress.phase in (Phase.PROGRESSING, Phase.HELD)
        and routing.claimed
        and routing.verified_since is None
        and routing.served is not None
        and routing.served.traffic.exceeds(routing.wanted)
    )


def astray(turn: Turn) -> bool:
    """Act on traffic that can't be brought down: call a person, and go back after a while. True if
    the phase changed.
    """
    if not turn.clocks.astray:
        return False
    what = (
        "the router serves "
        f"{turn.routing.served.traffic if turn.routing.served else 'too much'}, asked for "
        f"{turn.routing.wanted}"
    )
    if turn.clocks.astray >= UNREADABLE:
        go_back(turn, f"{what} for {said(turn.clocks.astray)}")
        return True
    escalate(turn, what, turn.clocks.astray)
    return False


def escalate(turn: Turn, what: str, lasted: timedelta) -> None:
    """Call a person after two minutes of something that has ``lasted``, and every fifteen minutes
    from then on.
    """
    clocks = turn.clocks
    next_one = clocks.escalated + ESCALATE_EVERY if clocks.escalated else ESCALATE_AFTER
    if lasted >= next_one:
        turn.note(Escalated(at=turn.now, why=f"{what} for {said(lasted)}", undo=turn.routing.undo))
        turn.clocks = evolve(clocks, escalated=lasted)
        next_one = lasted + ESCALATE_EVERY
    turn.look_again(turn.now + (next_one - lasted))


def poll(turn: Turn) -> timedelta:
    """How soon to read again while the router does not serve what is wanted.

    Acknowledged is not effective, and most systems that lag do so for less than a second; so it
    begins with one, and slows down as the writes fail or the reads do.
    """
    failing = max(turn.routing.attempts, int(turn.clocks.unreadable.total_seconds()).bit_length())
    return timedelta(seconds=BACKOFF[min(max(failing, 1), len(BACKOFF)) - 1])


# ------------------------------------------------------------------------------------------ writing


def apply_due(turn: Turn, serial: int) -> Apply | None:
    """The write that is wanted now, or None and when to come back.

    Forward it needs a read of this tick; on the way back it does not wait for one.
    """
    routing, phase = turn.routing, turn.progress.phase
    served = routing.served
    read_now = routing.read_at is not None and (
        turn.clocks.ticked is None or routing.read_at >= turn.clocks.ticked
    )
    if not _wanted(turn, served) or (phase is not Phase.ROLLING_BACK and not read_now):
        return None
    if routing.retry_at is not None and turn.now < routing.retry_at:
        turn.look_again(routing.retry_at)
        return None
    now_served = served.traffic if served is not None else turn.routing.standing
    raises = routing.wanted.exceeds(now_served)
    if raises and (short_of(turn, routing.wanted) is not None or not gates_open(turn)):
        return None
    generation = routing.generation
    if generation is None:
        on_router = (
            served.marker.generation if served is not None and served.marker is not None else 0
        )
        generation = on_router + 1
    if routing.sent[0] != turn.progress.epoch:
        turn.routing = evolve(
            routing, touched=True, generation=generation, sent=(turn.progress.epoch, serial)
        )
    on_router_now = served.marker if served is not None else None
    closed = False
    if not raises and on_router_now is not None and on_router_now.generation == generation:
        serial, closed = (
            max(serial, on_router_now.serial),
            on_router_now.closed and phase is Phase.ROLLING_BACK,
        )
    return Apply(
        epoch=turn.progress.epoch,
        traffic=routing.wanted,
        marker=Marker(generation=generation, serial=serial, closed=closed),
        expect=served.version if served is not None and read_now else None,
        raises=raises,
    )


def gates_open(turn: Turn) -> bool:
    """Has every gate of the plan said in this tick that traffic may be raised? Those that have not
    are to be asked.
    """
    frozen = turn.progress.frozen
    if frozen is not None and turn.now < frozen[2]:
        turn.look_again(frozen[2])
        return False
    named = [gate for gate in turn.plan.gates if not turn.waived(gate)]
    turn.to_ask = [gate for gate in named if gate not in turn.gates]
    return all(isinstance(turn.gates.get(gate), Open) for gate in named)


def _wanted(turn: Turn, served: Served | None) -> bool:
    routing, phase = turn.routing, turn.progress.phase
    if phase is Phase.ROLLING_BACK:
        return routing.written < turn.progress.epoch or routing.verified_since is None
    if phase is Phase.PENDING:
        return not routing.claimed
    if phase is Phase.HELD:
        return routing.claimed and served is not None and served.traffic.exceeds(routing.wanted)
    return phase is Phase.PROGRESSING and routing.verified_since is None
