"""Evidence of a change in a mean, from the moments alone. It may be looked at at any time; the promise is approximate.

Only numbers, means and sums of squares come in, so nothing holds for every distribution: the false alarms stay below alpha as far as the
central limit theorem reaches. Two things that are not optional make it reach far enough for the skewed values that business metrics are:
the variance is pooled over both tracks (with its own one, a small candidate without an outlier looks precise), and nothing is judged
before the candidate has had `BURN_IN` values. Differences are taken look by look and added with the weight that the numbers of values
give them, so that a mean that drifts while the share rises (Simpson's paradox) shows no difference that is not there.

With ``z`` the standardised difference towards harm and a prior on the harmful side with the standard deviation ``tau``,
``g = tau^2 / (tau^2 + se^2)``, the evidence is ``sqrt(1 - g) exp(g z^2 / 2) 2 Phi(z sqrt(g))`` (a one-sided normal mixture; Robbins, 1970;
Howard, Ramdas, McAuliffe and Sekhon, 2021).
"""

from __future__ import annotations

from math import inf, log, log1p, sqrt
from typing import Final, TypeAlias

from ._evidence import kept
from ._special import log_normal_cdf

__all__ = ["BURN_IN", "NOTHING", "State", "base", "bounds", "difference", "evidence", "needed", "standard_error", "update"]

BURN_IN: Final = 30
"""Values of the candidate before which nothing is judged."""

SCALE: Final = 0.2
"""The prior's standard deviation, as a part of the control's mean: a change of a fifth is what it looks for."""

State: TypeAlias = tuple[int, float, float, float, int, float]
"""The candidate's values; the weights of the looks; their differences, weighted; the sum of squares within looks and tracks and its
degrees of freedom; and the control's mean, weighted alike."""

NOTHING: Final[State] = (0, 0.0, 0.0, 0.0, 0, 0.0)
"""The evidence before the first look."""


def update(
    state: State, *, n: int, mean: float, m2: float, control_n: int, control_mean: float, control_m2: float, margin: float = 1.0
) -> State:
    """The state after one more look; both numbers of values must be above 0.

    The control's values count ``margin`` times: so does their spread, unless that would make it less.
    """
    values, weight, differences, squares, freedom, base = state
    more, spread = _weight(n, control_n, margin), max(1.0, margin * margin)
    return (
        values + n,
        kept(weight + more),
        kept(differences + more * (mean - margin * control_mean)),
        kept(squares + m2 + spread * control_m2),
        freedom + n + control_n - 2,
        kept(base + more * control_mean),
    )


def base(state: State) -> float:
    """The control's mean over all looks, weighted as the differences are; 0 before the first look."""
    return state[5] / state[1] if state[1] else 0.0


def difference(state: State) -> float:
    """The candidate's mean less ``margin`` times the control's, over all looks; 0 before the first."""
    return state[2] / state[1] if state[1] else 0.0


def standard_error(state: State, *, dispersion: float = 1.0) -> float:
    """Of `difference`; infinite while no variance is known. ``dispersion`` is by how much the variance of a sum of values is larger than
    that of independent ones.
    """
    _, weight, _, squares, freedom, _ = state
    return sqrt(dispersion * squares / freedom / weight) if freedom > 0 and squares > 0 else inf


def evidence(state: State, *, up: bool, dispersion: float = 1.0) -> float:
    """The natural logarithm of the evidence that the mean rose (``up``) or fell past the margin; 0 before the burn-in."""
    g = _gain(state, dispersion)
    if not g:
        return 0.0
    z = difference(state) / standard_error(state, dispersion=dispersion) * (1 if up else -1)
    return kept(0.5 * log1p(-g) + 0.5 * g * z * z + log(2) + log_normal_cdf(z * sqrt(g)))


def bounds(state: State, *, alpha: float = 0.05, dispersion: float = 1.0) -> tuple[float, float]:
    """The differences that the looks don't exclude, at every look at once with a probability of about 1 - ``alpha`` (the two-sided normal
    mixture of the same prior); infinite before the burn-in.
    """
    g = _gain(state, dispersion)
    if not g:
        return -inf, inf
    reach = standard_error(state, dispersion=dispersion) * sqrt((2 * log(1 / alpha) - log1p(-g)) / g)
    return difference(state) - reach, difference(state) + reach


def needed(state: State, nats: float, *, n: int, control_n: int, margin: float = 1.0, dispersion: float = 1.0) -> float:
    """How many more values on both tracks, split as ``n`` and ``control_n`` are, bring so much more evidence for a candidate whose mean is
    the control's; infinite if none would, or while no variance is known.
    """
    apart, error = base(state) * (1 - margin), standard_error(state, dispersion=dispersion)
    if not apart or error == inf:
        return inf
    weight_needed = 2 * max(0.0, nats) * error * error * state[1] / (apart * apart)
    return weight_needed * (n + control_n) / _weight(n, control_n, margin)


def _weight(n: int, control_n: int, margin: float) -> float:
    """By what the variance of one value is to be divided for that of "mean - margin * control_mean"."""
    return 1 / (1 / n + min(1.0, margin * margin) / control_n)


def _gain(state: State, dispersion: float) -> float:
    """The prior's part of the whole variance; 0 while nothing can be judged."""
    error, scale = standard_error(state, dispersion=dispersion), SCALE * abs(base(state))
    return 1 / (1 + (error / scale) ** 2) if state[0] >= BURN_IN and error < inf and scale else 0.0
