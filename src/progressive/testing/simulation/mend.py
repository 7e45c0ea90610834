"""Find the cheapest change of a strategy with which it sees a regression that somebody names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import attrs

from progressive.analysis.contract import metrics_of
from progressive.model.traffic import Track
from progressive.model.units import format_duration
from progressive.plan.plan import Plan, Strategy

from .curves import scaled
from .load import Load
from .lookout import Lookout
from .looks import Looks, scenes
from .many import Proportion
from .service import World
from .variants import Variant, cost_of, families
from .watched import Until, Watched

__all__ = ["Mend", "mend"]

FOUND: Final = 0.9
"""The chance with which a regression shall be found."""

TRIES: Final = 40
"""Rollouts to try a change with; what holds is measured with as many as all other figures."""

AGAIN: Final = 3
"""Where the shortest bake that seems to do does not, when measured, the next ones are measured."""

BUSIER: Final = (2.0, 5.0, 10.0)
"""How many times the load is tried where nothing else helps."""


@attrs.frozen(kw_only=True, repr=False)
class Mend:
    """The cheapest change that was found with which a strategy sees a regression before the
    candidate has all traffic; where it has all from the start, by the end.

    * ``find``: times worse than usual, of each metric that a check decides on, alone.
    * ``before``: how often that is caught as it is: of the metric that is caught least.
    * ``strategy``, ``code``: the changed strategy, and what to write for it.
    * ``load``, ``busier``: the load that it takes: the given one, if that is enough, or so many
      times as much.
    * ``chance``: how often it is caught then.
    * ``promoted``, ``usual``: how often a healthy version is promoted then, and how long it takes.
    """

    find: float
    before: Proportion
    strategy: Strategy
    code: str
    load: Load
    busier: float
    chance: Proportion
    promoted: Proportion
    usual: timedelta | None

    def __str__(self) -> str:
        if self.code == "strategy" and self.busier == 1.0:
            return f"{self.find:g} times as bad is found as it is: {self.chance}"
        load = f", with {self.busier:g} times the load" if self.busier != 1.0 else ""
        took = "" if self.usual is None else f", in {format_duration(self.usual)}"
        code = "\n".join(f"    {line}" for line in self.code.splitlines())
        return (
            f"to find {self.find:g} times as bad{load} (as it is: {self.before}):\n\n{code}\n\n"
            f"finds it {self.chance}; a healthy version is promoted {self.promoted}{took}"
        )

    __repr__ = __str__


def mend(strategy: Strategy, load: Load, find: float, runs: int, seed: object) -> Mend | None:
    """Return the cheapest change with which ``strategy`` finds a version ``find`` times as bad.

    None if nothing that is tried does.
    """
    return _Search(strategy, load, find, runs, seed).found()


class _Search:
    """One search, in which each variant is watched with the same seeds."""

    def __init__(
        self, strategy: Strategy, load: Load, find: float, runs: int, seed: object
    ) -> None:
        self.strategy, self.load, self.find = strategy, load, find
        self.runs, self.seed = runs, f"{seed}/mend"

    def found(self) -> Mend | None:
        before = self._measured(self.strategy.plan, self.load)
        if before.share >= FOUND:
            as_it_is = Variant(self.strategy, "strategy", 0.0)
            return self._mend(as_it_is, self.load, 1.0, before, before)
        for busier in (1.0, *BUSIER):
            load = attrs.evolve(self.load, rps=scaled(self.load.rps, busier))
            if (cheapest := self._cheapest(load, busier, before)) is not None:
                return cheapest
        return None

    def _mend(
        self,
        variant: Variant,
        load: Load,
        busier: float,
        before: Proportion,
        chance: Proportion,
    ) -> Mend:
        plan = variant.strategy.plan
        healthy = [*self._watched(plan, load, load.world(), Until(frozenset()), self.runs)]
        through = [run for run in healthy if _promoted(plan, run)]
        took = sorted(sum((each.took for each in run.passages), timedelta()) for run in through)
        return Mend(
            find=self.find,
            before=before,
            strategy=variant.strategy,
            code=variant.code,
            load=load,
            busier=busier,
            chance=chance,
            promoted=Proportion(len(through), len(healthy)),
            usual=took[(len(took) - 1) // 2] if took else None,
        )

    # ---------------------------------------------------------------------------------- what to try

    def _cheapest(self, load: Load, busier: float, before: Proportion) -> Mend | None:
        """Return the cheapest variant that finds it at this load; None if none does.

        Of those that differ in their bakes alone, it is the shortest.
        """
        best, least = None, math.inf
        for family in families(self.strategy, load, self.find):
            tried = [variant for variant in family.variants if variant.cost < least]
            if not tried or self._cost(tried[-1], load) == math.inf:
                continue
            low, high = 0, len(tried) - 1
            while low < high:
                middle = (low + high) // 2
                if self._cost(tried[middle], load) < math.inf:
                    high = middle
                else:
                    low = middle + 1
            for variant in tried[high : high + AGAIN]:
                cost, found = self._cost(variant, load), None
                if cost < least:
                    found = self._holding(variant, load, busier, before)
                if found is not None:
                    best, least = found, cost
                    break
        return best

    def _holding(
        self, variant: Variant, load: Load, busier: float, before: Proportion
    ) -> Mend | None:
        """Return what is measured of a variant; None if it does not find it, or stops what is
        healthy.
        """
        chance = self._measured(variant.strategy.plan, load)
        if chance.share < FOUND:
            return None
        found = self._mend(variant, load, busier, before, chance)
        return found if found.promoted.share >= FOUND else None

    def _cost(self, variant: Variant, load: Load) -> float:
        """Return what a variant that seems to find it costs, with what it waits for; infinity for
        one that does not, or lets too few healthy versions through.
        """
        plan = variant.strategy.plan
        for checks in _deciding(plan):
            if not _enough(self._caught(plan, load, checks, TRIES), TRIES):
                return math.inf
        healthy = self._watched(plan, load, load.world(), Until(frozenset()), TRIES // 2)
        through = [run for run in healthy if _promoted(plan, run)]
        if len(through) < FOUND * (TRIES // 2):
            return math.inf
        took = sorted(cost_of(plan, [each.took for each in run.passages]) for run in through)
        return took[len(took) // 2]

    # ------------------------------------------------------------------------------------- watching

    def _measured(self, plan: Plan, load: Load) -> Proportion:
        """Return how often a regression is caught, of the metric of which that is least often."""
        shares = [
            Proportion(sum(self._caught(plan, load, names, self.runs)), self.runs)
            for names in _deciding(plan)
        ]
        return min(shares, key=lambda often: often.share, default=Proportion(0, self.runs))

    def _caught(self, plan: Plan, load: Load, checks: frozenset[int], runs: int) -> Iterator[bool]:
        metric = metrics_of(plan.checks[min(checks)].check)
        until = Until(checks, any=True, last=_last_partial(plan))
        for run in self._watched(plan, load, load.world(metric, times=self.find), until, runs):
            yield any(ending.failed for c, ending in run.endings.items() if c in checks)

    def _watched(
        self, plan: Plan, load: Load, world: World, until: Until, runs: int
    ) -> Iterator[Watched]:
        [scene] = scenes(plan, [world])
        for number in range(runs):
            yield Lookout(scene, Looks(plan, f"{self.seed}/{number}"), until=until).run()


def _enough(outcomes: Iterator[bool], of: int) -> bool:
    """Return whether enough outcomes are true; no more are asked for once too many are not."""
    missed = 0
    for outcome in outcomes:
        missed += not outcome
        if missed > (1 - FOUND) * of:
            return False
    return True


def _promoted(plan: Plan, run: Watched) -> bool:
    return run.stuck is None and not any(not plan.checks[c].check.observe for c in run.endings)


def _deciding(plan: Plan) -> list[frozenset[int]]:
    """Return the checks that stop something, those on the same metrics together."""
    by_metrics: dict[tuple[str, ...], list[int]] = {}
    for planned in plan.checks:
        if not planned.check.observe:
            names = tuple(metric.name for metric in metrics_of(planned.check))
            by_metrics.setdefault(names, []).append(planned.index)
    return [frozenset(checks) for checks in by_metrics.values()]


def _last_partial(plan: Plan) -> int:
    """Return the last step in which stable has production traffic and the candidate too; the last
    of all where there is none.
    """
    partial = [
        i
        for i, traffic in enumerate(plan.traffics)
        if traffic.reaches(Track.CANDIDATE) and traffic.reaches(Track.STABLE)
    ]
    return max(partial, default=len(plan.steps) - 1)
