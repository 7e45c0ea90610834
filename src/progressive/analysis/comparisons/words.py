"""Numbers as people write them, and what a test has shown, in words."""

from __future__ import annotations

from math import exp, isfinite, isinf

__all__ = [
    "format_amount",
    "format_count",
    "format_number",
    "format_percent",
    "format_proof",
    "format_proof_of_before",
    "format_ratio",
    "format_ratio_of_before",
    "rounded_up",
]

_FAR = 1_000.0
"""A bound that is so many times away from the estimate says nothing."""

_RARE = 0.001
"""Smaller chances are written as one in so many."""

_NEVER = 1e12
"""Nobody can tell chances apart that are smaller than one in so many."""


def format_number(value: float) -> str:
    """Format two significant digits, without an exponent: 0.0042, 1.1, 30, 320, 12,000."""
    return f"{float(f'{value:.2g}'):,.15g}"


def format_percent(rate: float) -> str:
    """Format a rate as a percentage to four digits of what it is, or of what it lacks of 100 %:
    0.00001 %, 20.24 %, 99.999 %.
    """
    part = float(f"{min(rate, 1 - rate) * 100:.4g}")
    digits = f"{part if rate <= 0.5 else 100 - part:.12f}"
    return f"{digits.rstrip('0').rstrip('.')} %"


def format_amount(value: float) -> str:
    """Format three significant digits, or all digits before the point: 0.0123, 14.4, 12,345."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_time(seconds: float) -> str:
    """Write a latency: "250 ms"."""
    return f"{seconds * 1000:.4g} ms"


def format_count(number: float, noun: str) -> str:
    """Format a number of things: 1 event, 36 events."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def rounded_up(count: int) -> int:
    """Round up to two digits: the number is an expectation, and more would not be known."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def format_ratio(estimate: float, low: float, high: float, than: str) -> str:
    """Format a ratio of rates with its bounds: "1.3 times stable's rate (0.5 to 2.1)", "320 times
    stable's rate (at least 4.7)". A bound that says nothing is left out.
    """
    below = low > (0.0 if isinf(estimate) else estimate / _FAR)
    above = isfinite(high) and high < estimate * _FAR
    if below and above:
        bounds = f"{format_number(low)} to {format_number(high)}"
    elif below:
        bounds = f"at least {format_number(low)}"
    else:
        bounds = f"at most {format_number(high)}" if above else ""
    if isinf(estimate):
        return f"none on {than}{f' ({bounds} times its rate)' if bounds else ''}"
    return f"{format_number(estimate)} times {than}'s rate{f' ({bounds})' if bounds else ''}"


def format_ratio_of_before(estimate: float, low: float, high: float, than: str) -> str:
    """Do as `format_ratio`, in the words of rollouts that were begun before those of today."""
    bounds = f"{low:.2g} to {high:.2g}" if isfinite(high) else f"{low:.2g} or more"
    if isinf(estimate):
        return f"none on {than} ({bounds} times its rate)"
    return f"{estimate:.2g} times {than}'s rate ({bounds})"


def format_proof(evidence: float, alpha: float) -> str:
    """Format how improbable what was seen is without harm: "; p = 0.012, alarm at 0.01", "; p is
    one in 5,800,000, alarm at 0.01"; nothing where it is no evidence of harm.
    """
    if evidence <= 0:
        return ""
    p = exp(-evidence)
    if p >= _RARE:
        return f"; p = {format_number(p)}, alarm at {format_number(alpha)}"
    one_in = exp(min(evidence, 700.0))
    rare = (
        f"is one in {format_number(one_in)}"
        if one_in < _NEVER
        else f"is less than one in {format_number(_NEVER)}"
    )
    return f"; p {rare}, alarm at {format_number(alpha)}"


def format_proof_of_before(evidence: float, alpha: float) -> str:
    """Do as `format_proof`, in the words of rollouts that were begun before those of today."""
    return f"; p = {exp(-max(0.0, evidence)):.3g}, alarm at {alpha:.3g}"
