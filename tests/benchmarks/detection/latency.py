"""Slower answers, from the default buckets of Prometheus' client libraries: who sees them, and
after how many requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from progressive.stats import histogram_tails as tails

EDGES: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
MEDIAN, SIGMA = 0.1, 0.8
EACH, OTHERS = 100, 900
"""Requests of the candidate and of stable in each look of ten seconds: a tenth of a hundred a
second.
"""

TRUE_P99 = MEDIAN * math.exp(2.326 * SIGMA)

Cells = NDArray[np.int64]
Kind = tuple[str, float, float]
KINDS: Final[tuple[Kind, ...]] = (
    ("none", 1.0, 0.0),
    ("all x 1.1", 1.1, 0.0),
    ("all x 1.25", 1.25, 0.0),
    ("all x 1.5", 1.5, 0.0),
    ("all x 2", 2.0, 0.0),
    ("1 % take 1.5 s", 1.0, 0.01),
    ("5 % take 1.5 s", 1.0, 0.05),
)
"""What is wrong: its name, by how much everything is slower, and which part takes a second and a
half.
"""


def chances(slower: float, stuck: float) -> NDArray[np.float64]:
    """The part of the requests in each bucket."""
    below = [
        0.5 * math.erfc(-math.log(edge / (MEDIAN * slower)) / SIGMA / math.sqrt(2))
        for edge in EDGES
    ]
    below = [
        (1 - stuck) * part + stuck * (edge >= 1.5) for part, edge in zip(below, EDGES, strict=True)
    ]
    return np.diff([0.0, *below, 1.0])


def limit(slower: float, stuck: float, alpha: float = 0.05) -> float:
    """Requests of the candidate that any test needs in the mean."""
    p, q, share = chances(slower, stuck), chances(1.0, 0.0), EACH / (EACH + OTHERS)
    pooled = share * p + (1 - share) * q
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = share * np.nansum(p * np.log(p / pooled)) + (1 - share) * np.nansum(
            q * np.log(q / pooled)
        )
    return math.log(1 / alpha) / float(gain) * share if gain > 0 else math.inf


def evidence(mine: Cells, theirs: Cells) -> list[float]:
    """Ours, look by look."""
    state, found = tails.RESERVED, []
    for own, other in zip(
        mine.cumsum(axis=1).tolist(), theirs.cumsum(axis=1).tolist(), strict=True
    ):
        state = tails.update(state, edges=EDGES, candidate=own, control=other)
        found.append(tails.evidence(state))
    return found


def p99(cells: Cells) -> float:
    """As Prometheus interpolates it."""
    total, rank = cells.sum(), 0.99 * cells.sum()
    below = np.concatenate([[0], cells.cumsum()])
    i = int(np.searchsorted(below[1:], rank))
    if i >= len(EDGES) or not total:
        return EDGES[-1]
    low = EDGES[i - 1] if i else 0.0
    return low + (EDGES[i] - low) * (rank - below[i]) / max(1, cells[i])


def ours(mine: Cells, theirs: Cells) -> int:
    needed = math.log(20)
    return next((k for k, found in enumerate(evidence(mine, theirs)) if found >= needed), -1)


def p99_limit(times: float, failures: int) -> Callable[[Cells, Cells], int]:
    """The interpolated p99 of each minute above ``times`` that of stable; more than so many minutes
    of it alarm.
    """

    def alarm(mine: Cells, theirs: Cells) -> int:
        failed = 0
        for k in range(0, len(mine) - 5, 6):
            failed += p99(mine[k : k + 6].sum(axis=0)) > times * p99(theirs[k : k + 6].sum(axis=0))
            if failed > failures:
                return k + 5
        return -1

    return alarm


RULES: Final[dict[str, Callable[[Cells, Cells], int]]] = {
    "ours": ours,
    "p99 above 1.25 x stable's, at once": p99_limit(1.25, 0),
    "the same, 3 failures allowed": p99_limit(1.25, 3),
}


def table(
    rng: np.random.Generator, rollouts: int, looks: int
) -> list[tuple[str, float, dict[str, tuple[float, float]]]]:
    """For each kind of trouble: the limit, and for each rule how often it alarms and after how many
    requests in the median.
    """
    found = []
    for name, slower, stuck in KINDS:
        stopped: dict[str, list[int]] = {rule: [] for rule in RULES}
        for _ in range(rollouts):
            mine = rng.multinomial(EACH, chances(slower, stuck), looks)
            theirs = rng.multinomial(OTHERS, chances(1.0, 0.0), looks)
            for rule, run in RULES.items():
                stopped[rule].append(run(mine, theirs))
        found.append(
            (
                name,
                limit(slower, stuck),
                {rule: _told(alarms, looks) for rule, alarms in stopped.items()},
            )
        )
    return found


def _told(alarms: list[int], looks: int) -> tuple[float, float]:
    requests = [(alarm + 1) * EACH if alarm >= 0 else math.inf for alarm in alarms]
    return sum(alarm >= 0 for alarm in alarms) / len(alarms), float(np.median(requests))
