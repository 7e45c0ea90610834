"""Estimate the ratio of two event rates, with bounds that hold at every look at once.

All comes from the state of the sequential test. With ``x`` the logarithm of a ratio,
the log likelihood of the looks is ``S x - T(x)``: ``S`` events of the candidate, and ``T`` a convex
function that starts at 0 with the slope ``expected``. The evidence knows ``T`` at its alternatives.
Between and beyond them a convex function is at least the continuation of its neighbouring chords,
so a ratio is excluded only if it were excluded by any course that ``T`` can take: the bounds are
never too narrow, and a little wide where it matters, up from 1. Below 1 only the slope at 1 is
known, so a lower bound there is wide, or open: how much better a version is, is not known.

The set of the ratios that are not excluded is a confidence sequence: with a probability of 1 -
``alpha`` the true ratio is in it at every look (Robbins, 1970; the excluding evidence is the
average of the test's own and of "no difference").
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, log, nan
from typing import Final, TypeAlias

from . import sequential
from .evidence import averaged, begin_again, kept
from .sequential import Alternatives, alternatives_of

__all__ = [
    "INITIAL",
    "Bets",
    "State",
    "again",
    "bounds",
    "capital",
    "estimate",
    "evidence",
    "initial",
    "ratio",
    "update",
]

State: TypeAlias = tuple[float, ...]
"""The numbers of `progressive.stats.sequential`, then three sums over the looks: the candidate's
events; how many it would have at ``margin`` times the control's rate (all events, times the share
that would be its own); and the same with only its own events in place of all.
"""


Bets: TypeAlias = tuple[float, ...]
"""The logarithms of what is bet on each alternative, of a test that may begin `again` or did; and
of what is held back, if anything is (`progressive.stats.evidence.reserved`).
"""


def initial(alternatives: Alternatives) -> State:
    """Return the state before the first look, with evidence for these alternatives."""
    return (*(0.0 for _ in alternatives.ratios), 0, 0.0, 0.0)


INITIAL: Final[State] = (*sequential.INITIAL, 0, 0.0, 0.0)
"""The state before the first look, with the alternatives of `progressive.stats.sequential`."""

_FAR: Final = 700.0
"""The logarithm of a ratio past which the ratio overflows; a line that hardly falls crosses the
least value only so far out.
"""


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


@lru_cache(maxsize=32)
def evidence(state: State, bets: Bets | None = None) -> float:
    """Return the evidence of `progressive.stats.sequential.evidence`, in nats.

    ``bets``: what was bet, if it was not the usual.

    It is kept for the states that were asked for last, as a look asks several times.
    """
    of_each = capital(state, bets)
    return averaged(of_each, (0.0,) * len(of_each))


def again(state: State, bets: Bets | None = None) -> tuple[State, Bets]:
    """Return the state before a look in which the candidate may have become worse, as with a raise,
    and what is bet then; see `progressive.stats.evidence.bet_anew`. The evidence is the same, and
    the estimate begins with that look.
    """
    alternatives = alternatives_of(state[:-3])
    return initial(alternatives), begin_again(capital(state, bets), alternatives.log_prior)


def capital(state: State, bets: Bets | None = None) -> tuple[float, ...]:
    """Return the logarithms of what the bets have come to, and of what is held back."""
    *logs, _, _, _ = state
    begun = alternatives_of(logs).log_prior if bets is None else bets
    return tuple(before + bet for before, bet in zip((*logs, 0.0), begun, strict=False))


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
    log_prior, points = _with_no_difference(alternatives_of(logs))
    least = averaged((*logs, 0.0), log_prior) - log(1 / alpha)
    heights = (0.0, *logs)
    # chords[i] is the slope of T on the way to the point i; chords[i + 1] its slope from there.
    chords = [expected]
    for i, height in enumerate(logs):
        chords.append(events - (height - heights[i]) / (points[i + 1] - points[i]))
    # One of the points is above the average of all of them, so neither search ends without a piece.
    low, end, piece = 1.0, 0.0, -1
    while low > end:
        piece += 1
        low, end = _above(least, events, *_piece(piece, points, heights, chords))
    start, high, piece = 1.0, 0.0, len(points) + 1
    while start > high:
        piece -= 1
        start, high = _above(least, events, *_piece(piece, points, heights, chords))
    return margin * exp(low), margin * exp(high) if high < _FAR else inf


@lru_cache(maxsize=8)
def _with_no_difference(
    alternatives: Alternatives,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the logarithms of the prior weights when "no difference" has half of them, and those
    of the ratios, from that of no difference on.
    """
    log_prior = (*[log(0.5) + weight for weight in alternatives.log_prior], log(0.5))
    return log_prior, (0.0, *alternatives.log_ratios)


_Line: TypeAlias = tuple[float, float, float]
"""A point (its ``x``, the log likelihood there) and the slope of ``T`` through it."""


def _piece(
    i: int, points: tuple[float, ...], heights: tuple[float, ...], chords: list[float]
) -> tuple[float, float, tuple[_Line, ...]]:
    """Return the ``i``-th piece of the axis between known points, and the lines above it.

    The log likelihood stays under these lines there.
    """
    if i == 0:
        return -inf, 0.0, ((0.0, 0.0, chords[0]),)
    from_left = (points[i - 1], heights[i - 1], chords[i - 1])
    if i == len(points):
        return points[-1], inf, ((points[-1], heights[-1], chords[-1]),)
    if i == len(points) - 1:
        return points[i - 1], points[i], (from_left,)
    return points[i - 1], points[i], (from_left, (points[i], heights[i], chords[i + 1]))


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
