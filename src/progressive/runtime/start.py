"""Starting a rollout, and whose turn it is: one active rollout for a service at a time. And the
very first version of a service.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from progressive.errors import ConflictError, StrategyError
from progressive.model.release import Release
from progressive.model.units import minutes
from progressive.plan.plan import Plan, Strategy
from progressive.ports import Ports, Store
from progressive.rollout.events import Abort
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Rollout, begin

from .dispatch import problems
from .drive import aiterate, iterate, submit

__all__ = ["IfRunning", "astart", "start"]

LOOK: Final = 0.5
"""Seconds between two looks at a rollout that somebody else drives to its end."""

PATIENCE: Final = minutes(15)
"""How long to wait for a turn, if nothing is said: a way back takes seconds, and whoever waits
longer should know it.
"""


class IfRunning(enum.Enum):
    """What `start` does while the service has another active rollout."""

    REFUSE = "refuse"
    """`ConflictError` that names it."""
    SUPERSEDE = "supersede"
    """Abort it, drive it to a verified 0 % with the same ports (or wait for whoever drives it),
    then start.
    """
    QUEUE = "queue"
    """Wait until it has ended by itself, then start."""


def start(
    strategy: Strategy,
    release: Release,
    *,
    id: str,
    ports: Ports,
    if_running: IfRunning = IfRunning.REFUSE,
    wait: timedelta = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> Rollout:
    """A new rollout, PENDING, saved if there is a store; nothing is asked of the world yet.

    Names that are bound to nothing, and what the router can't do, are a `StrategyError` before
    anything is touched. Starting an ``id`` that exists returns it as it stands, if it is of the
    same release. ``if_running`` says what becomes of another active rollout of the service; it is
    waited for no longer than ``wait``, then it is a `ConflictError`, and nothing was started.
    """
    if (known := _known(ports, release, id)) is not None:
        return known
    plan = _drivable(strategy, release, ports)
    if (other := _active(ports, release, id, if_running)) is not None:
        end = ports.clock() + wait
        if if_running is IfRunning.SUPERSEDE:
            _abort(ports, other, id)
            with suppress(ConflictError):  # somebody drives it; that one has heard the abort by now
                for _ in iterate(other.id, ports, sleep=sleep):
                    if ports.clock() >= end:
                        break
        while _still_active(ports, other, end, if_running):
            sleep(LOOK)
    return _begun(plan, release, id, ports)


async def astart(
    strategy: Strategy,
    release: Release,
    *,
    id: str,
    ports: Ports,
    if_running: IfRunning = IfRunning.REFUSE,
    wait: timedelta = PATIENCE,
) -> Rollout:
    """`start` for asyncio."""
    if (known := await asyncio.to_thread(_known, ports, release, id)) is not None:
        return known
    plan = _drivable(strategy, release, ports)
    if (other := await asyncio.to_thread(_active, ports, release, id, if_running)) is not None:
        end = ports.clock() + wait
        if if_running is IfRunning.SUPERSEDE:
            await asyncio.to_thread(_abort, ports, other, id)
            with suppress(ConflictError):
                async for _ in aiterate(other.id, ports):
                    if ports.clock() >= end:
                        break
        while await asyncio.to_thread(  # noqa: ASYNC110 - it ends in a store, not here
            _still_active, ports, other, end, if_running
        ):
            await asyncio.sleep(LOOK)
    return await asyncio.to_thread(_begun, plan, release, id, ports)


def _known(ports: Ports, release: Release, id: str) -> Rollout | None:
    """The rollout of this id, if it was started before."""
    found = None if ports.store is None else ports.store.load(id)
    if found is not None and found.release != release:
        raise ConflictError(
            f"rollout {id!r} exists and is of another release: {found.release!r}; use another id"
        )
    return found


def _drivable(strategy: Strategy, release: Release, ports: Ports) -> Plan:
    if wrong := problems(strategy.plan, ports):
        raise StrategyError(wrong)
    # What is wrong with the release is found before anything is done about another rollout.
    begin(strategy.plan, release, id="unnamed", at=ports.clock())
    return strategy.plan


def _active(ports: Ports, release: Release, id: str, if_running: IfRunning) -> Rollout | None:
    """Another rollout of the service that has not ended."""
    last = None if ports.store is None else ports.store.last(release.service)
    if last is None or last.final:
        return None
    if if_running is IfRunning.REFUSE:
        raise ConflictError(
            f"{release.service!r} has an active rollout, {last!r}; let it end, or abort it, "
            f"before starting {id!r}"
        )
    return last


def _abort(ports: Ports, other: Rollout, id: str) -> None:
    assert ports.store is not None  # which knows the other one
    submit(ports.store, other.id, Abort(at=ports.clock(), by="start", why=f"superseded by {id}"))


def _still_active(ports: Ports, other: Rollout, end: datetime, if_running: IfRunning) -> bool:
    """Has the other rollout not ended yet? `ConflictError` if that takes too long."""
    assert ports.store is not None  # which knows the other one
    found = ports.store.load(other.id)
    if found is None or found.final:
        return False
    if ports.clock() >= end:
        raise ConflictError(
            f"{found!r} has not ended in time; nothing was started ({if_running.value}); try again"
        )
    return True


def _begun(plan: Plan, release: Release, id: str, ports: Ports) -> Rollout:
    rollout = begin(plan, release, id=id, at=ports.clock())
    if ports.store is not None:
        _keep_the_old(ports.store, ports.clock, release, id)
        ports.store.save(rollout, (), expected=None)
    return rollout


def _keep_the_old(store: Store, clock: Callable[[], datetime], release: Release, id: str) -> None:
    """If the old version is wanted again, it must not be removed; and it can't be had back once
    that was asked for.
    """
    last = store.last(release.service)
    if last is None or last.over or release.candidate != last.release.stable:
        return
    old = last.release.stable
    if last.phase is Phase.PROMOTED and last.progress.retirement is not Retirement.DUE:
        raise _being_removed(last)
    abort = Abort(at=clock(), by="start", why=f"{id} goes back to {old}")
    kept = submit(store, last.id, abort).rollout
    if kept.progress.retirement is not Retirement.NONE:  # its driver was quicker
        raise _being_removed(last)


def _being_removed(last: Rollout) -> ConflictError:
    old = last.release.stable
    return ConflictError(
        f"{old} is being removed since {last.id!r} was promoted; wait until it is gone, "
        "then release it anew"
    )
