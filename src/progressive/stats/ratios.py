"""How many times the control's rate: an estimate, and bounds that hold at every look at once.

Everything comes from what the sequential test keeps anyway. With ``x`` the logarithm of a ratio,
the log likelihood of the looks is ``S x - T(x)``: ``S`` events of the candidate, and ``T`` a convex
function that starts at 0 with the slope ``expected``. The evidence knows ``T`` at five points.
Between and beyond them a convex function is at least the continuation of its neighbouring chords,
so a ratio is excluded only if it were excluded by any course that ``T`` can take: the bounds are
never too narrow, and a little wide where it matters, up from 1. Below 1 only the slope at 1 is
known, so a lower bound there is wide, or open: a version that is better is not told by how much.

The set of the ratios that are not excluded is a confidence sequence: with a probability of 1 -
``alpha`` the true ratio is in it at every look (Robbins, 1970; the excluding evidence is the
average of the test's own and of "no difference").
"""

from __future__ import annotations

from itertools import pairwise
from math import exp, inf, log, nan
from typing import Final, TypeAlias

from . import sequential
from .evidence import averaged, kept
from .sequential import LOG_PRIOR, RATIOS

__all__ = ["INITIAL", "State", "bounds", "estimate", "evidence", "ratio", "update"]

State: TypeAlias = tuple[float, ...]
"""The five numbers of `progressive.stats.sequential`, then three sums over the looks: the
candidate's events; how many it would have at ``margin`` times the control's rate (all events, times
the share that would be its own); and the same with only its own events in place of all.
"""

INITIAL: Final[State] = (*sequential.INITIAL, 0, 0.0, 0.0)
"""What is known before the first look."""

_LOG_PRIOR: Final = (*(log(0.5) + weight for weight in LOG_PRIOR), log(0.5))
_POINTS: Final = (0.0, *(log(ratio) for ratio in RATIOS))
"""Where the log likelihood is known."""
_FAR: Final = 700.0
"""The logarithm of a ratio past which it is no longer a number; a line that hardly falls crosses
the least so far out.
"""
_PIECES: Final = range(len(_POINTS) + 1)
_WIDTHS: Final = tuple(b - a for a, b in pairwise(_POINTS))


def update(
    state: State,
    *,
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    margin: float = 1.0,
    dispersion: float = 1.0,
) -> State:
    """The state after one more look; as `progressive.stats.sequential.update`."""
    *logs, seen, expected, own = state
    every, share = events + control_events, margin * trials / (margin * trials + control_trials)
    added = sequential.update(
        tuple(logs),
        events=events,
        trials=trials,
        control_events=control_events,
        control_trials=control_trials,
        margin=margin,
        dispersion=dispersion,
    )
    return (*added, seen + events, kept(expected + every * share), kept(own + events * share))


def evidence(state: State) -> float:
    """As `progressive.stats.sequential.evidence`."""
    return sequential.evidence(state[: len(sequential.INITIAL)])


def ratio(
    state: State, *, margin: float = 1.0, alpha: float = 0.05, dispersion: float = 1.0
) -> tuple[float, float, float]:
    """The estimate and its bounds, of the state that was kept with the same ``margin`` and
    ``dispersion``.
    """
    *logs, events, expected, own = state
    low, high = bounds(
        tuple(logs),
        events=events / dispersion,
        expected=expected / dispersion,
        margin=margin,
        alpha=alpha,
    )
    return estimate(events, expected, own, margin), low, high


def estimate(events: float, expected: float, own: float, margin: float = 1.0) -> float:
    """The candidate's rate as a multiple of the control's: infinite where only the candidate has
    events, nan where there are none.

    ``events`` are the candidate's; ``expected`` sums over the looks how many it would have at
    ``margin`` times the control's rate (all events, times the share that would be its own), and
    ``own`` the same with only its own events in place of all. Consistent also where the share
    changed from look to look (Mantel and Haenszel, 1959).
    """
    if expected <= own:
        return inf if events else nan
    return margin * (events - own) / (expected - own)


def bounds(
    logs: tuple[float, ...],
    *,
    events: float,
    expected: float,
    margin: float = 1.0,
    alpha: float = 0.05,
) -> tuple[float, float]:
    """The ratios that the looks don't exclude, from the least to the largest; 0 and infinity where
    nothing bounds them.

    ``logs`` is the state of `progressive.stats.sequential` for the same looks and the same
    ``margin``.
    """
    least = averaged((*logs, 0.0), _LOG_PRIOR) - log(1 / alpha)
    heights = (0.0, *logs)
    # chords[i] is the slope that T has had on the way to the point i; chords[i + 1] the one that it
    # takes from there.
    chords = [
        expected,
        *[events - (b - a) / width for a, b, width in zip(heights, logs, _WIDTHS, strict=False)],
    ]
    # One of the points is above the average of all of them, so neither search ends without a piece.
    low = next(
        first
        for first, last in (_above(least, events, *_piece(i, heights, chords)) for i in _PIECES)
        if first <= last
    )
    high = next(
        last
        for first, last in (
            _above(least, events, *_piece(i, heights, chords)) for i in reversed(_PIECES)
        )
        if first <= last
    )
    return margin * exp(low), margin * exp(high) if high < _FAR else inf


_Line: TypeAlias = tuple[float, float, float]
"""A point (its ``x``, the log likelihood there) and the slope of ``T`` through it."""


def _piece(
    i: int, heights: tuple[float, ...], chords: list[float]
) -> tuple[float, float, tuple[_Line, ...]]:
    """The ``i``-th piece of the axis between the points that are known, with the lines under which
    the log likelihood stays there.
    """
    if i == 0:
        return -inf, 0.0, ((0.0, 0.0, chords[0]),)
    from_left = (_POINTS[i - 1], heights[i - 1], chords[i - 1])
    if i == len(_POINTS):
        return _POINTS[-1], inf, ((_POINTS[-1], heights[-1], chords[-1]),)
    if i == len(_POINTS) - 1:
        return _POINTS[i - 1], _POINTS[i], (from_left,)
    return _POINTS[i - 1], _POINTS[i], (from_left, (_POINTS[i], heights[i], chords[i + 1]))


def _above(
    least: float, events: float, left: float, right: float, lines: tuple[_Line, ...]
) -> tuple[float, float]:
    """The part of a piece of the axis in which no line lies below ``least``: from where to where;
    the wrong way round for none.
    """
    for at, height, slope in lines:
        # The log likelihood is at most height + (events - slope) (x - at).
        rise = events - slope
        if rise > 0:
            left = max(left, at + (least - height) / rise)
        elif rise < 0:
            right = min(right, at + (least - height) / rise)
    return left, right
