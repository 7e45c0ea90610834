"""Counts of buckets whose edges change between two looks, for tests that go on over such a change.

What is known at an edge that stays is exact. At an edge that is new, what came earlier lies
somewhere between its neighbours, and the middle is taken. Such a guess may decide what a test bets
on in later looks, and nothing else: a bet that was chosen before a look is fair whatever it is, so
no bound depends on the guess.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TypeAlias

__all__ = ["Place", "carried"]

Place: TypeAlias = tuple[float, float]
"""Where a count was taken: the control's edge and the candidate's, which may be the same."""


def carried(counts: Sequence[int], places: Sequence[Place], to: Sequence[Place]) -> tuple[int, ...]:
    """Return cumulative counts at other places.

    * ``counts``: one more than ``places``; the last counts all.
    * ``places``, ``to``: rising in both edges.

    Counts at places that stay are exact, the others are guesses that rise with them.
    """
    firsts, seconds = [first for first, _ in places], [second for _, second in places]
    guessed = []
    for first, second in to:
        low = min(bisect_right(firsts, first), bisect_right(seconds, second))
        high = max(bisect_left(firsts, first), bisect_left(seconds, second))
        if low > high:  # a place that stays is at once the last below and the first above
            guessed.append(counts[high])
            continue
        guessed.append(((counts[low - 1] if low else 0) + counts[high]) // 2)
    return (*guessed, counts[-1])
