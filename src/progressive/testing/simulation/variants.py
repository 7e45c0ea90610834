"""Variants of a strategy that may see more: other weights, a longer bake, stricter checks. Each is
given as code too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import product
from typing import Any, Final

import attrs

from progressive.analysis.contract import Check
from progressive.analysis.limit import Limit
from progressive.analysis.no_worse import NoWorse
from progressive.model.measurement import Kind, Metric
from progressive.model.traffic import Track
from progressive.model.units import MILLION, Percent, percent
from progressive.plan.plan import Plan, Strategy

from .curves import SimTime, at
from .load import Load

__all__ = ["Family", "Variant", "cost_of", "families", "level"]

LONGER: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""How many times as long a bake is tried."""

LONGEST: Final = timedelta(hours=24)
"""None that would be longer than this is tried."""

HALF: Final = Percent(MILLION // 2)

MINUTE: Final = timedelta(minutes=1)


@attrs.frozen
class Change:
    """Another value of one field, and how it is written."""

    field: str
    value: Any
    code: str


@attrs.frozen
class Variant:
    """A strategy with some changes, and what it costs at least (`cost_of`)."""

    strategy: Strategy
    code: str
    cost: float


@attrs.frozen
class Family:
    """The variants that differ in nothing but their bakes, the shortest first."""

    variants: tuple[Variant, ...]


def families(strategy: Strategy, load: Load, worse: float) -> list[Family]:
    """Return what may be tried to find a version ``worse`` times as bad, the cheapest first."""
    fields = {field.name for field in getattr(strategy, "__attrs_attrs__", ())}
    stepped = bool(getattr(strategy, "steps", ()))
    weights = [()] if stepped or "weights" not in fields else [(), *_weights(strategy)]
    bakes = [()] if stepped or "bake" not in fields else [*_bakes(strategy)]
    checks = [(), *_checks(strategy, load, worse)] if "checks" in fields else [()]
    found = [
        Family(tuple(_variant(strategy, (*weighted, *bake, *checked)) for bake in bakes))
        for weighted, checked in product(weights, checks)
    ]
    return sorted(found, key=lambda family: family.variants[0].cost)


def _variant(strategy: Strategy, changes: Sequence[Change]) -> Variant:
    values: dict[str, Any] = {change.field: change.value for change in changes}
    changed: Strategy = attrs.evolve(strategy, **values)  # type: ignore[misc]
    lines = [f"    {change.field}={change.code},\n" for change in changes]
    code = f"attrs.evolve(\n    strategy,\n{''.join(lines)})" if changes else "strategy"
    return Variant(changed, code, cost_of(changed.plan, [step.span for step in changed.plan.steps]))


def cost_of(plan: Plan, spans: Sequence[timedelta]) -> float:
    """Return what a plan costs that takes these times in its steps.

    It is how long it takes, times how much traffic it exposes before the candidate has all; where
    it has all from the start, times how much it exposes in all.
    """
    pairs = list(zip([span.total_seconds() for span in spans], plan.traffics, strict=False))
    took = max(math.fsum([span for span, _ in pairs]), 1.0)
    exposed = [
        span * traffic.candidate.fraction
        for span, traffic in pairs
        if traffic.reaches(Track.STABLE)
    ]
    return took * (math.fsum(exposed) or took)


def _weights(strategy: Any) -> Iterator[tuple[Change, ...]]:
    """Yield the weights without the first ones, and with half of the traffic before all of it."""
    given = strategy.weights
    part, whole = given[:-1], given[-1:]
    rows = [part[i:] for i in range(len(part))]
    rows += [(*row, HALF) for row in [*rows, ()] if not row or row[-1] < HALF]
    for row in dict.fromkeys(rows):
        if row and row != part:
            numbers = ", ".join(str(weight.number) for weight in (*row, *whole))
            yield (Change("weights", (*row, *whole), f"percents({numbers})"),)


def _bakes(strategy: Any) -> Iterator[tuple[Change, ...]]:
    for longer in LONGER:
        bake = math.ceil(longer * strategy.bake / MINUTE) * MINUTE
        if longer == 1.0:
            yield ()
        elif bake <= LONGEST:
            yield (Change("bake", bake, f"minutes({bake // MINUTE})"),)


def _checks(strategy: Any, load: Load, worse: float) -> Iterator[tuple[Change, ...]]:
    """Yield the checks with an ``accept`` that waits for evidence, with bounds between what is
    usual and what shall be found, and with both.
    """
    accepting = [_accepting(check, worse) for check in strategy.checks]
    bounded = [_bounded(check, load, worse) for check in strategy.checks]
    both = [{**one, **other} for one, other in zip(accepting, bounded, strict=True)]
    for options in (bounded, accepting, *([both] if any(accepting) and any(bounded) else [])):
        if any(options):
            code = ", ".join(
                f"attrs.evolve(strategy.checks[{i}], {_written(option)})"
                if option
                else f"strategy.checks[{i}]"
                for i, option in enumerate(options)
            )
            checks = tuple(
                attrs.evolve(check, **option) if option else check
                for check, option in zip(strategy.checks, options, strict=True)
            )
            yield (Change("checks", checks, f"[{code}]"),)


def _written(option: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in option.items())


def _accepting(check: Check, worse: float) -> dict[str, Any]:
    if not isinstance(check, NoWorse) or check.observe or check.exact or check.blocks:
        return {}
    if not check.margin < worse <= 1000 or (check.accept is not None and check.accept <= worse):
        return {}
    return {"accept": float(worse)}


def _bounded(check: Check, load: Load, worse: float) -> dict[str, Any]:
    if not isinstance(check, Limit) or check.observe or check.metric.kind is Kind.LATENCY:
        return {}
    usual, then = (level(load, check.metric, by) for by in (1.0, worse))
    if not usual * then > 0:
        return {}
    between = float(f"{math.sqrt(usual * then):.2g}")
    name, bound = ("at_most", check.at_most) if then > usual else ("at_least", check.at_least)
    if isinstance(bound, Percent):
        tighter = percent(round(100 * between, 4))
        return {name: tighter} if (tighter < bound) is (then > usual) and tighter.ppm else {}
    if isinstance(bound, float | int):
        return {name: between} if (between < bound) is (then > usual) else {}
    return {}


def level(load: Load, metric: Metric, times: float) -> float:
    """Return a metric of a version that is ``times`` as bad as usual, at the start.

    Of a latency, how many times as slow it is.
    """
    world = load.world([metric], times=times)
    moment = SimTime(age=timedelta(), clock=world.start, load=load.at_start, share=0.0)
    behaviour = world.candidate
    match metric.kind:
        case Kind.RATIO:
            rate = behaviour.ratio(metric.name)
            return min(1.0, at(behaviour.errors if rate is None else rate, moment))
        case Kind.VALUE:
            return at(dict(behaviour.levels)[metric.name], moment)
        case Kind.LATENCY:
            return at(behaviour.latency.slower, moment)
        case Kind.MEAN:
            return at(behaviour.value, moment)
