"""Harm on one side, or on both."""

from __future__ import annotations

from math import log
from typing import Final

from progressive.stats.evidence import averaged

from .base import Question

__all__ = ["averaged_evidence", "evidence_of", "towards"]

_HALVES: Final = (log(0.5), log(0.5))


def averaged_evidence(one: float, other: float) -> float:
    """Half of the weight for each: the average of two pieces of evidence, in nats, is evidence, whatever the dependence between the two."""
    return averaged((one, other), _HALVES)


def evidence_of(question: Question, *, rise: float, fall: float) -> float:
    """The evidence of harm, of that of a rise and that of a fall."""
    if question.up and question.down:
        return averaged_evidence(rise, fall)
    return rise if question.up else fall


def towards(tolerated: float, control: float, *, up: bool) -> float:
    """What is tolerated, as a multiple of the control's value: towards harm, also where that is below 0."""
    return tolerated if up is (control >= 0) else 1 / tolerated
