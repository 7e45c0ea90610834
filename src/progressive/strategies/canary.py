"""Canary: a small share of the traffic first, then more, watched all the way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

import attrs

from progressive.analysis.analysis import Analysis
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.traffic import is_percent, is_stay
from progressive.model.units import MILLION, Percent, minutes
from progressive.plan.plan import Guard, NamedGuard
from progressive.plan.step import Step, is_steps
from progressive.steps.standard import Bake, SetWeight

from .common import Watched, analyses_of, is_analyses, steps_of


def _weights(value: Iterable[Percent]) -> tuple[Percent, ...]:
    weights: tuple[Percent, ...] = fields.listed(value)
    return weights


def _is_weights(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    what = fields.where(instance, attribute)
    if not isinstance(value, tuple):
        raise StrategyError(
            f"{what}: expected a list, got {value!r}; write "
            f"percents({getattr(value, 'number', value)}, 100)"
        )
    numbers = ", ".join(str(getattr(weight, "number", weight)) for weight in value)
    bare = [i for i, weight in enumerate(value) if not isinstance(weight, Percent)]
    if bare:
        raise StrategyError(
            [f"{what}[{i}]: {value[i]!r} has no unit; write percents({numbers})" for i in bare]
        )


def _guards(value: Iterable[NamedGuard]) -> tuple[NamedGuard, ...]:
    guards: tuple[NamedGuard, ...] = fields.listed(value)
    return guards


def _is_guards(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    what = fields.where(instance, attribute)
    if not isinstance(value, tuple):
        raise StrategyError(f"{what}: expected a list, got {value!r}; write [{value!r}]")
    for i, each in enumerate(value):
        if not isinstance(each, str | Guard):
            raise StrategyError(
                f"{what}[{i}]: {each!r} is neither the name of an analysis nor a Guard(...)"
            )


@attrs.frozen(kw_only=True)
class Canary(Watched):
    """Raise the candidate's share of the traffic by ``weights``, with a bake at each, to 100 %.

    * ``weights``: percents that rise to 100: `percents`, `linear`, `geometric`.
    * ``bake``: the watched time at each weight.
    * ``last_bake``: the bake at 100 % (default: ``bake``); until it is over, one write can still
      take everything back.
    * ``checks``: guard the whole way, from the first verified traffic on the candidate until the
      end, holds included.
    * ``interval``: the time between two looks of ``checks``.
    * ``early``: look sooner after each change of weight (see `Analysis`).
    * ``warmup``: the time after each change of weight in which they do not judge.
    * ``analyses``: more groups of checks.
    * ``guards``: the names of those that guard, or ``Guard(name, since=...)`` for one that begins
      with a later step, such as ``"weight-50"``; `describe` shows their ids.
    * ``steps``: every step explicitly, instead of ``weights`` and ``bake``.
    * ``baseline``: the most that a fresh copy of stable (`Release.baseline`) gets. It gets as much
      as the candidate, but no more than this, and nothing once both don't fit beside each other.
      Compare with it by ``NoWorse(..., than=Track.BASELINE)``.
    * ``sticky``: how long a user stays on the version that answered first, below 100 %: by a cookie
      or key of the router, one that can't is refused (`Capabilities.affinity`).
    * ``gates``: the names of gates, asked before every raise.
    * ``deadline``, ``watch_every``, ``preflight``, ``alpha``: see `Plan`.
    * ``retire_after``: when the fleet is asked to remove the old version, counted from the
      promotion; ``remove_candidate_after``: the same for the candidate, counted from the end of a
      way back; None for never: it stays, and a note says that it may go.
    * ``unguarded``: why there is no check; without a check and this reason it is refused.

    Raises `StrategyError` with one line for each mistake.
    """

    kind: ClassVar[str] = "canary"

    weights: tuple[Percent, ...] = attrs.field(
        default=(), converter=_weights, validator=_is_weights
    )
    bake: timedelta = attrs.field(
        default=minutes(5), converter=fields.whole_ms, validator=fields.is_duration
    )
    last_bake: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_duration),
    )
    baseline: Percent | None = attrs.field(default=None, validator=fields.optional(is_percent))
    sticky: timedelta | None = attrs.field(default=None, validator=is_stay)
    steps: tuple[Step, ...] = attrs.field(default=(), converter=steps_of, validator=is_steps)
    analyses: tuple[Analysis, ...] = attrs.field(
        default=(), converter=analyses_of, validator=is_analyses
    )
    guards: tuple[NamedGuard, ...] = attrs.field(
        default=(), converter=_guards, validator=_is_guards
    )

    def __attrs_post_init__(self) -> None:
        if self.steps and self.weights:
            raise StrategyError("canary: give weights= (with bake=) or steps=, not both")
        if self.steps and self.baseline is not None:
            raise StrategyError(
                "canary: baseline= goes with weights=; in steps= write SetWeight(..., baseline=...)"
            )
        if self.steps and self.sticky is not None:
            raise StrategyError(
                "canary: sticky= goes with weights=; in steps= write SetWeight(..., sticky=...)"
            )
        _ = self.plan

    def _steps(self) -> tuple[Step, ...]:
        steps: list[Step] = list(self.steps)
        for weight in self.weights:
            bake = self.bake
            if weight.ppm == MILLION and self.last_bake is not None:
                bake = self.last_bake
            steps += [
                SetWeight(
                    weight,
                    baseline=self._baseline_beside(weight),
                    sticky=None if weight.ppm == MILLION else self.sticky,
                ),
                Bake(bake),
            ]
        return tuple(steps)

    def _baseline_beside(self, weight: Percent) -> Percent:
        """Return the weight of the baseline beside this weight of the candidate."""
        share = min(weight.ppm, 0 if self.baseline is None else self.baseline.ppm)
        return Percent(share if weight.ppm + share <= MILLION else 0)

    def _analyses(self) -> tuple[Analysis, ...]:
        return self.analyses

    def _guards(self) -> tuple[Guard, ...]:
        return tuple(Guard(each) if isinstance(each, str) else each for each in self.guards)

    def _rephrased(self, problem: str) -> str:
        problem = super()._rephrased(problem)
        if self.weights:
            return problem.replace("canary: steps: they end", "canary: weights: they end")
        return problem

    def _place(self, step: int, where: str) -> str:
        # Each weight has compiled to two steps.
        return f"weights[{step // 2}]" if self.weights else super()._place(step, where)
