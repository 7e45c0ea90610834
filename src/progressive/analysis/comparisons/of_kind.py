"""The comparison for each kind of metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from progressive.model.actions import Memory
from progressive.model.measurement import Kind, Measurement

from .base import Acceptance, BothAccepted, Comparison, Question
from .blocks import Blocks
from .latencies import Latencies, LatenciesAccepted
from .levels import Levels, LevelsAccepted
from .means import Means, MeansAccepted
from .rates import RatesAccepted, rates
from .slower_looks import SlowerLooks

__all__ = ["AnyAcceptance", "AnyComparison", "acceptance_of", "comparison_of"]

AnyComparison: TypeAlias = Comparison[Measurement, Memory]
"""A comparison as a check holds it, without its own types.

The check keeps two rules in their place: a measurement goes to ``learn`` only if ``fits`` has
accepted it, and a state only to the comparison that returned it.
"""

AnyAcceptance: TypeAlias = Acceptance[Measurement, Memory]
"""An acceptance as a check holds it, under the same two rules."""

# The one place where the types of a comparison end: tables of different types hold Any.
_COMPARISONS: Final[dict[Kind, Callable[[Question], Comparison[Any, Any]]]] = {
    Kind.RATIO: rates,
    Kind.LATENCY: Latencies,
    Kind.MEAN: Means,
    Kind.VALUE: Levels,
}

_IN_BLOCKS: Final[dict[Kind, Callable[[Question], Comparison[Any, Any]]]] = {
    Kind.RATIO: Blocks,
    Kind.LATENCY: SlowerLooks,
    Kind.MEAN: Blocks,
}

_ACCEPTANCES: Final[dict[Kind, Callable[[Question, float, bool], Acceptance[Any, Any]]]] = {
    Kind.RATIO: RatesAccepted,
    Kind.LATENCY: LatenciesAccepted,
    Kind.MEAN: MeansAccepted,
    Kind.VALUE: LevelsAccepted,
}


def comparison_of(kind: Kind, question: Question) -> AnyComparison:
    """Return the test for harm of a metric of this kind."""
    return (_IN_BLOCKS if question.blocks else _COMPARISONS)[kind](question)


def acceptance_of(kind: Kind, question: Question, limit: float) -> AnyAcceptance:
    """Return the test that excludes a candidate ``limit`` times as bad.

    Where both directions are harm, it excludes both.
    """
    make = _ACCEPTANCES[kind]
    if question.up and question.down:
        return _both(make(question, limit, True), make(question, limit, False))
    return make(question, limit, question.up)


def _both(up: Acceptance[Any, Any], down: Acceptance[Any, Any]) -> Acceptance[Any, Any]:
    return BothAccepted(up, down)
