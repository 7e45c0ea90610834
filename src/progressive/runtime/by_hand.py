"""The way back when everything else is gone: nothing but the router."""

from __future__ import annotations

from typing import Any

from progressive.errors import Failure, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic

__all__ = ["arollback_now", "rollback_now"]


def rollback_now(router: Any, release: Release) -> Served:
    """All traffic to stable, at once, with nothing but the router: for when state, metrics and store are all gone.

    It leaves a *closed* marker, so that a driver which sleeps meanwhile goes back too when it wakes. Written, then read back: raises
    `RouterError` (try again) unless the router then says that it serves stable alone.
    """
    before = router.read(release)
    served: Served = router.apply(release, Traffic(), marker=_closed(before), expect=before.version)
    return _alone(served, release)


async def arollback_now(router: Any, release: Release) -> Served:
    """`rollback_now` for asyncio."""
    before = await router.aread(release)
    served: Served = await router.aapply(release, Traffic(), marker=_closed(before), expect=before.version)
    return _alone(served, release)


def _closed(before: Served) -> Marker:
    marker = before.marker or Marker(generation=0)
    return Marker(generation=marker.generation, serial=marker.serial, closed=True)


def _alone(served: Served, release: Release) -> Served:
    if served.traffic != Traffic() or served.elsewhere.ppm or not served.settled:
        raise RouterError(
            f"written, but the router still serves {served.traffic} of {release.service!r}; read it again", failure=Failure.UNKNOWN
        )
    return served
