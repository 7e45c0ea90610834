"""The fields that every strategy has, and how a strategy compiles to a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import ClassVar, Final

import attrs

from progressive.analysis.analysis import Analysis, checks_of
from progressive.analysis.contract import Check, is_checks, is_flag
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.units import hours, minutes, seconds
from progressive.plan.plan import Guard, Plan, named_steps
from progressive.plan.step import Deadline, Step, is_deadline

from .describe import Description, describe

CHECKS = "checks"
"""The name of the analysis of a strategy's ``checks=``."""

_STEP: Final = re.compile(r"steps\[(\d+)\](?:\.weight| \([^()]*\))?")
"""A step of a plan, as the messages of its validation name it."""


@attrs.frozen(kw_only=True)
class Watched:
    """The base of strategies: their common fields, documented in `Canary`, and their plan."""

    kind: ClassVar[str]
    needs_stable: ClassVar[bool] = True

    checks: tuple[Check, ...] = attrs.field(default=(), converter=checks_of, validator=is_checks)
    interval: timedelta = attrs.field(
        default=seconds(30), converter=fields.whole_ms, validator=fields.is_duration
    )
    warmup: timedelta = attrs.field(
        default=timedelta(), converter=fields.whole_ms, validator=fields.is_span
    )
    early: bool = attrs.field(default=True, validator=is_flag, metadata=fields.missing_means(False))
    gates: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    deadline: Deadline = attrs.field(default=Deadline(within=hours(24 * 7)), validator=is_deadline)
    watch_every: timedelta = attrs.field(
        default=minutes(1), converter=fields.whole_ms, validator=fields.is_duration
    )
    preflight: timedelta = attrs.field(
        default=minutes(5), converter=fields.whole_ms, validator=fields.is_duration
    )
    alpha: float = 0.01
    retire_after: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_span),
    )
    remove_candidate_after: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_span),
    )
    unguarded: str | None = None

    @property
    def plan(self) -> Plan:
        """The plan that it compiles to."""
        return self._plan

    @cached_property
    def _plan(self) -> Plan:
        guarding = (
            (
                Analysis(
                    CHECKS,
                    checks=self.checks,
                    interval=self.interval,
                    warmup=self.warmup,
                    early=self.early,
                ),
            )
            if self.checks
            else ()
        )
        try:
            return Plan(
                strategy=self.kind,
                steps=named_steps(self._steps()),
                analyses=(*guarding, *self._analyses()),
                guards=(*self._guards(), *(Guard(each.name) for each in guarding)),
                gates=self.gates,
                deadline=self.deadline,
                watch_every=self.watch_every,
                preflight=self.preflight,
                alpha=self.alpha,
                retire_after=self.retire_after,
                remove_candidate_after=self.remove_candidate_after,
                unguarded=self.unguarded,
                needs_stable=self.needs_stable,
            )
        except StrategyError as error:
            raise StrategyError([self._rephrased(problem) for problem in error.problems]) from None

    def _steps(self) -> tuple[Step, ...]:
        raise NotImplementedError

    def _analyses(self) -> tuple[Analysis, ...]:
        """Return the analyses besides the one of ``checks``."""
        return ()

    def _guards(self) -> tuple[Guard, ...]:
        """Return the guards besides the one of ``checks``."""
        return ()

    def _rephrased(self, problem: str) -> str:
        """Rephrase a problem of the plan by the strategy's own fields.

        The author of ``bake=`` has never seen a ``steps[1]``.
        """
        placed = _STEP.sub(
            lambda match: self._place(int(match[1]), match[0]),
            problem.removeprefix(f"{self.kind}: "),
        )
        return f"{self.kind}: {placed}"

    def _place(self, step: int, where: str) -> str:
        """Return the field that a step of the plan comes from.

        ``where`` is the plan's name for it: ``steps[1] (bake-10)``, ``steps[0].weight``.
        """
        return where

    def describe(self) -> Description:
        """Describe every step: its earliest and latest end, and the checks that can judge it."""
        return describe(self.plan)


def steps_of(value: Iterable[Step]) -> tuple[Step, ...]:
    """A converter: several steps."""
    steps: tuple[Step, ...] = fields.listed(value)
    return steps


def analyses_of(value: Iterable[Analysis]) -> tuple[Analysis, ...]:
    """A converter: several analyses."""
    analyses: tuple[Analysis, ...] = fields.listed(value)
    return analyses


is_analyses = fields.is_list_of(("checks", "interval"), "an Analysis(...)")
