"""Tell how much time has passed by the readings of clocks that differ: one that was set back, or
those of several drivers that come in turn.

Nobody says whose clock a reading is of, so the furthest readings are kept, in falling order. A
reading beyond one of them is of that clock, as far as one can see, and one below all of them is of
a clock that is slower still. Only what lies beyond the furthest reading has passed. A clock that
does not come again is gone; from then on a slower one counts, and what that has counted is taken
off should the other one come after all. A clock that is further than all before can't be told from
a driver that was away, so its first reading counts as time that has passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.rollout.state import Reading

__all__ = ["credited", "furthest"]

_CLOCKS: Final = 4
"""So many clocks are told apart; of more, the furthest is forgotten."""


def credited(
    readings: tuple[Reading, ...], now: datetime, patience: timedelta
) -> tuple[timedelta, tuple[Reading, ...]]:
    """Return how much time has passed when a clock shows ``now``, and the readings from then on.

    ``patience``: after so much (exclusive) on slower clocks a clock is gone. What has passed is
    never negative; for one clock that only goes forward, it is what that has moved.
    """
    moved = passed = timedelta()
    slower = len(readings)
    for place, reading in enumerate(readings):
        if reading.at <= now:
            moved, slower = now - reading.at, place
            passed = max(passed, moved - reading.credited)
            break
    further = readings[:slower]
    if any(each.away <= patience for each in further):
        passed = timedelta()
    kept = (
        evolve(each, away=each.away + min(moved, patience), credited=each.credited + passed)
        for each in further
    )
    return passed, (*kept, Reading(at=now))[-_CLOCKS:]


def furthest(readings: tuple[Reading, ...], now: datetime, patience: timedelta) -> datetime:
    """Return the furthest reading of a clock that is not gone, or ``now``.

    Windows lie beyond it, so that nothing is measured twice.
    """
    return max((now, *(each.at for each in readings if each.away <= patience)))
