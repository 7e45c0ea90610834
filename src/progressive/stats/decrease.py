"""A sequential test for a fall of an event rate: conversions lost, fewer successes.

It holds at any rate, and may be looked at at any time. A block e-variable (Turner, Ly and Grünwald,
2021; Turner and Grünwald, 2023, for a margin). Before each look, from earlier looks only, an
alternative is chosen: the control at the rate ``b`` that both have shown, the candidate at less,
``a``. Of all pairs ``(p, margin p)`` that are just tolerated, the one next to it (in Kullback and
Leibler's sense, over the requests of this look) is its rival. The factor is the likelihood ratio of
the look's requests for the one and the other. With the rival stationary, the logarithm of its
expectation is at most

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

from .evidence import averaged, begin_again, block, kept, reserved
from .sequential import factor

__all__ = [
    "INITIAL",
    "LEAST",
    "RESERVED",
    "SMALL",
    "State",
    "again",
    "begun_again",
    "evidence",
    "update",
]

_LARGE: Final = (0.93, 0.85, 0.7, 0.45, 0.2, 0.06)
"""Alternatives: multiples of the candidate's odds, from a tenth of the conversions lost to twenty
times the failures.
"""

_ALL: Final = (*_LARGE, 0.985)

_LOG_PRIORS: Final = {
    _LARGE: (log(1 / len(_LARGE)),) * len(_LARGE),
    _ALL: (*(log(0.9 / len(_LARGE)) for _ in _LARGE), log(0.1)),
}
_ODDS: Final = {len(odds): odds for odds in _LOG_PRIORS}

LEAST: Final = 0.9925
"""From this multiple of the control's odds on a fall is found by `SMALL`."""

_Begun: TypeAlias = tuple[tuple[float, ...], int, int]

_Betting: TypeAlias = tuple[tuple[float, ...], int, int, tuple[float, ...]]

State: TypeAlias = _Begun | _Betting
"""The log likelihood ratios; the events and trials of both tracks in all looks so far; and, of a
test that may begin `again` or did, the logarithms of what is bet on each alternative, and of what
is held back, if anything is.
"""

INITIAL: Final[_Begun] = ((0.0,) * len(_LARGE), 0, 0)
"""The evidence before the first look."""

SMALL: Final[_Begun] = ((0.0,) * len(_ALL), 0, 0)
"""The same for a test that looks for smaller falls as well, and needs a thirtieth more events for
large ones.
"""

RESERVED: Final[_Betting] = (*SMALL, reserved(_LOG_PRIORS[_ALL]))
"""The same for a test that also holds something back for when it begins `again`."""


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
    """Return the state after one more look; trials must be above 0 on both tracks.

    * ``margin``: how many times the candidate's rate the control may have.
    * ``dispersion`` (1 or more): see `progressive.stats.planning.dispersion`.
    """
    logs, events_before, trials_before, *bets = state
    alternatives = _ODDS[len(logs)]
    if trials_before:
        base = (events_before + 0.5) / (trials_before + 1)
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
            for odds in alternatives
        ]
    else:
        every, share = events + control_events, control_trials / (trials + control_trials)
        gains = [
            factor(control_events, every, share, ratio=margin / odds, null=margin)
            for odds in alternatives
        ]
    logs = tuple(kept(before + gain / dispersion) for before, gain in zip(logs, gains, strict=True))
    events_before += events + control_events
    trials_before += trials + control_trials
    if bets:
        return logs, events_before, trials_before, bets[0]
    return logs, events_before, trials_before


def again(state: State) -> State:
    """Return the state before a look in which the candidate's rate may have fallen, as with a
    raise; see `progressive.stats.evidence.bet_anew`. The evidence is the same.
    """
    logs, events, trials, *_ = state
    bets = begin_again(_capital(state), _LOG_PRIORS[_ODDS[len(logs)]])
    return (0.0,) * len(logs), events, trials, bets


def begun_again(state: State) -> bool:
    """Return whether it was begun `again`."""
    return len(state) == 4 and state[3] != RESERVED[3]


def evidence(state: State) -> float:
    """Return the evidence that the candidate's rate fell, in nats.

    A fall is proven at level ``alpha`` from ``log(1 / alpha)`` on.
    """
    capital = _capital(state)
    return averaged(capital, (0.0,) * len(capital))


def _capital(state: State) -> list[float]:
    """Return the logarithms of what the bets have come to, and of what is held back."""
    logs = state[0]
    bets = state[3] if len(state) == 4 else _LOG_PRIORS[_ODDS[len(logs)]]
    return [before + bet for before, bet in zip((*logs, 0.0), bets, strict=False)]


def _fallen(rate: float, odds: float) -> float:
    """Return the rate whose odds are ``odds`` times those of ``rate``."""
    return rate * odds / (1 - rate + rate * odds)
