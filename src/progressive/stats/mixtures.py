"""Log mixture supermartingales, and the boundaries that bound a sum at all times.

A sum ``s`` of centred increments has an intrinsic time ``v``, in the square of the unit of ``s``,
such that ``exp(l s - psi(l) v)`` never expects to grow, for every ``l`` and a function ``psi`` that
depends on the kind of the increments. Its average over a prior on ``l`` expects no growth either,
so it ever reaches ``1 / alpha`` with a probability of at most ``alpha`` (Ville's inequality): for
any number of looks, also if the data decides when they stop. Where a sum crosses is the boundary,
and a confidence sequence is what the boundary does not exclude.

The priors are those of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49 (2021), propositions 5 to 10. Each is
conjugate, so the average is the prior density of "no difference" over its posterior density
(Savage and Dickey), and it is computed as that: a ratio of two densities in Loader's
saddle-point form, in which nothing large cancels however far out a sum is. Everything is in nats.

``v_opt`` is the intrinsic time at which the boundary for ``alpha_opt`` is to be tightest. It must
be chosen beforehand; a tenth of the real one costs a fourteenth of the boundary's height, ten times
of it a quarter. The boundary for another alpha than ``alpha_opt`` is as valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import exp, fsum, inf, log, log1p, sqrt
from typing import Final, NamedTuple, Protocol

from .special import log_normal_cdf
from .special.beta import beta_tails, log_beta_peak
from .special.gamma import gamma_terms, log_gamma_p, log_gamma_peak, log_gamma_q
from .special.series import between, fraction, positive

__all__ = [
    "BetaBinomial",
    "GammaExponential",
    "GammaPoisson",
    "Mixture",
    "Normal",
    "best_rho",
    "boundary",
    "empirical_process",
    "stitched",
]


class Mixture(Protocol):
    """A function of a sum and its intrinsic time that never expects to grow.

    One of the mixtures below, or your own.
    """

    def log(self, s: float, v: float) -> float:
        """Return the logarithm of the mixture for a sum ``s`` at the intrinsic time ``v``.

        ``v`` is 0 or more. The result is convex in ``s``, and at ``s`` = 0 not above 0.
        """
        ...

    def most(self, v: float) -> float:
        """Return the largest sum that is possible at ``v``; infinity if there is none."""
        ...


def boundary(mixture: Mixture, v: float, *, alpha: float) -> float:
    """Return the least sum from 0 on that excludes the null at the intrinsic time ``v``.

    ``alpha`` is the level, 0 to 1, both exclusive. It is infinite where no possible sum does. The
    lower boundary is the negative of that of the mirrored sum (for trials, with ``g`` and ``h``
    exchanged). By halving, to the last digit.
    """
    needed = -log(_level(alpha))
    high = mixture.most(v)
    if high == inf:
        high = sqrt(v) or 1.0
        while mixture.log(high, v) < needed:
            high *= 2
    elif mixture.log(high, v) < needed:
        return inf
    low = 0.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if mixture.log(middle, v) < needed else (low, middle)
    return high


def best_rho(v_opt: float, alpha_opt: float = 0.05, *, one_sided: bool) -> float:
    """Return the precision of a normal prior whose boundary is tightest at ``v_opt``, nearly.

    It is in closed form; the exact one takes Lambert's W. ``v_opt`` is above 0; ``alpha_opt`` is
    above 0 and below 1, or 1/2 if ``one_sided``. The other mixtures are tuned by it as well: their
    priors agree with the normal one in the variance of ``l``.
    """
    positive(v_opt, "v_opt")
    sides = 2 if one_sided else 1
    nats = -2 * log(sides * _level(alpha_opt, 1 / sides, "alpha_opt"))
    return v_opt / (nats + log1p(nats))


def _level(alpha: float, top: float = 1.0, what: str = "alpha") -> float:
    if 0 < alpha < top:
        return alpha
    raise ValueError(f"{what}={alpha!r} is not between 0 and {top:g}; 5 % is 0.05")


class Normal(NamedTuple):
    """The mixture for increments with ``psi(l) = l**2 / 2``.

    Such are normal ones, or any whose tails are no heavier, with ``v`` the sum of their variances.

    The prior is normal; one-sided, its half above 0 (propositions 5 and 6; Robbins, 1970).
    """

    v_opt: float
    alpha_opt: float = 0.05
    one_sided: bool = True

    def log(self, s: float, v: float) -> float:
        """Return the logarithm of the mixture, for every ``s`` and for ``v`` 0 or more."""
        between(v, 0, inf, "v")
        rho = best_rho(self.v_opt, self.alpha_opt, one_sided=self.one_sided)
        z = s / sqrt(v + rho)
        two_sided = 0.5 * (z * z - log1p(v / rho))
        return two_sided + log(2) + log_normal_cdf(z) if self.one_sided else two_sided

    def most(self, v: float) -> float:
        """Return infinity: no sum is too large."""
        return inf


class BetaBinomial(NamedTuple):
    """The mixture for increments from ``-g`` to ``h`` (both above 0) with mean 0.

    Each adds ``g h`` to ``v``, as do trials less their chance, with ``g = p`` and ``h = 1 - p``.

    The prior is a beta distribution of the chance of a step up, around ``g / (g + h)``; one-sided,
    its part above (propositions 7 and 8).
    """

    g: float
    h: float
    v_opt: float
    alpha_opt: float = 0.05
    one_sided: bool = True

    def log(self, s: float, v: float) -> float:
        """Return the logarithm of the mixture, for ``s`` between ``-v / h`` and ``v / g``.

        No sum of such increments is elsewhere; raises `ValueError` for one.
        """
        g, h = _positive_pair(self.g, self.h)
        between(v, 0, inf, "v")
        whole = g + h
        up, down = (v / h + s) / whole, (v / g - s) / whole
        if min(up, down) < -1e-9 * (up + down):
            raise ValueError(f"s={s!r} is not between -v / h and v / g: {-v / h:g} and {v / g:g}")
        up, down = max(0.0, up), max(0.0, down)
        rho = best_rho(self.v_opt, self.alpha_opt, one_sided=self.one_sided)
        r = max(rho - g * h, _LEAST_PRIOR * g * h)
        a, b, x, y = r / (h * whole), r / (g * whole), g / whole, h / whole
        mixture = log_beta_peak(x, y, a, b) - log_beta_peak(x, y, a + up, b + down)
        if self.one_sided:
            mixture += beta_tails(x, y, a + up, b + down)[1] - beta_tails(x, y, a, b)[1]
        return mixture

    def most(self, v: float) -> float:
        """Return the sum if all steps are up."""
        return v / self.g


_LEAST_PRIOR: Final = 1e-3
"""The least weight of a prior, as a part of one trial. Less would be tuned for a ``v_opt`` of only
a few trials, and would not be a proper prior.
"""


def _positive_pair(g: float, h: float) -> tuple[float, float]:
    """Return both if they are above 0 and finite; raise `ValueError` otherwise."""
    positive(g, "g")
    positive(h, "h")
    return g, h


class GammaExponential(NamedTuple):
    """The mixture for increments with ``psi(l) = (-log(1 - c l) - c l) / c**2``.

    Such are exponential times less their mean ``c``, with ``v`` the sum of their variances, or
    increments whose tails are no heavier.

    The prior of ``1 - c l`` is a gamma distribution up to 1 (proposition 9). Always one-sided.
    """

    c: float
    v_opt: float
    alpha_opt: float = 0.05

    def log(self, s: float, v: float) -> float:
        """Return the logarithm of the mixture, for every ``s`` and for ``v`` 0 or more."""
        positive(self.c, "c")
        between(v, 0, inf, "v")
        rho, square = best_rho(self.v_opt, self.alpha_opt, one_sided=True), self.c * self.c
        prior = rho / square
        return _log_below((v + rho) / square, (self.c * s + v + rho) / square) - _log_below(
            prior, prior
        )

    def most(self, v: float) -> float:
        """Return infinity: no sum is too large."""
        return inf


class GammaPoisson(NamedTuple):
    """The mixture for increments with ``psi(l) = (exp(c l) - c l - 1) / c**2``.

    Such are Poisson counts less their mean, with ``c = 1`` and ``v`` the mean; in steps of ``c`` or
    at most that, with ``v`` the variance.

    The prior of ``exp(c l)``, the multiple of the mean, is a gamma distribution around 1;
    one-sided, its part above (proposition 10). The two-sided one is for sums that rise in steps of
    ``c`` and fall continuously, as counts less their mean do.
    """

    c: float
    v_opt: float
    alpha_opt: float = 0.05
    one_sided: bool = True

    def log(self, s: float, v: float) -> float:
        """Return the logarithm of the mixture, for ``v`` 0 or more.

        Two-sided, ``s`` must be at least ``-v / c``: a count is not below 0.
        """
        positive(self.c, "c")
        between(v, 0, inf, "v")
        rho = best_rho(self.v_opt, self.alpha_opt, one_sided=self.one_sided)
        square = self.c * self.c
        prior, seen, expected = rho / square, (self.c * s + v) / square, v / square
        if self.one_sided:
            return _log_above(prior + seen, prior + expected) - _log_above(prior, prior)
        if seen < -1e-9 * expected:
            raise ValueError(f"s={s!r} is below -v / c, {-v / self.c:g}")
        return log_gamma_peak(prior, prior) - log_gamma_peak(
            prior + expected, prior + max(0.0, seen)
        )

    def most(self, v: float) -> float:
        """Return infinity: no sum is too large."""
        return inf


def _log_below(a: float, x: float) -> float:
    """Return the logarithm of the integral of ``u**(a - 1) exp(x (1 - u))`` over ``u`` in [0, 1].

    For ``a`` above 0 and every ``x``. Below ``a``, and for a negative ``x``, by the continued
    fraction of Murphy and McCabe (Cuyt et al., "Handbook of Continued Fractions for Special
    Functions", 2008, chapter 12); it converges everywhere.
    """
    if x >= a:
        return log_gamma_p(a, x) - log_gamma_peak(x, a)
    return -log(fraction(a - x, _terms_below(x, a)))


def _terms_below(x: float, a: float) -> Iterator[tuple[float, float]]:
    m = 0
    while True:
        m += 1
        yield m * x, a + m - x


def _log_above(a: float, x: float) -> float:
    """Return the same over ``u`` in [1, infinity], for ``x`` above 0 and every ``a``."""
    if a > x:
        return log_gamma_q(a, x) - log_gamma_peak(x, a)
    return -log(fraction(x - a + 1, gamma_terms(x, a)))


def stitched(
    v: float, *, alpha: float, v_min: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> float:
    """Return the polynomial stitched boundary for sub-gamma sums with the scale ``c``.

    It has the rate of the law of the iterated logarithm (Howard, Ramdas, McAuliffe and Sekhon,
    2021, theorem 1).

    * ``v_min`` (above 0): the time from which it holds; before, the boundary is that at ``v_min``.
    * ``c``: 0 (sub-Gaussian) or more.
    * ``eta`` (above 1): the length of an epoch over that of the one before.
    * ``s`` (above 1): the share of alpha of the epoch ``k`` falls as ``k**-s``.
    """
    positive(v_min, "v_min")
    between(c, 0, inf, "c")
    _above_one(s, "s")
    _above_one(eta, "eta")
    time = max(v, v_min)
    nats = s * log1p(log(time / v_min) / log(eta)) + log(_zeta(s)) - log(_level(alpha))
    first, second = (eta**0.25 + eta**-0.25) / sqrt(2), (sqrt(eta) + 1) / 2
    linear = c * second * nats
    return sqrt(first * first * time * nats + linear * linear) + linear


def _above_one(value: float, what: str) -> None:
    if (1 < value < inf) is False:
        raise ValueError(f"{what}={value!r} must be above 1 and finite")


_BERNOULLI: Final = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
_ADDED: Final = 20
"""Terms that are added up one by one; the first of Euler and Maclaurin's that is left out is then
below 1e-20 for every ``s``.
"""


def _zeta(s: float) -> float:
    """Return Riemann's zeta function for ``s`` above 1, by Euler and Maclaurin (DLMF 25.2.9)."""
    n = float(_ADDED)
    terms = [k**-s for k in range(1, _ADDED)]
    terms += [n ** (1 - s) / (s - 1), 0.5 * n**-s]
    factor = n**-s
    for i, number in enumerate(_BERNOULLI, 1):
        # s (s + 1) ... (s + 2 i - 2) / (2 i)! n^(1 - s - 2 i)
        factor *= (
            (s if i == 1 else (s + 2 * i - 3) * (s + 2 * i - 2))
            / ((2 * i - 1) * (2 * i))
            / (n if i == 1 else n * n)
        )
        terms.append(number * factor)
    return fsum(terms)


def empirical_process(t: float, *, alpha: float, t_min: float, scale: float = 0.85) -> float:
    """Bound the distance of the empirical distribution of ``t`` values from the true one.

    It holds at every point and at every time from ``t_min`` on, but for a chance of ``alpha``, for
    independent values; before ``t_min`` it is infinite. It falls as ``sqrt(log(log(t)) / t)``.
    (Howard and Ramdas, "Sequential estimation of quantiles", Bernoulli 28 (2022), theorem 2.)

    * ``t_min``: 1 or more.
    * ``scale`` (above the square root of 1/2): the factor in front; a smaller one is tighter for
      very many values.
    """
    between(t_min, 1, inf, "t_min")
    if (0.5 < scale * scale < inf) is False:
        raise ValueError(f"scale={scale!r} must be above the square root of 1/2 and finite")
    if t < t_min:
        return inf
    return scale * sqrt((log1p(log(t / t_min)) + _offset(_level(alpha), scale)) / t)


_GOLDEN: Final = (sqrt(5) - 1) / 2


@lru_cache(maxsize=64)
def _offset(alpha: float, scale: float) -> float:
    """Return the least constant that the theorem allows, over all lengths ``eta`` of an epoch.

    It is found by the golden section of the logarithm of ``eta``.
    """
    low, high = 0.0, log(2 * scale * scale)
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_one, at_other = _offset_of(alpha, scale, one), _offset_of(alpha, scale, other)
    while high - low > 1e-9:
        if at_one < at_other:
            high, other, at_other = other, one, at_one
            one = high - _GOLDEN * (high - low)
            at_one = _offset_of(alpha, scale, one)
        else:
            low, one, at_one = one, other, at_other
            other = low + _GOLDEN * (high - low)
            at_other = _offset_of(alpha, scale, other)
    return min(at_one, at_other)


def _offset_of(alpha: float, scale: float, log_eta: float) -> float:
    """Return the constant for one length of an epoch.

    It is where the theorem's bound of the chance, which falls with it, reaches ``alpha``.
    """
    eta = exp(log_eta)

    def enough(constant: float) -> bool:
        gamma = sqrt(2 / eta) * (scale - sqrt(2 * (eta - 1) / constant))
        if gamma <= 1:
            return False
        return log(4) - gamma * gamma * constant + log1p(
            1 / ((gamma * gamma - 1) * log_eta)
        ) <= log(alpha)

    low, high = 0.0, 1.0
    while not enough(high):
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
