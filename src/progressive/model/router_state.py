"""The state of a router: its capabilities, the marker on its object, the traffic it serves."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterator
from typing import Final, Self

import attrs

from progressive.errors import ConflictError, Failure, RouterError, StateError, StrategyError

from . import fields
from .release import Release
from .traffic import _NONE, Track, Traffic
from .units import Percent, percent

__all__ = ["AfterRestart", "Capabilities", "Marker", "Served"]


def _is_owner(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _OWNER.fullmatch(value) is None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no owner; it is at "
            "most 32 small letters and digits, a letter first, as Marker.owner_of(id) gives it"
        )


@attrs.frozen(kw_only=True)
class Marker:
    """A mark on a router's object, left by its adapter so that two drivers can't undo each other.

    * ``generation``: rises with every rollout that claims the object. A driver that sees a higher
      one stops.
    * ``serial``: rises with every decision within a generation. An older one is refused.
    * ``closed``: traffic was taken back by hand, or while the store was down; the driver of this
      generation must roll back.
    * ``owner``: the rollout that claimed this generation (`owner_of` its id), so that an equal
      generation of another one is seen: two stores, or an object that lost its marker, let two
      rollouts choose the same. Empty in markers of older versions, which were nobody's by name.
    """

    generation: int = attrs.field(validator=fields.at_least(0))
    serial: int = attrs.field(default=0, validator=fields.at_least(0))
    closed: bool = False
    owner: str = attrs.field(default="", validator=_is_owner)

    @staticmethod
    def owner_of(id: str) -> str:
        """The owner of the markers of a rollout: sixteen letters and digits made of its id."""
        return f"r{hashlib.sha256(id.encode()).hexdigest()[:15]}"

    def is_other_owners(self, other: Marker) -> bool:
        """Does each of the two name its owner, and not the same one?"""
        return self.owner != other.owner and bool(self.owner) and bool(other.owner)

    def supersedes(self, other: Marker) -> bool:
        """Return whether this is the newer of the two."""
        return (self.generation, self.serial) > (other.generation, other.serial)

    def forbids(self, other: Marker) -> bool:
        """Where this one stands, must a write with ``other`` not be done?

        So it is if this one is newer; and in the same generation if it is another owner's, or is
        closed and ``other`` is not.
        """
        closed = self.closed and not other.closed
        same = self.generation == other.generation
        return self.supersedes(other) or (same and (closed or self.is_other_owners(other)))

    def dumps(self) -> str:
        """``generation:serial:closed:owner`` as one line without spaces, such as
        ``3:17:0:r0f3c``; without an owner its colon is left out too.

        For whatever a router can carry: an annotation, a comment, a part of a map's entry.
        """
        owner = f":{self.owner}" if self.owner else ""
        return f"{self.generation}:{self.serial}:{self.closed:d}{owner}"

    @classmethod
    def loads(cls, text: str) -> Self:
        """The marker that `dumps` wrote; `StateError` for anything else, spaces and leading zeros
        included.
        """
        found = _MARKER.fullmatch(text)
        if found is None:
            said = fields.brief(text)
            raise StateError(
                f"{said} is no marker; expected generation:serial:closed, such as 3:17:0, and "
                ":owner behind it"
            )
        return cls(
            generation=int(found[1]),
            serial=int(found[2]),
            closed=found[3] == "1",
            owner=found[4] or "",
        )


_OWNER: Final = re.compile(r"(?:[a-z][a-z0-9]{0,31})?")
_MARKER: Final = re.compile(
    r"(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18}):([01])(?::([a-z][a-z0-9]{0,31}))?"
)
"""Numbers of up to 19 digits: more than any rollout counts, and few enough for whoever reads
them.
"""


@attrs.frozen(kw_only=True)
class Served:
    """The traffic that a router serves now, as it reports itself.

    * ``traffic``: the weights, routes and mirror. If a router has several parts (routes, regions)
      that do not agree, the highest share that the candidate has anywhere.
    * ``version``: the router's own token for this state of its object (resourceVersion, ETag, a
      hash of the content), or None.
    * ``marker``: the marker on the object, if there is one.
    * ``unattributed``: the share that reaches no version of the release.
    * ``identities``: the identities that the tracks really run, where the router knows them.
    * ``converged``: False while several parts do not agree. ``traffic`` then counts against the
      candidate's ceiling, and never as verified.
    """

    traffic: Traffic
    version: str | None = None
    marker: Marker | None = None
    unattributed: Percent = attrs.field(default=_NONE, metadata=fields.stored_as("elsewhere"))
    identities: tuple[tuple[Track, str], ...] = ()
    converged: bool = attrs.field(default=True, metadata=fields.stored_as("settled"))

    def shows(self, traffic: Traffic) -> bool:
        """Is ``traffic`` verified: served exactly, everywhere the same, and nothing of it
        elsewhere?
        """
        return self.traffic == traffic and self.converged and not self.unattributed.ppm

    def refuse_overtaken(
        self, marker: Marker, expect: str | None, *, where: str = "the router"
    ) -> None:
        """Before a write: raise `ConflictError` if what was read here has overtaken it.

        That is a newer marker, a marker of this generation that is closed or another rollout's, or
        another version than ``expect`` (None: any).
        """
        there = self.marker
        if (
            there is not None
            and there.generation == marker.generation
            and there.is_other_owners(marker)
        ):
            raise ConflictError(
                f"{where}: generation {there.generation} is another rollout's (owner "
                f"{there.owner}, ours is {marker.owner}); nothing was written, read again"
            )
        if there is not None and there.supersedes(marker):
            raise ConflictError(
                f"{where}: generation {there.generation}, serial {there.serial} stands "
                "there, newer than ours "
                f"({marker.generation}, {marker.serial}); nothing was written"
            )
        if there is not None and there.forbids(marker):
            raise ConflictError(
                f"{where}: generation {there.generation} was closed (taken back by hand); "
                "nothing was written, roll back"
            )
        if expect is not None and expect != self.version:
            raise ConflictError(
                f"{where}: the weights or the marker were changed since they were read; "
                "nothing was written, read again"
            )


class AfterRestart(enum.Enum):
    """What a rollout does that finds no marker where its own stood: the system was restarted and
    has forgotten it, or the object was made anew, perhaps after traffic was taken back by hand.
    """

    HOLD = "hold"
    """Raise nothing, hold, and let a person resume."""
    REASSERT = "reassert"
    """Write again what was verified last, as after a drift. Only for a system that forgets by
    restarting and that nobody takes traffic back on by hand.
    """


@attrs.frozen(kw_only=True)
class Capabilities:
    """The capabilities of a router.

    A plan that asks for more is refused before anything is written; nothing is ever rounded.

    * ``smallest_weight``: every weight must be a multiple of it.
    * ``baseline``: it can serve a baseline track.
    * ``matches``: it has header and cookie routes.
    * ``mirror``: it can mirror requests.
    * ``affinity``: it can be asked to keep users on a version (`Traffic.sticky`).
    * ``sticky``: a user always stays on the version that served the first request, whatever it is
      asked for. The candidate's share of the requests then follows its weight late, and none of
      them is taken for missing (`Verdict.MISSING`).
    * ``compare_and_set``: the system refuses a write if the object changed since it was read.
    * ``marker``: its object can carry a `Marker`.
    * ``after_restart``: what to do when the marker is gone.
    """

    smallest_weight: Percent = percent(1)
    baseline: bool = False
    matches: bool = False
    mirror: bool = False
    affinity: bool = False
    sticky: bool = False
    compare_and_set: bool = False
    marker: bool = False
    after_restart: AfterRestart = AfterRestart.HOLD

    def problems_with(self, traffic: Traffic) -> Iterator[str]:
        """Yield each thing that ``traffic`` asks for and this router can't do, in a line."""
        for weight in (traffic.candidate, traffic.baseline, traffic.mirror):
            if weight.ppm % self.smallest_weight.ppm:
                yield (
                    f"{weight} is not a multiple of the router's smallest weight, "
                    f"{self.smallest_weight}"
                )
        for asked_for, can, feature in (
            (traffic.baseline.ppm, self.baseline, "a baseline track"),
            (traffic.matches, self.matches, "header and cookie routes"),
            (traffic.mirror.ppm, self.mirror, "mirroring"),
            (traffic.sticky, self.affinity, "session affinity"),
        ):
            if asked_for and not can:
                yield f"the router can't do {feature}"

    def refuse(self, release: Release, traffic: Traffic) -> None:
        """Raise `RouterError` (PERMANENT) if this router can't serve ``traffic``.

        It can't if a capability is missing, or if ``release`` has no version for a share. Call this
        in the first line of an `apply` of your own, before anything is written.
        """
        problems = [*self.problems_with(traffic), *filter(None, [traffic.unroutable(release)])]
        if problems:
            raise RouterError("; ".join(problems), failure=Failure.PERMANENT)
