"""Start a rollout, with one active rollout for a service at a time."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.errors import ConflictError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.units import minutes
from progressive.plan.plan import Plan, Strategy, plan_of
from progressive.ports import Ports, Store
from progressive.rollout.events import Abort, Superseded
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Rollout, begin

from .dispatch import problems
from .drive import aiterate, atry_load, iterate, submit, try_load
from .threads import call_in_thread

__all__ = ["IfRunning", "astart", "start"]

LOOK: Final = 0.5
"""Seconds between two loads of a rollout that somebody else drives to its end."""

PATIENCE: Final = minutes(15)
"""The default time to wait for another rollout to end: a way back takes seconds, and whoever waits
longer should know it.
"""


class IfRunning(enum.Enum):
    """The action of `start` while the service has another active rollout."""

    REFUSE = "refuse"
    """Raise a `ConflictError` that names it."""
    SUPERSEDE = "supersede"
    """Abort it, drive it to a verified 0 % with the same ports (or wait for whoever drives it),
    then start.
    """
    QUEUE = "queue"
    """Wait until it has ended by itself, then start; a `ConflictError` names what serves then, if
    the new release has another version as stable.
    """
    FOLLOW = "follow"
    """Wait until it has ended by itself, then start with what serves then as stable, whatever the
    release says: the version that was promoted, or the one that was gone back to. The same for a
    rollout that has ended before; the release's own stable counts only where there was none. For a
    release that is made before the outcome is known. `ConflictError` if its candidate serves by
    then; it can't have a baseline.
    """


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
    """Start a rollout: PENDING, saved if there is a store, with nothing asked of the world yet.

    Idempotent: starting an ``id`` that exists returns its rollout, if it is of the same release.

    * ``if_running``: what to do about another active rollout of the service.
    * ``wait``: the longest time to wait for its end.
    * ``sleep``: called with seconds while it is driven to its end.

    Raises `StrategyError`, before anything is changed, for names that are bound to nothing and for
    what the router can't do. Raises `ConflictError`, with nothing started, if the other rollout is
    refused or has not ended in time, or if ``id`` is of another release.
    """
    if (known := _started_before(ports, release, id, if_running)) is not None:
        return known
    plan = _checked_plan(strategy, release, ports, if_running)
    end = ports.clock() + wait
    while True:
        if (other := _active(ports, release, id, if_running)) is not None:
            if if_running is IfRunning.SUPERSEDE:
                _abort(ports, other, id)
                with suppress(ConflictError):  # somebody else drives it, and has the abort by now
                    for decision in iterate(other.id, ports, sleep=sleep):
                        stored = try_load(ports, other.id) if decision.rollout.final else None
                        if ports.clock() >= end or _has_ended(stored):
                            break
            while _still_active(ports, other, end, if_running, release):
                sleep(LOOK)
        begun = _begin_and_save(plan, release, id, ports, if_running)
        if begun is not None:
            return begun


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
    import asyncio

    known = await call_in_thread(_started_before, ports, release, id, if_running)
    if known is not None:
        return known
    plan = _checked_plan(strategy, release, ports, if_running)
    end = ports.clock() + wait
    while True:
        other = await call_in_thread(_active, ports, release, id, if_running)
        if other is not None:
            if if_running is IfRunning.SUPERSEDE:
                await call_in_thread(_abort, ports, other, id)
                with suppress(ConflictError):
                    async for decision in aiterate(other.id, ports):
                        final = decision.rollout.final
                        stored = await atry_load(ports, other.id) if final else None
                        if ports.clock() >= end or _has_ended(stored):
                            break
            while await call_in_thread(  # noqa: ASYNC110 - it ends in a store, not here
                _still_active, ports, other, end, if_running, release
            ):
                await asyncio.sleep(LOOK)
        begun = await call_in_thread(_begin_and_save, plan, release, id, ports, if_running)
        if begun is not None:
            return begun


def _started_before(
    ports: Ports, release: Release, id: str, if_running: IfRunning
) -> Rollout | None:
    """Return the stored rollout of this id; None if there is none."""
    if ports.store is None or (found := ports.store.load(id)) is None:
        return None
    same = found.release == release
    if if_running is IfRunning.FOLLOW:
        same = (found.release.service, found.release.candidate) == (
            release.service,
            release.candidate,
        )
    if not same:
        raise ConflictError(
            f"rollout {id!r} exists and is of another release: {found.release!r}; use another id"
        )
    _tell_earlier(ports.store, ports.clock, found)
    return found


def _checked_plan(
    strategy: Strategy, release: Release, ports: Ports, if_running: IfRunning
) -> Plan:
    """Return the plan of a strategy; `StrategyError` if these ports can't drive it."""
    plan = plan_of(strategy, "start(strategy)")
    if wrong := problems(plan, ports):
        raise StrategyError(wrong)
    # Problems of the release are found before anything is done about another rollout.
    begin(plan, release, id="unnamed", at=ports.clock())
    if if_running is IfRunning.FOLLOW and release.baseline is not None:
        raise StrategyError(
            f"start(if_running=follow): the baseline {release.baseline} is a copy of a stable that "
            "is not known yet; use IfRunning.QUEUE with the release that you expect"
        )
    return plan


def _active(ports: Ports, release: Release, id: str, if_running: IfRunning) -> Rollout | None:
    """Return another rollout of the service that has not ended; None if there is none."""
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
    assert ports.store is not None  # the other one was loaded from it
    submit(ports.store, other.id, Abort(at=ports.clock(), by="start", why=f"superseded by {id}"))


def _has_ended(stored: Rollout | None) -> bool:
    """Return whether the store has the end of a rollout: it is driven no further, not to the
    removal of a version that the next one may need.
    """
    return stored is not None and stored.final


def _still_active(
    ports: Ports, other: Rollout, end: datetime, if_running: IfRunning, release: Release
) -> bool:
    """Return whether the other rollout has not ended yet.

    `ConflictError` from ``end`` on, and if it has ended otherwise than ``release`` supposes.
    """
    assert ports.store is not None  # the other one was loaded from it
    current = ports.store.load(other.id)
    if current is None or _has_ended_for(release, current, if_running):
        return False
    if ports.clock() >= end:
        raise ConflictError(
            f"{current!r} has not ended in time; nothing was started ({if_running.value}); "
            "try again"
        )
    return True


def _has_ended_for(release: Release, ended: Rollout, if_running: IfRunning) -> bool:
    """Return whether a rollout has ended.

    `ConflictError` if the release names as stable what does not serve after it: the version that
    went back, or the one before that was promoted. Not for who takes whatever serves.
    """
    if not ended.final or if_running is IfRunning.FOLLOW:
        return ended.final
    gone = ended.leaving.version(ended.release)
    if gone is None or release.stable is None or release.stable.backend != gone.backend:
        return True
    serves = _serves_after(ended)
    outcome = "promoted" if ended.phase is Phase.PROMOTED else "rolled back"
    raise ConflictError(
        f"{ended.id!r} was {outcome}, so {serves} serves now and not {release.stable}; nothing was "
        f"started: start again with {serves} as stable, or with IfRunning.FOLLOW"
    )


def _serves_after(ended: Rollout) -> Version | None:
    promoted = ended.phase is Phase.PROMOTED
    return ended.release.candidate if promoted else ended.release.stable


def _begin_and_save(
    plan: Plan, release: Release, id: str, ports: Ports, if_running: IfRunning
) -> Rollout | None:
    """Begin the rollout; None if another one was quicker and is to be waited for."""
    if ports.store is not None and if_running is IfRunning.FOLLOW:
        release = _following(release, ports.store.last(release.service))
    rollout = begin(plan, release, id=id, at=ports.clock())
    if ports.store is None:
        return rollout
    earlier = _earlier(ports.store, ports.clock, release, id)
    rollout = attrs.evolve(rollout, earlier=earlier)
    try:
        ports.store.save(rollout, (), expected=None)
    except ConflictError:
        waits = if_running in (IfRunning.QUEUE, IfRunning.FOLLOW)
        last = ports.store.last(release.service) if waits else None
        if last is None or last.final or last.id == id:
            raise
        return None
    _tell_earlier(ports.store, ports.clock, rollout)
    return rollout


def _following(release: Release, last: Rollout | None) -> Release:
    """Return the release with what serves after the service's last rollout as stable.

    `ConflictError` if the candidate, or another version in its place, serves already.
    """
    serves = None if last is None else _serves_after(last)
    if last is None or serves is None:
        return release
    if serves.backend == release.candidate.backend:
        what = "serves already" if serves == release.candidate else f"is where {serves} serves"
        raise ConflictError(
            f"{release.candidate} {what} since {last.id!r} has ended; nothing was started"
        )
    return attrs.evolve(release, stable=serves)


def _earlier(
    store: Store, clock: Callable[[], datetime], release: Release, id: str
) -> tuple[str, ...]:
    """Return the earlier rollouts of the service that still have a version to remove, and go on;
    cancel the removal of what this release needs, or in whose place it has another, as a fleet
    removes what runs there.

    `ConflictError`, before any is cancelled, if the fleet was asked already to remove what is
    needed.
    """
    last = store.last(release.service)
    if last is None:
        return ()
    needed = {version.backend for version in release.versions.values()}
    going_on: list[str] = []
    to_cancel: list[Rollout] = []
    for earlier in (*map(store.load, last.earlier), last):
        if earlier is None or not earlier.final or earlier.over:
            continue
        removed = _removed(earlier)
        if removed is None or removed.backend not in needed:
            going_on.append(earlier.id)
        elif earlier.progress.retirement is Retirement.DUE:
            to_cancel.append(earlier)
        else:
            raise _being_removed(earlier)
    for earlier in to_cancel:
        why = f"{id} needs the place of {_removed(earlier)}"
        kept = submit(store, earlier.id, Abort(at=clock(), by="start", why=why)).rollout
        if kept.progress.retirement is not Retirement.NONE:  # its driver was quicker
            raise _being_removed(earlier)
    return tuple(going_on)


def _tell_earlier(store: Store, clock: Callable[[], datetime], rollout: Rollout) -> None:
    """Tell the earlier rollouts that this one does not need what they remove.

    It is stored by then: one that is not would be waited for in vain. Whoever ends in between is
    told when the start is tried again; else the version is kept, and a person is called.
    """
    if rollout.final:
        return
    for id in rollout.earlier:
        earlier = store.load(id)
        if earlier is None or earlier.progress.retirement is not Retirement.DUE:
            continue
        told = Superseded(
            at=clock(),
            rollout=rollout.id,
            release=rollout.release,
            by="start",
            why=f"{rollout.id} does not need {_removed(earlier)}",
        )
        submit(store, id, told)


def _removed(last: Rollout) -> Version | None:
    return last.leaving.version(last.release)


def _being_removed(last: Rollout) -> ConflictError:
    ended = last.phase.value.replace("_", " ")
    return ConflictError(
        f"{_removed(last)} is being removed since {last.id!r} was {ended}; "
        "wait until it is gone, then release it anew"
    )
