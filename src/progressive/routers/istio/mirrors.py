"""The mirrors of an Istio http route, in every form: ``mirror`` with its percentage (and the older
names of that), and the list ``mirrors``.
"""

from __future__ import annotations

from typing import Final

from progressive.adapters.http import Malformed, get_path
from progressive.model.units import MILLION

from .destinations import Destination, Json, Naming

__all__ = ["MIRRORS", "is_mirrored", "mirrored", "without_mirrors"]

_OLD: Final = ("mirrorPercent", "mirror_percent")
"""Deprecated, and still obeyed."""

_OF_ONE: Final = ("mirror", "mirrorPercentage", *_OLD)

MIRRORS: Final = (*_OF_ONE, "mirrors")
"""Every key of a route that is about mirrors."""


def is_mirrored(route: Json, naming: Naming, to: Destination) -> bool:
    """Does any mirror of the route lead there, whatever its share?"""
    return without_mirrors(route, naming, to) != route


def mirrored(route: Json, naming: Naming, to: Destination) -> int:
    """The parts per million of the requests of a route that are mirrored there."""
    found = 0
    if _is_one(route, naming, to):
        old = next((route[name] for name in _OLD if name in route), None)
        found += _percentage(route.get("mirrorPercentage", None if old is None else {"value": old}))
    for each in route.get("mirrors") or ():
        if naming.key_of(get_path(each, "destination", dict)) == to:
            found += _percentage(each.get("percentage"))
    return min(found, MILLION)


def without_mirrors(route: Json, naming: Naming, to: Destination) -> Json:
    """The route without the mirrors that lead there; those of others stay."""
    found = dict(route)
    if _is_one(route, naming, to):
        found = {name: value for name, value in found.items() if name not in _OF_ONE}
    listed = route.get("mirrors") or []
    others = [each for each in listed if naming.key_of(get_path(each, "destination", dict)) != to]
    if len(others) < len(listed):
        del found["mirrors"]
        found |= {"mirrors": others} if others else {}
    return found


def _is_one(route: Json, naming: Naming, to: Destination) -> bool:
    mirror = route.get("mirror")
    return isinstance(mirror, dict) and naming.key_of(mirror) == to


def _percentage(value: object) -> int:
    """``{"value": 12.5}`` in parts per million; without one it is everything."""
    percentage = (value.get("value") or 0.0) if isinstance(value, dict) else 100.0
    if isinstance(percentage, bool) or not isinstance(percentage, int | float):
        raise Malformed("a percentage is no number")
    return round(percentage * 10_000)
