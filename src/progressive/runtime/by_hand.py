"""The way back when everything else is gone: nothing but the router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from progressive.errors import ConflictError, Failure, FleetError, RouterError, StrategyError
from progressive.model.capacity import Capacity
from progressive.model.release import Release
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
    """All traffic to stable, at once, with nothing but the router: for when state, metrics and
    store are all gone.

    It leaves a *closed* marker, so that a driver which sleeps meanwhile goes back too when it
    wakes. Written, then read back: raises `RouterError` (try again) unless the router then says
    that it serves stable alone.
    """
    before = router.read(release)
    served = router.apply(release, ALL_STABLE, marker=_closed(before), expect=before.version)
    return _alone(served, release)


async def arollback_now(router: AsyncTrafficRouter, release: Release) -> Served:
    """`rollback_now` for asyncio."""
    before = await router.aread(release)
    served = await router.aapply(release, Traffic(), marker=_closed(before), expect=before.version)
    return _alone(served, release)


def _closed(before: Served) -> Marker:
    marker = before.marker or Marker(generation=0)
    return Marker(generation=marker.generation, serial=marker.serial, closed=True)


def _alone(served: Served, release: Release) -> Served:
    if not served.shows(ALL_STABLE):
        raise RouterError(
            f"written, but the router still serves {served.traffic} of {release.service!r}; "
            "read it again",
            failure=Failure.UNKNOWN,
        )
    return served


EVERYTHING: Final = Traffic(candidate=percent(100))


def first_deployment(
    router: TrafficRouter,
    release: Release,
    *,
    fleet: AnyFleet | None = None,
    take_over: bool = False,
) -> Served:
    """All traffic to the first version of a service: ``release`` has no stable one, so there is
    nothing to compare with or go back to.

    No rollout is made of it: one write, read back. With a ``fleet``, its instances must be able to
    carry everything; else `FleetError` and nothing is written. A router that serves somebody else
    now, or that a rollout has claimed, is a `ConflictError`, unless ``take_over`` says that this is
    meant. What follows is ``release.next(version)``. Raises `RouterError` if the router does not
    say that it serves it then, `StrategyError` for a release that has a stable version.
    """
    _only_the_first(release)
    if isinstance(fleet, FleetSurvey):
        _ready(fleet.survey(release), release)
    before = router.read(release)
    _nobody_there(before, release, take_over)
    served = router.apply(release, EVERYTHING, marker=_next(before), expect=before.version)
    return _all_of_it(served, release)


async def afirst_deployment(
    router: AsyncTrafficRouter,
    release: Release,
    *,
    fleet: AnyFleet | None = None,
    take_over: bool = False,
) -> Served:
    """`first_deployment` for asyncio."""
    _only_the_first(release)
    if isinstance(fleet, AsyncFleetSurvey):
        _ready(await fleet.asurvey(release), release)
    before = await router.aread(release)
    _nobody_there(before, release, take_over)
    served = await router.aapply(release, EVERYTHING, marker=_next(before), expect=before.version)
    return _all_of_it(served, release)


def _only_the_first(release: Release) -> None:
    if release.stable is not None:
        raise StrategyError(
            f"first_deployment: {release.service!r} has a stable version "
            f"({release.stable}); start a rollout instead"
        )


def _ready(capacities: Mapping[Track, Capacity], release: Release) -> None:
    found = capacities.get(Track.CANDIDATE)
    if found is None or found.able != percent(100):
        can = "the fleet knows none of its instances" if found is None else f"it can carry {found}"
        raise FleetError(
            f"{Track.CANDIDATE.label(release)} is not ready: {can}; nothing was written, try again"
        )


def _nobody_there(before: Served, release: Release, take_over: bool) -> None:
    """A release without a stable version must not be a slip of the pen: nothing would be
    watched.
    """
    if take_over:
        return
    others = (
        f"{before.unattributed} of the requests of {release.service!r} go elsewhere now"
        if before.unattributed.ppm
        else ""
    )
    if before.marker is not None:
        others = (
            f"a rollout has claimed the router of {release.service!r} (generation "
            f"{before.marker.generation})"
        )
    if others:
        raise ConflictError(
            f"{others}; start a rollout with Release(stable=...), or say take_over=True if "
            "this is meant"
        )


def _next(before: Served) -> Marker:
    return Marker(generation=1 if before.marker is None else before.marker.generation + 1)


def _all_of_it(served: Served, release: Release) -> Served:
    if not served.shows(EVERYTHING):
        raise RouterError(
            f"written, but the router serves {served.traffic} of {release.service!r} to "
            f"{release.candidate}; read it again",
            failure=Failure.UNKNOWN,
        )
    return served
