"""A rollout as it begins."""

from __future__ import annotations

import attrs
from tests.support.world import RELEASE, START, canary

from progressive import Version, begin, minutes, percent
from progressive.steps import Bake, SetWeight


def test_a_baseline_that_is_named_may_be_given_traffic() -> None:
    steps = [SetWeight(percent(5), baseline=percent(5)), SetWeight(percent(100)), Bake(minutes(1))]
    release = attrs.evolve(RELEASE, baseline=Version("v1-fresh"))

    assert begin(
        canary(weights=(), steps=steps).plan, release, id="r", at=START
    ).release.baseline == Version("v1-fresh")
