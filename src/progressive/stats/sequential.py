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
share of traffic; `RISES` has smaller ones beside them. The state is a number for each alternative,
kept to twelve significant digits so that the last bit of a platform's logarithm never shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import log, log1p
from typing import Final, NamedTuple

from .evidence import averaged, kept

__all__ = [
    "INITIAL",
    "LOG_PRIOR",
    "RATIOS",
    "RISES",
    "Alternatives",
    "alternatives_of",
    "evidence",
    "factor",
    "update",
    "update_by_share",
]


class Alternatives(NamedTuple):
    """The ratios that a mixture is of, the logarithms of them, and those of their weights."""

    ratios: tuple[float, ...]
    log_ratios: tuple[float, ...]
    log_prior: tuple[float, ...]

    @staticmethod
    def of(weighted: Sequence[tuple[float, float]]) -> Alternatives:
        """Return the alternatives of these pairs: a ratio, and its weight; the weights sum to 1."""
        ratios, weights = zip(*weighted, strict=True)
        return Alternatives(ratios, tuple(map(log, ratios)), tuple(map(log, weights)))


_LARGE: Final = Alternatives.of([(1.5, 0.27), (2.3, 0.15), (4.0, 0.10), (9.0, 0.10), (18.0, 0.38)])

RISES: Final = Alternatives.of(
    [
        (1.02, 0.075),
        (1.053, 0.062),
        (1.13, 0.058),
        (1.5, 0.23),
        (2.3, 0.15),
        (4.0, 0.11),
        (9.0, 0.085),
        (18.0, 0.23),
    ]
)
"""Alternatives of `progressive.stats.capping`, from a fiftieth more on."""

RATIOS: Final = _LARGE.ratios
LOG_PRIOR: Final = _LARGE.log_prior

_BY_NUMBER: Final = {len(each.ratios): each for each in (_LARGE, RISES)}

_EXACT_BELOW: Final = 2**40
"""Below so many events and trials a float has digits enough to take large numbers apart."""

INITIAL: Final = (0.0,) * len(RATIOS)
"""The evidence before the first look."""


def alternatives_of(logs: Sequence[float]) -> Alternatives:
    """Return the alternatives that ``logs`` has a number for each of."""
    return _BY_NUMBER[len(logs)]


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
    """Return the log likelihood ratios after one more look, for each alternative above ``margin``.

    Looks are of disjoint windows, with trials above 0 on both tracks.

    * ``margin``: the ratio that is still tolerated.
    * ``dispersion`` (1 or more): how many events come at a time (see
      `progressive.stats.planning.dispersion`); evidence is divided by it.
    """
    whole, every = trials + control_trials, events + control_events
    if max(whole, every) >= _EXACT_BELOW:
        return _update_by_excess(logs, events, every, trials, control_trials, margin, dispersion)
    share = trials / whole
    return update_by_share(
        logs,
        events=events,
        every=every,
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
    ratios, log_ratios, _ = alternatives_of(logs)
    costs = _costs(ratios, margin, share)
    return tuple(
        [
            kept(before + (events * log_ratio - every * cost) / dispersion)
            for before, log_ratio, cost in zip(logs, log_ratios, costs, strict=True)
        ]
    )


@lru_cache(maxsize=32)
def _costs(ratios: tuple[float, ...], margin: float, share: float) -> tuple[float, ...]:
    """Return what an event on either track costs each alternative, in nats.

    It is the same at every edge of a histogram.
    """
    under_null = margin * share + 1 - share
    return tuple([log((ratio * margin * share + 1 - share) / under_null) for ratio in ratios])


def _update_by_excess(
    logs: tuple[float, ...],
    events: int,
    every: int,
    trials: int,
    control_trials: int,
    margin: float,
    dispersion: float,
) -> tuple[float, ...]:
    """Do as `update`, for numbers so large that what they have in common would hide the rest.

    What the candidate has in excess is computed in whole numbers.
    """
    over, under = float(margin).as_integer_ratio()
    own, whole = over * trials, over * trials + under * control_trials
    excess, share = (events * whole - every * own) / whole, own / whole
    return tuple(
        kept(
            before
            + (excess * log_ratio - every * (log1p(share * (ratio - 1)) - share * log_ratio))
            / dispersion
        )
        for before, ratio, log_ratio, _ in zip(logs, *alternatives_of(logs), strict=True)
    )


def evidence(logs: tuple[float, ...]) -> float:
    """Return the evidence against "not worse", in nats.

    Harm is proven at level ``alpha`` from ``log(1 / alpha)`` on.
    """
    return averaged(logs, alternatives_of(logs).log_prior)
