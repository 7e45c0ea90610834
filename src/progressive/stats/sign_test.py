"""A sequential sign test for sampled levels: in how many looks the candidate is above its control.

It may be looked at at any time. Samples of a level within a window depend on each other in a way
that nobody knows, so a look is one observation: above or below. For a candidate whose level is as
often below as above, each look's factor ``(2 q) ** above (2 - 2 q) ** below`` expects at most 1,
for every ``q`` from one half on, and so does the average over some of them. It assumes nothing else
of the levels; looks should be far enough apart to be nearly independent.
"""

from __future__ import annotations

from math import log
from typing import Final, TypeAlias

from .evidence import averaged

__all__ = ["INITIAL", "State", "evidence", "needed", "update"]

_CHANCES: Final = (0.65, 0.8, 0.95)
_LOG_PRIOR: Final = (log(1 / 3),) * 3

State: TypeAlias = tuple[int, int]
"""The number of looks in which the candidate was above, and below."""

INITIAL: Final[State] = (0, 0)
"""The evidence before the first look."""


def update(state: State, *, level: float, control: float) -> State:
    """Return the state after one more look; equal levels are no evidence."""
    above, below = state
    if level > control:
        return above + 1, below
    return (above, below + 1) if level < control else state


def evidence(state: State, *, up: bool = True) -> float:
    """Return the evidence that the candidate is above its control (``up``) or below it, in nats."""
    more, less = state if up else state[::-1]
    logs = [more * log(2 * chance) + less * log(2 - 2 * chance) for chance in _CHANCES]
    return averaged(logs, _LOG_PRIOR)


def needed(nats: float) -> float:
    """Return how many more looks, all on one side, bring ``nats`` more of evidence at the least."""
    return max(0.0, nats) / log(2 * max(_CHANCES))
