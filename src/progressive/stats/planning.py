"""Planning: the least number of requests that can tell two rates apart, and how clumped events
are.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, inf, log, log1p
from typing import Final

from .evidence import nearest

__all__ = ["dispersion", "information", "requests_needed"]

_CERTAIN: Final = 1 - 2**-53
"""The largest number below 1: a rate that is computed as 1 but is not."""


def information(rate: float, control_rate: float, share: float, *, null: float = 1.0) -> float:
    """Nats in one request, of which the part ``share`` is the candidate's, against "the candidate's
    rate is ``null`` times the control's".

    Rates and share are between 0 and 1; it is 0 if the rates are just ``null`` times apart.
    """
    p = nearest(control_rate, rate, of_one=1 - share, of_other=share, ratio=null)
    return share * _divergence(rate, null * p) + (1 - share) * _divergence(control_rate, p)


def requests_needed(
    nats: float, rate: float, control_rate: float, share: float, *, null: float = 1.0
) -> float:
    """Requests on both tracks together, in the mean, for ``nats`` of evidence (``log(1 / alpha)``
    for a whole test); infinite where the rates are just ``null`` times apart.
    """
    gain = information(rate, control_rate, share, null=null)
    return max(0.0, nats) / gain if gain > 0 else inf


def _divergence(p: float, q: float) -> float:
    """Kullback and Leibler's, of one request that fails with the chance ``p`` from one that fails
    with ``q``.
    """
    found = p * log(p / q) if p else 0.0
    return found + (1 - p) * (log1p(-p) - log1p(-min(q, _CERTAIN))) if p < 1 else found


def dispersion(looks: Iterable[tuple[int, int, int, int]]) -> float:
    """How clumped the events of looks at two tracks of one version are: 1 for independent requests
    (or fewer clumps than that), 3 for events that come three at a time.

    A look is ``(events, trials, control_events, control_trials)``; a minute each is a good length,
    some dozens are needed (Pearson's statistic over its degrees of freedom). Raises ValueError
    where no look has an event, or fewer than two have requests on both sides.
    """
    told = [(a, n, a + b, n + m) for a, n, b, m in looks if a + b and n and m]
    if len(told) < 2:
        raise ValueError(
            f"dispersion: {len(told)} looks have events and requests on both tracks; some "
            "dozens are needed"
        )
    expected = fsum([events * n / of for _, n, events, of in told])
    # What the tracks differ by on the whole is not clumping, so the shares are scaled to it.
    lean = fsum([own for own, _, _, _ in told]) / expected
    terms = []
    for own, n, events, of in told:
        share = min(lean * n / of, 1 - 1e-9)
        if share:
            terms.append((own - events * share) ** 2 / (events * share * (1 - share)))
    return max(1.0, fsum(terms) / (len(told) - 1)) if terms else 1.0
