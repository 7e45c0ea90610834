"""Compare strategies at one load: whom a bad version meets, for how long and how often it is
caught; how long a good one takes, and what its instances cost.

Every figure is of whole simulated rollouts, driven by the engine (`simulate`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Metric
from progressive.model.units import format_duration
from progressive.plan.plan import Plan, Strategy, plan_of
from progressive.ports import Hook

from .explain import aligned, require_worse
from .load import Load
from .many import Proportion, Quantiles
from .service import World
from .simulate import simulate
from .story import Story

__all__ = ["Compared", "Comparison", "compare"]

HOUR: Final = 3600.0


@attrs.frozen(kw_only=True)
class Compared:
    """One strategy with one version.

    * ``times``: times worse than usual, in all metrics; 1 is a healthy version.
    * ``caught``, ``promoted``: how often it went back or was held, and how often it got through.
    * ``requests``, ``failed``: those that the candidate got, and those of them that failed.
    * ``harmed``: distinct users who saw it fail.
    * ``exposed``: seconds from its first request to the verified 0 %, over the runs that went back;
      None if none did.
    * ``took``: seconds from the start to the end.
    * ``instance_hours``: of the candidate, in the mean. It has as many as its share of the load
      takes; while it has no traffic yet, as many as its first share will. Those of stable stay, in
      each strategy.
    """

    strategy: str
    times: float
    caught: Proportion
    promoted: Proportion
    requests: Quantiles
    failed: Quantiles
    harmed: Quantiles
    exposed: Quantiles | None
    took: Quantiles
    instance_hours: float


@attrs.frozen(kw_only=True, repr=False)
class Comparison:
    """Several strategies side by side. ``str()`` is a table of the medians."""

    load: Load
    rows: tuple[Compared, ...]

    def row(self, strategy: str, times: float = 1.0) -> Compared:
        """Return the figures of one strategy, by its name, with one version.

        Raises `StrategyError` if there are none.
        """
        for row in self.rows:
            if (row.strategy, row.times) == (strategy, times):
                return row
        known = [(row.strategy, row.times) for row in self.rows]
        raise StrategyError(f"row({strategy!r}, {times!r}): there are {known}")

    def __str__(self) -> str:
        head = (
            *("version", "strategy", "promoted", "caught", "requests", "failed", "users harmed"),
            *("exposed", "took", "instance-hours"),
        )
        return "\n".join(aligned([head, *(_cells(row) for row in self.rows)]))

    __repr__ = __str__


def _cells(row: Compared) -> tuple[str, ...]:
    return (
        "healthy" if row.times == 1.0 else f"x{row.times:g}",
        row.strategy,
        *(f"{100 * often.share:.0f} %" for often in (row.promoted, row.caught)),
        *(f"{each.median:,.0f}" for each in (row.requests, row.failed, row.harmed)),
        *("-" if each is None else _lasting(each.median) for each in (row.exposed, row.took)),
        f"{row.instance_hours:.2f}",
    )


def _lasting(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))


def compare(
    *strategies: Strategy,
    load: Load,
    names: Sequence[str] = (),
    regressions: Sequence[float] = (2.0, 10.0),
    instances: int = 10,
    hooks: Callable[[World], Mapping[str, Hook]] | None = None,
    runs: int = 60,
    seed: object = 0,
) -> Comparison:
    """Compare strategies at ``load``: ``compare(canary, blue_green, load=Load(50))``.

    A healthy version comes first, then one that is worse in every metric of every strategy, as many
    times as each of ``regressions`` says.

    * ``names``: of the strategies; by default their kinds.
    * ``instances``: those that carry the whole load.
    * ``hooks``: makes the hooks for a world, such as a smoke test that fails where
      ``world.candidate.errors`` is high; without it all answer `Go`.
    * ``runs``: simulated of each strategy with each version.
    * ``seed``: the same one gives the same figures.

    Raises `StrategyError` if there is no strategy, if names don't fit, and if the load lacks a
    metric.
    """
    labels = _labels(strategies, names)
    fields.whole(runs, "compare(runs=)", least=1)
    fields.whole(instances, "compare(instances=)", least=1)
    for times in regressions:
        require_worse("compare(regressions=)", times)
    metrics: dict[str, Metric] = {}
    for strategy in strategies:
        metrics |= {metric.name: metric for metric in strategy.plan.metrics}
    rows = []
    for times in (1.0, *map(float, regressions)):
        world = load.world(list(metrics.values()), times=times)
        made = {} if hooks is None else dict(hooks(world))
        for label, strategy in zip(labels, strategies, strict=True):
            named = {step.hook for step in strategy.plan.steps}
            own = {name: hook for name, hook in made.items() if name in named}
            stories = [
                simulate(strategy, world, seed=f"{seed}/{number}", hooks=own)
                for number in range(runs)
            ]
            rows.append(_compared(label, times, strategy.plan, stories, instances))
    return Comparison(load=load, rows=tuple(rows))


def _labels(strategies: Sequence[Strategy], names: Sequence[str]) -> Sequence[str]:
    if not strategies:
        raise StrategyError("compare: no strategy; write compare(canary, blue_green, load=...)")
    if names:
        if len(names) != len(strategies) or len(set(names)) != len(names):
            raise StrategyError(
                f"compare(names=): {list(names)!r} must be {len(strategies)} different names, one "
                "for each strategy"
            )
        return names
    kinds = [plan_of(strategy, "compare(strategies)").strategy for strategy in strategies]
    return [
        kind if kinds.index(kind) == i else f"{kind} {kinds[: i + 1].count(kind)}"
        for i, kind in enumerate(kinds)
    ]


def _compared(
    label: str, times: float, plan: Plan, stories: Sequence[Story], instances: int
) -> Compared:
    def spread(of: Callable[[Story], float]) -> Quantiles:
        return Quantiles(tuple(sorted(of(story) for story in stories)))

    promoted = sum(story.promoted for story in stories)
    back = sorted(each for story in stories for each in _exposed(story))
    used = [_instance_seconds(plan, story, instances) for story in stories]
    return Compared(
        strategy=label,
        times=times,
        caught=Proportion(sum(not story.promoted for story in stories), len(stories)),
        promoted=Proportion(promoted, len(stories)),
        requests=spread(lambda story: story.exposed.requests),
        failed=spread(lambda story: story.exposed.failed),
        harmed=spread(lambda story: story.exposed.harmed),
        exposed=Quantiles(tuple(back)) if back else None,
        took=spread(lambda story: story.duration.total_seconds()),
        instance_hours=math.fsum(used) / len(used) / HOUR,
    )


def _exposed(story: Story) -> Iterator[float]:
    """Yield how long a version that went back had traffic, if it had."""
    since = [at for at, traffic in story.weights if traffic.candidate.ppm]
    if story.rolled_back and since:
        yield (story.duration - since[0]).total_seconds()


def _instance_seconds(plan: Plan, story: Story, instances: int) -> float:
    """Return the seconds of all instances of the candidate, until the end of the rollout."""
    first = next((t.candidate.fraction for t in plan.traffics if t.candidate.ppm), 0.0)
    used, met = [], False
    ends = [*(at for at, _ in story.weights[1:]), story.duration]
    for (at, traffic), end in zip(story.weights, ends, strict=True):
        met = met or traffic.candidate.ppm > 0
        share = traffic.candidate.fraction if met else first
        lasting = (min(end, story.duration) - at).total_seconds()
        used.append(math.ceil(round(share * instances, 9)) * max(0.0, lasting))
    return math.fsum(used)
