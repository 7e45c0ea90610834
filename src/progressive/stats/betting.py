"""A sequential test for events that come in clumps of any size: each look is one observation.

It may be looked at at any time. Every test that counts requests takes them to be independent; where
each failing user fails ten times, there is a tenth of the evidence that there seems to be. This one
assumes less: that a clump of events (a user's retries) falls on the candidate with the chance that
its share ``w`` of the requests gives it, as if it were one request, and is over by the end of its
look. Then, whatever the clumps are, the candidate's ``events`` of ``every`` are ``w * every`` in
the mean, and a bet on more,

    1 - bet + bet * events / (w * every)        with 0 <= bet < 1 chosen from ``w`` and ``every``

wins nothing on average. Products and mixtures of such factors reach ``1 / alpha`` with a
probability of at most ``alpha`` (a betting martingale; Waudby-Smith and Ramdas, 2024). Where a look
has one event, it is a factor of `progressive.stats.sequential`, so where looks have few it is
nearly as quick; but no look is more evidence than the logarithm of ``events / (w * every)``, a
ratio that at a share of a half is at most 2, and for a fall at a small share next to 1.

It does assume this: requests that don't fail must not come in clumps that are a good part of all,
or the share moves with them; and a trouble that one track has by itself for a while is no clump
that could have fallen on the other (that is what `progressive.stats.planning.dispersion` is for).
That the mean is ``w * every`` holds for candidates that are equal, at any rate of events, and is
less for those that are better. It also holds for sums of values in place of events, where no value
is below 0, however heavy their tail is: of two tracks whose values are distributed alike, each
value falls on the candidate with the chance ``w``.
"""

from __future__ import annotations

from math import log, log1p
from typing import Final

from .evidence import averaged, kept

__all__ = ["BY_EVENTS", "BY_LOOK", "INITIAL", "evidence", "update"]

BY_EVENTS: Final = (0.4, 2.0, 10.0)
"""How aggressive a bet is for each event: the multiple of its share that the candidate is bet to
have, divided by the size of the clumps that it allows for. (A bet is ``x / (1 + x)``, with ``x``
this number times the events that are the candidate's fair share.)
"""

BY_LOOK: Final = (1.0, 8.0, 80.0)
"""How aggressive a bet is for each look, however many events it has: for clumps as large as looks,
and for sums of values in any unit.
"""

_LOG_PRIOR: Final = (log(1 / 6),) * 6

_NEVER_ALL: Final = 2**-53 - 1
"""The most that a bet loses: never everything, also where it rounds to a bet of everything."""

INITIAL: Final = (0.0,) * 6
"""The evidence before the first look."""


def update(
    logs: tuple[float, ...],
    *,
    events: float,
    trials: int,
    control_events: float,
    control_trials: int,
) -> tuple[float, ...]:
    """Return the logarithm of the capital of each bet after one more look.

    Trials must be above 0 on both tracks. A look without events is no evidence. ``events`` and
    ``control_events`` may be sums of values of 0 or more, of which there were ``trials`` and
    ``control_trials``.
    """
    every, share = events + control_events, trials / (trials + control_trials)
    fair = every * share
    if not fair:
        return logs
    gain = max(events / fair - 1, _NEVER_ALL)
    odds = [*(factor * fair for factor in BY_EVENTS), *(factor * share for factor in BY_LOOK)]
    return tuple(
        kept(before + log1p(each / (1 + each) * gain))
        for before, each in zip(logs, odds, strict=True)
    )


def evidence(logs: tuple[float, ...]) -> float:
    """Return the evidence that the candidate has more events, in nats.

    Harm is proven at level ``alpha`` from ``log(1 / alpha)`` on.
    """
    return averaged(logs, _LOG_PRIOR)
