"""Evidence that may be looked at at any time: a mixture e-process for the ratio of two event rates.

Each look brings the events and trials of the candidate and of its control in one window. With the
share ``w`` of the trials that are the candidate's, the factor of one look for the alternative
"``g`` times the rate" against the null "``r`` times" is

    (g / r) ** events  *  ((r w + 1 - w) / (g w + 1 - w)) ** all_events

Its expectation is at most 1 for requests that fail independently of each other, whatever the error
rate of that look, for every number of requests and every candidate that is at most ``r`` times as
bad: with ``a`` and ``b`` the two brackets' values for an event of the candidate and of the control,
it is ``(1 + p_c (a - 1))**n_c (1 + p_s (b - 1))**n_s``, at most ``exp`` of the sum of the four
products, which is 0 at ``p_c = r p_s`` and falls with ``p_c``. Products and mixtures of such
factors keep it, and by Ville's inequality the evidence ever reaches ``1 / alpha`` with a
probability of at most ``alpha``: for any number of looks, any schedule and any weights, also
weights that were chosen from the evidence.

The five alternatives and their prior weigh detection of 1.5 to 20 times the rate evenly, at every
share of traffic. The state is five numbers, kept to twelve significant digits so that the last bit
of a platform's logarithm never shows.
"""

from __future__ import annotations

from math import log
from typing import Final

from .evidence import averaged, kept

__all__ = ["INITIAL", "LOG_PRIOR", "RATIOS", "evidence", "factor", "update", "update_by_share"]

RATIOS: Final = (1.5, 2.3, 4.0, 9.0, 18.0)
_LOG_RATIOS: Final = tuple(log(ratio) for ratio in RATIOS)
LOG_PRIOR: Final = tuple(log(weight) for weight in (0.27, 0.15, 0.10, 0.10, 0.38))

INITIAL: Final = (0.0,) * len(RATIOS)
"""The evidence before the first look."""


def factor(events: float, every: float, share: float, *, ratio: float, null: float) -> float:
    """The logarithm of what one look says for "``ratio`` times the control's rate" against
    "``null`` times"; both above 0.
    """
    return events * log(ratio / null) - every * log(
        (ratio * share + 1 - share) / (null * share + 1 - share)
    )


def update(
    logs: tuple[float, ...],
    *,
    events: int,
    trials: int,
    control_events: int,
    control_trials: int,
    margin: float = 1.0,
    dispersion: float = 1.0,
) -> tuple[float, ...]:
    """The log likelihood ratios after one more look, one for each of `RATIOS` above ``margin``.

    Counts are of disjoint windows; ``trials`` and ``control_trials`` must both be above 0.
    ``margin`` is the ratio still tolerated. ``dispersion`` (1 or more) is by how much events come
    in clumps (see `progressive.stats.planning.dispersion`); evidence is divided by it.
    """
    share = trials / (trials + control_trials)
    return update_by_share(
        logs,
        events=events,
        every=events + control_events,
        share=share,
        margin=margin,
        dispersion=dispersion,
    )


def update_by_share(
    logs: tuple[float, ...],
    *,
    events: int,
    every: int,
    share: float,
    margin: float = 1.0,
    dispersion: float = 1.0,
) -> tuple[float, ...]:
    """As `update`, for events without a number of trials (crashes, log lines): ``events`` of
    ``every`` were the candidate's, and ``share`` (between 0 and 1, exclusive) is its part of what
    they could have come from, such as the running time of its instances.

    It is exact where events are Poisson in that exposure (Lindon and Malek, 2022); a share that is
    wrong is evidence that is wrong.
    """
    under_null = margin * share + 1 - share
    return tuple(
        kept(
            before
            + (events * log_ratio - every * log((ratio * margin * share + 1 - share) / under_null))
            / dispersion
        )
        for before, ratio, log_ratio in zip(logs, RATIOS, _LOG_RATIOS, strict=True)
    )


def evidence(logs: tuple[float, ...]) -> float:
    """The natural logarithm of the evidence against "not worse"; harm is proven at level ``alpha``
    from ``log(1 / alpha)`` on.
    """
    return averaged(logs, LOG_PRIOR)
