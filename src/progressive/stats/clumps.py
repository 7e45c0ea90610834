"""How many events come at a time, from looks at two tracks in turn.

Independent requests make two looks at one track differ by chance alone. Where events come in clumps
(retries, pauses of a whole process) looks differ more, by a factor in the variance: the
dispersion. It is measured by the differences of successive looks (von Neumann, Annals of
Mathematical Statistics 12 (1941) 367-395), which no slow drift enlarges, for two quantities:

* the control's share of events, which nothing that the candidate does can change;
* the candidate's share less the control's, in which what befalls both tracks cancels.

The lesser of the two is what makes a comparison of the tracks unreliable.
"""

from __future__ import annotations

from math import inf, sqrt
from typing import Final, TypeAlias

from .evidence import kept

__all__ = ["INITIAL", "State", "dispersion", "proven", "update"]

State: TypeAlias = tuple[tuple[int, int, int, int] | None, int, float, float, int, int]
"""The last look, how many differences there are, the sums of their squares (the control's, and
between the tracks; in units of the variance of one request), and the control's events and trials.
"""

INITIAL: Final[State] = (None, 0, 0.0, 0.0, 0, 0)

LEAST: Final = 8
"""Nothing is said of fewer differences."""

NOTABLE: Final = 1.5
"""A smaller dispersion is not worth a word."""

SIGMAS: Final = 5.0
"""By how many standard deviations a dispersion must be above 1 to be proven."""


def update(
    state: State, *, events: int, trials: int, control_events: int, control_trials: int
) -> State:
    """Return the state after one more look. One without trials on either track changes nothing."""
    if not (trials and control_trials):
        return state
    look = (events, trials, control_events, control_trials)
    last, n, own, between, all_events, all_trials = state
    if last is not None:
        n += 1
        before, after = last[2] / last[3], control_events / control_trials
        noise = 1 / last[3] + 1 / control_trials
        own = kept(own + (after - before) ** 2 / noise)
        apart = (events / trials - after) - (last[0] / last[1] - before)
        between = kept(between + apart**2 / (noise + 1 / last[1] + 1 / trials))
    return look, n, own, between, all_events + control_events, all_trials + control_trials


def dispersion(state: State) -> float:
    """Return the estimated dispersion, 0 or more: about 1 for independent requests, 3 where events
    come three at a time. It is 1 while nothing can be said: without a difference, or without
    events, or with nothing but events.
    """
    _, n, own, between, events, trials = state
    variance = events / trials * (1 - events / trials) if trials else 0.0
    return min(own, between) / (n * variance) if n and variance else 1.0


def proven(state: State) -> bool:
    """Return whether the dispersion is above 1 beyond doubt, and enough to be worth a word.

    Of rollouts with independent requests, fewer than one in a hundred ever gets this answer.
    """
    _, n, _, _, events, trials = state
    rare = min(events, trials - events)
    # The variance of a squared difference is 2 for a normal one, 3 as successive ones share a
    # look, and more by one over the mean where events are rare.
    deviation = sqrt((3 + (n + 1) / rare) / n) if n and rare else inf
    return n >= LEAST and dispersion(state) > max(NOTABLE, 1 + SIGMAS * deviation)
