"""How two tracks are compared: one file for each kind of metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from progressive.model.measurement import Kind

from .base import Acceptance, BothAccepted, Comparison, Question
from .blocks import Blocks
from .latencies import Latencies, LatenciesAccepted
from .levels import Levels, LevelsAccepted
from .means import Means, MeansAccepted
from .rates import RatesAccepted, rates

__all__ = ["acceptance_of", "comparison_of"]

_COMPARISONS: Final[dict[Kind, Callable[[Question], Comparison]]] = {
    Kind.RATIO: rates,
    Kind.LATENCY: Latencies,
    Kind.MEAN: Means,
    Kind.VALUE: Levels,
}

_ACCEPTANCES: Final[dict[Kind, Callable[[Question, float, bool], Acceptance]]] = {
    Kind.RATIO: RatesAccepted,
    Kind.LATENCY: LatenciesAccepted,
    Kind.MEAN: MeansAccepted,
    Kind.VALUE: LevelsAccepted,
}


def comparison_of(kind: Kind, question: Question) -> Comparison:
    """What finds harm."""
    return Blocks(question) if question.blocks else _COMPARISONS[kind](question)


def acceptance_of(kind: Kind, question: Question, limit: float) -> Acceptance:
    """What proves that the candidate is not ``limit`` times as bad, on each side on which there is
    harm.
    """
    found = [
        _ACCEPTANCES[kind](question, limit, up)
        for up, harm in ((True, question.up), (False, question.down))
        if harm
    ]
    return found[0] if len(found) == 1 else BothAccepted(*found)
