"""Estimate the power of a plan's checks: how often each catches regressions of several sizes, and
by which step, from many watched rollouts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeAlias

import attrs

from progressive.analysis.contract import metrics_of
from progressive.model.measurement import Metric
from progressive.plan.plan import Plan

from .load import Load
from .many import Proportion
from .watched import Watched
from .watching import Names, Watching, names_of

__all__ = ["Power", "power_of"]

EARLY: Final = 5
"""Rollouts of each kind from which first figures are told: they take about a second."""

NEVER: Final = 1 << 30
"""Past every step of a plan."""


Runs: TypeAlias = tuple[Watched, ...]


@attrs.frozen
class Power:
    """The rollouts that were watched, as many for each size of regression.

    * ``healthy``: those of a version that is not worse.
    * ``worse``: those of a version of which nothing but some metrics is worse: by their names, and
      by times worse than usual.

    Checks and steps are given by their index in the plan.
    """

    plan: Plan
    load: Load
    seed: object
    healthy: Runs
    worse: dict[Names, dict[float, Runs]]

    @property
    def times(self) -> tuple[float, ...]:
        """The sizes of the regressions in times worse than usual, ascending from 1."""
        return (1.0, *next(iter(self.worse.values()), ()))

    def runs(self, metrics: Sequence[Metric], times: float) -> Runs:
        """Return the rollouts in which these metrics are worse, and nothing else is."""
        return self.healthy if times == 1.0 else self.worse[names_of(metrics)][times]

    def caught(self, check: int, step: int, times: float) -> Proportion:
        """Return how often a check had failed by the end of a step, its own metric being worse."""
        return _by(self._own(check, times), [check], step)

    def caught_here(self, check: int, step: int, times: float) -> Proportion:
        """Return how often a check failed in this very step, of the runs that entered it before the
        check had ended.
        """
        return _here(self._own(check, times), [check], step)

    def _own(self, check: int, times: float) -> Runs:
        return self.runs(metrics_of(self.plan.checks[check].check), times)

    def seen(self, metric: Metric, checks: Sequence[int], step: int, times: float) -> Proportion:
        """Return how often one of several checks had failed by the end of a step, this metric being
        worse.
        """
        return _by(self.runs([metric], times), checks, step)

    def together(self, step: int, times: float) -> Proportion:
        """Return how often a check had stopped it by the end of a step, all metrics being worse."""
        return _by(self.runs(self.plan.metrics, times), self.deciding(), step)

    def together_here(self, step: int, times: float) -> Proportion:
        """Return the same for this very step, of the runs that entered it."""
        return _here(self.runs(self.plan.metrics, times), self.deciding(), step)

    def deciding(self) -> tuple[int, ...]:
        """Return the checks that can stop a rollout."""
        return tuple(planned.index for planned in self.plan.checks if not planned.check.observe)

    @property
    def alarms(self) -> Proportion:
        """How often a healthy version is rolled back or held by a check that failed."""
        checks = self.deciding()
        hit = sum(_first_failed(run, checks) < NEVER for run in self.healthy)
        return Proportion(hit, len(self.healthy))

    @property
    def through(self) -> Proportion:
        """How often a healthy version gets to the end."""
        return Proportion(sum(self._passed(run) for run in self.healthy), len(self.healthy))

    def _passed(self, run: Watched) -> bool:
        return run.stuck is None and not any(c in run.endings for c in self.deciding())

    def impatient(self, check: int) -> tuple[Proportion, int, str]:
        """Return how often a check ends the rollout of a healthy version without having failed, and
        the step and the reason of the first time.
        """
        ended = [
            run.endings[check]
            for run in self.healthy
            if check in run.endings and not run.endings[check].failed
        ]
        often = Proportion(len(ended), len(self.healthy))
        return (often, ended[0].step, ended[0].why) if ended else (often, 0, "")

    def unseen(self, metric: Metric, checks: Sequence[int], times: float) -> Proportion:
        """Return how often a version of which this metric is worse gets to the end without being
        stopped by these checks.
        """
        runs = self.runs([metric], times)
        return Proportion(
            sum(
                run.stuck is None and bool(checks) and not any(c in run.endings for c in checks)
                for run in runs
            ),
            len(runs),
        )

    def stuck(self, step: int) -> Proportion:
        """Return how often a healthy version that no check stopped does not pass a step in its
        time.
        """
        stuck = [
            run.stuck == step and not any(c in run.endings for c in self.deciding())
            for run in self.healthy
        ]
        return Proportion(sum(stuck), len(stuck))

    def usual(self, step: int) -> timedelta:
        """Return the median time that a step takes a healthy version."""
        took = sorted(run.passages[step].took for run in self.healthy if len(run.passages) > step)
        return took[(len(took) - 1) // 2] if took else timedelta()

    @property
    def whole(self) -> timedelta | None:
        """The median time that a healthy version takes to the end; None if none gets there."""
        took = sorted(
            sum((passage.took for passage in run.passages), timedelta())
            for run in self.healthy
            if self._passed(run)
        )
        return took[(len(took) - 1) // 2] if took else None

    def requests(self, step: int) -> int:
        """Return the median of the requests that a healthy candidate gets in a step."""
        requests = sorted(
            run.passages[step].requests for run in self.healthy if len(run.passages) > step
        )
        return requests[(len(requests) - 1) // 2] if requests else 0

    def waited_for(self, step: int) -> tuple[int, ...]:
        """Return the checks for which most healthy versions wait in a step after its own time."""
        entered = [run for run in self.healthy if len(run.passages) > step]
        return tuple(
            c
            for c in self.deciding()
            if 2 * sum(c in run.passages[step].waited_for for run in entered) > len(entered)
        )

    def when_stuck(self, step: int) -> tuple[timedelta, int]:
        """Return how long the healthy versions that do not pass a step had been in it, and how many
        requests they had had in it: the medians.
        """
        stuck = [run.passages[step] for run in self.healthy if run.stuck == step]
        middle = (len(stuck) - 1) // 2
        took = sorted(passage.took for passage in stuck)[middle]
        return took, sorted(passage.requests for passage in stuck)[middle]

    def why_waited(self, step: int, check: int) -> str:
        """Return the reason of a check that did not let a healthy version past a step, the first
        time; empty if all were let past.
        """
        whys = (
            run.passages[step].waited_for.get(check, "")
            for run in self.healthy
            if run.stuck == step
        )
        return next(whys, "")


def _first_failed(run: Watched, checks: Sequence[int]) -> int:
    """Return the step in which the first of several checks failed; `NEVER` if none did."""
    failed = (run.endings[c] for c in checks if c in run.endings)
    return min((ending.step for ending in failed if ending.failed), default=NEVER)


def _by(runs: Runs, checks: Sequence[int], step: int) -> Proportion:
    return Proportion(sum(_first_failed(run, checks) <= step for run in runs), len(runs))


def _here(runs: Runs, checks: Sequence[int], step: int) -> Proportion:
    entered = [
        run
        for run in runs
        if len(run.passages) > step
        and not any(c in run.endings and run.endings[c].step < step for c in checks)
    ]
    return Proportion(sum(_first_failed(run, checks) == step for run in entered), len(entered))


def power_of(
    plan: Plan, load: Load, times: tuple[float, ...], runs: int, seed: object
) -> Iterator[Power]:
    """Watch ``runs`` rollouts for each of ``times``, and yield what is known by then: after the
    first `EARLY`, after twice as many each time, and after all.
    """
    watching, then = Watching(plan, load, times, seed), EARLY
    for number in range(runs):
        watching.watch(number)
        if number + 1 in (then, runs):
            then *= 2
            yield Power(plan, load, seed, watching.healthy, watching.worse)
