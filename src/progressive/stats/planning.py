"""What can be known at all: the least number of requests with which any test can tell two rates apart.

No test whose false alarms stay below ``alpha``, whatever it knows of the size of the change, needs fewer requests in the mean than
``log(1 / alpha)`` over the information in one: the least divergence (Kullback and Leibler) of what happens from anything that is still
tolerated (Wald, 1945; Garivier and Kaufmann, 2016). Our tests need a fifth more at most where it matters. Traffic decides only how long it
takes to have so many.
"""

from __future__ import annotations

from math import inf, log, log1p
from typing import Final

from .blocks import nearest

__all__ = ["information", "requests_needed"]

_CERTAIN: Final = 1 - 2**-53
"""The largest number below 1: a rate that is computed as 1 but is not."""


def information(rate: float, control_rate: float, share: float, *, null: float = 1.0) -> float:
    """Nats in one request, of which the part ``share`` is the candidate's, against "the candidate's rate is ``null`` times the control's".

    Rates and share are between 0 and 1; it is 0 if the rates are just ``null`` times apart.
    """
    p = nearest(control_rate, rate, of_one=1 - share, of_other=share, ratio=null)
    return share * _divergence(rate, null * p) + (1 - share) * _divergence(control_rate, p)


def requests_needed(nats: float, rate: float, control_rate: float, share: float, *, null: float = 1.0) -> float:
    """Requests on both tracks together, in the mean, for ``nats`` of evidence (``log(1 / alpha)`` for a whole test); infinite where the
    rates are just ``null`` times apart.
    """
    gain = information(rate, control_rate, share, null=null)
    return max(0.0, nats) / gain if gain > 0 else inf


def _divergence(p: float, q: float) -> float:
    """Kullback and Leibler's, of one request that fails with the chance ``p`` from one that fails with ``q``."""
    found = p * log(p / q) if p else 0.0
    return found + (1 - p) * (log1p(-p) - log1p(-min(q, _CERTAIN))) if p < 1 else found
