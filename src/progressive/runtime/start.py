"""Start a rollout, with one active rollout for a service at a time."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from progressive.errors import ConflictError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.units import minutes
from progressive.plan.plan import Plan, Strategy, plan_of
from progressive.ports import Ports, Store
from progressive.rollout.events import Abort
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
    if (known := _started_before(ports, release, id)) is not None:
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
    return _begin_and_save(plan, release, id, ports)


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

    if (known := await call_in_thread(_started_before, ports, release, id)) is not None:
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
    return await call_in_thread(_begin_and_save, plan, release, id, ports)


def _started_before(ports: Ports, release: Release, id: str) -> Rollout | None:
    """Return the stored rollout of this id; None if there is none."""
    found = None if ports.store is None else ports.store.load(id)
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
    if current is None or _has_ended_for(release, current):
        return False
    if ports.clock() >= end:
        raise ConflictError(
            f"{current!r} has not ended in time; nothing was started ({if_running.value}); "
            "try again"
        )
    return True


def _has_ended_for(release: Release, ended: Rollout) -> bool:
    """Return whether a rollout has ended.

    `ConflictError` if the release names as stable what does not serve after it: the version that
    went back, or the one before that was promoted.
    """
    if not ended.final:
        return False
    gone = ended.leaving.version(ended.release)
    if gone is None or release.stable is None or release.stable.backend != gone.backend:
        return True
    promoted = ended.phase is Phase.PROMOTED
    serves = ended.release.candidate if promoted else ended.release.stable
    raise ConflictError(
        f"{ended.id!r} was {'promoted' if promoted else 'rolled back'}, so {serves} serves now and "
        f"not {release.stable}; nothing was started: start again with {serves} as stable"
    )


def _begin_and_save(plan: Plan, release: Release, id: str, ports: Ports) -> Rollout:
    rollout = begin(plan, release, id=id, at=ports.clock())
    if ports.store is not None:
        _cancel_retirement(ports.store, ports.clock, release, id)
        ports.store.save(rollout, (), expected=None)
    return rollout


def _cancel_retirement(
    store: Store, clock: Callable[[], datetime], release: Release, id: str
) -> None:
    """Cancel the removal of a version that this release needs, or in whose place it has another:
    a fleet removes what runs there.

    `ConflictError` if the fleet was asked to remove it already.
    """
    last = store.last(release.service)
    if last is None or last.over or (removed := _removed(last)) is None:
        return
    if removed.backend not in (version.backend for version in release.versions.values()):
        return
    if last.final and last.progress.retirement is not Retirement.DUE:
        raise _being_removed(last)
    abort = Abort(at=clock(), by="start", why=f"{id} needs the place of {removed}")
    kept = submit(store, last.id, abort).rollout
    if kept.progress.retirement is not Retirement.NONE:  # its driver was quicker
        raise _being_removed(last)


def _removed(last: Rollout) -> Version | None:
    return last.leaving.version(last.release)


def _being_removed(last: Rollout) -> ConflictError:
    ended = last.phase.value.replace("_", " ")
    return ConflictError(
        f"{_removed(last)} is being removed since {last.id!r} was {ended}; "
        "wait until it is gone, then release it anew"
    )
