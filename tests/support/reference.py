"""Reference values of other people's implementations, and how near is near enough."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.paths import DATA

CASES: dict[str, Any] = json.loads((DATA / "classical_statistics.json").read_text(encoding="utf-8"))


def cases_of(*groups: str) -> list[dict[str, Any]]:
    """The cases of these groups; at least one of each."""
    found = [case for case in CASES["cases"] if case["group"] in groups]
    assert {case["group"] for case in found} == set(groups)
    return found


def agrees(found: Mapping[str, float], case: Mapping[str, Any]) -> bool:
    """Is every number that the case expects found, within its own tolerance?"""
    return all(
        math.isnan(found[name])
        if wanted == "NaN"
        else abs(found[name] - wanted) <= case["abs_tol"] + case["rel_tol"] * abs(wanted)
        for name, wanted in case["expect"].items()
    )


def near(one: float, other: float, relative: float = 1e-11, absolute: float = 0.0) -> bool:
    """Within a relative difference (or an absolute one); infinities and NaN only to themselves."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    return abs(one - other) <= max(relative * max(abs(one), abs(other)), absolute)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
