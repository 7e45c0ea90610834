"""A router that is only looked at: for a rehearsal of a script against production."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

from progressive.adapters.logs import ADAPTERS
from progressive.adapters.waiting import Apart
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic

if TYPE_CHECKING:
    from progressive.ports import AnyRouter

__all__ = ["ReadOnly"]


class ReadOnly:
    """A router that is read and never written: ``ReadOnly(Envoy(...))``.

    A rollout over it runs its preflight for real: the router, the metrics and the fleet are asked,
    and what is wrong with any of them is said. Then its first write is refused, and it ends as one
    that never moved anything. What would have been written is in that error, and logged at INFO by
    ``progressive.adapters``.

    Raises `StrategyError` for what is no router.
    """

    def __init__(self, router: AnyRouter) -> None:
        if not isinstance(getattr(router, "capabilities", None), Capabilities):
            raise StrategyError(f"ReadOnly: {fields.brief(router)} is no router")
        self._router = router

    def __repr__(self) -> str:
        return f"ReadOnly({self._router!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What the router can do."""
        return self._router.capabilities

    def read(self, release: Release) -> Served:
        """Return what the router serves now."""
        read = getattr(self._router, "read", None)
        if read is None:
            raise RouterError(
                "it has aread and no read: drive it with asyncio", failure=Failure.PERMANENT
            )
        found: Served = read(release)
        return found

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        aread = getattr(self._router, "aread", None)
        if aread is None:
            return await Apart(partial(self.read, release)).await_()
        found: Served = await aread(release)
        return found

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> NoReturn:
        """Raise `RouterError`, PERMANENT, that says why the router would refuse, or what would have
        been written.
        """
        try:
            self.capabilities.refuse(release, traffic)
            there = self.read(release)
            there.refuse_overtaken(marker, expect)
        except (RouterError, ConflictError) as error:
            raise _for_good(error) from None
        raise _told(there, release, traffic, marker)

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> NoReturn:
        """`apply`, asynchronously."""
        try:
            self.capabilities.refuse(release, traffic)
            there = await self.aread(release)
            there.refuse_overtaken(marker, expect)
        except (RouterError, ConflictError) as error:
            raise _for_good(error) from None
        raise _told(there, release, traffic, marker)


def _for_good(error: Exception) -> RouterError:
    """Nothing is ever written here, so nothing is to be tried again."""
    return RouterError(f"read-only, nothing was written: {error}", failure=Failure.PERMANENT)


def _told(there: Served, release: Release, traffic: Traffic, marker: Marker) -> RouterError:
    now = str(there.traffic) if there.converged else f"{there.traffic} in a part of it"
    would = (
        f"read-only: {release.service} would be told to serve {traffic} (marker "
        f"{marker.generation}:{marker.serial}); it serves {now}, and nothing was written"
    )
    ADAPTERS.info("%s", would)
    return RouterError(would, failure=Failure.PERMANENT)
