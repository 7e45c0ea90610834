"""Simulated traffic of many rollouts at once: what each track had in each look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

LOOK_SECONDS = 10
LOOKS = 360
"""An hour, looked at every ten seconds."""


@dataclass(frozen=True)
class Traffic:
    """Requests and errors of both tracks: a row for each rollout, a column for each look. ``asked``
    is the weight that was asked for.
    """

    candidate: Numbers
    candidate_errors: Numbers
    stable: Numbers
    stable_errors: Numbers
    asked: NDArray[np.float64]

    def every(self, looks: int) -> Traffic:
        """The same traffic looked at more seldom."""

        def joined(counts: Numbers) -> Numbers:
            rollouts, columns = counts.shape
            found: Numbers = (
                counts[:, : columns // looks * looks].reshape(rollouts, -1, looks).sum(axis=2)
            )
            return found

        return Traffic(
            joined(self.candidate),
            joined(self.candidate_errors),
            joined(self.stable),
            joined(self.stable_errors),
            self.asked[: len(self.asked) // looks * looks : looks],
        )


def independent(
    rng: np.random.Generator,
    *,
    weight: float,
    base: float,
    ratio: float,
    rps: float,
    rollouts: int,
    looks: int = LOOKS,
) -> Traffic:
    """Every request on its own: its track by the weight, its failure by the track's rate."""
    shape = (rollouts, looks)
    candidate = rng.poisson(weight * rps * LOOK_SECONDS, shape)
    stable = rng.poisson((1 - weight) * rps * LOOK_SECONDS, shape)
    return Traffic(
        candidate,
        rng.binomial(candidate, min(1.0, base * ratio)),
        stable,
        rng.binomial(stable, base),
        np.full(looks, weight),
    )
