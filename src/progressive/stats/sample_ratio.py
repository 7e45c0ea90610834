"""A sequential test for a sample-ratio mismatch: is the traffic split as it was asked for?

It may be looked at at any time. If each request goes to the candidate with the chance that was
asked for, its number is binomial, and the likelihood ratio of any other chance is evidence against
it (Lindon and Malek, 2022, with a mixture of our own). The alternatives are odds from a tenth too
few or too many to a hundredfold. It holds for requests that are sent independently of each other:
with sticky sessions a visitor's requests go the same way, and the numbers to be compared are those
of visitors.
"""

from __future__ import annotations

from math import log
from typing import Final

from .evidence import averaged, kept
from .special import binomial_cdf

__all__ = ["CLUMP", "INITIAL", "LEAST", "evidence", "shortfall", "update"]

_ODDS: Final = (0.01, 0.1, 0.5, 0.8, 0.9, 1.1, 1.25, 2.0, 10.0, 100.0)
_LOG_PRIOR: Final = (log(1 / len(_ODDS)),) * len(_ODDS)

INITIAL: Final = (0.0,) * len(_ODDS)
"""The evidence before the first look."""


def update(
    logs: tuple[float, ...],
    *,
    trials: int,
    control_trials: int,
    share: float,
    more_allowed: bool = False,
) -> tuple[float, ...]:
    """Return the log likelihood ratios after one more look.

    * ``share``: the candidate's part of both tracks' trials that was asked for, between 0 and 1,
      exclusive.
    * ``more_allowed``: whether that was the least it was to get in this look, so that more is no
      evidence.
    """
    every = trials + control_trials
    return tuple(
        before
        if more_allowed and odds > 1
        else kept(before + trials * log(odds) - every * log(share * odds + 1 - share))
        for before, odds in zip(logs, _ODDS, strict=True)
    )


def evidence(logs: tuple[float, ...]) -> float:
    """Return the evidence against the split that was asked for, in nats."""
    return averaged(logs, _LOG_PRIOR)


LEAST: Final = 0.8
"""The odds of the candidate that `shortfall` still takes for what was asked: four fifths of it.
Stable may have requests that no router has split, such as probes.
"""

CLUMP: Final = 10
"""How many requests `shortfall` takes for one, as those of one visitor go the same way where
sessions are sticky.
"""


def shortfall(trials: int, control_trials: int, share: float) -> float:
    """Return the chance of so few trials of the candidate, or fewer, if it gets at least `LEAST` of
    the odds that were asked for, and trials come in clumps of `CLUMP`.

    A small one means that requests to the candidate don't arrive, or are not counted. It is one
    look at the numbers, not a sequential test. ``share``: the candidate's part of both tracks'
    trials that was asked for, between 0 and 1, exclusive.
    """
    clumps, every = -(-trials // CLUMP), (trials + control_trials) // CLUMP
    if clumps >= every:
        return 1.0
    return binomial_cdf(clumps, every, share * LEAST / (share * LEAST + 1 - share))
