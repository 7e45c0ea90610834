"""Simulate many rollouts of one strategy in one world, and count their outcomes, with the
confidence intervals of the simulation itself.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from typing import Any, Final, TypedDict, Unpack

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.units import format_duration
from progressive.plan.plan import Strategy, plan_of
from progressive.ports import AnyFleet, Gate, Hook
from progressive.rollout.events import Event
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .service import World
from .simulate import simulate, world_of
from .story import Exposure

__all__ = ["Many", "Proportion", "Quantiles", "Run", "simulate_many"]

_Z95: Final = 1.959963984540054
"""The normal distribution's 97.5 % quantile: intervals are of 95 %."""


@attrs.frozen
class Run:
    """The figures that are kept of one story. ``number`` counts from 0."""

    number: int
    phase: Phase
    duration: timedelta
    detected: timedelta | None
    exposed: Exposure
    why: str


@attrs.frozen
class Proportion:
    """A proportion: ``count`` of ``runs``, with its 95 % confidence interval (Wilson 1927)."""

    count: int
    runs: int

    @property
    def share(self) -> float:
        """The fraction of the runs."""
        return self.count / self.runs

    @property
    def low(self) -> float:
        """The lower end of the interval, as a fraction."""
        return self._wilson()[0]

    @property
    def high(self) -> float:
        """The upper end of the interval, as a fraction."""
        return self._wilson()[1]

    def _wilson(self) -> tuple[float, float]:
        n, p, z = self.runs, self.share, _Z95
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        around = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (0.0 if not self.count else max(0.0, middle - around)), (
            1.0 if self.count == n else min(1.0, middle + around)
        )

    def __str__(self) -> str:
        return f"{self.share:.1%} ({self.low:.1%} to {self.high:.1%})".replace("%", " %")


@attrs.frozen
class Quantiles:
    """The quantiles of sorted ``values``, each with a 95 % confidence interval from order
    statistics.
    """

    values: tuple[float, ...]

    def quantile(self, q: float) -> float:
        """Return the smallest value that at least a fraction ``q`` of the runs do not exceed."""
        return self.values[min(len(self.values) - 1, max(0, math.ceil(q * len(self.values)) - 1))]

    def interval(self, q: float) -> tuple[float, float]:
        """Return the 95 % confidence interval of a quantile: the values at the ranks
        ``n q -+ 1.96 sqrt(n q (1 - q))``.
        """
        n = len(self.values)
        around = _Z95 * math.sqrt(n * q * (1 - q))
        low, high = math.floor(n * q - around), math.ceil(n * q + around)
        return self.values[max(0, low)], self.values[min(n - 1, high)]

    @property
    def median(self) -> float:
        """The value that half of the runs do not exceed."""
        return self.quantile(0.5)

    @property
    def p95(self) -> float:
        """The value that 19 of 20 runs do not exceed."""
        return self.quantile(0.95)

    def __str__(self) -> str:
        return f"median {self.median:,.6g}, p95 {self.p95:,.6g}"


@attrs.frozen(kw_only=True, repr=False)
class Many:
    """The outcomes of many simulated rollouts.

    Equal for the same strategy, world, ``runs`` and ``seed``, on any number of processes.
    """

    seed: object
    runs: tuple[Run, ...]

    def _ended_in(self, *phases: Phase) -> Proportion:
        return Proportion(sum(run.phase in phases for run in self.runs), len(self.runs))

    @property
    def promoted(self) -> Proportion:
        """How often the candidate was promoted."""
        return self._ended_in(Phase.PROMOTED)

    @property
    def rolled_back(self) -> Proportion:
        """How often it was rolled back: false alarms of a good version, catches of a bad one."""
        return self._ended_in(Phase.ROLLED_BACK)

    @property
    def unfinished(self) -> Proportion:
        """How often it did not end in the time that was simulated."""
        return self._ended_in(
            *(phase for phase in Phase if phase not in (Phase.PROMOTED, Phase.ROLLED_BACK))
        )

    def _spread(self, of: Callable[[Run], float]) -> Quantiles:
        return Quantiles(tuple(sorted(of(run) for run in self.runs)))

    @property
    def users_exposed(self) -> Quantiles:
        """Distinct users who met the candidate."""
        return self._spread(lambda run: run.exposed.users)

    @property
    def users_harmed(self) -> Quantiles:
        """Distinct users who saw the candidate fail."""
        return self._spread(lambda run: run.exposed.harmed)

    @property
    def requests_failed(self) -> Quantiles:
        """Requests that failed on the candidate."""
        return self._spread(lambda run: run.exposed.failed)

    @property
    def duration(self) -> Quantiles:
        """Seconds from the start to the promotion or to the verified 0 %."""
        return self._spread(lambda run: run.duration.total_seconds())

    @property
    def detected(self) -> Quantiles | None:
        """Seconds from the candidate's first traffic to the decision to roll back, over the runs
        that were rolled back; None if none was.
        """
        times = sorted(
            run.detected.total_seconds() for run in self.runs if run.detected is not None
        )
        return Quantiles(tuple(times)) if times else None

    def __repr__(self) -> str:
        return f"<Many: {self}>"

    def __str__(self) -> str:
        took = (
            f"{format_duration(timedelta(seconds=round(self.duration.median)))} (p95 "
            f"{format_duration(timedelta(seconds=round(self.duration.p95)))})"
        )
        return (
            f"{len(self.runs)} runs: promoted {self.promoted}, rolled back "
            f"{self.rolled_back}; took {took}; "
            f"users harmed: {self.users_harmed}; users exposed: {self.users_exposed}"
        )


class Options(TypedDict, total=False):
    """The keywords of `simulate` that `simulate_many` takes too.

    ``fleet`` is a function that makes a fleet for each run.
    """

    release: Release
    hooks: Mapping[str, Hook]
    gates: Mapping[str, Gate]
    fleet: Callable[[], AnyFleet]
    before_tick: Callable[[Rollout], Sequence[Event] | None]
    until: timedelta


def simulate_many(
    strategy: Strategy,
    world: World | None = None,
    *,
    runs: int,
    seed: object = 0,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[Options],
) -> Many:
    """Simulate many rollouts, each with a seed of its own.

    * ``runs``: how many, at least 1.
    * ``seed``: the same one gives the same result, on any number of processes.
    * ``processes``: more than one needs everything to pickle (curves and strategies do, a lambda
      does not).
    * ``progress``: called as ``progress(done, runs)`` in this process.
    * ``options``: the keywords of `simulate`. ``fleet`` makes one for each run
      (``fleet=MemoryFleet``): an instance would be changed by one run and met by the next.

    Raises `StrategyError` for a number below 1, and for what can't be pickled.
    """
    for what, number in (("runs", runs), ("processes", processes)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise StrategyError(
                f"simulate_many: {what}={number!r} must be a whole number of at least 1"
            )
    _require_fleet_maker(options.get("fleet"))
    plan_of(strategy, "simulate_many(strategy)")
    world = world_of(world, "simulate_many(world)")
    simulate_one = partial(_run, strategy, world, seed, options)
    finished: list[Run] = []
    for run in _map_runs(simulate_one, runs, processes):
        finished.append(run)
        if progress is not None:
            progress(len(finished), runs)
    return Many(seed=seed, runs=tuple(finished))


def _require_fleet_maker(fleet: object) -> None:
    made = not isinstance(fleet, type) and (hasattr(fleet, "survey") or hasattr(fleet, "asurvey"))
    if fleet is not None and (made or not callable(fleet)):
        raise StrategyError(
            f"simulate_many(fleet=): all runs would share {fields.brief(fleet)}; put "
            "troubles.NotReady(...) in the world, or give what makes "
            "one for each run, such as fleet=MemoryFleet"
        )


def _map_runs(simulate_one: Callable[[int], Run], runs: int, processes: int) -> Iterator[Run]:
    if processes == 1:
        yield from map(simulate_one, range(runs))
        return
    try:
        pickle.dumps(simulate_one)
    except Exception as error:
        raise StrategyError(
            f"simulate_many: processes={processes} needs a strategy, a world and hooks that "
            f"pickle ({error}); write the function with def "
            "at the top of a module instead of a lambda, or use processes=1"
        ) from error
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        chunksize = max(1, runs // (8 * processes))
        yield from pool.map(simulate_one, range(runs), chunksize=chunksize)


def _run(strategy: Strategy, world: World, seed: object, options: Options, number: int) -> Run:
    made = options.get("fleet")
    more: dict[str, Any] = {name: given for name, given in options.items() if name != "fleet"}
    fleet = None if made is None else made()
    story = simulate(strategy, world, seed=f"{seed}/{number}", fleet=fleet, **more)
    return Run(number, story.phase, story.duration, story.detected, story.exposed, story.why)
