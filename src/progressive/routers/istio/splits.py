"""A version with several destinations in one route (two zones, two ports, headers of their own):
the proportions among them are kept at every weight of the version.

Weights are relative, so they are exact: where the total can't say a proportion, the weights that
are written add up to a multiple of it. (70 and 30 beside 5 % are 133, 57 and 10.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Final, TypeVar

__all__ = ["LARGEST_SUM", "in_proportion", "nearest", "proportions"]

LARGEST_SUM: Final = 2**31 - 1
"""Of the weights of one route: what a 32-bit number of the API can hold. (Envoy's own is 2^32.)"""

Key = TypeVar("Key")


def proportions(now: Sequence[int], noted: object) -> list[int] | None:
    """The weights that say how a version is divided: those ``noted`` when it had everything, unless
    somebody has changed them since; else those that stand there ``now``.

    None if nothing says it: all are 0, and nothing fitting was noted.
    """
    usable = (
        isinstance(noted, list)
        and len(noted) == len(now)
        and all(isinstance(each, int) and each >= 0 for each in noted)
        and sum(noted) > 0
    )
    if usable and isinstance(noted, list):
        ours, theirs = sum(now), sum(noted)
        if all(one * theirs == other * ours for one, other in zip(now, noted, strict=True)):
            return list(noted)
    return list(now) if sum(now) else None


def in_proportion(
    wanted: Mapping[Key, int], bases: Mapping[Key, Sequence[int]]
) -> dict[Key, list[int]] | None:
    """What each destination gets, exactly; None if no weights that the API takes can say it.

    ``wanted``: the parts of a total for each version; ``bases``: how each is divided. A version
    that gets everything is given back just as it was divided.
    """
    served = [key for key, parts in wanted.items() if parts]
    if len(served) == 1 and len(bases[served[0]]) > 1:
        return {
            key: list(base) if key in served else [0] * len(base) for key, base in bases.items()
        }
    exact = {
        key: [Fraction(wanted[key] * each, sum(base)) for each in base]
        for key, base in bases.items()
    }
    scale = lcm(*(each.denominator for shares in exact.values() for each in shares))
    if sum(wanted.values()) * scale > LARGEST_SUM:
        return None
    return {key: [int(each * scale) for each in shares] for key, shares in exact.items()}


def nearest(wanted: Mapping[Key, int], bases: Mapping[Key, Sequence[int]]) -> dict[Key, list[int]]:
    """The same as near as whole parts of the total can say it (largest remainders first)."""
    found: dict[Key, list[int]] = {}
    for key, base in bases.items():
        exact = [Fraction(wanted[key] * each, sum(base)) for each in base]
        whole = [int(each) for each in exact]
        by_rest = sorted(range(len(base)), key=lambda i: whole[i] - exact[i])
        for i in by_rest[: wanted[key] - sum(whole)]:
            whole[i] += 1
        found[key] = whole
    return found
