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
    rollout that has ended before. For a release that is made before the outcome is known.
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
    plan = _checked_plan(strategy, release, ports)
    if (other := _active(ports, release, id, if_running)) is not None:
        end = ports.clock() + wait
        if if_running is IfRunning.SUPERSEDE:
            _abort(ports, other, id)
            with suppress(ConflictError):  # somebody else drives it, and has the abort by now
                for decision in iterate(other.id, ports, sleep=sleep):
                    stored = try_load(ports, other.id) if decision.rollout.final else None
                    if ports.clock() >= end or _has_ended(stored):
                        break
        while _still_active(ports, other, end, if_running, release):
            sleep(LOOK)
    return _begin_and_save(plan, release, id, ports, if_running)


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

    if (known := await call_in_thread(_started_before, ports, release, id, if_running)) is not None:
        return known
    plan = _checked_plan(strategy, release, ports)
    if (other := await call_in_thread(_active, ports, release, id, if_running)) is not None:
        end = ports.clock() + wait
        if if_running is IfRunning.SUPERSEDE:
            await call_in_thread(_abort, ports, other, id)
            with suppress(ConflictError):
                async for decision in aiterate(other.id, ports):
                    stored = await atry_load(ports, other.id) if decision.rollout.final else None
                    if ports.clock() >= end or _has_ended(stored):
                        break
        while await call_in_thread(  # noqa: ASYNC110 - it ends in a store, not here
            _still_active, ports, other, end, if_running, release
        ):
            await asyncio.sleep(LOOK)
    return await call_in_thread(_begin_and_save, plan, release, id, ports, if_running)


def _started_before(
    ports: Ports, release: Release, id: str, if_running: IfRunning
) -> Rollout | None:
    """Return the stored rollout of this id; None if there is none."""
    found = None if ports.store is None else ports.store.load(id)
    if found is not None and if_running is IfRunning.FOLLOW:
        release = attrs.evolve(release, stable=found.release.stable)
    if found is not None and found.release != release:
        raise ConflictError(
            f"rollout {id!r} exists and is of another release: {found.release!r}; use another id"
        )
    return found


def _checked_plan(strategy: Strategy, release: Release, ports: Ports) -> Plan:
    """Return the plan of a strategy; `StrategyError` if these ports can't drive it."""
    plan = plan_of(strategy, "start(strategy)")
    if wrong := problems(plan, ports):
        raise StrategyError(wrong)
    # Problems of the release are found before anything is done about another rollout.
    begin(plan, release, id="unnamed", at=ports.clock())
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
) -> Rollout:
    if ports.store is not None and if_running is IfRunning.FOLLOW:
        last = ports.store.last(release.service)
        if last is not None:
            release = attrs.evolve(release, stable=_serves_after(last))
    rollout = begin(plan, release, id=id, at=ports.clock())
    if ports.store is not None:
        earlier = _tell_earlier(ports.store, ports.clock, release, id)
        rollout = attrs.evolve(rollout, earlier=earlier)
        ports.store.save(rollout, (), expected=None)
    return rollout


def _tell_earlier(
    store: Store, clock: Callable[[], datetime], release: Release, id: str
) -> tuple[str, ...]:
    """Tell each earlier rollout of the service that still has a version to remove what this one
    needs: cancel the removal of what it needs, or in whose place it has another, as a fleet removes
    what runs there; let the others go on.

    Returns the ids of those that go on. `ConflictError` if the fleet was asked already to remove
    what is needed.
    """
    last = store.last(release.service)
    if last is None:
        return ()
    going_on: list[str] = []
    for earlier in (*map(store.load, last.earlier), last):
        if earlier is None or not earlier.final or earlier.over:
            continue
        removed = _removed(earlier)
        if removed is None:
            continue
        if removed.backend in (version.backend for version in release.versions.values()):
            _cancel_removal(
                store,
                earlier,
                Abort(at=clock(), by="start", why=f"{id} needs the place of {removed}"),
            )
            continue
        if earlier.progress.retirement is Retirement.DUE:
            why = f"{release} does not need {removed}"
            submit(
                store,
                earlier.id,
                Superseded(at=clock(), rollout=id, release=release, by="start", why=why),
            )
        going_on.append(earlier.id)
    return tuple(going_on)


def _cancel_removal(store: Store, earlier: Rollout, abort: Abort) -> None:
    if earlier.progress.retirement is not Retirement.DUE:
        raise _being_removed(earlier)
    kept = submit(store, earlier.id, abort).rollout
    if kept.progress.retirement is not Retirement.NONE:  # its driver was quicker
        raise _being_removed(earlier)


def _removed(last: Rollout) -> Version | None:
    return last.leaving.version(last.release)


def _being_removed(last: Rollout) -> ConflictError:
    ended = last.phase.value.replace("_", " ")
    return ConflictError(
        f"{_removed(last)} is being removed since {last.id!r} was {ended}; "
        "wait until it is gone, then release it anew"
    )
