"""A sequential test that excludes a rate of events: "it does not fail 5 % of the requests".

It may be looked at at any time: the chance that a rate of ``limit`` or more is ever excluded is at
most ``beta`` (Ville's inequality), for requests that fail independently of each other. The evidence
is a mixture of likelihood ratios for rates around the bound that a version is expected to keep; it
needs no more than the events and the requests so far.
"""

from __future__ import annotations

from math import log, log1p
from typing import Final

from .evidence import averaged

__all__ = ["evidence", "needed"]

_PARTS: Final = (0.1, 0.5, 1.0)
_LOG_PRIOR: Final = (log(0.3), log(0.4), log(0.3))
"""The alternatives are these parts of the bound's odds."""

_TYPICAL: Final = 0.5
"""The part of them at which `needed` counts."""


def evidence(events: float, trials: float, *, rate: float, limit: float) -> float:
    """Return the evidence against a rate of ``limit`` or more, in nats.

    It is excluded at level ``beta`` from ``log(1 / beta)`` on. ``rate`` is the bound that is to be
    kept; ``0 < rate < limit < 1``.
    """
    return averaged(
        [_factor(events, trials, _part(rate, part), limit) for part in _PARTS], _LOG_PRIOR
    )


def needed(nats: float, *, rate: float, limit: float) -> float:
    """Return how many more requests bring ``nats`` more of evidence, in the mean for a version at
    half the bound.
    """
    half = _part(rate, _TYPICAL)
    return max(0.0, nats) / _factor(half, 1, half, limit)


def _part(rate: float, part: float) -> float:
    """Return the rate whose odds are this part of another's."""
    return part * rate / (part * rate + 1 - rate)


def _factor(events: float, trials: float, rate: float, limit: float) -> float:
    """Return the log likelihood ratio of a rate against the limit."""
    return events * log(rate / limit) + (trials - events) * (log1p(-rate) - log1p(-limit))
