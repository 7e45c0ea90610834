"""Change traffic with nothing but the router: all back to stable, or all to a first version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from progressive.errors import ConflictError, Failure, FleetError, RouterError, StrategyError
from progressive.model.capacity import Capacity
from progressive.model.release import Release
from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Track, Traffic
from progressive.model.units import percent
from progressive.ports import (
    AnyFleet,
    AsyncFleetSurvey,
    AsyncTrafficRouter,
    FleetSurvey,
    TrafficRouter,
)

__all__ = ["afirst_deployment", "arollback_now", "first_deployment", "rollback_now"]


def rollback_now(router: TrafficRouter, release: Release) -> Served:
    """Roll back at once with nothing but the router: for when state, metrics and store are gone.

    All traffic goes to stable. It leaves a *closed* marker, so that a driver that sleeps meanwhile
    rolls back too when it wakes. Raises `RouterError` (try again) unless the router, read back,
    serves stable alone. Idempotent.
    """
    before = router.read(release)
    served = router.apply(release, ALL_STABLE, marker=_closed(before), expect=before.version)
    return _require_all_stable(served, release)


async def arollback_now(router: AsyncTrafficRouter, release: Release) -> Served:
    """`rollback_now` for asyncio."""
    before = await router.aread(release)
    served = await router.aapply(release, Traffic(), marker=_closed(before), expect=before.version)
    return _require_all_stable(served, release)


def _closed(before: Served) -> Marker:
    """Return the marker that is there, closed."""
    marker = before.marker or Marker(generation=0)
    return evolve(marker, closed=True)


def _require_all_stable(served: Served, release: Release) -> Served:
    if not served.shows(ALL_STABLE):
        raise RouterError(
            f"written, but the router still serves {served.traffic} of {release.service!r}; "
            "read it again",
            failure=Failure.UNKNOWN,
        )
    return served


ALL_CANDIDATE: Final = Traffic(candidate=percent(100))


def first_deployment(
    router: TrafficRouter,
    release: Release,
    *,
    fleet: AnyFleet | None = None,
    take_over: bool = False,
) -> Served:
    """Send all traffic to the first version of a service, the candidate of ``release``.

    The release has no stable version, so there is nothing to compare with or go back to, and no
    rollout is made: one write, read back. The next release is ``release.next(version)``.

    * ``fleet``: if given, the instances must be able to carry all traffic.
    * ``take_over``: write even if the router serves something else, or a rollout has claimed it.

    Raises `StrategyError` for a release with a stable version, `FleetError` if the instances are
    not ready and `ConflictError` if ``take_over`` is needed; nothing is written then. Raises
    `RouterError` unless the router, read back, serves the version.
    """
    _require_no_stable(release)
    if isinstance(fleet, FleetSurvey):
        _require_ready(fleet.survey(release), release)
    before = router.read(release)
    _require_unused(before, release, take_over)
    served = router.apply(release, ALL_CANDIDATE, marker=_next(before), expect=before.version)
    return _require_all_candidate(served, release)


async def afirst_deployment(
    router: AsyncTrafficRouter,
    release: Release,
    *,
    fleet: AnyFleet | None = None,
    take_over: bool = False,
) -> Served:
    """`first_deployment` for asyncio."""
    _require_no_stable(release)
    if isinstance(fleet, AsyncFleetSurvey):
        _require_ready(await fleet.asurvey(release), release)
    before = await router.aread(release)
    _require_unused(before, release, take_over)
    served = await router.aapply(
        release, ALL_CANDIDATE, marker=_next(before), expect=before.version
    )
    return _require_all_candidate(served, release)


def _require_no_stable(release: Release) -> None:
    if release.stable is not None:
        raise StrategyError(
            f"first_deployment: {release.service!r} has a stable version "
            f"({release.stable}); start a rollout instead"
        )


def _require_ready(capacities: Mapping[Track, Capacity], release: Release) -> None:
    capacity = capacities.get(Track.CANDIDATE)
    if capacity is None or capacity.able != percent(100):
        can = (
            "the fleet knows none of its instances"
            if capacity is None
            else f"it can carry {capacity}"
        )
        raise FleetError(
            f"{Track.CANDIDATE.label(release)} is not ready: {can}; nothing was written, try again"
        )


def _require_unused(before: Served, release: Release, take_over: bool) -> None:
    """Raise `ConflictError` if the router is in use, unless ``take_over``.

    A stable version may have been forgotten in the release, and nothing would be watched then.
    """
    if take_over:
        return
    others = ""
    if before.marker is not None:
        others = (
            f"a rollout has claimed the router of {release.service!r} (generation "
            f"{before.marker.generation})"
        )
    elif before.unattributed.ppm:
        others = f"{before.unattributed} of the requests of {release.service!r} go elsewhere now"
    if others:
        raise ConflictError(
            f"{others}; start a rollout with Release(stable=...), or say take_over=True if "
            "this is meant"
        )


def _next(before: Served) -> Marker:
    return Marker(generation=1 if before.marker is None else before.marker.generation + 1)


def _require_all_candidate(served: Served, release: Release) -> Served:
    if not served.shows(ALL_CANDIDATE):
        raise RouterError(
            f"written, but the router serves {served.traffic} of {release.service!r} to "
            f"{release.candidate}; read it again",
            failure=Failure.UNKNOWN,
        )
    return served
