"""A sequential test for a change of a mean, from moments alone.

It may be looked at at any time; its bound on false alarms is approximate. Only numbers, means and
sums of squares come in, so no bound can hold for every distribution: the false alarms stay below
alpha as far as the central limit theorem reaches. Two things that are not optional make it reach
far enough for the skewed values that business metrics are: the variance is pooled over both tracks
(with its own one, a small candidate without an outlier looks precise), and nothing is judged before
the candidate has had `BURN_IN` values. Differences are taken look by look and added with the weight
that the numbers of values give them, so that a mean that drifts while the share rises (Simpson's
paradox) shows no difference that is not there.

With ``z`` the standardised difference towards harm and a prior on the harmful side with the
standard deviation ``tau``, ``g = tau^2 / (tau^2 + se^2)``, the evidence is
``sqrt(1 - g) exp(g z^2 / 2) 2 Phi(z sqrt(g))`` (a one-sided normal mixture; Robbins, 1970; Howard,
Ramdas, McAuliffe and Sekhon, 2021).
"""

from __future__ import annotations

from math import inf, log, log1p, pi, sqrt
from typing import Final, TypeAlias

from .evidence import kept
from .special import log_normal_cdf

__all__ = [
    "BURN_IN",
    "INITIAL",
    "State",
    "base",
    "bounds",
    "difference",
    "evidence",
    "needed",
    "standard_error",
    "update",
]

BURN_IN: Final = 30
"""Values of the candidate before which nothing is judged."""

SCALE: Final = 0.2
"""The prior's standard deviation, as a part of the control's mean: it is tuned for a change of a
fifth.
"""

_FAR: Final = -30.0
"""Standard errors on the good side from which on a tail is computed by the first terms of its
series.
"""

State: TypeAlias = tuple[int, float, float, float, float, float, int, float]
"""The candidate's values; the weights of the looks; the means of the candidate and of the control,
weighted; the sums of squares within the looks of either; their degrees of freedom; and the part of
the weighted sum's variance that comes from the candidate's values.
"""

INITIAL: Final[State] = (0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0)
"""The evidence before the first look."""


def update(
    state: State,
    *,
    n: int,
    mean: float,
    m2: float,
    control_n: int,
    control_mean: float,
    control_m2: float,
) -> State:
    """Return the state after one more look; ``n`` and ``control_n`` must be above 0."""
    values, weight, own, control, squares, control_squares, freedom, part = state
    # The variance of "mean - control_mean" is that of one value divided by this.
    more = 1 / (1 / n + 1 / control_n)
    return (
        values + n,
        kept(weight + more),
        kept(own + more * mean),
        kept(control + more * control_mean),
        kept(squares + m2),
        kept(control_squares + control_m2),
        freedom + n + control_n - 2,
        kept(part + more * more / n),
    )


def base(state: State) -> float:
    """Return the control's mean over all looks, weighted as the differences; 0 before the first."""
    return state[3] / state[1] if state[1] else 0.0


def difference(state: State, *, margin: float = 1.0) -> float:
    """Return the candidate's mean less ``margin`` times the control's; 0 before the first look."""
    return (state[2] - margin * state[3]) / state[1] if state[1] else 0.0


def standard_error(state: State, *, margin: float = 1.0, dispersion: float = 1.0) -> float:
    """Return the standard error of `difference`; infinite while no variance is known.

    ``dispersion``: how many times the variance of a sum of values is that of independent ones.

    With a margin it is not known whether only the means are so many times apart, or all values and
    with them their spread. The larger of the two variances is taken for each track; both are
    pooled.
    """
    _, weight, _, _, squares, control_squares, freedom, part = state
    if freedom <= 0 or squares + control_squares <= 0:
        return inf
    shifted, stretched = squares + control_squares, squares + margin * margin * control_squares
    variance = max(shifted, stretched) * part + max(margin * margin * shifted, stretched) * (
        weight - part
    )
    return sqrt(dispersion * variance / freedom) / weight or inf


def evidence(state: State, *, up: bool, margin: float = 1.0, dispersion: float = 1.0) -> float:
    """Return the evidence that the mean rose (``up``) or fell past ``margin`` times the control's.

    In nats; 0 before the burn-in.
    """
    error = _error(state, margin, dispersion)
    if error == inf:
        return 0.0
    z = (
        difference(state, margin=margin)
        / standard_error(state, margin=margin, dispersion=dispersion)
        * (1 if up else -1)
    )
    x = z / sqrt(1 + error * error)
    # Far on the good side the two terms nearly cancel; their sum is Mills' ratio.
    tail = (
        0.5 * x * x + log_normal_cdf(x)
        if x > _FAR
        else -log(-x * sqrt(2 * pi)) + log1p(-1 / (x * x))
    )
    return kept(0.5 * _log_rest(error) + log(2) + tail)


def bounds(
    state: State, *, margin: float = 1.0, alpha: float = 0.05, dispersion: float = 1.0
) -> tuple[float, float]:
    """Return the confidence bounds of `difference`; infinite before the burn-in.

    They hold at every look at once with a probability of about 1 - ``alpha`` (the two-sided normal
    mixture of the same prior).
    """
    error = _error(state, margin, dispersion)
    if error == inf:
        return -inf, inf
    widened = sqrt((2 * log(1 / alpha) - _log_rest(error)) * (1 + error * error))
    reach = standard_error(state, margin=margin, dispersion=dispersion) * widened
    middle = difference(state, margin=margin)
    return middle - reach, middle + reach


def needed(
    state: State,
    nats: float,
    *,
    n: int,
    control_n: int,
    margin: float = 1.0,
    dispersion: float = 1.0,
) -> float:
    """Return how many more values on both tracks bring ``nats`` more of evidence.

    For a candidate whose mean is the control's, and values split as ``n`` and ``control_n`` are.
    Infinite if no number would do, or while no variance is known.
    """
    apart = base(state) * (1 - margin)
    error = standard_error(state, margin=margin, dispersion=dispersion)
    if not apart or error == inf:
        return inf
    errors = error / apart
    weight_needed = 2 * max(0.0, nats) * errors * errors * state[1]
    first = max(0, BURN_IN - state[0]) * (n + control_n) / n
    return max(first, weight_needed * (n + control_n) * (1 / n + 1 / control_n))


def _error(state: State, margin: float, dispersion: float) -> float:
    """Return the standard error as a multiple of the prior's; infinite before the burn-in."""
    error = standard_error(state, margin=margin, dispersion=dispersion)
    scale = SCALE * abs(base(state))
    return error / scale if state[0] >= BURN_IN and scale else inf


def _log_rest(error: float) -> float:
    """Return the logarithm of the error's part of the whole variance, without cancellation."""
    return 2 * log(error) - log1p(error * error) if error < 1 else -log1p(1 / (error * error))
