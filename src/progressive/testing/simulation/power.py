"""Estimate the power of a plan's checks: how often each catches regressions of several sizes, and
by which step, from many watched rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import attrs

from progressive.plan.plan import Plan

from .load import Load
from .lookout import Watched, watch
from .many import Proportion

__all__ = ["Power", "power_of"]


@attrs.frozen
class Power:
    """The rollouts that were watched, as many for each size of regression.

    ``watched`` is keyed by times worse than usual; the first key is 1, a healthy version. Checks
    and steps are given by their index in the plan.
    """

    plan: Plan
    load: Load
    seed: object
    watched: dict[float, tuple[Watched, ...]]

    @property
    def times(self) -> tuple[float, ...]:
        """The sizes of the regressions in times worse than usual, ascending from 1."""
        return tuple(self.watched)

    @property
    def healthy(self) -> tuple[Watched, ...]:
        """The rollouts of a version that is not worse."""
        return self.watched[1.0]

    def caught(self, check: int, step: int, times: float) -> Proportion:
        """Return how often a check had failed by the end of a step."""
        runs = self.watched[times]
        return Proportion(
            sum(
                _failed(run, check) is not None and run.endings[check].step <= step for run in runs
            ),
            len(runs),
        )

    def caught_here(self, check: int, step: int, times: float) -> Proportion:
        """Return how often a check failed in this very step, of the runs that entered it before the
        check had ended.
        """
        entered = [
            run
            for run in self.watched[times]
            if len(run.passages) > step and not _ended_before(run, check, step)
        ]
        return Proportion(sum(_failed(run, check) == step for run in entered), len(entered))

    def deciding(self) -> tuple[int, ...]:
        """Return the checks that can stop a rollout."""
        return tuple(planned.index for planned in self.plan.checks if not planned.check.observe)

    @property
    def alarms(self) -> Proportion:
        """How often a healthy version is rolled back or held by a check that failed."""
        hit = sum(any(_failed(run, c) is not None for c in self.deciding()) for run in self.healthy)
        return Proportion(hit, len(self.healthy))

    @property
    def through(self) -> Proportion:
        """How often a healthy version gets to the end."""
        return Proportion(sum(self._passed(run) for run in self.healthy), len(self.healthy))

    def _passed(self, run: Watched) -> bool:
        return run.stuck is None and not any(c in run.endings for c in self.deciding())

    def impatient(self, check: int) -> tuple[Proportion, str]:
        """Return how often a check ends the rollout of a healthy version without having failed, and
        the reason of the first time.
        """
        ended = [
            run.endings[check]
            for run in self.healthy
            if check in run.endings and not run.endings[check].failed
        ]
        return Proportion(len(ended), len(self.healthy)), ended[0].why if ended else ""

    def unseen(self, checks: Sequence[int], times: float) -> Proportion:
        """Return how often a version gets to the end without being stopped by these checks."""
        runs = self.watched[times]
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


def _failed(run: Watched, check: int) -> int | None:
    """Return the step in which a check failed; None if it did not."""
    ending = run.endings.get(check)
    return ending.step if ending is not None and ending.failed else None


def _ended_before(run: Watched, check: int, step: int) -> bool:
    return check in run.endings and run.endings[check].step < step


def power_of(plan: Plan, load: Load, times: tuple[float, ...], runs: int, seed: object) -> Power:
    """Watch ``runs`` rollouts for each of ``times``."""
    watched = {}
    for each in times:
        world = load.world(plan.metrics, times=each)
        watched[each] = tuple(
            watch(plan, world, f"{seed}/x{each:g}/{number}") for number in range(runs)
        )
    return Power(plan, load, seed, watched)
