"""Harm in both directions: half of the weight for each."""

from __future__ import annotations

from math import log
from typing import Final

from ...stats._evidence import averaged

__all__ = ["averaged_evidence"]

_HALVES: Final = (log(0.5), log(0.5))


def averaged_evidence(one: float, other: float) -> float:
    """The average of two pieces of evidence, in nats; it is evidence, whatever the dependence between the two."""
    return averaged((one, other), _HALVES)
