"""What tests and intervals are asked and what they answer."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Alternative", "Interval", "alternative_of", "confidence_of"]

Alternative: TypeAlias = Literal["two-sided", "less", "greater"]
"""What the test looks for: the first sample differs, is less, or is greater."""


class Interval(NamedTuple):
    """From ``low`` to ``high``, both inclusive; an end may be infinite."""

    low: float
    high: float


def alternative_of(value: Alternative) -> Alternative:
    """``value``, if it is one. Raises `ValueError` otherwise."""
    if value not in ("two-sided", "less", "greater"):
        raise ValueError(f"alternative={value!r} is not one of 'two-sided', 'less', 'greater'")
    return value


def confidence_of(value: float) -> float:
    """``value``, if it is strictly between 0 and 1. Raises `ValueError` otherwise."""
    if 0 < value < 1:
        return value
    raise ValueError(f"confidence={value!r} is not between 0 and 1; 95 % is 0.95")
