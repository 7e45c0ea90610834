"""How two tracks are compared: one file for each kind of metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...measurement import Kind
from .comparison import Comparison, Question
from .latencies import Latencies
from .levels import Levels
from .means import Means
from .rates import rates

__all__ = ["COMPARISONS"]

COMPARISONS: Final[dict[Kind, Callable[[Question], Comparison]]] = {
    Kind.RATIO: rates,
    Kind.LATENCY: Latencies,
    Kind.MEAN: Means,
    Kind.VALUE: Levels,
}
