"""What every router has to get right: relative weights as exact shares, and when a write must not
be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Marker
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION

Name = TypeVar("Name")


def normalised(weights: Mapping[Name, int]) -> dict[Name, int]:
    """Relative weights as parts per million that add up to exactly a million (or all 0, where their
    total is 0).

    Each is rounded down, but what gets anything is never shown as 0; the largest takes the
    difference.
    """
    total = sum(weights.values())
    if total <= 0:
        return dict.fromkeys(weights, 0)
    ppm = {
        name: max(1, weight * MILLION // total) if weight else 0 for name, weight in weights.items()
    }
    ppm[max(ppm, key=lambda name: ppm[name])] += MILLION - sum(ppm.values())
    return ppm


def refuse_homeless(release: Release, traffic: Traffic) -> None:
    """Raise `RouterError` for traffic that the release has no version for."""
    if why := traffic.homeless(release):
        raise RouterError(why, failure=Failure.PERMANENT)


def refuse_if_moved(
    where: str, there: Marker | None, ours: Marker, *, version: str, expect: str | None
) -> None:
    """Raise `ConflictError` before a write that somebody else's has overtaken: a newer or a closed
    marker, or another version.
    """
    if there is not None and there.supersedes(ours):
        raise ConflictError(
            f"{where}: generation {there.generation}, serial {there.serial} stands there, "
            "newer than ours "
            f"({ours.generation}, {ours.serial}); nothing was written"
        )
    if (
        there is not None
        and there.generation == ours.generation
        and there.closed
        and not ours.closed
    ):
        raise ConflictError(
            f"{where}: generation {there.generation} was closed (taken back by hand); "
            "nothing was written, roll back"
        )
    if expect is not None and expect != version:
        raise ConflictError(
            f"{where}: the weights or the marker were changed since they were read; nothing "
            "was written, read again"
        )
