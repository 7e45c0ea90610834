"""Starting a rollout, and whose turn it is: one active rollout for a service at a time. And the very first version of a service."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from progressive.errors import ConflictError, Failure, FleetError, RouterError, StrategyError
from progressive.model.capacity import Capacity
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import minutes, percent
from progressive.plan.plan import Plan
from progressive.ports import Ports
from progressive.rollout.events import Abort
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Rollout, begin

from .dispatch import problems
from .drive import aiterate, iterate, submit

__all__ = ["IfRunning", "afirst_deployment", "astart", "first_deployment", "start"]

LOOK: Final = 0.5
"""Seconds between two looks at a rollout that somebody else drives to its end."""

PATIENCE: Final = minutes(15)
"""How long to wait for a turn, if nothing is said: a way back takes seconds, and whoever waits longer should know it."""

EVERYTHING: Final = Traffic(candidate=percent(100))


class Strategy(Protocol):
    """What compiles to a plan."""

    @property
    def plan(self) -> Plan: ...


class IfRunning(enum.Enum):
    """What `start` does while the service has another active rollout."""

    REFUSE = "refuse"
    """`ConflictError` that names it."""
    SUPERSEDE = "supersede"
    """Abort it, drive it to a verified 0 % with the same ports (or wait for whoever drives it), then start."""
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

    Names that are bound to nothing, and what the router can't do, are a `StrategyError` before anything is touched. Starting an ``id`` that
    exists returns it as it stands, if it is of the same release. ``if_running`` says what becomes of another active rollout of the service;
    it is waited for no longer than ``wait``, then it is a `ConflictError`, and nothing was started.
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
        while await asyncio.to_thread(_still_active, ports, other, end, if_running):  # noqa: ASYNC110 - in a store, not here
            await asyncio.sleep(LOOK)
    return await asyncio.to_thread(_begun, plan, release, id, ports)


def _known(ports: Ports, release: Release, id: str) -> Rollout | None:
    """The rollout of this id, if it was started before."""
    found: Rollout | None = None if ports.store is None else ports.store.load(id)
    if found is not None and found.release != release:
        raise ConflictError(f"rollout {id!r} exists and is of another release: {found.release!r}; use another id")
    return found


def _drivable(strategy: Strategy, release: Release, ports: Ports) -> Plan:
    if wrong := problems(strategy.plan, ports):
        raise StrategyError(wrong)
    # What is wrong with the release is found before anything is done about another rollout.
    begin(strategy.plan, release, id="unnamed", at=ports.clock())
    return strategy.plan


def _active(ports: Ports, release: Release, id: str, if_running: IfRunning) -> Rollout | None:
    """Another rollout of the service that has not ended."""
    last: Rollout | None = None if ports.store is None else ports.store.last(release.service)
    if last is None or last.final:
        return None
    if if_running is IfRunning.REFUSE:
        raise ConflictError(f"{release.service!r} has an active rollout, {last!r}; let it end, or abort it, before starting {id!r}")
    return last


def _abort(ports: Ports, other: Rollout, id: str) -> None:
    submit(ports.store, other.id, Abort(at=ports.clock(), by="start", why=f"superseded by {id}"))


def _still_active(ports: Ports, other: Rollout, end: datetime, if_running: IfRunning) -> bool:
    """Has the other rollout not ended yet? `ConflictError` if that takes too long."""
    found: Rollout = ports.store.load(other.id)
    if not found.final and ports.clock() >= end:
        raise ConflictError(f"{found!r} has not ended in time; nothing was started ({if_running.value}); try again")
    return not found.final


def _begun(plan: Plan, release: Release, id: str, ports: Ports) -> Rollout:
    rollout = begin(plan, release, id=id, at=ports.clock())
    if ports.store is not None:
        _keep_the_old(ports, release, id)
        ports.store.save(rollout, (), expected=None)
    return rollout


def _keep_the_old(ports: Ports, release: Release, id: str) -> None:
    """If the old version is wanted again, it must not be removed; and it can't be had back once that was asked for."""
    last: Rollout | None = ports.store.last(release.service)
    if last is None or last.over or release.candidate != last.release.stable:
        return
    old = last.release.stable
    if last.phase is Phase.PROMOTED and last.progress.retirement is not Retirement.DUE:
        raise _being_removed(last)
    kept = submit(ports.store, last.id, Abort(at=ports.clock(), by="start", why=f"{id} goes back to {old}")).rollout
    if kept.progress.retirement is not Retirement.NONE:  # its driver was quicker
        raise _being_removed(last)


def _being_removed(last: Rollout) -> ConflictError:
    old = last.release.stable
    return ConflictError(f"{old} is being removed since {last.id!r} was promoted; wait until it is gone, then release it anew")


# ---------------------------------------------------------------------------------------------------------- the first version


def first_deployment(router: Any, release: Release, *, fleet: Any = None, take_over: bool = False) -> Served:
    """All traffic to the first version of a service: ``release`` has no stable one, so there is nothing to compare with or go back to.

    No rollout is made of it: one write, read back. With a ``fleet``, its instances must be able to carry everything; else `FleetError`
    and nothing is written. A router that serves somebody else now, or that a rollout has claimed, is a `ConflictError`, unless
    ``take_over`` says that this is meant. What follows is ``release.next(version)``. Raises `RouterError` if the router does not say
    that it serves it then, `StrategyError` for a release that has a stable version.
    """
    _only_the_first(release)
    if fleet is not None and hasattr(fleet, "survey"):
        _ready(fleet.survey(release), release)
    before = router.read(release)
    _nobody_there(before, release, take_over)
    served: Served = router.apply(release, EVERYTHING, marker=_next(before), expect=before.version)
    return _all_of_it(served, release)


async def afirst_deployment(router: Any, release: Release, *, fleet: Any = None, take_over: bool = False) -> Served:
    """`first_deployment` for asyncio."""
    _only_the_first(release)
    if fleet is not None and hasattr(fleet, "asurvey"):
        _ready(await fleet.asurvey(release), release)
    before = await router.aread(release)
    _nobody_there(before, release, take_over)
    served: Served = await router.aapply(release, EVERYTHING, marker=_next(before), expect=before.version)
    return _all_of_it(served, release)


def _only_the_first(release: Release) -> None:
    if release.stable is not None:
        raise StrategyError(f"first_deployment: {release.service!r} has a stable version ({release.stable}); start a rollout instead")


def _ready(capacities: Any, release: Release) -> None:
    found: Capacity | None = capacities.get(Track.CANDIDATE)
    if found is None or found.able != percent(100):
        can = "the fleet knows none of its instances" if found is None else f"it can carry {found}"
        raise FleetError(f"{Track.CANDIDATE.label(release)} is not ready: {can}; nothing was written, try again")


def _nobody_there(before: Served, release: Release, take_over: bool) -> None:
    """A release without a stable version must not be a slip of the pen: nothing would be watched."""
    if take_over:
        return
    others = f"{before.elsewhere} of the requests of {release.service!r} go elsewhere now" if before.elsewhere.ppm else ""
    if before.marker is not None:
        others = f"a rollout has claimed the router of {release.service!r} (generation {before.marker.generation})"
    if others:
        raise ConflictError(f"{others}; start a rollout with Release(stable=...), or say take_over=True if this is meant")


def _next(before: Served) -> Marker:
    return Marker(generation=1 if before.marker is None else before.marker.generation + 1)


def _all_of_it(served: Served, release: Release) -> Served:
    if served.traffic != EVERYTHING or served.elsewhere.ppm or not served.settled:
        raise RouterError(
            f"written, but the router serves {served.traffic} of {release.service!r} to {release.candidate}; read it again",
            failure=Failure.UNKNOWN,
        )
    return served
