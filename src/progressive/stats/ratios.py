"""Estimate the ratio of two event rates, with bounds that hold at every look at once.

All comes from the state of the sequential test. With ``x`` the logarithm of a ratio,
the log likelihood of the looks is ``S x - T(x)``: ``S`` events of the candidate, and ``T`` a convex
function that starts at 0 with the slope ``expected``. The evidence knows ``T`` at five points.
Between and beyond them a convex function is at least the continuation of its neighbouring chords,
so a ratio is excluded only if it were excluded by any course that ``T`` can take: the bounds are
never too narrow, and a little wide where it matters, up from 1. Below 1 only the slope at 1 is
known, so a lower bound there is wide, or open: how much better a version is, is not known.

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
"""The state before the first look."""

_LOG_PRIOR: Final = (*(log(0.5) + weight for weight in LOG_PRIOR), log(0.5))
_POINTS: Final = (0.0, *(log(ratio) for ratio in RATIOS))
"""The logarithms of the ratios at which the log likelihood is known."""
_FAR: Final = 700.0
"""The logarithm of a ratio past which the ratio overflows; a line that hardly falls crosses the
least value only so far out.
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
    """Return the state after one more look; see `progressive.stats.sequential.update`."""
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
    """Return the evidence of `progressive.stats.sequential.evidence`, in nats."""
    return sequential.evidence(state[: len(sequential.INITIAL)])


def ratio(
    state: State, *, margin: float = 1.0, alpha: float = 0.05, dispersion: float = 1.0
) -> tuple[float, float, float]:
    """Return the estimate of the ratio, its lower and its upper bound.

    ``margin`` and ``dispersion`` must be those of every `update`; the bounds hold with a
    probability of 1 - ``alpha``.
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
    """Estimate the candidate's rate as a multiple of the control's.

    It is infinite where only the candidate has events, NaN where there are none.

    * ``events``: the candidate's.
    * ``expected``: the sum over the looks of how many it would have at ``margin`` times the
      control's rate: all events, times the share that would be its own.
    * ``own``: the same with only its own events in place of all.

    Consistent also where the share
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
    """Return the least and the largest ratio that the looks don't exclude.

    They are 0 and infinity where nothing bounds them. ``logs`` is the state of
    `progressive.stats.sequential` for the same looks and the same ``margin``.
    """
    least = averaged((*logs, 0.0), _LOG_PRIOR) - log(1 / alpha)
    heights = (0.0, *logs)
    # chords[i] is the slope of T on the way to the point i; chords[i + 1] its slope from there.
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
    """Return the ``i``-th piece of the axis between known points, and the lines above it.

    The log likelihood stays under these lines there.
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
    """Return the ends of the part of a piece in which no line lies below ``least``.

    Without such a part the ends are the wrong way round.
    """
    for at, height, slope in lines:
        # The log likelihood is at most height + (events - slope) (x - at).
        rise = events - slope
        if rise > 0:
            left = max(left, at + (least - height) / rise)
        elif rise < 0:
            right = min(right, at + (least - height) / rise)
    return left, right
