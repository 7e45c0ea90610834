"""What all evidence has in common: it is kept in nats, to twelve significant digits, and averaged without overflow."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, isfinite, log

__all__ = ["averaged", "kept"]


def kept(value: float) -> float:
    """``value`` to twelve significant digits: the last bit of a platform's logarithm never shows in what is stored.

    Raises OverflowError for what is no finite number, and so can't be stored: something that was measured is too large to reckon with.
    """
    if not isfinite(value):
        raise OverflowError(f"what was measured is too large to reckon with: {value}")
    return float(f"{value:.12g}")


def averaged(logs: Sequence[float], log_weights: Sequence[float]) -> float:
    """The logarithm of the weighted mean of the values whose logarithms are ``logs``. Weights that sum to 1 keep evidence evidence."""
    terms = [value + weight for value, weight in zip(logs, log_weights, strict=True)]
    top = max(terms)
    return kept(top + log(fsum([exp(term - top) for term in terms])))
