"""A sequential test that excludes "at least ``limit`` times the control's rate".

The same counts and the same factor as in `progressive.stats.sequential`, the other way round: the
null is a candidate that is at least ``limit`` times as bad, the alternatives are candidates that
are as good as the control or nearly so. The chance that such a bad candidate is ever accepted is at
most ``beta``, however often it is looked at. Harm and acceptance may be followed on the same data:
each keeps its own promise.
"""

from __future__ import annotations

from math import inf, log
from typing import Final

from .evidence import averaged, kept
from .sequential import factor

__all__ = ["INITIAL", "evidence", "needed", "update"]

_POWERS: Final = (-1.0, -0.4, 0.0, 0.33)
"""The alternatives are these powers of the limit: for a limit of 2, the ratios 0.5, 0.76, 1 and
1.26. A candidate that is as good is the one that a team wants to promote early, so it stands among
them at every limit, with half of the weight.
"""

_LOG_PRIOR: Final = (log(1 / 6), log(1 / 6), log(1 / 2), log(1 / 6))

INITIAL: Final = (0.0,) * len(_POWERS)
"""The evidence before the first look."""


def update(
    logs: tuple[float, ...],
    *,
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    limit: float,
    dispersion: float = 1.0,
) -> tuple[float, ...]:
    """Return the log likelihood ratios after one more look; trials must be above 0 on both tracks.

    * ``limit``: the ratio to be excluded, above 1.
    * ``dispersion`` (1 or more): see `progressive.stats.planning.dispersion`.
    """
    every, share = events + control_events, trials / (trials + control_trials)
    return tuple(
        kept(before + factor(events, every, share, ratio=limit**power, null=limit) / dispersion)
        for before, power in zip(logs, _POWERS, strict=True)
    )


def evidence(logs: tuple[float, ...]) -> float:
    """Return the evidence against "at least ``limit`` times", in nats.

    The candidate is accepted at level ``beta`` from ``log(1 / beta)`` on.
    """
    return averaged(logs, _LOG_PRIOR)


def needed(nats: float, rate: float, share: float, *, limit: float) -> float:
    """Return how many more requests on both tracks bring ``nats`` more of evidence in the mean.

    Both tracks have events at ``rate``; ``share`` is the candidate's part of the requests. Infinite
    where a request is no evidence.
    """
    gain = factor(share * rate, rate, share, ratio=1.0, null=limit)
    return max(0.0, nats) / gain if gain > 0 else inf
