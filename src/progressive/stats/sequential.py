"""Evidence that may be looked at at any time: a mixture e-process for the ratio of two event rates.

Each look brings the events and trials of the candidate and of its control in one window. Under "the candidate's rate is at most
``margin`` times the control's", and given ``E`` events in all, the candidate's are at most binomial with the share that its trials give it,
whatever the error rate of that window. So every factor below has an expectation of at most 1, products and mixtures of such factors keep
it, and by Ville's inequality the evidence ever reaches ``1 / alpha`` with a probability of at most ``alpha``: for any number of looks,
any schedule and any weights, also weights that were chosen from the evidence.

The five alternatives and their prior weigh detection of 1.5 to 20 times the rate evenly, at every share of traffic. The state is five
numbers, kept to twelve significant digits so that the last bit of a platform's logarithm never shows.
"""

from __future__ import annotations

from math import exp, fsum, log
from typing import Final

__all__ = ["NOTHING", "RATIOS", "evidence", "update"]

RATIOS: Final = (1.5, 2.3, 4.0, 9.0, 18.0)
_LOG_RATIOS: Final = tuple(log(ratio) for ratio in RATIOS)
_LOG_PRIOR: Final = tuple(log(weight) for weight in (0.27, 0.15, 0.10, 0.10, 0.38))

NOTHING: Final = (0.0,) * len(RATIOS)
"""The evidence before the first look."""


def _kept(value: float) -> float:
    return float(f"{value:.12g}")


def update(
    logs: tuple[float, ...], *, events: int, trials: int, control_events: int, control_trials: int, margin: float = 1.0
) -> tuple[float, ...]:
    """The log likelihood ratios after one more look, one for each of `RATIOS` above ``margin``.

    Counts are of disjoint windows; ``trials`` and ``control_trials`` must both be above 0. ``margin`` is the ratio still tolerated.
    """
    share = trials / (trials + control_trials)
    under_null = margin * share + 1 - share
    every = events + control_events
    return tuple(
        _kept(before + events * log_ratio - every * log((ratio * margin * share + 1 - share) / under_null))
        for before, ratio, log_ratio in zip(logs, RATIOS, _LOG_RATIOS, strict=True)
    )


def evidence(logs: tuple[float, ...]) -> float:
    """The natural logarithm of the evidence against "not worse"; harm is proven at level ``alpha`` from ``log(1 / alpha)`` on."""
    terms = [value + prior for value, prior in zip(logs, _LOG_PRIOR, strict=True)]
    top = max(terms)
    return _kept(top + log(fsum(exp(term - top) for term in terms)))
