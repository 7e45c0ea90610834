"""Absorb what the router serves: verified, drifted, lagging, unreachable, or taken over.

Traffic is verified only when a read shows exactly the desired traffic. From then on there is a
stable period; a read that shows anything else, or the same under another version (edited and put
back), ends it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from progressive.errors import Failure
from progressive.model.replace import evolve
from progressive.model.router_state import Served
from progressive.model.traffic import ALL_STABLE
from progressive.model.units import format_duration
from progressive.rollout.events import CommandFailed, RouterApplied, RouterRead
from progressive.rollout.notes import Drifted, Escalated, EventRecorded, Late, Verified
from progressive.rollout.phases import Phase
from progressive.rollout.state import successor_of

from .draft import ZERO, Draft
from .ownership import see_loss, see_marker, taken_over
from .transitions import (
    ENGINE_HOLD,
    at_most,
    end_stable_period,
    hold,
    request_traffic,
    roll_back,
)
from .windows import close_windows

LAG: Final = timedelta(seconds=10)
"""How long an answered write may take to show before it is sent again."""

BACKOFF: Final = (1, 2, 4, 8, 16, 32, 60)
"""Seconds until a failed write is sent again, by the number of failures; the last for ever. A
write that is never given up costs a request a minute.
"""

DRIFTS: Final = 3
DRIFT_SPAN: Final = timedelta(minutes=10)
"""If the candidate is raised above its step three times in ten minutes, somebody else is writing
against this rollout: it rolls back.
"""

UNREADABLE: Final = timedelta(minutes=15)
"""A router that can't be read, or serves the candidate too much, for this long (inclusive) rolls
back: nobody knows what users get.
"""

ESCALATE_AFTER: Final = timedelta(minutes=2)
"""How long a trouble lasts before a person is called."""

ESCALATE_EVERY: Final = timedelta(minutes=15)
"""How long until a person is called again for the same trouble."""


# ------------------------------------------------------------------------------------------ reading


def router_read(draft: Draft, event: RouterRead) -> None:
    """Absorb a read of the router."""
    if _is_the_successors(draft, event):
        return
    _absorb_served(draft, event.at, event.served, ours=False)


def _is_the_successors(draft: Draft, event: RouterRead) -> bool:
    """Keep what was read of a router that a successor has, or by its release; True if so.

    Its versions have the traffic then: none of it is this rollout's to compare.
    """
    if not event.successor and successor_of(draft.progress, event.served.marker) is None:
        return False
    draft.routing = evolve(
        draft.routing,
        observed=event.served,
        read_as=event.successor,
        read_at=event.at,
        last_attempt_at=event.at,
    )
    draft.clocks = evolve(draft.clocks, unreadable=ZERO)
    return True


def router_applied(draft: Draft, event: RouterApplied) -> None:
    """Absorb the answer of a write.

    One of another epoch is refused, and the router is read at once instead.
    """
    routing = draft.routing
    if routing.generation is None:
        draft.refuse(event, "nothing was written yet")
        return
    if event.epoch != draft.progress.epoch or event.traffic != routing.desired:
        draft.routing = evolve(routing, last_attempt_at=None)
        draft.refuse(event, f"it is of epoch {event.epoch}, this is {draft.progress.epoch}")
        return
    draft.routing = evolve(
        routing, acked_epoch=event.epoch, attempts=routing.attempts + 1, retry_at=event.at + LAG
    )
    if draft.progress.phase is Phase.PENDING and _shows_desired(draft, event.served):
        draft.routing = evolve(draft.routing, ownership_confirmed=True)
    _absorb_served(draft, event.at, event.served, ours=True)


def _proves_our_write(draft: Draft, served: Served) -> bool:
    """Return whether the marker proves that a write of this epoch is served.

    Its answer may have been lost.
    """
    marker, (epoch, serial) = served.marker, draft.routing.first_sent
    return (
        marker is not None
        and epoch == draft.progress.epoch
        and draft.owns(marker)
        and marker.serial >= serial
        and _shows_desired(draft, served)
    )


def _shows_desired(draft: Draft, served: Served) -> bool:
    return served.shows(draft.routing.desired)


def _absorb_served(draft: Draft, at: datetime, served: Served, *, ours: bool) -> None:
    """Absorb the traffic that the router serves at ``at``.

    ``ours``: whether it was read back after a write of this rollout.
    """
    before = draft.routing
    draft.routing = evolve(before, observed=served, read_as="", read_at=at, last_attempt_at=at)
    if _proves_our_write(draft, served):
        draft.routing = evolve(
            draft.routing, acked_epoch=draft.progress.epoch, ownership_confirmed=True
        )
    if draft.clocks.unreadable:
        draft.clocks = evolve(draft.clocks, unreadable=ZERO)
    see_marker(draft, served.marker)
    if (
        not before.ownership_confirmed
        and not draft.routing.ownership_confirmed
        and draft.progress.phase in (Phase.PENDING, Phase.HELD)
    ):
        if before.observed is not None and _closed(served) and not _closed(before.observed):
            roll_back(draft, "its marker on the router was closed by hand before it began")
        elif before.marked and before.generation is not None:
            see_loss(draft, served, before.observed)
        return
    if not draft.final and (
        taken_over(draft, served, before.observed) or _wrong_identity(draft, served)
    ):
        return
    if _shows_desired(draft, served):
        _absorb_match(draft, at, served, before.observed, ours=ours)
    else:
        _absorb_mismatch(draft, at, served, before.observed, ours=ours)


def _closed(served: Served) -> bool:
    return served.marker is not None and served.marker.closed


def _absorb_match(
    draft: Draft, at: datetime, served: Served, before: Served | None, *, ours: bool
) -> None:
    """Absorb traffic that is exactly as desired: begin or go on with a stable period."""
    routing = draft.routing
    # A write of ours that was not answered may have changed the version.
    ours = ours or routing.attempts > 0
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
    routing, at = draft.routing, max(at, draft.latest) if draft.clocks.readings else at
    if routing.verified_since is None:
        close_windows(draft)  # those of a time in which nobody knew what was served
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
        # The last read may have been in a hold; only the step's own time is credited, which
        # restarted with the resume.
        since = min(
            at - max(last, draft.clocks.entered), max(ZERO, draft.clocks.stepped - (draft.now - at))
        )
        draft.clocks = evolve(draft.clocks, watched=draft.clocks.watched + since)


def _bakes(draft: Draft) -> bool:
    """Return whether verified time counts for the bake of the current step.

    It does not while the rollout is held, nor at less traffic than the step declares.
    """
    return (
        draft.progress.phase is Phase.PROGRESSING
        and draft.routing.desired == draft.plan.traffics[draft.progress.step]
    )


def _absorb_mismatch(
    draft: Draft, at: datetime, served: Served, before: Served | None, *, ours: bool
) -> None:
    """Absorb traffic that is not the desired one.

    It is drift if the traffic was verified before, or rose above the desired one without a write
    of ours; otherwise a write that does not show yet.
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
    if served.unattributed.ppm:
        why += f" and {served.unattributed} elsewhere"
    elif not served.converged:
        why += ", not everywhere the same"
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
    elif phase is Phase.PROGRESSING and not routing.reasserted:
        draft.routing = evolve(draft.routing, reasserted=True)
    elif phase is Phase.PROGRESSING:
        hold(draft, "drift", f"{why}, a second time in this step")
    if draft.progress.phase is Phase.HELD:
        request_traffic(draft, at_most(draft, served.traffic), "a hold never raises")


def _restart_bake(draft: Draft) -> None:
    draft.clocks = evolve(draft.clocks, watched=ZERO)


def _wrong_identity(draft: Draft, served: Served) -> bool:
    """Hold if a track runs another identity than the release names (R9). True if it does.

    The evidence of this stable period is then not about this release.
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
    """Absorb a read or a write that failed, and set when to try the next."""
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
    wait = _backoff(attempts)
    if event.failure is Failure.UNKNOWN and _first_of_the_way_back(draft):
        wait = ZERO  # it has waited for its answer long enough
    read_first = event.failure in (Failure.UNKNOWN, Failure.CONFLICT)
    draft.routing = evolve(
        routing,
        attempts=attempts,
        retry_at=event.at + wait,
        last_attempt_at=None if read_first else routing.last_attempt_at,
    )
    if event.failure is Failure.PERMANENT:
        if draft.progress.phase is Phase.ROLLING_BACK:
            request_traffic(
                draft, ALL_STABLE, "the way back, at once: the router refuses to go in steps"
            )
        if draft.progress.phase is Phase.PENDING:
            # A first write that was refused changed nothing, so there is nothing to roll back.
            draft.routing = evolve(draft.routing, any_write_sent=routing.attempts > 0)
            roll_back(draft, f"the router can't be written: {event.why}")
        elif draft.progress.phase is Phase.PROGRESSING:
            hold(draft, "router", f"it refuses: {event.why}", within=ENGINE_HOLD)


def _first_of_the_way_back(draft: Draft) -> bool:
    """Return whether the write that failed was the first of a way back: that one is sent again at
    once, after a read.
    """
    first = draft.progress.phase is Phase.ROLLING_BACK and draft.routing.attempts == 0
    return first and not draft.of_older_rules


def _backoff(failures: int) -> timedelta:
    """Return the time to wait after so many failures in a row, at least one."""
    return timedelta(seconds=BACKOFF[min(failures, len(BACKOFF)) - 1])


def unreachable(draft: Draft) -> bool:
    """Roll back if the router could not be read for `UNREADABLE`. True if the phase changed."""
    if draft.clocks.gap:
        return False
    if draft.clocks.unreadable >= UNREADABLE and draft.progress.phase in (
        Phase.PROGRESSING,
        Phase.HELD,
    ):
        roll_back(draft, f"the router could not be read for {format_duration(UNREADABLE)}")
        return True
    return False


def astray_now(draft: Draft) -> bool:
    """Return whether the last read showed more traffic on the candidate than desired.

    Only in PROGRESSING and HELD; on the way back the phase itself deals with it.
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
    """Act on traffic that can't be lowered: call a person, and roll back after `UNREADABLE`.

    True if the phase changed.
    """
    if not draft.clocks.astray or draft.clocks.gap:
        return False
    observed = draft.routing.observed
    served = observed.traffic if observed else "too much"
    what = f"the router serves {served}, asked for {draft.routing.desired}"
    if draft.clocks.astray >= UNREADABLE:
        roll_back(draft, f"{what} for {format_duration(draft.clocks.astray)}")
        return True
    escalate(draft, what, draft.clocks.astray)
    return False


def escalate(draft: Draft, what: str, lasted: timedelta) -> None:
    """Call a person for a trouble that has ``lasted`` two minutes, and every fifteen from then on.

    ``what`` is the trouble, as a clause for the note.
    """
    clocks = draft.clocks
    if clocks.gap:
        return
    next_call = clocks.escalated + ESCALATE_EVERY if clocks.escalated else ESCALATE_AFTER
    if lasted >= next_call:
        draft.note(
            Escalated(
                at=draft.now, why=f"{what} for {format_duration(lasted)}", undo=draft.routing.undo
            )
        )
        draft.clocks = evolve(clocks, escalated=lasted)
        next_call = lasted + ESCALATE_EVERY
    draft.look_again_after(next_call - lasted)


def poll(draft: Draft) -> timedelta:
    """Return how soon to read again while the router does not serve the desired traffic.

    Acknowledged is not effective, and most systems that lag do so for less than a second; so it
    begins with one second, and slows down as writes or reads fail.
    """
    failing = max(draft.routing.attempts, int(draft.clocks.unreadable.total_seconds()).bit_length())
    return _backoff(max(failing, 1))
