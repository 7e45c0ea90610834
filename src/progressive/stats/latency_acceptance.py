"""A sequential test that excludes "its times are the control's, stretched ``limit`` times or more".

The same counts above edges as in `progressive.stats.histogram_tails`, the other way round. Times
that are stretched by ``limit`` are above ``limit * b`` at least as often as the control's are above
``b``; so for two edges that are at most ``limit`` apart, the candidate's part above the higher one
is at least the control's part above the lower one. A block e-variable is evidence against that, for
a candidate that is as good or nearly so: its parts above the two edges are taken from what both
tracks have shown in the earlier looks.

It is proven at two places apart, above the edges with next to a fifth and next to a hundredth of
all requests, and the evidence is the lesser of the two: a candidate that is stretched ``limit``
times at either is accepted with a probability of at most ``beta``, however often it is looked at.
The edges are chosen from earlier looks, which are not counted. Where no edge with a pair has a part
of the requests above it that is within `NEAR` times such a level, these buckets can prove nothing.

**Edges may change between looks** (`moved`). Where a pair that is followed is still there, its
evidence goes on. Where it is not, another one is chosen; but what was proven at the one is not
proven at the other, so evidence for the candidate is dropped. Evidence against it stays: if that
were forgotten too, each change would be a new chance to be accepted, and ``beta`` would hold for
each of them instead of for all together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import exp, inf, log, log1p
from typing import Final, TypeAlias

from .evidence import averaged, block, kept
from .planning import requests_needed
from .rebucketing import carried

__all__ = [
    "INITIAL",
    "LEVELS",
    "State",
    "closest",
    "evidence",
    "moved",
    "needed",
    "update",
    "within",
]

LEVELS: Final = (0.2, 0.01)
"""Parts of all requests: the proof is about the 80th and the 99th percentile, or nearby edges."""

ENOUGH: Final = 10
"""Requests that must be expected above a level before its edges are chosen."""

NEAR: Final = 4.0
"""The largest ratio, either way, of the part of the requests above an edge to the level it stands
for.
"""

_WAY: Final = (-0.4, 0.0, 0.33)
"""The alternatives: which part of the way, in log odds, the candidate has gone from "as good" to
"stretched by the limit".
"""

_LOG_PRIOR: Final = (log(1 / 4), log(1 / 2), log(1 / 4))

State: TypeAlias = tuple[tuple[int, ...], tuple[tuple[float, ...], ...], tuple[int, ...]]
"""The pair of edges followed for each level, -1 while none is; the evidence of each; and the
cumulative counts of both tracks in all looks so far.
"""

INITIAL: Final[State] = ((-1,) * len(LEVELS), ((0.0,) * len(_WAY),) * len(LEVELS), ())
"""The evidence before the first look."""


def within(edges: Sequence[float], limit: float) -> list[tuple[int, int]]:
    """Return the pairs of edges to compare: the control's, and the candidate's as indices.

    The candidate's is the last edge above the control's that is at most ``limit`` times it. An edge
    without one has no pair.
    """
    pairs = [
        (i, bisect_right(edges, limit * edge + abs(edge) * 1e-12) - 1)
        for i, edge in enumerate(edges)
    ]
    return [(i, j) for i, j in pairs if j > i]


def closest(edges: Sequence[float]) -> float:
    """Return the least ratio between two neighbouring edges above 0; infinite without two.

    It is the least limit that these edges can prove.
    """
    return min((b / a for a, b in pairwise(edges) if a > 0), default=inf)


def update(
    state: State,
    *,
    edges: Sequence[float],
    candidate: Sequence[int],
    control: Sequence[int],
    limit: float,
    dispersion: float = 1.0,
) -> State:
    """Return the state after one more look.

    * ``edges``: rising, those of the earlier looks (see `moved`); at least two must be `within` the
      limit.
    * ``candidate``, ``control``: cumulative counts, one more than ``edges``; the last, above 0,
      counts all.
    * ``limit``: the multiple of the control's times to be excluded, above 1.
    * ``dispersion`` (1 or more): see `progressive.stats.planning.dispersion`.
    """
    chosen, logs, before = state
    pairs = within(edges, limit)
    logs = tuple(
        tuple(
            kept(log_ratio + gain / dispersion)
            for log_ratio, gain in zip(
                known, _gains(before, pairs[k], candidate, control), strict=True
            )
        )
        if k >= 0
        else known
        for k, known in zip(chosen, logs, strict=True)
    )
    pooled = tuple(
        a + b + c
        for a, b, c in zip(candidate, control, before or (0,) * len(candidate), strict=True)
    )
    chosen = tuple(
        _pair(pooled, pairs, level) if k < 0 and level * pooled[-1] >= ENOUGH else k
        for k, level in zip(chosen, LEVELS, strict=True)
    )
    return chosen, logs, pooled


def moved(state: State, *, edges: Sequence[float], to: Sequence[float], limit: float) -> State:
    """Return the state at other edges.

    ``edges``: those of the earlier looks; ``to``: those of the next one, of which at least two must
    be `within` the limit.
    """
    chosen, logs, pooled = state
    pairs = [(edges[i], edges[j]) for i, j in within(edges, limit)]
    there = {(to[i], to[j]): k for k, (i, j) in enumerate(within(to, limit))}
    stays = [there.get(pairs[k], -1) if k >= 0 else -1 for k in chosen]
    return (
        tuple(stays),
        tuple(
            known if k >= 0 or averaged(known, _LOG_PRIOR) <= 0 else (0.0,) * len(_WAY)
            for k, known in zip(stays, logs, strict=True)
        ),
        carried(pooled, [(edge, edge) for edge in edges], [(edge, edge) for edge in to]),
    )


def evidence(state: State) -> float:
    """Return the evidence against "stretched by the limit", in nats.

    The candidate is accepted at level ``beta`` from ``log(1 / beta)`` on.
    """
    return min(_by_level(state))


def needed(
    state: State,
    nats: float,
    *,
    edges: Sequence[float],
    share: float,
    limit: float,
    dispersion: float = 1.0,
) -> float:
    """Return how many more requests on both tracks bring the evidence to ``nats``.

    This is a mean for a candidate as good as its control; infinite if no number would do. ``share``
    is the candidate's part of the requests.
    """
    chosen, _, pooled = state
    pairs, most = within(edges, limit), 0.0
    for k, level, found in zip(chosen, LEVELS, _by_level(state), strict=True):
        likely = k if k >= 0 else _pair(pooled, pairs, level)
        if likely < 0:
            return inf
        as_good, stretched = _parts(pooled, pairs[likely])
        first = 0.0 if k >= 0 else max(0.0, ENOUGH / level - pooled[-1])
        most = max(
            most, first + dispersion * requests_needed(nats - found, as_good, stretched, share)
        )
    return most


def _by_level(state: State) -> list[float]:
    return [averaged(known, _LOG_PRIOR) for known in state[1]]


def _pair(pooled: Sequence[int], pairs: list[tuple[int, int]], level: float) -> int:
    """Return the pair above whose lower edge there is nearly the part ``level`` of all.

    Nearest by ratio; -1 where that is further than `NEAR`.
    """
    parts = [(pooled[-1] - pooled[i]) / (level * pooled[-1]) for i, _ in pairs]
    near = [min(part, 1 / part) if part else 0.0 for part in parts]
    return near.index(max(near)) if max(near) * NEAR >= 1 else -1


def _parts(pooled: Sequence[int], pair: tuple[int, int]) -> tuple[float, float]:
    """Return the parts of all requests above the higher and the lower edge of a pair."""
    lower, higher = pair
    return (pooled[-1] - pooled[higher] + 0.5) / (pooled[-1] + 1), (
        pooled[-1] - pooled[lower] + 0.5
    ) / (pooled[-1] + 1)


def _gains(
    before: Sequence[int], pair: tuple[int, int], candidate: Sequence[int], control: Sequence[int]
) -> list[float]:
    """Return the log likelihood ratio of one look for each alternative."""
    lower, higher = pair
    as_good, stretched = _parts(before, pair)
    good, bad = _log_odds(as_good), _log_odds(stretched)
    return [
        block(
            1 / (1 + exp(-(good + way * (bad - good)))),
            stretched,
            events=candidate[-1] - candidate[higher],
            trials=candidate[-1],
            control_events=control[-1] - control[lower],
            control_trials=control[-1],
        )
        for way in _WAY
    ]


def _log_odds(p: float) -> float:
    return log(p) - log1p(-p)
