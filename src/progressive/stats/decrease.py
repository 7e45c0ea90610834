"""Evidence of a fall, at any rate: conversions that are lost, successes that become fewer. It may
be looked at at any time.

A block e-variable (Turner, Ly and Grünwald, 2021; Turner and Grünwald, 2023, for a margin). Before
each look, from earlier looks only, an alternative is chosen: the control at the rate ``b`` that
both have shown, the candidate at less, ``a``. Of all pairs ``(p, margin p)`` that are just
tolerated, the one next to it (in Kullback and Leibler's sense, over the requests of this look) is
its rival. The factor is what the look's requests say for the one against the other. With the rival
stationary, the logarithm of its expectation is at most

    n_c (a - p) / (p (1 - p)) * (p_c - p_s / margin)

for independent requests that fail at the rates ``p_c`` and ``p_s``: not above 0 for a candidate
that is tolerated. So the products and mixtures of such factors reach ``1 / alpha`` with a
probability of at most ``alpha``, as in `progressive.stats.sequential`, of which this is the mirror
image where events are rare. The first look has no rate to begin with and is judged by the
conditional factor of that module.
"""

from __future__ import annotations

from math import log
from typing import Final, TypeAlias

from .evidence import averaged, block, kept
from .sequential import factor

__all__ = ["INITIAL", "State", "evidence", "update"]

_ODDS: Final = (0.93, 0.85, 0.7, 0.45, 0.2, 0.06)
"""The alternatives: what becomes of the candidate's odds. From a tenth of the conversions lost to
twenty times the failures.
"""

_LOG_PRIOR: Final = (log(1 / len(_ODDS)),) * len(_ODDS)

State: TypeAlias = tuple[tuple[float, ...], int, int]
"""The log likelihood ratios, and the events and trials of both tracks in all looks so far."""

INITIAL: Final[State] = ((0.0,) * len(_ODDS), 0, 0)
"""The evidence before the first look."""


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
    """The state after one more look; both trials must be above 0. ``margin``: the control may have
    this many times the rate.

    ``dispersion`` (1 or more): see `progressive.stats.planning.dispersion`.
    """
    logs, seen, of = state
    if of:
        base = (seen + 0.5) / (of + 1)
        gains = [
            block(
                _fallen(base / margin, odds),
                base,
                events=events,
                trials=trials,
                control_events=control_events,
                control_trials=control_trials,
                ratio=margin,
            )
            for odds in _ODDS
        ]
    else:
        every, share = events + control_events, control_trials / (trials + control_trials)
        gains = [
            factor(control_events, every, share, ratio=margin / odds, null=margin) for odds in _ODDS
        ]
    added = tuple(
        kept(before + gain / dispersion) for before, gain in zip(logs, gains, strict=True)
    )
    return added, seen + events + control_events, of + trials + control_trials


def evidence(state: State) -> float:
    """The natural logarithm of the evidence that the candidate's rate fell; proven at level
    ``alpha`` from ``log(1 / alpha)`` on.
    """
    return averaged(state[0], _LOG_PRIOR)


def _fallen(rate: float, odds: float) -> float:
    """The rate with so many times the odds."""
    return rate * odds / (1 - rate + rate * odds)
