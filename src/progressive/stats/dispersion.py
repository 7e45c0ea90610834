"""By how much events come in clumps: retries of one user, one noisy client, bursts of one track.

Every rule that counts requests takes them to be independent. Where each failing user fails three times, there is a third of the evidence
that there seems to be, and false alarms with it. The number to know is the dispersion: the variance of the candidate's events around what
its share leads one to expect, as a multiple of what independent requests would show. It is measured where both tracks run the same version
(instances of stable, or an earlier rollout of a version that was good) and given to the check, which divides its evidence by it. Better
still is to count what is independent: users, or first attempts. Above 3, do that.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

__all__ = ["dispersion"]


def dispersion(looks: Iterable[tuple[int, int, int, int]]) -> float:
    """How clumped the events of looks at two tracks of one version are: 1 for independent requests (or fewer clumps than that), 3 for
    events that come three at a time.

    A look is ``(events, trials, control_events, control_trials)``; a minute each is a good length, some dozens are needed (Pearson's
    statistic over its degrees of freedom). Raises ValueError where no look has an event, or fewer than two have requests on both sides.
    """
    told = [(a, n, a + b, n + m) for a, n, b, m in looks if a + b and n and m]
    if len(told) < 2:
        raise ValueError(f"dispersion: {len(told)} looks have events and requests on both tracks; some dozens are needed")
    expected = fsum([events * n / of for _, n, events, of in told])
    # What the tracks differ by on the whole is not clumping, so the shares are scaled to it.
    lean = fsum([own for own, _, _, _ in told]) / expected
    terms = []
    for own, n, events, of in told:
        share = min(lean * n / of, 1 - 1e-9)
        if share:
            terms.append((own - events * share) ** 2 / (events * share * (1 - share)))
    return max(1.0, fsum(terms) / (len(told) - 1)) if terms else 1.0
