"""What the fleet says: is there capacity for a raise, can stable carry the way back, and does
everything run what it should?

A fleet is asked beside every read of the router, if the caller has bound one. Without one, nobody
claims anything about instances. A fleet that does not answer keeps traffic from being raised, never
from being lowered.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, said
from progressive.rollout.events import CommandFailed, Surveyed
from progressive.rollout.notes import Escalated, Happened
from progressive.rollout.phases import Phase

from .draft import NOTHING, Turn
from .transitions import OVERLOADED, go_back, hold, want, way_back

__all__ = ["due", "failed", "in_steps", "retreat", "short_of", "surveyed", "unready"]

ASKING: Final = (Phase.PENDING, Phase.PROGRESSING, Phase.HELD)

RECOVERY: Final = timedelta(seconds=30)
"""How soon to ask again whether stable can carry more, on a way back in steps."""


def due(turn: Turn) -> bool:
    """Is the fleet to be asked now? Once in every tick; on the way back only if it goes in steps,
    and after its first write.
    """
    known, ticked = turn.instances, turn.clocks.ticked
    in_steps = (
        turn.progress.phase is Phase.ROLLING_BACK
        and turn.routing.wanted != NOTHING
        and turn.routing.written >= turn.progress.epoch
    )
    if not known.bound or not (turn.progress.phase in ASKING or in_steps):
        return False
    return known.tried_at is None or (ticked is not None and known.tried_at < ticked)


def surveyed(turn: Turn, event: Surveyed) -> None:
    """The fleet answered."""
    known = turn.instances
    turn.instances = evolve(known, capacities=event.tracks, surveyed_at=event.at, tried_at=event.at)
    if turn.final:
        return
    if event.tracks != known.capacities:
        turn.note(Happened(at=turn.now, event=event))
    _check_identities(turn)


def failed(turn: Turn, event: CommandFailed) -> None:
    """The fleet did not answer; what it said before does not count any more."""
    turn.instances = evolve(turn.instances, capacities=(), surveyed_at=None, tried_at=event.at)


def _check_identities(turn: Turn) -> None:
    """Every instance must run what the release says (R9)."""
    for track, capacity in turn.instances.capacities:
        version = track.version(turn.release)
        if version is None or capacity.identity in (None, version.identity):
            continue
        why = f"{track.label(turn.release)} really runs {capacity.identity}"
        if turn.progress.phase is Phase.PENDING:
            go_back(turn, why)
        elif turn.progress.phase is Phase.PROGRESSING:
            hold(turn, f"identity:{track.value}", why)


def unready(turn: Turn) -> str | None:
    """What is missing of a stable that could take everything back, which the start and every raise
    wait for.
    """
    return _missing(turn, _way_back(turn))


def short_of(turn: Turn, target: Traffic) -> str | None:
    """What is missing for this traffic, and for the way back from it; None if everything is ready
    for it.
    """
    return _missing(turn, ((target, Track.CANDIDATE), (target, Track.BASELINE), *_way_back(turn)))


def _way_back(turn: Turn) -> tuple[tuple[Traffic, Track], ...]:
    return ((NOTHING, Track.STABLE),) if turn.plan.needs_stable else ()


def _missing(turn: Turn, needs: tuple[tuple[Traffic, Track], ...]) -> str | None:
    known, ticked = turn.instances, turn.clocks.ticked
    if not known.bound or not needs:
        return None
    if known.surveyed_at is None:
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
            return f"{track.label(turn.release)} to be ready for {target.share(track)}: {can}"
    # Enough when it was asked last; it counts only if that was in this tick.
    return (
        "the fleet to say what is ready now"
        if ticked is not None and known.surveyed_at < ticked
        else None
    )


def retreat(turn: Turn) -> None:
    """On the way back: as far as stable can carry it now, which is never less far than before."""
    wanted = NOTHING if _blind(turn) else way_back(turn)
    if wanted != turn.routing.wanted and not wanted.exceeds(turn.routing.wanted):
        want(turn, wanted, "the way back")
    stable = turn.instances.of(Track.STABLE)
    if turn.routing.wanted != NOTHING and stable is not None and not turn.progress.overdue:
        turn.progress = evolve(turn.progress, overdue=True)
        why = (
            f"{Track.STABLE.label(turn.release)} can carry only {stable}: "
            f"{turn.routing.wanted.candidate} stays on the candidate until it can "
            f"carry more, for {said(OVERLOADED)} at most"
        )
        turn.note(Escalated(at=turn.now, why=why, undo=turn.routing.undo))


def _blind(turn: Turn) -> bool:
    """Is it not known what the router serves now? Then a step back could be a step forward, and the
    way back goes all the way.
    """
    routing, ticked = turn.routing, turn.clocks.ticked
    tried = routing.tried_at is not None and (ticked is None or routing.tried_at >= ticked)
    seen = routing.read_at is not None and (ticked is None or routing.read_at >= ticked)
    return (tried and not seen) or (routing.served is not None and not routing.served.settled)


def in_steps(turn: Turn) -> str | None:
    """What a way back in steps waits for; None if it is not one."""
    if turn.routing.wanted == NOTHING:
        return None
    turn.look_again(turn.now + RECOVERY)
    turn.look_again(turn.now + OVERLOADED - turn.clocks.stepped)
    return (
        f"{Track.STABLE.label(turn.release)} to carry more than {turn.instances.of(Track.STABLE)}"
    )
