"""Numbers and ratios, for people and for programs."""

from __future__ import annotations

from math import isfinite, isinf

from .base import Numbers

__all__ = ["amount", "bounded", "counted", "times"]


def amount(value: float) -> str:
    """Three digits, or all of them before the point: 0.0123, 14.4, 12,345."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bounded(estimate: float, low: float, high: float) -> Numbers:
    return (("ratio", estimate), ("ratio_low", low), ("ratio_high", high))


def counted(events: float, what: str) -> str:
    """One event, 36 events."""
    return f"{events:,.0f} {what}{'' if events == 1 else 's'}"


def times(estimate: float, low: float, high: float, than: str) -> str:
    """A ratio of rates as people say it: "1.3 times stable's rate (0.5 to 2.1)"."""
    bounds = f"{low:.2g} to {high:.2g}" if isfinite(high) else f"{low:.2g} or more"
    if isinf(estimate):
        return f"none on {than} ({bounds} times its rate)"
    return f"{estimate:.2g} times {than}'s rate ({bounds})"
