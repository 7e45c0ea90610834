"""What the others compute, written from their papers and documentation, for comparison only; their
published values are in `tests/data`.

Multinomial counts: Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022),
as savvi has it. The asymptotic confidence sequence: Waudby-Smith et al. (2024), as GrowthBook has
it. Group sequential bounds: Lan and DeMets (1983) with Spotify's spending. Two quantiles: Howard
and Ramdas (2022), as confseq has it. What Prometheus makes of a histogram is
`progressive.stats.quantiles.bucket_quantile`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import norm

from progressive.stats.mixtures import BetaBinomial

# -------------------------------------------------------------------------------------- multinomial


def log_odds(counts: Sequence[float], expected: Sequence[float], concentration: float) -> float:
    """The log Bayes factor of a Dirichlet prior around ``expected`` (parts of 1) against just
    these, after ``counts`` in all.
    """
    seen, null = np.asarray(counts, dtype=float), np.asarray(expected, dtype=float)
    prior = concentration * null
    return float(_log_beta(prior + seen) - _log_beta(prior) - seen @ np.log(null))


def multinomial_interval(
    counts: Sequence[float], expected: Sequence[float], concentration: float, alpha: float = 0.05
) -> list[tuple[float, float]]:
    """For each part, from where to where it goes among all that the counts don't exclude. The prior
    stays around ``expected``.
    """
    seen, prior = np.asarray(counts, dtype=float), concentration * np.asarray(expected, dtype=float)
    least = float(_log_beta(prior + seen) - _log_beta(prior)) + math.log(alpha)
    return [_part(own, np.delete(seen, i), least) for i, own in enumerate(seen)]


def _part(own: float, others: NDArray[np.float64], least: float) -> tuple[float, float]:
    """Of one part ``x``: the likeliest others share what it leaves in proportion to their
    counts.
    """
    rest = float(others.sum())
    shares = float(sum(n * math.log(n / rest) for n in others if n > 0))

    def above(x: float) -> float:
        return (
            (own * math.log(x) if own else 0.0)
            + (rest * math.log1p(-x) if rest else 0.0)
            + shares
            - least
        )

    return _ends(above, own / (own + rest) if own + rest else 0.5)


def _ends(above: Callable[[float], float], inside: float) -> tuple[float, float]:
    """Where a concave function on (0, 1) that is above 0 at ``inside`` (or next to it) crosses 0;
    the ends where it doesn't.
    """
    tiny = 1e-15
    low = brentq(above, tiny, inside, xtol=1e-14) if inside > tiny and above(tiny) < 0 else 0.0
    high = (
        brentq(above, inside or tiny, 1 - tiny, xtol=1e-14)
        if inside < 1 - tiny and above(1 - tiny) < 0
        else 1.0
    )
    return float(low), float(high)


def poisson_log_odds(
    counts: Sequence[float], rates: Sequence[float], concentration: float
) -> float:
    """The same for Poisson processes whose rates may change if only their proportions don't: to
    which of them each event belongs.
    """
    return log_odds(counts, [rate / math.fsum(rates) for rate in rates], concentration)


def log_ratio_interval(
    counts: Sequence[float], rates: Sequence[float], concentration: float, alpha: float = 0.05
) -> tuple[float, float]:
    """Of two processes: the logarithm of how many times the first one's rate is what ``rates`` let
    expect, relative to the second one's.
    """
    whole = math.fsum(rates)
    low, high = multinomial_interval(
        counts, [rate / whole for rate in rates], concentration, alpha
    )[0]
    expected = math.log(rates[0] / rates[1])
    return _logit(low) - expected, _logit(high) - expected


def _logit(x: float) -> float:
    return math.log(x / (1 - x)) if 0 < x < 1 else math.copysign(math.inf, x - 0.5)


def _log_beta(parameters: NDArray[np.float64]) -> float:
    return float(gammaln(parameters).sum() - gammaln(parameters.sum()))


# --------------------------------------------------------------- the asymptotic confidence sequence


class Lift(NamedTuple):
    """The interval of a difference, or of it as a part of stable's rate; and the p-value that may
    be looked at at any time.
    """

    low: float
    high: float
    p: float


CurveLike = float | NDArray[np.float64]


def lift(
    events: CurveLike,
    n: CurveLike,
    control_events: CurveLike,
    control_n: CurveLike,
    *,
    relative: bool,
) -> tuple[CurveLike, CurveLike]:
    """The difference of two rates and its variance; ``relative`` to the control's rate by the delta
    method. Numbers or arrays.
    """
    rate, control = events / n, control_events / control_n
    variance, control_variance = rate * (1 - rate) / n, control * (1 - control) / control_n
    if relative:
        return (
            rate - control
        ) / control, variance / control**2 + control_variance * rate**2 / control**4
    return rate - control, variance + control_variance


def asymptotic_rho_squared(alpha: float, n_star: float) -> float:
    """The tuning: tightest after ``n_star`` values of both tracks."""
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / n_star


def asymptotic(
    *,
    events: int,
    n: int,
    control_events: int,
    control_n: int,
    alpha: float = 0.05,
    n_star: float = 5_000,
    relative: bool = True,
) -> Lift:
    """GrowthBook's sequential interval of two proportions."""
    difference, variance = lift(events, n, control_events, control_n, relative=relative)
    every, rho = n + control_n, asymptotic_rho_squared(alpha, n_star)
    grown = every * rho + 1
    reach = math.sqrt(variance * 2 * grown / (every * rho) * math.log(math.sqrt(grown) / alpha))
    evidence = every * rho / (2 * grown) * difference**2 / variance - 0.5 * math.log(grown)
    return Lift(float(difference - reach), float(difference + reach), min(1.0, math.exp(-evidence)))


# --------------------------------------------------------------------------- group sequential tests


def group_sequential(
    information: Sequence[float], alpha: float = 0.05, *, sides: int = 1, points: int = 601
) -> list[float]:
    """The bounds of ``z`` at looks with these parts of all information, when ``alpha * t**2`` may
    have been spent at the part ``t``.

    By following the density of the sum that has not crossed (Armitage, McPherson and Rowe, 1969),
    with Simpson's rule. With two ``sides`` each has half of alpha, and the bounds are symmetric.
    """
    found: list[float] = []
    spent, before = 0.0, 0.0
    at, density = np.zeros(1), np.ones(1)
    for part in information:
        step, to_spend = math.sqrt(part - before), alpha * part**2 / sides - spent

        def crossing(
            bound: float,
            at: NDArray[np.float64] = at,
            density: NDArray[np.float64] = density,
            step: float = step,
        ) -> float:
            return float(density @ norm.sf((bound - at) / step))

        bound = brentq(
            lambda b, spent=to_spend: math.log(crossing(b) or 1e-300) - math.log(spent),
            0,
            12 * math.sqrt(part),
        )
        lowest = -bound if sides == 2 else -8 * math.sqrt(part)
        new = np.linspace(lowest, bound, points)
        weights = np.full(points, 2.0)
        weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
        density = (
            norm.pdf((new[:, None] - at[None, :]) / step)
            / step
            @ density
            * weights
            * (new[1] - new[0])
            / 3
        )
        at, spent, before = new, alpha * part**2 / sides, part
        found.append(float(bound / math.sqrt(part)))
    return found


# ------------------------------------------------------------------------------------ two quantiles


def quantiles_p(one: Sequence[float], other: Sequence[float], p: float, *, planned: float) -> float:
    """The p-value of "both have the same ``p`` quantile", which may be looked at at any time: the
    product of what two beta-binomial mixtures say against a common quantile, at the value that they
    exclude least.
    """
    mixture = BetaBinomial(g=p, h=1 - p, v_opt=planned * p * (1 - p), one_sided=False)
    first, second = sorted(one), sorted(other)

    def against(ordered: list[float], value: float) -> float:
        n = len(ordered)
        # Of all numbers from those below to those up to the value, the one that speaks against it
        # least is next to what is expected.
        least, most = bisect_left(ordered, value), bisect_right(ordered, value)
        near = {min(max(k, least), most) for k in (math.floor(n * p), math.ceil(n * p))}
        return min(mixture.log(k - n * p, n * p * (1 - p)) for k in near)

    return math.exp(
        -max(
            0.0, min(against(first, value) + against(second, value) for value in {*first, *second})
        )
    )
