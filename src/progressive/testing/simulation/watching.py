"""Watch rollouts of one plan at one load: of a healthy version, and of versions of which one metric
is worse, or all are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from progressive.analysis.contract import metrics_of
from progressive.model.measurement import Metric
from progressive.plan.plan import Plan

from .calm import Calm, calmest, covers, predictable
from .load import Load
from .lookout import Lookout, Parted
from .looks import Looks, Scene, scenes
from .service import World
from .watched import Until, Watched

__all__ = ["Names", "Watching", "names_of"]

Names: TypeAlias = tuple[str, ...]
"""The names of the metrics that are made worse at once."""


@attrs.frozen
class Cast:
    """One world: the scene, what is to be known of it, and the rollouts in it so far."""

    scene: Scene
    until: Until | None
    watched: list[Watched]

    def asks_about(self, check: int) -> bool:
        """Return whether all looks of a check matter."""
        return self.until is None or self.until.any or check in self.until.checks


class Watching:
    """The rollouts of a healthy version, and as many for each of ``times``: with the metrics of
    each check worse and nothing else, and with all of them at once.
    """

    def __init__(self, plan: Plan, load: Load, times: Sequence[float], seed: object) -> None:
        self.plan, self.load, self.seed = plan, load, seed
        groups = _groups(plan)
        self._worlds = {
            (names, each): load.world(groups[names], times=each)
            for each in sorted(times)
            for names in groups
        }
        self._distinct: list[World] = []
        for world in self._worlds.values():
            if world not in self._distinct:
                self._distinct.append(world)
        healthy, *worse = scenes(plan, [load.world(), *self._distinct])
        self._healthy = Cast(healthy, None, [])
        self._worse = [
            Cast(scene, self._until(world), [])
            for scene, world in zip(worse, self._distinct, strict=True)
        ]
        self._predictable = predictable(plan)
        self._order = [*sorted(self._worse, key=self._foreseen), self._healthy]

    def _until(self, world: World) -> Until:
        """Return what is to be known of a world: how each check on what is worse in it ends; where
        several metrics are, how the first does.
        """
        groups = [names for (names, _), each in self._worlds.items() if each == world]
        alone = [name for names in groups if len(names) == 1 for name in names]
        checks = {each.index: names_of(metrics_of(each.check)) for each in self.plan.checks}
        own = {
            c for c, names in checks.items() if names in groups or any(n in alone for n in names)
        }
        if own:
            return Until(frozenset(own))
        deciding = [c for c in checks if not self.plan.checks[c].check.observe]
        return Until(frozenset(deciding), any=True)

    def _foreseen(self, cast: Cast) -> tuple[float, ...]:
        """Return how far a world is from the worst of which something is known of all others: those
        in which one ratio is worse, the worst first; then those of other metrics.
        """
        world = cast.scene.world
        names, times = max(key for key, each in self._worlds.items() if each == world)
        own = [self.plan.checks[c].check.metric.name for c in self._predictable]
        return (len(names), *(name not in own for name in names[:1]), -times)

    def watch(self, number: int) -> None:
        """Watch one rollout in each world, the worst first."""
        looks, calm = Looks(self.plan, f"{self.seed}/{number}"), dict[int, Calm]()
        for cast in self._order:
            known = {
                c: each.trail
                for c, each in calm.items()
                if covers(each, cast.scene, self.plan.checks[c]) and cast.asks_about(c)
            }
            try:
                lookout = Lookout(cast.scene, looks, until=cast.until, known=known)
                cast.watched.append(lookout.run())
            except Parted:
                lookout = Lookout(cast.scene, looks, until=cast.until)
                cast.watched.append(lookout.run())
            for c in self._predictable - known.keys():
                if cast.asks_about(c) and lookout.undisturbed(c):
                    found = calmest(calm.get(c), cast.scene, self.plan.checks[c], lookout.trails[c])
                    calm |= {} if found is None else {c: found}

    @property
    def healthy(self) -> tuple[Watched, ...]:
        """The rollouts of a healthy version."""
        return tuple(self._healthy.watched)

    @property
    def worse(self) -> dict[Names, dict[float, tuple[Watched, ...]]]:
        """Those of a version of which some metrics are worse, by their names and how much."""
        found: dict[Names, dict[float, tuple[Watched, ...]]] = {}
        for (names, each), world in self._worlds.items():
            watched = self._worse[self._distinct.index(world)].watched
            found.setdefault(names, {})[each] = tuple(watched)
        return found


def names_of(metrics: Sequence[Metric]) -> Names:
    """Return the names of several metrics."""
    return tuple(metric.name for metric in metrics)


def _groups(plan: Plan) -> dict[Names, tuple[Metric, ...]]:
    """Return the metrics that are made worse at once: all; those of each check; each by itself."""
    groups = [
        plan.metrics,
        *(metrics_of(planned.check) for planned in plan.checks),
        *((metric,) for metric in plan.metrics),
    ]
    return {names_of(group): tuple(group) for group in groups}
