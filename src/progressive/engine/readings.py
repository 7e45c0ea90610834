"""Tell how much time has passed by the readings of clocks that differ: one that was set back, or
those of several drivers that come in turn.

Nobody says whose clock a reading is of, so the furthest readings are kept, in falling order. A
reading beyond one of them is of that clock, as far as one can see, and one below all of them is of
a clock that is slower still. Only what lies beyond the furthest reading has passed. A clock that
does not come again is gone; from then on a slower one counts, and what that has counted is taken
off should the other one come after all. A clock that is further than all before can't be told from
a driver that was away, so its first reading counts as time that has passed; should the slower one
come next, it is known which of the two it was, and what was credited too much is taken back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.rollout.state import Reading

__all__ = ["credited", "furthest", "silent"]

_CLOCKS: Final = 4
"""So many clocks are told apart; of more, the furthest is forgotten."""

_MOMENT: Final = timedelta(milliseconds=1)


def credited(
    readings: tuple[Reading, ...], now: datetime, patience: timedelta
) -> tuple[timedelta, tuple[Reading, ...]]:
    """Return how much time has passed when a clock shows ``now``, and the readings from then on.

    ``patience``: after so much (exclusive) on slower clocks a clock is gone. For one clock that
    only goes forward, it is what that has moved; negative only when something is taken back.
    """
    if len(readings) == 1 and readings[0].at <= now:  # one clock that goes forward, as mostly
        [known] = readings
        moved = now - known.at
        so_far = known.at if moved > patience and not known.several else None
        new = Reading(at=now, before=so_far, several=known.several)
        return max(timedelta(), moved - known.credited), (new,)
    if (taken_back := _found_out(readings, now)) is not None:
        return taken_back
    moved = passed = timedelta()
    slower, last = len(readings), None
    for place, reading in enumerate(readings):
        if reading.at <= now:
            moved, slower, last = now - reading.at, place, reading.at
            passed = max(passed, moved - reading.credited)
            break
    further = readings[:slower]
    if any(each.away <= patience for each in further):
        passed = timedelta()
    kept = (
        evolve(each, away=each.away + min(moved, patience), credited=each.credited + passed)
        for each in further
    )
    several = len(readings) > 1 or slower > 0 or any(each.several for each in readings)
    before = last if moved > patience and not several else None
    new = Reading(at=now, before=before, several=several)
    return passed, (*kept, new)[-_CLOCKS:]


def _found_out(
    readings: tuple[Reading, ...], now: datetime
) -> tuple[timedelta, tuple[Reading, ...]] | None:
    """Return what `credited` does where the only clock that was known comes after one that is far
    ahead of it: between its two readings has passed what it has moved, and no more.
    """
    ahead = readings[-1] if readings else None
    if ahead is None or ahead.before is None or not ahead.before <= now < ahead.at:
        return None
    told = evolve(ahead, before=None, credited=now - ahead.before, several=True)
    return now - ahead.at, (told, Reading(at=now, several=True))


def furthest(readings: tuple[Reading, ...], now: datetime, patience: timedelta) -> datetime:
    """Return the furthest reading of a clock that is not gone, or ``now``.

    Windows lie beyond it, so that nothing is measured twice.
    """
    if not readings or readings[0].at <= now:  # they fall
        return now
    return max((now, *(each.at for each in readings if each.away <= patience)))


def silent(readings: tuple[Reading, ...], now: datetime, patience: timedelta) -> timedelta:
    """Return for how long from ``now`` on no time passes by this clock: until it has come to the
    furthest of those that are not gone, or they all are.
    """
    waited_for = [each for each in readings if each.at > now and each.away <= patience]
    if not waited_for:
        return timedelta()
    caught_up = max(each.at for each in waited_for) - now
    return min(caught_up, max(patience - each.away for each in waited_for) + _MOMENT)
