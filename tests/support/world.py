"""The world of faults as the engine's tests use it: one strategy, one release, and the places in a
rollout that they begin at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from progressive import (
    Analysis,
    Canary,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Release,
    Traffic,
    Version,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.testing import FaultWorld, PromiseBroken

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERRORS = Metric("error-rate", kind="ratio")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


def canary(**changes: Any) -> Canary:
    """The strategy of most tests: three weights, both kinds of check."""
    given: dict[str, Any] = {
        "weights": percents(5, 50, 100),
        "bake": minutes(2),
        "checks": [Limit(ERRORS, at_most=percent(2)), NoWorse(ERRORS)],
        "interval": seconds(30),
    }
    return Canary(**(given | changes))


@attrs.define(kw_only=True)
class World(FaultWorld):
    """A world of faults around `canary`."""

    strategy: Any = attrs.field(factory=canary)
    release: Release = RELEASE
    now: datetime = START

    def until_phase(self, *phases: Phase, ticks: int = 400) -> World:
        """Until one of these is stored."""
        return self.until(lambda world: world.phase in phases, ticks=ticks)

    def until_weight(self, weight: float) -> World:
        """Until the candidate really has this weight and the engine knows it."""
        wanted = Traffic(candidate=percent(weight))
        return self.until(
            lambda world: (
                world.traffic == wanted and world.rollout.routing.verified_since is not None
            )
        )

    def until_next_tick_raises(self) -> World:
        """Until everything but the last read before the raise to the second weight is there."""
        return self.until(
            lambda world: (
                world.rollout.progress.step == 1
                and world.rollout.clocks.watched + (world.now - world.rollout.clocks.now)
                >= minutes(2)
            )
        )


__all__ = ["ERRORS", "RELEASE", "START", "Analysis", "PromiseBroken", "World", "canary"]
