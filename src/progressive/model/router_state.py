"""What a router can do and what it reports: capabilities, the marker on its object, what it serves
now.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from progressive.errors import Failure, RouterError

from . import fields
from .release import Release
from .traffic import _NONE, Track, Traffic
from .units import Percent, percent

__all__ = ["Capabilities", "Marker", "Served"]


@attrs.frozen(kw_only=True)
class Marker:
    """What an adapter leaves on a router's object, so that two drivers can't undo each other.

    ``generation`` rises with every rollout that claims the object, ``serial`` with every decision
    within one; who sees a higher one stops. ``closed`` says: taken back by hand or while the store
    was down; whoever drives this generation must roll back.
    """

    generation: int = attrs.field(validator=fields.at_least(0))
    serial: int = attrs.field(default=0, validator=fields.at_least(0))
    closed: bool = False

    def supersedes(self, other: Marker) -> bool:
        """Is this the newer of the two?"""
        return (self.generation, self.serial) > (other.generation, other.serial)


@attrs.frozen(kw_only=True)
class Served:
    """What the router serves now, as it says itself.

    ``version`` is the router's own word for this state of its object (resourceVersion, ETag, a hash
    of the content), or None; ``elsewhere`` is the share that reaches neither version of the
    release; ``identities`` are what the tracks really run, where the router knows. A router of
    several parts (routes, regions) that do not agree reports the highest share that the candidate
    has anywhere, and ``settled=False``: it counts against a ceiling, and never as done.
    """

    traffic: Traffic
    version: str | None = None
    marker: Marker | None = None
    elsewhere: Percent = _NONE
    identities: tuple[tuple[Track, str], ...] = ()
    settled: bool = True


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a router can do. A plan that asks for more is refused before anything is touched;
    nothing is ever rounded up.

    ``smallest_weight``: every weight must be a multiple of it. ``compare_and_set``: a write is
    refused by the system itself if the object moved since it was read. ``marker``: it can carry a
    `Marker`. ``sticky``: a user stays where the first request went.
    """

    smallest_weight: Percent = percent(1)
    baseline: bool = False
    matches: bool = False
    mirror: bool = False
    sticky: bool = False
    compare_and_set: bool = False
    marker: bool = False

    def lacking(self, traffic: Traffic) -> Iterator[str]:
        """What ``traffic`` asks for and a router with these can't do, each in a line. Nothing is
        rounded, nothing silently left out.
        """
        for weight in (traffic.candidate, traffic.baseline, traffic.mirror):
            if weight.ppm % self.smallest_weight.ppm:
                yield (
                    f"{weight} is not a multiple of the router's smallest weight, "
                    f"{self.smallest_weight}"
                )
        for wanted, can, what in (
            (traffic.baseline.ppm, self.baseline, "a baseline track"),
            (traffic.matches, self.matches, "header and cookie routes"),
            (traffic.mirror.ppm, self.mirror, "mirroring"),
        ):
            if wanted and not can:
                yield f"the router can't do {what}"

    def refuse(self, release: Release, traffic: Traffic) -> None:
        """The first line of an `apply` of your own: raise `RouterError`, PERMANENT, for what a
        router with these can't do, and for a share that ``release`` has no version for. Nothing has
        been written then.
        """
        found = [*self.lacking(traffic), *filter(None, [traffic.homeless(release)])]
        if found:
            raise RouterError("; ".join(found), failure=Failure.PERMANENT)
