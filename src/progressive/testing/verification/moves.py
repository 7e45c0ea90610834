"""One tick as a promise sees it: the transition, and the state that it leads to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.model.replace import evolve
from progressive.rollout.state import Rollout

from .invariants import BACK, Transition
from .one_tick import OneTick
from .perturbations import Perturbation, Router

__all__ = ["SOON", "Moved", "next_tick", "transition"]

SOON: Final = timedelta(seconds=1)
"""How soon a tick comes that does not wait for ``wake_at``: after persons' events, and edits by
others.
"""

AT_ONCE: Final = timedelta(milliseconds=1)


@attrs.frozen
class Moved:
    """A transition, and the router after it."""

    transition: Transition
    router: Router


def next_tick(rollout: Rollout, now: datetime, perturbation: Perturbation) -> datetime:
    """Return the time of the next tick after ``now``."""
    if perturbation.later is not None:
        return now + perturbation.later(rollout)
    if perturbation.says is None and perturbation.strangers is None:
        return max(now + AT_ONCE, rollout.wake_at or now)
    return now + SOON


def transition(tick: OneTick) -> Moved:
    """Run a tick, and return what it did. What the engine raises is passed on."""
    perturbation, before, found = tick.perturbation, tick.rollout, tick.router
    after = tick.tick()
    router = tick.router
    took_back = router.back
    if after.phase in BACK and before.phase not in BACK:
        took_back = any(not one.candidate.ppm for one in tick.written) or (
            router.marker is not None and router.marker.closed
        )
    back = took_back and after.phase in BACK
    if back is not router.back:
        router = evolve(router, back=back)
    if perturbation.strangers is not None:
        found = perturbation.strangers(found)
    moved = Transition(
        what=perturbation.name,
        before=before,
        after=after,
        served=found.traffic,
        marker=found.marker,
        written=tuple(tick.written),
        on_router=router.traffic,
        judged_at_full=router.judged,
        took_back=took_back,
    )
    return Moved(moved, router)
