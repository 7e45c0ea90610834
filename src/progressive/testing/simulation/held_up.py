"""Say what stops a healthy version or holds it up: too little evidence, by check and step, with the
number of requests that it needs and has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from progressive.analysis.contract import Check
from progressive.model.measurement import Kind
from progressive.model.units import format_duration

from .many import Proportion
from .power import Power

__all__ = ["held_up"]

OFTEN: Final = 0.05
"""A step that stops more healthy versions than this is worth a warning."""

SLOW: Final = 1.25
"""So is one that takes so many times as long as it says."""

LESS: Final = "give it more traffic, or let it ask for less (min_sample=, accept=)"

UNITS: Final = {Kind.MEAN: "values", Kind.VALUE: "samples"}
"""What a check counts, where it is not requests."""


def held_up(power: Power) -> Iterator[str]:
    """Yield a warning for each step that does not end, then for each check that gives up without a
    verdict, then for each step that is late.
    """
    yield from _never_ending(power)
    yield from _undecided(power)
    yield from _late(power)


def _never_ending(power: Power) -> Iterator[str]:
    for i, step in enumerate(power.plan.steps):
        if power.stuck(i).share <= OFTEN:
            continue
        took, had = power.when_stuck(i)
        own = step.deadline is not None and took >= step.deadline.within
        ends = (
            f"after {format_duration(took)}, its deadline,"
            if own
            else "when the whole's deadline of "
            f"{format_duration(power.plan.deadline.within)} has come,"
        )
        waited = power.waited_for(i)
        names = ", ".join(power.plan.keys[c] for c in waited)
        yield (
            f"{step.id}: {ends} {_percent(power.stuck(i))} of healthy versions still wait for "
            f"{names or 'it to end'}{_lacks(power, i, waited, took, had)}"
        )


def _late(power: Power) -> Iterator[str]:
    for i, step in enumerate(power.plan.steps):
        usual, waited = power.usual(i), power.waited_for(i)
        if waited and step.span and usual > SLOW * step.span and power.stuck(i).share <= OFTEN:
            names = ", ".join(power.plan.keys[c] for c in waited)
            had = round(power.requests(i) * (step.span / usual))
            yield (
                f"{step.id}: takes {format_duration(usual)}, not {format_duration(step.span)}, "
                f"for the samples that {names} needs"
                f"{_lacks(power, i, waited, step.span, had) or f'; {LESS}'}"
            )


def _undecided(power: Power) -> Iterator[str]:
    for c in power.deciding():
        often, step, why = power.impatient(c)
        if often.share > OFTEN:
            needs = _needed(power.plan.checks[c].check)
            needed = f", and needs {needs[0]:,} {needs[1]}" if needs else ""
            yield (
                f"{power.plan.keys[c]}: stops {_percent(often)} of healthy versions without a "
                f"verdict: at {power.plan.steps[step].id}, which has {power.requests(step):,} "
                f"requests{needed}: {why}"
            )


def _lacks(power: Power, step: int, checks: Sequence[int], within: timedelta, had: int) -> str:
    """Return what each of several checks needs in a step, where it had so many requests, and what
    to do.
    """
    lacking = []
    for c in checks:
        name = "it" if len(checks) == 1 else power.plan.keys[c]
        needs = _needed(power.plan.checks[c].check)
        if needs is not None and power.plan.checks[c].check.metric.kind is Kind.VALUE:
            lacking.append(f"{name} needs {needs[0]:,} {needs[1]}")
        elif needs is not None and needs[0] > had:
            takes = (
                timedelta(seconds=math.ceil(needs[0] / had * within.total_seconds()))
                if had
                else None
            )
            after = f", which take {format_duration(takes)}" if takes else ""
            has = f"{had:,} in {format_duration(within)}"
            lacking.append(f"{name} needs {needs[0]:,} {needs[1]}{after}, and has {has}")
        elif why := power.why_waited(step, c):
            lacking.append(f"{name} has {had:,} requests: {'; '.join(why.split('; ')[:2])}")
    return f"; {'; '.join(lacking)}; {LESS}" if lacking else ""


def _needed(check: Check) -> tuple[int, str] | None:
    """Return how much a check needs at a weight before it passes, and of what; None if it does not
    say so.
    """
    unit = UNITS.get(check.metric.kind, "requests")
    least = getattr(check, "min_sample", 1)
    excluded = getattr(check, "excluded", ())
    what, needed = max(excluded, key=lambda each: each[1], default=("", 0))
    if needed > least:
        return needed, f"{unit} to exclude {what}"
    return (least, f"{unit} (min_sample)") if least > 1 else None


def _percent(often: Proportion) -> str:
    return f"{100 * often.share:.0f} %"
