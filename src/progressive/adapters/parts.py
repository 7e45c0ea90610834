"""Relative weights as exact shares, and several parts of one router as one `Served`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from progressive.errors import Failure, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic, exact_shares
from progressive.model.units import MILLION, Percent

__all__ = ["Part", "exact_shares", "is_whole", "refuse_missing", "served"]

_NONE = Percent(0)


@attrs.frozen
class Part:
    """What one part of a router serves: a route, a split, a region. ``unattributed``: what reaches
    no version of the release.
    """

    traffic: Traffic
    unattributed: Percent = _NONE

    @classmethod
    def of(cls, release: Release, weights: Mapping[str, int]) -> Part:
        """A part that splits by relative ``weights`` of backends. Without any weight above 0
        everything is elsewhere.
        """
        backends = {version.backend for version in release.versions.values()}
        reached = sum(share for name, share in exact_shares(weights).items() if name in backends)
        return cls(Traffic.from_weights(release, weights), Percent(MILLION - reached))


def served(
    parts: Sequence[Part],
    *,
    version: str | None = None,
    marker: Marker | None = None,
    converged: bool = True,
    whole: bool = True,
) -> Served:
    """One `Served` of several parts: the part that gives the candidate most counts against a
    ceiling.

    Matches are those of any part, the mirror and the stay of users are the largest. Parts that
    differ are not converged, so nothing is taken for done before all of them are.

    ``whole``: False if a part that should be there is not, or leads to no version of the release.
    That is not converged while the candidate has anything. Once it has nothing, there is nothing
    left to set back, and a way back is done. Without any part there is nothing that could be done:
    not converged.
    """
    if not parts:
        return Served(traffic=ALL_STABLE, version=version, marker=marker, converged=False)
    most = max(
        parts, key=lambda part: (part.traffic.candidate, part.traffic.baseline, part.unattributed)
    )
    traffic = attrs.evolve(
        most.traffic,
        matches=tuple(dict.fromkeys(match for part in parts for match in part.traffic.matches)),
        mirror=max(part.traffic.mirror for part in parts),
        sticky=max(filter(None, (part.traffic.sticky for part in parts)), default=None),
    )
    return Served(
        traffic=traffic,
        version=version,
        marker=marker,
        unattributed=most.unattributed,
        converged=converged
        and (whole or traffic == ALL_STABLE)
        and all(one == other for one, other in pairwise(parts)),
    )


def is_whole(release: Release, there: Container[str]) -> bool:
    """Is the backend of every version ``there``? `refuse_missing` names those that are not."""
    return all(version.backend in there for version in release.versions.values())


def refuse_missing(
    release: Release, there: Iterable[str], *, what: str, where: str, hint: str
) -> None:
    """Raise `RouterError`, PERMANENT, for versions whose backend is not ``there``; it names what
    is.

    ``what`` a backend is in this system (a cluster, a server), ``where`` it should be, and
    ``hint``: what to do.
    """
    names = list(there)
    missing = [
        f"{track.label(release)} is {what} {version.backend!r}"
        for track, version in release.versions.items()
        if version.backend not in names
    ]
    if missing:
        raise RouterError(
            f"{', '.join(missing)}, but {where} has only {', '.join(names) or 'none'}; {hint}, or "
            "name the right backend=",
            failure=Failure.PERMANENT,
        )
