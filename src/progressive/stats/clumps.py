"""Evidence where events come in clumps of any size: each look is one observation. It may be looked at at any time.

Every test that counts requests takes them to be independent; where each failing user fails ten times, there is a tenth of the evidence that
there seems to be. This one asks for less: that a clump (a user with retries, a client that loops) falls on the candidate with the chance
that its share ``w`` of the requests gives it, as if it were one request, and is over by the end of its look. Then, whatever the clumps are,
the candidate's ``events`` of ``every`` are ``w * every`` in the mean, and a bet on more,

    1 - bet + bet * events / (w * every)        with 0 <= bet < 1 chosen from ``w`` and ``every``

wins nothing on average. Products and mixtures of such factors reach ``1 / alpha`` with a probability of at most ``alpha`` (a betting
martingale; Waudby-Smith and Ramdas, 2024). Where a look has one event, it is the factor of `progressive.stats.sequential`, so where looks
have few it is as quick; but no look says more than the logarithm of ``events / (w * every)``, which at a share of a half is at most 2, and
for a fall at a small share next to nothing. It adapts to the clumps by itself: the mixture is over how much to bet.

It is not for a trouble that one track has all by itself for a while, which is no clump that could have fallen on the other; that is what
`progressive.stats.dispersion` is for. That the mean is ``w * every`` holds for candidates that are equal, at any rate of events, and is
less for those that are better. It also holds for sums of values in place of events, where no value is below 0, however heavy their tail
is: that of two tracks whose values are distributed alike, so that each value falls on the candidate with the chance ``w``.
"""

from __future__ import annotations

from math import log, log1p
from typing import Final

from ._evidence import averaged, kept

__all__ = ["EAGER", "NOTHING", "evidence", "update"]

EAGER: Final = (0.1, 0.4, 1.3, 3.0, 8.0, 17.0)
"""How much more than its share of the events a bet takes the candidate to have, divided by the size of the clumps that it allows for."""

_LOG_PRIOR: Final = (log(1 / len(EAGER)),) * len(EAGER)

NOTHING: Final = (0.0,) * len(EAGER)
"""The evidence before the first look."""


def update(logs: tuple[float, ...], *, events: float, trials: int, control_events: float, control_trials: int) -> tuple[float, ...]:
    """The logarithm of what each bet has become after one more look; both trials must be above 0. A look without events says nothing.

    ``events`` and ``control_events`` may be sums of values of 0 or more, of which there were ``trials`` and ``control_trials``.
    """
    every = events + control_events
    fair = every * trials / (trials + control_trials)
    if not every:
        return logs
    return tuple(kept(before + log1p(eager * (events - fair) / (1 + eager * fair))) for before, eager in zip(logs, EAGER, strict=True))


def evidence(logs: tuple[float, ...]) -> float:
    """The natural logarithm of the evidence that the candidate has more events; harm is proven at level ``alpha`` from ``log(1 / alpha)``."""
    return averaged(logs, _LOG_PRIOR)
