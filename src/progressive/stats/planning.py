"""Plan a test: the requests needed to distinguish two rates, and the dispersion of events."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, inf, log, log1p
from typing import Final

from .evidence import nearest

__all__ = ["dispersion", "information", "requests_needed"]

_CERTAIN: Final = 1 - 2**-53
"""The largest number below 1: a rate that is computed as 1 but is not."""


def information(rate: float, control_rate: float, share: float, *, null: float = 1.0) -> float:
    """Return the nats of evidence in one request against "``null`` times the control's rate".

    ``share`` is the candidate's part of the requests. Rates and share are between 0 and 1; the
    result is 0 if the rates are just ``null`` times apart.
    """
    p = nearest(control_rate, rate, of_one=1 - share, of_other=share, ratio=null)
    return share * _divergence(rate, null * p) + (1 - share) * _divergence(control_rate, p)


def requests_needed(
    nats: float, rate: float, control_rate: float, share: float, *, null: float = 1.0
) -> float:
    """Return the mean number of requests on both tracks for ``nats`` of evidence.

    A whole test needs ``log(1 / alpha)``. Infinite where the rates are just ``null`` times apart.
    """
    gain = information(rate, control_rate, share, null=null)
    return max(0.0, nats) / gain if gain > 0 else inf


def _divergence(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of a failure with chance ``p`` from one with ``q``."""
    divergence = p * log(p / q) if p else 0.0
    if p < 1:
        divergence += (1 - p) * (log1p(-p) - log1p(-min(q, _CERTAIN)))
    return divergence


def dispersion(looks: Iterable[tuple[int, int, int, int]]) -> float:
    """Estimate how many events come at a time, from looks at two tracks of one version.

    It is 1 for independent requests (and at least 1), 3 for events that come three at a time.

    A look is ``(events, trials, control_events, control_trials)``; a minute each is a good length,
    some dozens are needed (Pearson's statistic over its degrees of freedom). Raises `ValueError`
    if fewer than two looks have events, and requests on both tracks.
    """
    usable = [(a, n, a + b, n + m) for a, n, b, m in looks if a + b and n and m]
    if len(usable) < 2:
        raise ValueError(
            f"dispersion: {len(usable)} looks have events and requests on both tracks; some "
            "dozens are needed"
        )
    expected = fsum([events * n / trials for _, n, events, trials in usable])
    # A difference between the tracks over all looks is not clumping, so the shares are scaled to
    # it.
    bias = fsum([own for own, _, _, _ in usable]) / expected
    terms = []
    for own, n, events, trials in usable:
        share = min(bias * n / trials, 1 - 1e-9)
        if share:
            terms.append((own - events * share) ** 2 / (events * share * (1 - share)))
    return max(1.0, fsum(terms) / (len(usable) - 1)) if terms else 1.0
