"""Special functions and distributions for the tests and intervals, with `math` alone.

Distribution functions come as pairs of tails, each computed where it is small: ``sf`` is not
``1 - cdf``, and an upper quantile is not the quantile of ``1 - q``. Quantiles are Newton's method
on the logarithm of the smaller tail, in the logit of a proportion or the logarithm of a time: there
the densities are log-concave, so the logarithm of a tail is concave and the iteration converges
from any start.

Accuracies are measured by `tests/stats/test_special.py` against mpmath, and rounded up. An argument
outside of its stated range raises `ValueError`, and so does NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .beta import (
        beta_cdf,
        beta_quantile,
        beta_sf,
        beta_upper_quantile,
        log_beta,
        log_beta_cdf,
        log_beta_sf,
    )
    from .counts import (
        binomial_cdf,
        binomial_sf,
        log_binomial,
        log_choose,
        log_hypergeometric,
        log_poisson,
        poisson_cdf,
        poisson_sf,
    )
    from .gamma import (
        gamma_p,
        gamma_q,
        gamma_quantile,
        gamma_upper_quantile,
        log_gamma_p,
        log_gamma_q,
    )
    from .normal import (
        log_normal_cdf,
        normal_cdf,
        normal_quantile,
        normal_sf,
        student_cdf,
        student_quantile,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".beta": (
                "beta_cdf beta_quantile beta_sf beta_upper_quantile log_beta log_beta_cdf "
                "log_beta_sf"
            ),
            ".counts": (
                "binomial_cdf binomial_sf log_binomial log_choose log_hypergeometric "
                "log_poisson poisson_cdf poisson_sf"
            ),
            ".gamma": "gamma_p gamma_q gamma_quantile gamma_upper_quantile log_gamma_p log_gamma_q",
            ".normal": (
                "log_normal_cdf normal_cdf normal_quantile normal_sf student_cdf student_quantile"
            ),
        },
    )

__all__ = [
    "beta_cdf",
    "beta_quantile",
    "beta_sf",
    "beta_upper_quantile",
    "binomial_cdf",
    "binomial_sf",
    "gamma_p",
    "gamma_q",
    "gamma_quantile",
    "gamma_upper_quantile",
    "log_beta",
    "log_beta_cdf",
    "log_beta_sf",
    "log_binomial",
    "log_choose",
    "log_gamma_p",
    "log_gamma_q",
    "log_hypergeometric",
    "log_normal_cdf",
    "log_poisson",
    "normal_cdf",
    "normal_quantile",
    "normal_sf",
    "poisson_cdf",
    "poisson_sf",
    "student_cdf",
    "student_quantile",
]
