"""Canary: a small share of the traffic first, then more, watched all the way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

import attrs

from progressive.analysis.analysis import Analysis
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.traffic import is_percent
from progressive.model.units import MILLION, Percent, minutes
from progressive.plan.step import Step, is_steps
from progressive.steps.standard import Bake, SetWeight

from .common import Watched, analyses_of, is_analyses, steps_of


def _weights(value: Iterable[Percent]) -> tuple[Percent, ...]:
    found: tuple[Percent, ...] = fields.listed(value)
    return found


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


@attrs.frozen(kw_only=True)
class Canary(Watched):
    """The candidate gets each of ``weights`` in turn, each watched for ``bake``, and is promoted
    after the bake at 100 %.

    ``checks`` guard the whole way, from the first verified traffic on the candidate until the end,
    holds included; they are looked at every ``interval``, not during ``warmup`` after each change
    of weight. ``analyses`` and ``guards`` (names of analyses that guard) are for more than one such
    group. Instead of ``weights`` and ``bake``, ``steps`` gives every step explicitly.

    ``baseline`` is the most that a fresh copy of stable gets beside the candidate
    (`Release.baseline`): as much as the candidate, but no more than this, and nothing once both
    don't fit beside each other. Compare with it by ``NoWorse(..., than=Track.BASELINE)``.

    ``last_bake`` is the bake at 100 % (default: ``bake``): until it is over, everything can still
    go back by one write. ``retire_after`` asks the fleet to remove the old version that long after
    the promotion; None leaves it alone. ``gates`` are asked before every raise. A canary without
    any check is refused, unless ``unguarded`` says why. Every problem is reported at once, when it
    is made.
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
    steps: tuple[Step, ...] = attrs.field(default=(), converter=steps_of, validator=is_steps)
    analyses: tuple[Analysis, ...] = attrs.field(
        default=(), converter=analyses_of, validator=is_analyses
    )
    guards: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )

    def __attrs_post_init__(self) -> None:
        if self.steps and self.weights:
            raise StrategyError("canary: give weights= (with bake=) or steps=, not both")
        if self.steps and self.baseline is not None:
            raise StrategyError(
                "canary: baseline= goes with weights=; in steps= write SetWeight(..., baseline=...)"
            )
        _ = self.plan

    def _steps(self) -> tuple[Step, ...]:
        steps: list[Step] = list(self.steps)
        for weight in self.weights:
            last = weight.ppm == MILLION and self.last_bake is not None
            steps += [
                SetWeight(weight, baseline=self._beside(weight)),
                Bake(self.last_bake if last and self.last_bake is not None else self.bake),
            ]
        return tuple(steps)

    def _beside(self, weight: Percent) -> Percent:
        """What the baseline gets beside this weight of the candidate."""
        share = min(weight.ppm, 0 if self.baseline is None else self.baseline.ppm)
        return Percent(share if weight.ppm + share <= MILLION else 0)

    def _analyses(self) -> tuple[Analysis, ...]:
        return self.analyses

    def _guards(self) -> tuple[str, ...]:
        return self.guards

    def _rephrased(self, problem: str) -> str:
        told = super()._rephrased(problem)
        return (
            told.replace("canary: steps: they end", "canary: weights: they end")
            if self.weights
            else told
        )

    def _place(self, step: int, where: str) -> str:
        """Each of the weights became two steps."""
        return f"weights[{step // 2}]" if self.weights else super()._place(step, where)
