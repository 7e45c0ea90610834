"""A sequential test for slower answers, from cumulative counts in buckets.

It may be looked at at any time. A quantile is never estimated. "The 99th percentile rose" means
that more requests are above an edge than were, and how many are above an edge is a count, exact at
the edge and additive over windows. Half of the evidence is the average of the sequential test of
`progressive.stats.sequential` over five edges of the upper tail; it finds a slow tail. The other
half looks at the distribution as a whole: it is a block e-variable (Turner, Ly and Grünwald, 2021,
here for more than two outcomes) for alternatives that tilt the pooled distribution of the earlier
looks towards the slow end; it finds what is slower everywhere. Averages of evidence are evidence,
whatever the dependence between the parts.

Guarantee: the evidence reaches ``1 / alpha`` with a probability of at most ``alpha``, over any
number of looks, if the candidate's times are nowhere worse than the control's, that is if at no
edge a larger part of them is above it. With a ``margin`` the candidate's times are compared with
the control's stretched by it: the candidate's requests above the first edge from ``margin`` times
an edge on, with the control's above that edge. Where the edges are coarse, more is tolerated than
was asked for, and `margin_tested` returns the margin.

**Edges may change between looks.** Each look is a fair game by itself, whatever edges it is played
at, as long as these and the bets were fixed before it; so evidence is multiplied over looks with
different edges, and the guarantee stays. `moved` brings a state to other edges: what came below an
edge that stays is known, and the tilts bet on with it. Where an edge that was followed is gone, its
counts can't be continued at another one, as they are shown with bounds of their own. Then the
evidence so far is kept as one number, by which all later evidence is multiplied, and edges are
chosen anew among those that are there.

**Where something may have changed**, as with a raise, `again` bets a part of the evidence anew, on
every alternative at every edge that is followed and on every tilt
(`progressive.stats.evidence.bet_anew`): a million quick requests from before hide nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import exp, fsum, log, log1p, sqrt
from operator import mul
from typing import Final, TypeAlias

from . import ratios
from .evidence import HELD_BACK, averaged, bet_anew, fund, kept, summed
from .rebucketing import Place, carried
from .sequential import alternatives_of

__all__ = [
    "INITIAL",
    "State",
    "again",
    "begun_again",
    "evidence",
    "margin_tested",
    "moved",
    "of_edges",
    "paired",
    "parts",
    "update",
]

LEVELS: Final = (0.2, 0.05, 0.02, 0.005, 0.001)
"""Parts of all requests. For each, one edge is followed above which there is no larger part. Each
costs eight numbers of state, and evidence of only one of them is divided by their number.
"""

ENOUGH: Final = 5
"""Requests that must be expected above a level before its edge is chosen. Until then its part of
the evidence is 0 nats: its bet is kept.
"""

_TILTS: Final = (0.12, 0.28, 0.5, 0.9, 1.6)
"""How far the alternatives tilt, in standard deviations of the logarithm of the time: from a tenth
slower to several times slower.
"""

_FAREST: Final = 20.0
"""Standard deviations to which a bucket's distance is cut. Where nearly all requests are in one
bucket the others are hundreds away.
"""

_LOG_EQUAL: Final = (log(1 / len(_TILTS)),) * len(_TILTS)
_LOG_LEVELS: Final = (log(1 / len(LEVELS)),) * len(LEVELS)
_BET: Final = log1p(-HELD_BACK)
_HALF: Final = log(0.5)
_HALVES: Final = (_HALF, _HALF)

_Bets: TypeAlias = tuple[tuple[ratios.Bets, ...], tuple[float, ...], float | None]
"""The logarithms of what is bet on each alternative, at each edge, and on each tilt, both empty
before it began again; and of what is held back, None if nothing is.
"""

_Begun: TypeAlias = tuple[
    tuple[int, ...], tuple[ratios.State, ...], tuple[float, ...], tuple[int, ...]
]
_Betting: TypeAlias = tuple[
    tuple[int, ...], tuple[ratios.State, ...], tuple[float, ...], tuple[int, ...], _Bets
]

State: TypeAlias = _Begun | _Betting
"""The edges that are followed, one for each of the first levels; the state of the test at each; the
evidence of the tilts; the cumulative counts of both tracks in all looks so far; and, of a test that
may begin `again` or did, what is bet, at edges that were followed when it last did.
"""

INITIAL: Final[_Begun] = ((), (), (0.0,) * len(_TILTS), ())
"""The evidence before the first look."""

RESERVED: Final[_Betting] = (*INITIAL, ((), (), kept(log(HELD_BACK))))
"""The same, of a test that holds something back for when it begins `again`."""


def paired(edges: Sequence[float], margin: float) -> list[tuple[int, int]]:
    """Return the pairs of edges to compare: the control's, and the candidate's as indices.

    The candidate's is the first edge at or past ``margin`` times the control's. An edge without one
    has no pair.
    """
    return list(_paired(tuple(edges), margin))


@lru_cache(maxsize=32)
def _paired(edges: tuple[float, ...], margin: float) -> tuple[tuple[int, int], ...]:
    pairs = [
        (i, bisect_left(edges, margin * edge - abs(edge) * 1e-12)) for i, edge in enumerate(edges)
    ]
    return tuple([(i, j) for i, j in pairs if j < len(edges)])


def margin_tested(edges: Sequence[float], margin: float) -> float:
    """Return the margin that is really tested with these edges.

    This is the largest ratio between an edge and its pair; 1 where nothing is tolerated.
    """
    return max(
        [edges[j] / edges[i] for i, j in paired(edges, margin) if edges[i] > 0], default=margin
    )


def update(
    state: State,
    *,
    edges: Sequence[float],
    candidate: Sequence[int],
    control: Sequence[int],
    margin: float = 1.0,
    dispersion: float = 1.0,
) -> State:
    """Return the state after one more look.

    * ``edges``: rising, those of the earlier looks (see `moved`); at least one must have a pair.
    * ``candidate``, ``control``: cumulative counts, one more than ``edges``; the last, above 0,
      counts all.
    * ``margin``: the multiple of the control's times that is still tolerated.
    * ``dispersion`` (1 or more): see `progressive.stats.planning.dispersion`.
    """
    chosen, above, tilts, before, *bets = state
    pairs = paired(edges, margin)
    mine = [*(candidate[j] for _, j in pairs), candidate[-1]]
    theirs = [*(control[i] for i, _ in pairs), control[-1]]
    if before:
        middles = _middles(tuple([edges[i] for i, _ in pairs]))
        gains = _tilted(_cells(before), middles, _cells(mine), _cells(theirs))
        tilts = tuple(
            kept(log_ratio + gain / dispersion)
            for log_ratio, gain in zip(tilts, gains, strict=True)
        )
    pooled = tuple(
        [a + b + c for a, b, c in zip(mine, theirs, before or (0,) * len(mine), strict=True)]
    )
    # Which edges are followed is chosen by what both tracks have together, this look included: if
    # their times are distributed alike, how a look's requests are split between them is independent
    # of that. (For a candidate that is quicker it is not, and only less suspicious.)
    for level in LEVELS[len(chosen) :]:
        if level * pooled[-1] >= ENOUGH:
            chosen, above = (*chosen, _edge(pooled, level)), (*above, ratios.INITIAL)
    above = tuple(
        ratios.update(
            known,
            events=mine[-1] - mine[i],
            trials=mine[-1],
            control_events=theirs[-1] - theirs[i],
            control_trials=theirs[-1],
            dispersion=dispersion,
        )
        for i, known in zip(chosen, above, strict=True)
    )
    return _with(bets, chosen, above, tilts, pooled)


def again(state: State) -> State:
    """Return the state before a look in which the candidate may have become slower, as with a
    raise. The evidence is the same; estimates of ratios begin with that look.
    """
    chosen, above, _, pooled, *_ = state
    at_edges, of_tilts = _capital(state)
    held_back = _held_back(state)
    weights = [*((_HALF + _LOG_LEVELS[0],) * len(at_edges)), _HALF]
    parts = [*map(summed, at_edges), summed(of_tilts)]
    # What is bet at an edge that is not chosen yet stays there, so the others share theirs.
    all_bet = summed([a + b for a, b in zip(parts, weights, strict=True)])
    anew = fund(all_bet, None if held_back is None else held_back - _BET) - summed(weights)
    bets = (
        tuple(bet_anew(capital, alternatives_of(capital).log_prior, anew) for capital in at_edges),
        bet_anew(of_tilts, _LOG_EQUAL, anew),
        None if held_back is None else kept(_HALF + held_back),
    )
    return chosen, (ratios.INITIAL,) * len(above), INITIAL[2], pooled, bets


def begun_again(state: State) -> bool:
    """Return whether it was begun `again`."""
    return len(state) == 5 and state[4] != RESERVED[4]


def _with(
    bets: Sequence[_Bets],
    chosen: tuple[int, ...],
    above: tuple[ratios.State, ...],
    tilts: tuple[float, ...],
    pooled: tuple[int, ...],
) -> State:
    return (chosen, above, tilts, pooled, bets[0]) if bets else (chosen, above, tilts, pooled)


def _capital(state: State) -> tuple[list[tuple[float, ...]], tuple[float, ...]]:
    """Return the logarithm of what each alternative has come to, at each edge, and each tilt; those
    of an edge, and those of the tilts, began with a sum of 1.
    """
    _, above, tilts, _, *_ = state
    at_edges, on_tilts = _bets(state)
    return (
        [ratios.capital(known, bets) for known, bets in zip(above, at_edges, strict=True)],
        tuple(a + b for a, b in zip(tilts, on_tilts, strict=True)),
    )


def _bets(state: State) -> tuple[list[ratios.Bets | None], tuple[float, ...]]:
    """Return what was bet when it was begun `again`, at each edge and on each tilt; None at an edge
    that is followed only since then.
    """
    above = state[1]
    at_edges, on_tilts, _ = state[4] if len(state) == 5 else ((), (), None)
    return [*at_edges, *[None] * (len(above) - len(at_edges))], on_tilts or _LOG_EQUAL


def _held_back(state: State) -> float | None:
    return state[4][2] if len(state) == 5 else None


def moved(
    state: State, *, edges: Sequence[float], to: Sequence[float], margin: float = 1.0
) -> tuple[State, float]:
    """Return the state at other edges, and the evidence in nats that it does not hold any more.

    ``edges``: those of the earlier looks; ``to``: those of the next one, of which at least one must
    have a pair. The evidence that is returned is 0 where all edges that are followed are there.
    """
    chosen, above, tilts, pooled, *bets = state
    places, others = _places(edges, margin), _places(to, margin)
    pooled = carried(pooled, places, others)
    there = {place: i for i, place in enumerate(others)}
    followed = [places[i] for i in chosen]
    if all(place in there for place in followed):
        return _with(bets, tuple(there[place] for place in followed), above, tilts, pooled), 0.0
    chosen, above, tilts, _ = INITIAL
    bets = [] if _held_back(state) is None else [RESERVED[4]]
    return _with(bets, chosen, above, tilts, pooled), evidence(state)


def _places(edges: Sequence[float], margin: float) -> list[Place]:
    return [(edges[i], edges[j]) for i, j in paired(edges, margin)]


def evidence(state: State) -> float:
    """Return the evidence against "nowhere worse", in nats.

    Harm is proven at level ``alpha`` from ``log(1 / alpha)`` on.
    """
    bet, held_back = averaged(parts(state), _HALVES), _held_back(state)
    return bet if held_back is None else kept(summed([_BET + bet, held_back]))


@lru_cache(maxsize=8)
def parts(state: State) -> tuple[float, float]:
    """Return the evidence of the edges that are followed, and of the distribution as a whole.

    It is kept for the states that were asked for last, as a look asks several times.
    """
    edges = of_edges(state)
    edges += [0.0] * (len(LEVELS) - len(edges))
    _, _, tilts, _, *_ = state
    _, on_tilts = _bets(state)
    return averaged(edges, _LOG_LEVELS), averaged(tilts, on_tilts)


def of_edges(state: State) -> list[float]:
    """Return the evidence at each edge that is followed."""
    _, above, _, _, *_ = state
    at_edges, _ = _bets(state)
    return [ratios.evidence(known, bets) for known, bets in zip(above, at_edges, strict=True)]


def _cells(cumulative: Sequence[int]) -> list[int]:
    """Return how many are in each bucket."""
    return [high - low for low, high in pairwise((0, *cumulative))]


def _edge(pooled: Sequence[int], level: float) -> int:
    """Return the first edge above which there is at most the part ``level`` of all, or the last."""
    most = level * pooled[-1]
    return next(
        (i for i, below in enumerate(pooled[:-2]) if pooled[-1] - below <= most), len(pooled) - 2
    )


@lru_cache(maxsize=32)
def _middles(edges: tuple[float, ...]) -> tuple[float, ...]:
    """Return the logarithm of each bucket's middle; open ends are as wide as their neighbours."""
    positive = [edge for edge in edges if edge > 0]
    if len(positive) < 2:
        return tuple([float(i) for i in range(len(edges) + 1)])
    logs = [log(edge) for edge in positive]
    low, high = 2 * logs[0] - logs[1], 2 * logs[-1] - logs[-2]
    unknown = (low,) * (len(edges) - len(positive))
    return (*unknown, *[(a + b) / 2 for a, b in pairwise((low, *logs, high))])


def _tilted(
    before: list[int], middles: tuple[float, ...], mine: list[int], theirs: list[int]
) -> list[float]:
    """Return the log likelihood ratio of one look for each tilt.

    ``mine`` and ``theirs`` are the counts of both tracks in each bucket, ``before`` those of all
    earlier looks.
    """
    every = fsum(before) + len(before) / 2
    base = [(count + 0.5) / every for count in before]
    mean = fsum(map(mul, base, middles))
    spread = (
        sqrt(fsum([p * (middle - mean) ** 2 for p, middle in zip(base, middles, strict=True)]))
        or 1.0
    )
    scaled = [max(-_FAREST, min(_FAREST, (middle - mean) / spread)) for middle in middles]
    trials, control_trials = fsum(mine), fsum(theirs)
    share = trials / (trials + control_trials)
    seen = [
        (i, own, own + other)
        for i, (own, other) in enumerate(zip(mine, theirs, strict=True))
        if own or other
    ]
    gains = []
    for tilt in _TILTS:
        weights = [exp(tilt * middle) for middle in scaled]
        whole = fsum(map(mul, base, weights))
        lifts = [(weights[i] / whole, own, both) for i, own, both in seen]
        gains.append(
            fsum(
                [
                    own * log(lift) - both * log(share * lift + 1 - share)
                    for lift, own, both in lifts
                ]
            )
        )
    return gains
