"""How often which check catches what by when: many watched rollouts of a plan, for versions of
several badnesses, and their counts.
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
    """The rollouts that were watched: for each of ``times`` worse than usual (the first is 1, a
    healthy version) as many.

    Checks and steps go by their number in the plan.
    """

    plan: Plan
    load: Load
    seed: object
    watched: dict[float, tuple[Watched, ...]]

    @property
    def times(self) -> tuple[float, ...]:
        """How many times worse than usual, rising from 1."""
        return tuple(self.watched)

    @property
    def healthy(self) -> tuple[Watched, ...]:
        """The rollouts of a version that is not worse."""
        return self.watched[1.0]

    def caught(self, check: int, step: int, times: float) -> Proportion:
        """How often this check had failed by the end of this step."""
        runs = self.watched[times]
        return Proportion(
            sum(
                _failed(run, check) is not None and run.endings[check].step <= step for run in runs
            ),
            len(runs),
        )

    def caught_here(self, check: int, step: int, times: float) -> Proportion:
        """How often it failed in this very step, of the runs that came into it without."""
        came = [
            run
            for run in self.watched[times]
            if len(run.passages) > step and not _ended_before(run, check, step)
        ]
        return Proportion(sum(_failed(run, check) == step for run in came), len(came))

    def deciding(self) -> tuple[int, ...]:
        """The checks that can stop a rollout."""
        return tuple(planned.index for planned in self.plan.checks if not planned.check.observe)

    @property
    def alarms(self) -> Proportion:
        """How often a healthy version is taken back or held by a check that failed."""
        hit = sum(any(_failed(run, c) is not None for c in self.deciding()) for run in self.healthy)
        return Proportion(hit, len(self.healthy))

    @property
    def through(self) -> Proportion:
        """How often a healthy version gets to the end."""
        return Proportion(sum(self._passed(run) for run in self.healthy), len(self.healthy))

    def _passed(self, run: Watched) -> bool:
        return run.stuck is None and not any(c in run.endings for c in self.deciding())

    def impatient(self, check: int) -> tuple[Proportion, str]:
        """How often this check ends the rollout of a healthy version without having failed, and
        what it said the first time.
        """
        ended = [
            run.endings[check]
            for run in self.healthy
            if check in run.endings and not run.endings[check].failed
        ]
        return Proportion(len(ended), len(self.healthy)), ended[0].why if ended else ""

    def unseen(self, checks: Sequence[int], times: float) -> Proportion:
        """How often a version gets to the end though these checks were asked."""
        runs = self.watched[times]
        return Proportion(
            sum(
                run.stuck is None and bool(checks) and not any(c in run.endings for c in checks)
                for run in runs
            ),
            len(runs),
        )

    def stuck(self, step: int) -> Proportion:
        """How often a healthy version, that no check stopped, does not get past this step in its
        time.
        """
        stuck = [
            run.stuck == step and not any(c in run.endings for c in self.deciding())
            for run in self.healthy
        ]
        return Proportion(sum(stuck), len(stuck))

    def usual(self, step: int) -> timedelta:
        """The median of how long a step takes a healthy version."""
        took = sorted(run.passages[step].took for run in self.healthy if len(run.passages) > step)
        return took[(len(took) - 1) // 2] if took else timedelta()

    @property
    def whole(self) -> timedelta | None:
        """The median of how long a healthy version takes to the end; None if none gets there."""
        took = sorted(
            sum((passage.took for passage in run.passages), timedelta())
            for run in self.healthy
            if self._passed(run)
        )
        return took[(len(took) - 1) // 2] if took else None

    def requests(self, step: int) -> int:
        """The median of the requests that a healthy candidate gets in a step."""
        found = sorted(
            run.passages[step].requests for run in self.healthy if len(run.passages) > step
        )
        return found[(len(found) - 1) // 2] if found else 0

    def waited_for(self, step: int) -> tuple[int, ...]:
        """The checks for which most healthy versions wait in this step after its own time."""
        came = [run for run in self.healthy if len(run.passages) > step]
        return tuple(
            c
            for c in self.deciding()
            if 2 * sum(c in run.passages[step].waited_for for run in came) > len(came)
        )


def _failed(run: Watched, check: int) -> int | None:
    """In which step this check failed, if it did."""
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
