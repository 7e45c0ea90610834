"""Canary: a small share of the traffic first, then more, watched all the way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

import attrs

from .. import _validators as check
from ..analysis.judge import Analysis, checks_of
from ..analysis.verdict import Check
from ..errors import StrategyError
from ..plan import Plan
from ..step import Deadline, Step, is_deadline
from ..steps.bake import Bake
from ..steps.set_weight import SetWeight
from ..units import MILLION, Percent, hours, minutes, seconds
from ._common import CHECKS, analyses_given, analyses_of, compiled, is_analyses, steps_of
from .describe import Description, describe

NO_TIME = timedelta()


def _weights(value: Iterable[Percent]) -> tuple[Percent, ...]:
    found: tuple[Percent, ...] = check.listed(value)
    return found


def _is_weights(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    what = check.where(instance, attribute)
    if not isinstance(value, tuple):
        raise StrategyError(f"{what}: expected a list, got {value!r}; write percents({getattr(value, 'number', value)}, 100)")
    numbers = ", ".join(str(getattr(weight, "number", weight)) for weight in value)
    bare = [i for i, weight in enumerate(value) if not isinstance(weight, Percent)]
    if bare:
        raise StrategyError([f"{what}[{i}]: {value[i]!r} has no unit; write percents({numbers})" for i in bare])


@attrs.frozen(kw_only=True)
class Canary:
    """The candidate gets each of ``weights`` in turn, each watched for ``bake``, and is promoted after the bake at 100 %.

    ``checks`` guard the whole way, from the first verified traffic on the candidate until the end, holds included; they are looked at
    every ``interval``, not during ``warmup`` after each change of weight. ``analyses`` and ``guards`` (names of analyses that guard) are
    for more than one such group. Instead of ``weights`` and ``bake``, ``steps`` gives every step explicitly.

    ``last_bake`` is the bake at 100 % (default: ``bake``): until it is over, everything can still go back by one write. ``retire_after``
    asks the fleet to remove the old version that long after the promotion; None leaves it alone. ``gates`` are asked before every raise.
    A canary without any check is refused, unless ``unguarded`` says why. Every problem is reported at once, when it is made.
    """

    kind: ClassVar[str] = "canary"

    weights: tuple[Percent, ...] = attrs.field(default=(), converter=_weights, validator=_is_weights)
    bake: timedelta = attrs.field(default=minutes(5), converter=check.whole_ms, validator=check.is_duration)
    last_bake: timedelta | None = attrs.field(
        default=None, converter=attrs.converters.optional(check.whole_ms), validator=check.optional(check.is_duration)
    )
    steps: tuple[Step, ...] = attrs.field(default=(), converter=steps_of, validator=check.is_steps)
    checks: tuple[Check, ...] = attrs.field(default=(), converter=checks_of, validator=check.is_checks)
    interval: timedelta = attrs.field(default=seconds(30), converter=check.whole_ms, validator=check.is_duration)
    warmup: timedelta = attrs.field(default=NO_TIME, converter=check.whole_ms, validator=check.is_span)
    analyses: tuple[Analysis, ...] = attrs.field(default=(), converter=analyses_given, validator=is_analyses)
    guards: tuple[str, ...] = attrs.field(default=(), converter=check.strings, validator=check.is_strings)
    gates: tuple[str, ...] = attrs.field(default=(), converter=check.strings, validator=check.is_strings)
    deadline: Deadline = attrs.field(default=Deadline(within=hours(24 * 7)), validator=is_deadline)
    watch_every: timedelta = attrs.field(default=minutes(1), converter=check.whole_ms, validator=check.is_duration)
    preflight: timedelta = attrs.field(default=minutes(5), converter=check.whole_ms, validator=check.is_duration)
    alpha: float = 0.01
    retire_after: timedelta | None = attrs.field(
        default=None, converter=attrs.converters.optional(check.whole_ms), validator=check.optional(check.is_span)
    )
    unguarded: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.steps and self.weights:
            raise StrategyError("canary: give weights= (with bake=) or steps=, not both")
        try:
            _ = self.plan
        except StrategyError as error:
            if not self.weights:
                raise
            raise StrategyError([_in_weights(problem) for problem in error.problems]) from None

    @property
    def plan(self) -> Plan:
        """What it compiles to."""
        return self._plan

    @cached_property
    def _plan(self) -> Plan:
        steps: list[Step] = list(self.steps)
        for weight in self.weights:
            last = weight.ppm == MILLION and self.last_bake is not None
            steps += [SetWeight(weight), Bake(self.last_bake if last and self.last_bake is not None else self.bake)]
        return compiled(
            self.kind,
            tuple(steps),
            guards=(*self.guards, *((CHECKS,) if self.checks else ())),
            analyses=analyses_of(self.checks, self.analyses, interval=self.interval, warmup=self.warmup),
            gates=self.gates,
            deadline=self.deadline,
            watch_every=self.watch_every,
            preflight=self.preflight,
            alpha=self.alpha,
            retire_after=self.retire_after,
            unguarded=self.unguarded,
        )

    def describe(self) -> Description:
        """What it will do: every step with its earliest and latest time, and what each guard can judge there."""
        return describe(self.plan)


def _in_weights(problem: str) -> str:
    """A problem of the plan, placed where the weights were written: each of them became two steps."""
    problem = problem.replace("canary: steps: they end", "canary: weights: they end")
    return re.sub(r"steps\[(\d+)\]\.weight", lambda found: f"weights[{int(found[1]) // 2}]", problem)
