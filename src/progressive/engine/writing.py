"""Issue the writes to the router: whether one is due, and with which marker."""

from __future__ import annotations

from progressive.model.actions import Open
from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE
from progressive.rollout.commands import Apply
from progressive.rollout.phases import Phase

from .capacity import short_of
from .draft import Draft

__all__ = ["apply_due", "gates_open"]


def apply_due(draft: Draft, serial: int) -> Apply | None:
    """Return the write to issue now; None if none is due, and then when to tick next is set.

    A write needs a read of this tick, but on the way back it does not wait for one. It raises
    traffic only if the fleet can carry it and every gate is open. ``serial`` is that of the rollout
    as it will be stored; the marker carries it.
    """
    routing, phase = draft.routing, draft.progress.phase
    served = routing.observed
    read_now = routing.read_at is not None and (
        draft.clocks.ticked is None or routing.read_at >= draft.clocks.ticked
    )
    if not _write_needed(draft, served) or (phase is not Phase.ROLLING_BACK and not read_now):
        return None
    if routing.retry_at is not None and draft.now < routing.retry_at:
        draft.look_again(routing.retry_at)
        return None
    current = served.traffic if served is not None else routing.last_verified
    # Of several parts the highest is read: another one may be raised by the same traffic.
    levels = phase is Phase.PROGRESSING and served is not None and not served.converged
    raises = routing.desired.exceeds(current if not levels else ALL_STABLE)
    if raises and (short_of(draft, routing.desired) is not None or not gates_open(draft)):
        return None
    on_router = served.marker if served is not None else None
    generation = routing.generation
    if generation is None:
        generation = (on_router.generation if on_router is not None else 0) + 1
    if routing.first_sent[0] != draft.progress.epoch:
        draft.routing = evolve(
            routing,
            any_write_sent=True,
            generation=generation,
            found=on_router if routing.owner and routing.generation is None else routing.found,
            first_sent=(draft.progress.epoch, serial),
        )
    closed = False
    if not raises and on_router is not None and draft.owns(on_router):
        serial = max(serial, on_router.serial)
        closed = on_router.closed and phase is Phase.ROLLING_BACK
    return Apply(
        epoch=draft.progress.epoch,
        traffic=routing.desired,
        marker=Marker(
            generation=generation, serial=serial, closed=closed, owner=draft.routing.owner
        ),
        expect=served.version if served is not None and read_now else None,
        raises=raises,
    )


def gates_open(draft: Draft) -> bool:
    """Return whether every gate of the plan has answered `Open` in this tick.

    Those that have not answered yet are put into ``draft.to_ask``.
    """
    if (closed := draft.closed_gate) is not None:
        draft.look_again(closed.until)
        return False
    named = [gate for gate in draft.plan.gates if not draft.waived(gate)]
    draft.to_ask = [gate for gate in named if gate not in draft.gates]
    return all(isinstance(draft.gates.get(gate), Open) for gate in named)


def _write_needed(draft: Draft, served: Served | None) -> bool:
    """Return whether the phase needs the desired traffic to be written.

    A hold writes only to lower what is served; a final phase never writes.
    """
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
