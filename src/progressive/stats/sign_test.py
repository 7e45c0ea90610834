"""Evidence from levels that are sampled: in how many looks the candidate stood above its control.
It may be looked at at any time.

Samples of a level within a window depend on each other in a way that nobody knows, so a look is one
observation: above or below. For a candidate whose level is as often below as above, each look's
factor ``(2 q) ** above (2 - 2 q) ** below`` expects at most 1, for every ``q`` from one half on,
and so does the average over some of them. It asks nothing else of the levels; looks should be far
enough apart to say something new.
"""

from __future__ import annotations

from math import log
from typing import Final, TypeAlias

from .evidence import averaged

__all__ = ["INITIAL", "State", "evidence", "needed", "update"]

_CHANCES: Final = (0.65, 0.8, 0.95)
_LOG_PRIOR: Final = (log(1 / 3),) * 3

State: TypeAlias = tuple[int, int]
"""Looks in which the candidate stood above, and below."""

INITIAL: Final[State] = (0, 0)
"""The evidence before the first look."""


def update(state: State, *, level: float, control: float) -> State:
    """The state after one more look; equal levels say nothing."""
    above, below = state
    return above + (level > control), below + (level < control)


def evidence(state: State, *, up: bool = True) -> float:
    """The natural logarithm of the evidence that the candidate stands above its control (``up``),
    or below it.
    """
    more, less = state if up else state[::-1]
    logs = [more * log(2 * chance) + less * log(2 - 2 * chance) for chance in _CHANCES]
    return averaged(logs, _LOG_PRIOR)


def needed(nats: float) -> float:
    """How many looks more, all on one side, bring so much more evidence at the least."""
    return max(0.0, nats) / log(2 * max(_CHANCES))
