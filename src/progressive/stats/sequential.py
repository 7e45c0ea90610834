"""A sequential test for the ratio of two event rates: a mixture e-process.

It may be looked at at any time.

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
    """Return the log likelihood ratio of one look, for ``ratio`` times the control's rate against
    ``null`` times; both above 0.

    ``events`` of ``every`` are the candidate's; ``share`` is its part of the trials.
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
    """Return the log likelihood ratios after one more look, for each of `RATIOS` above ``margin``.

    Looks are of disjoint windows, with trials above 0 on both tracks.

    * ``margin``: the ratio that is still tolerated.
    * ``dispersion`` (1 or more): how many events come at a time (see
      `progressive.stats.planning.dispersion`); evidence is divided by it.
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
    """Do as `update`, for events without a number of trials (crashes, log lines).

    * ``events``: the candidate's, of ``every`` event of both tracks.
    * ``share``: the candidate's part of the exposure, such as the running time of its instances;
      between 0 and 1, exclusive.

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
    """Return the evidence against "not worse", in nats.

    Harm is proven at level ``alpha`` from ``log(1 / alpha)`` on.
    """
    return averaged(logs, LOG_PRIOR)
