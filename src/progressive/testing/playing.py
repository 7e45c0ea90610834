"""Play a whole rollout in virtual time, with the real drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from progressive.model.release import Release
from progressive.plan.plan import Strategy
from progressive.ports import Ports
from progressive.rollout.state import Rollout
from progressive.rollout.status import Outcome
from progressive.runtime.drive import atick, tick
from progressive.runtime.start import astart, start

from .doubles import MemoryRouter, MemoryStore, VirtualClock

MOST_TICKS = 100_000
"""A rollout that needs more ticks than this has a plan of many weeks, or a mistake in it."""


def play(
    strategy: Strategy,
    release: Release,
    *,
    metrics: Sequence[Any] = (),
    router: Any = None,
    clock: VirtualClock | None = None,
    before_tick: Callable[[Rollout], None] | None = None,
    **ports: Any,
) -> Outcome:
    """Drive ``strategy`` to its end in virtual time, and return the outcome.

    The clock jumps from one ``wake_at`` to the next.

    * ``before_tick``: called with the rollout before each tick, to submit events, to break the
      router, or to stop by raising.
    * ``ports``: further keywords of `Ports`.
    """
    bound = _bound(metrics, router, clock, ports)
    rollout = start(strategy, release, id="played", ports=bound)
    for _ in range(MOST_TICKS):
        if before_tick is not None:
            before_tick(rollout)
        decision = tick("played", bound)
        rollout = decision.rollout
        if decision.wake_at is None:
            return Outcome.of(rollout)
        bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    raise AssertionError(f"not over after {MOST_TICKS} ticks: {rollout!r}")


async def aplay(
    strategy: Strategy,
    release: Release,
    *,
    metrics: Sequence[Any] = (),
    router: Any = None,
    clock: VirtualClock | None = None,
    **ports: Any,
) -> Outcome:
    """`play` through the asynchronous drivers."""
    bound = _bound(metrics, router, clock, ports)
    rollout = await astart(strategy, release, id="played", ports=bound)
    for _ in range(MOST_TICKS):
        decision = await atick("played", bound)
        rollout = decision.rollout
        if decision.wake_at is None:
            return Outcome.of(rollout)
        bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    raise AssertionError(f"not over after {MOST_TICKS} ticks: {rollout!r}")


def _bound(
    metrics: Sequence[Any], router: Any, clock: VirtualClock | None, ports: dict[str, Any]
) -> Ports:
    ports.setdefault("store", MemoryStore())
    return Ports(
        router=router or MemoryRouter(),
        metrics=tuple(metrics),
        clock=clock or VirtualClock(),
        **ports,
    )
