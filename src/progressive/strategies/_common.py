"""What both strategies take the same way: checks and guards, gates, deadlines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from .. import _validators as check
from ..analysis.judge import Analysis
from ..analysis.verdict import Check
from ..errors import StrategyError
from ..plan import Guard, Plan, named_steps
from ..step import Step

CHECKS = "checks"
"""The name of the analysis that the ``checks=`` of a strategy make."""


def analyses_of(
    checks: Iterable[Check], analyses: Iterable[Analysis], *, interval: timedelta, warmup: timedelta
) -> tuple[Analysis, ...]:
    """The named analyses, and the loose checks as one more."""
    loose = tuple(checks)
    named = tuple(analyses)
    if not loose:
        return named
    return (Analysis(CHECKS, checks=loose, interval=interval, warmup=warmup), *named)


def compiled(strategy: str, steps: tuple[Step, ...], *, guards: tuple[str, ...], **given: Any) -> Plan:
    """The plan, or every problem in it at once."""
    try:
        return Plan(strategy=strategy, steps=named_steps(steps), guards=tuple(Guard(name) for name in guards), **given)
    except StrategyError as error:
        raise StrategyError([f"{strategy}: {problem.removeprefix(f'{strategy}: ')}" for problem in error.problems]) from None


def steps_of(value: Iterable[Step]) -> tuple[Step, ...]:
    """A converter: several steps."""
    found: tuple[Step, ...] = check.listed(value)
    return found


def analyses_given(value: Iterable[Analysis]) -> tuple[Analysis, ...]:
    """A converter: several analyses."""
    found: tuple[Analysis, ...] = check.listed(value)
    return found


is_analyses = check.is_list_of(("checks", "interval"), "an Analysis(...)")
