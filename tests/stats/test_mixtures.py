"""The mixtures against confseq's values, against numerical integration, and against what they
promise: that they never expect to grow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from math import inf
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit, logsumexp
from scipy.stats import beta as beta_distribution
from scipy.stats import gamma as gamma_distribution
from scipy.stats import norm
from tests.support.paths import DATA

from progressive.stats.mixtures import (
    BetaBinomial,
    GammaExponential,
    GammaPoisson,
    Mixture,
    Normal,
    _zeta,
    best_rho,
    boundary,
    empirical_process,
    stitched,
)

CASES: dict[str, Any] = json.loads(
    (DATA / "sequential_statistics.json").read_text(encoding="utf-8")
)


def confseq(what: str, function: str) -> list[dict[str, Any]]:
    """The cases of one group and function; at least one."""
    found = [
        case
        for case in CASES["cases"]
        if case["group"] == f"confseq-{what}" and case["function"] == function
    ]
    assert found
    return found


def holds(found: float, case: dict[str, Any]) -> bool:
    wanted = case["expect"]["value"]
    return bool(abs(found - wanted) <= case["abs_tol"] + case["rel_tol"] * abs(wanted))


def named(case: dict[str, Any]) -> str:
    return str(case["id"])


def tuned(case: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: case["input"][name] for name in (*names, "v_opt", "alpha_opt")}


# --------------------------------------------------------------------------------- reference values


@pytest.mark.parametrize("case", confseq("normal", "normal_log_mixture"), ids=named)
def test_the_normal_mixture_is_that_of_confseq(case: dict[str, Any]) -> None:
    mixture = Normal(**tuned(case, "one_sided"))

    assert holds(mixture.log(case["input"]["s"], case["input"]["v"]), case)


@pytest.mark.parametrize("case", confseq("normal", "normal_mixture_bound"), ids=named)
def test_the_boundary_is_that_of_confseq(case: dict[str, Any]) -> None:
    mixture = Normal(**tuned(case, "one_sided"))

    assert holds(boundary(mixture, case["input"]["v"], alpha=case["input"]["alpha"]), case)


@pytest.mark.parametrize("case", confseq("beta-binomial", "beta_binomial_log_mixture"), ids=named)
def test_the_beta_binomial_mixture_is_that_of_confseq(case: dict[str, Any]) -> None:
    mixture = BetaBinomial(**tuned(case, "g", "h", "one_sided"))

    assert holds(mixture.log(case["input"]["s"], case["input"]["v"]), case)


@pytest.mark.parametrize(
    "case", confseq("gamma-exponential", "gamma_exponential_log_mixture"), ids=named
)
def test_the_gamma_exponential_mixture_is_that_of_confseq(case: dict[str, Any]) -> None:
    mixture = GammaExponential(**tuned(case, "c"))

    assert holds(mixture.log(case["input"]["s"], case["input"]["v"]), case)


@pytest.mark.parametrize("case", confseq("gamma-poisson", "gamma_poisson_log_mixture"), ids=named)
def test_the_gamma_poisson_mixture_is_that_of_confseq(case: dict[str, Any]) -> None:
    mixture = GammaPoisson(**tuned(case, "c"))

    assert holds(mixture.log(case["input"]["s"], case["input"]["v"]), case)


@pytest.mark.parametrize("case", confseq("stitching", "poly_stitching_bound"), ids=named)
def test_the_stitched_boundary_is_that_of_confseq(case: dict[str, Any]) -> None:
    assert holds(stitched(**case["input"]), case)


@pytest.mark.parametrize("case", confseq("quantile", "empirical_process_lil_bound"), ids=named)
def test_the_boundary_of_the_empirical_process_is_that_of_confseq(case: dict[str, Any]) -> None:
    given_, scale = dict(case["input"]), case["input"]["A"]
    del given_["A"]

    assert holds(empirical_process(**given_, scale=scale), case)


# -------------------------------------------------------------------------------------- definitions

PLACES = [(s, v) for v in (0.5, 12.0, 150.0) for s in (-0.35, 0.0, 0.2, 0.6)]
"""Sums as parts of ``v``, and intrinsic times."""


Array = NDArray[np.float64]

STRETCHED = np.linspace(-45, 45, 40_001)


def integrated(
    growth: Callable[[Array], Array], log_density: Callable[[Array], Array], low: float, high: float
) -> float:
    """The logarithm of the mean of ``exp(growth)`` over a density between two points (a part of one
    will do), with the ends stretched out.
    """
    near = expit(STRETCHED)
    u = low + (high - low) * near
    weights = log_density(u) + np.log(near * expit(-STRETCHED))
    terms = growth(u) + weights
    return float(logsumexp(terms) - logsumexp(weights))


@pytest.mark.parametrize(("part", "v"), PLACES)
@pytest.mark.parametrize("one_sided", [True, False])
def test_the_normal_mixture_is_the_average_over_its_prior(
    part: float, v: float, one_sided: bool
) -> None:
    s, rho = part * v, best_rho(30.0, one_sided=one_sided)
    reach = 12 / math.sqrt(rho)
    found = integrated(
        lambda x: x * s - x * x / 2 * v,
        lambda x: norm.logpdf(x * math.sqrt(rho)),
        0 if one_sided else -reach,
        reach,
    )

    assert Normal(v_opt=30.0, one_sided=one_sided).log(s, v) == pytest.approx(found, abs=1e-7)


@pytest.mark.parametrize(("part", "v"), PLACES)
@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize(("g", "h"), [(0.5, 0.5), (0.1, 0.9), (1.5, 0.5)])
def test_the_beta_binomial_mixture_is_the_average_over_its_prior(
    part: float, v: float, one_sided: bool, g: float, h: float
) -> None:
    s, r = part * v, best_rho(30.0, one_sided=one_sided) - g * h
    prior = beta_distribution(r / (h * (g + h)), r / (g * (g + h)))

    def growth(chance: Array) -> Array:
        # l from the chance of a step up, by which the increments are tilted
        x = np.log(chance * h / ((1 - chance) * g)) / (g + h)
        return x * s - v / (g * h) * np.log((g * np.exp(h * x) + h * np.exp(-g * x)) / (g + h))

    found = integrated(growth, prior.logpdf, g / (g + h) if one_sided else 1e-16, 1 - 1e-16)

    assert BetaBinomial(g=g, h=h, v_opt=30.0, one_sided=one_sided).log(s, v) == pytest.approx(
        found, abs=1e-6
    )


@pytest.mark.parametrize(("part", "v"), [*PLACES, (-1.5, 40.0), (-20.0, 3.0)])
@pytest.mark.parametrize("c", [0.3, 1.0, 2.0])
def test_the_gamma_exponential_mixture_is_the_average_over_its_prior(
    part: float, v: float, c: float
) -> None:
    s, rho = part * v, best_rho(30.0, one_sided=True)
    prior = gamma_distribution(rho / c**2, scale=c**2 / rho)

    def growth(u: Array) -> Array:
        x = (1 - u) / c
        return x * s - v * (-np.log(u) - c * x) / c**2

    found = integrated(growth, prior.logpdf, 0.0, 1.0)

    assert GammaExponential(c=c, v_opt=30.0).log(s, v) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize(("part", "v"), [*PLACES, (-3.0, 8.0)])
@pytest.mark.parametrize(("c", "one_sided"), [(0.3, True), (1.0, True), (2.0, True), (1.0, False)])
def test_the_gamma_poisson_mixture_is_the_average_over_its_prior(
    part: float, v: float, c: float, one_sided: bool
) -> None:
    s, rho = max(part * v, -v / c if not one_sided else -inf), best_rho(30.0, one_sided=one_sided)
    prior = gamma_distribution(rho / c**2, scale=c**2 / rho)

    def growth(u: Array) -> Array:
        x = np.log(u) / c
        return x * s - v * (u - c * x - 1) / c**2

    most = float(prior.isf(1e-14)) + 3
    found = integrated(growth, prior.logpdf, 1.0 if one_sided else 0.0, most)

    assert GammaPoisson(c=c, v_opt=30.0, one_sided=one_sided).log(s, v) == pytest.approx(
        found, abs=1e-6
    )


def grown(
    mixture: Mixture, s: float, v: float, steps: list[tuple[float, float]], more: float
) -> float:
    """What one more increment is expected to multiply the mixture by; ``steps`` are increments and
    their chances.
    """
    return math.fsum(
        chance * math.exp(mixture.log(s + step, v + more) - mixture.log(s, v))
        for step, chance in steps
    )


@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("events", "trials"), [(0, 0), (0, 7), (2, 9), (30, 60)])
def test_trials_that_have_their_chance_expect_no_growth(
    one_sided: bool, p: float, events: int, trials: int
) -> None:
    mixture = BetaBinomial(g=p, h=1 - p, v_opt=10 * p * (1 - p), one_sided=one_sided)
    steps = [(1 - p, p), (-p, 1 - p)]

    assert grown(
        mixture, events - trials * p, trials * p * (1 - p), steps, p * (1 - p)
    ) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize(("events", "expected"), [(0, 0.0), (0, 4.0), (9, 4.0)])
def test_poisson_counts_that_have_their_mean_expect_no_growth(
    one_sided: bool, events: int, expected: float
) -> None:
    mixture = GammaPoisson(c=1.0, v_opt=20.0, one_sided=one_sided)
    steps = [(k - 1.5, math.exp(-1.5) * 1.5**k / math.factorial(k)) for k in range(60)]

    assert grown(mixture, events - expected, expected, steps, 1.5) == pytest.approx(1.0, rel=1e-9)


def test_exponential_and_normal_increments_expect_no_growth() -> None:
    times, ours = GammaExponential(c=2.0, v_opt=50.0), Normal(v_opt=50.0)
    of_times, _ = quad(
        lambda x: math.exp(-x + times.log(1.5 + 2.0 * (x - 1), 30.0) - times.log(1.5, 26.0)),
        0,
        80,
        limit=500,
    )
    of_normal, _ = quad(
        lambda x: float(norm.pdf(x)) * math.exp(ours.log(1.5 + x, 27.0) - ours.log(1.5, 26.0)),
        -12,
        20,
    )

    assert of_times == pytest.approx(1.0, rel=1e-7)
    assert of_normal == pytest.approx(1.0, rel=1e-7)


# --------------------------------------------------------------------------------------------- laws

MIXTURES: list[Mixture] = [
    Normal(v_opt=40.0),
    Normal(v_opt=40.0, one_sided=False),
    BetaBinomial(g=0.2, h=0.8, v_opt=40.0),
    BetaBinomial(g=0.2, h=0.8, v_opt=40.0, one_sided=False),
    GammaExponential(c=0.5, v_opt=40.0),
    GammaPoisson(c=1.0, v_opt=40.0),
    GammaPoisson(c=1.0, v_opt=40.0, one_sided=False),
]


@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
@pytest.mark.parametrize("v", [3.0, 40.0, 4_000.0])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 1e-6])
def test_the_boundary_is_the_least_sum_that_excludes(
    mixture: Mixture, v: float, alpha: float
) -> None:
    found = boundary(mixture, v, alpha=alpha)

    assert mixture.log(min(found, mixture.most(v)), v) >= -math.log(alpha) or found == inf
    assert mixture.log(min(found * (1 - 1e-9), mixture.most(v)), v) < -math.log(alpha)


@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
def test_the_boundary_rises_as_alpha_falls_and_nothing_stands_above_one_at_a_sum_of_nothing(
    mixture: Mixture,
) -> None:
    found = [boundary(mixture, 40.0, alpha=alpha) for alpha in (0.5, 0.1, 0.05, 0.001)]

    assert found == sorted(found)
    assert mixture.log(0.0, 0.0) == pytest.approx(0.0, abs=1e-12)
    assert all(mixture.log(0.0, v) < 0 for v in (1.0, 40.0, 1e6))


def test_a_sum_that_can_not_be_is_never_the_boundary() -> None:
    few = BetaBinomial(g=0.5, h=0.5, v_opt=10.0)

    assert boundary(few, 2 * 0.25, alpha=0.05) == inf
    assert boundary(few, 40 * 0.25, alpha=0.05) <= few.most(40 * 0.25) == 20


def test_before_anything_was_seen_only_a_jump_excludes() -> None:
    assert 0 < boundary(Normal(v_opt=40.0), 0.0, alpha=0.05) < inf


@settings(deadline=None)
@given(s=st.floats(-50, 50), v=st.floats(0.1, 1e4))
def test_the_two_sided_mixtures_have_two_equal_sides(s: float, v: float) -> None:
    mixture = Normal(v_opt=40.0, one_sided=False)
    inside = max(-v / 0.8, min(v / 0.2, s))
    there = BetaBinomial(g=0.2, h=0.8, v_opt=40.0, one_sided=False).log(inside, v)
    mirrored = BetaBinomial(g=0.8, h=0.2, v_opt=40.0, one_sided=False).log(-inside, v)

    assert mixture.log(-s, v) == mixture.log(s, v)
    assert mirrored == pytest.approx(there, abs=1e-9)


@given(v=st.floats(1, 1e4), v_opt=st.floats(1, 1e4))
@settings(deadline=None, max_examples=40)
def test_no_other_tuning_is_tighter_where_it_was_tuned_for(v: float, v_opt: float) -> None:
    ours = boundary(Normal(v_opt=v, one_sided=False), v, alpha=0.05)

    assert ours <= boundary(Normal(v_opt=v_opt, one_sided=False), v, alpha=0.05) * (1 + 1e-3)


def test_thousands_of_nats_are_numbers_like_any_other() -> None:
    """Against the closed forms at sixty digits."""
    g, h, v, s = 0.01, 0.99, 1e6 * 0.0099, 30_000.0
    with mpmath.workdps(60):
        r = best_rho(100.0, one_sided=False) - mpmath.mpf(g) * h
        a, b, x = (
            r / (mpmath.mpf(h) * (g + h)),
            r / (mpmath.mpf(g) * (g + h)),
            mpmath.mpf(g) / (g + h),
        )
        up, down = (s + v / mpmath.mpf(h)) / (g + h), (v / mpmath.mpf(g) - s) / (g + h)
        counts = (
            mpmath.log(mpmath.beta(a + up, b + down) / mpmath.beta(a, b))
            - up * mpmath.log(x)
            - down * mpmath.log(1 - x)
        )
        rho = best_rho(100.0, one_sided=True)
        shape, seen, rate = mpmath.mpf(rho), mpmath.mpf(rho) + 20_000, mpmath.mpf(rho) + 10_000
        upper = mpmath.log(mpmath.gammainc(seen, rate)) - seen * mpmath.log(rate) + 10_000
        poisson = upper - mpmath.log(mpmath.gammainc(shape, shape)) + shape * mpmath.log(shape)

    assert BetaBinomial(g=g, h=h, v_opt=100.0, one_sided=False).log(s, v) == pytest.approx(
        float(counts), rel=1e-11
    )
    assert GammaPoisson(c=1.0, v_opt=100.0).log(10_000.0, 10_000.0) == pytest.approx(
        float(poisson), rel=1e-11
    )
    assert min(counts, poisson) > 3_000
    for mixture in (
        Normal(v_opt=100.0),
        GammaExponential(c=1.0, v_opt=100.0),
        GammaPoisson(c=1.0, v_opt=100.0),
    ):
        assert 1_000 < mixture.log(1e5, 1e5) < 1e6
        assert -1e6 < mixture.log(-9e4, 1e5) < -5


def test_hardly_any_gamma_is_normal() -> None:
    """With steps that are small beside what is expected, all of them are sums of many."""
    wanted = Normal(v_opt=400.0).log(50.0, 900.0)

    assert GammaPoisson(c=1e-4, v_opt=400.0).log(50.0, 900.0) == pytest.approx(wanted, abs=1e-3)
    assert GammaExponential(c=1e-4, v_opt=400.0).log(50.0, 900.0) == pytest.approx(wanted, abs=1e-3)
    assert BetaBinomial(g=0.01, h=0.01, v_opt=400.0).log(50.0, 900.0) == pytest.approx(
        wanted, abs=1e-3
    )


def test_a_tuning_for_less_than_a_trial_is_kept_proper() -> None:
    mixture = BetaBinomial(g=0.5, h=0.5, v_opt=0.1, one_sided=False)

    assert -10 < mixture.log(3.0, 10.0) < 0


# ----------------------------------------------------------------------------------- in closed form


@pytest.mark.parametrize("s", [1.0001, 1.1, 1.4, 2.0, 3.3, 20.0, 400.0])
def test_riemanns_function(s: float) -> None:
    assert _zeta(s) == pytest.approx(float(mpmath.zeta(s)), rel=1e-15)


def test_the_stitched_boundary_stands_still_before_it_counts_and_rises_then() -> None:
    found = [stitched(v, alpha=0.05, v_min=10.0, c=0.5) for v in (0.0, 5.0, 10.0, 11.0, 100.0, 1e6)]

    assert found[0] == found[1] == found[2] < found[3] < found[4] < found[5]
    assert stitched(100.0, alpha=0.05, v_min=10.0) < found[4]
    assert stitched(100.0, alpha=0.01, v_min=10.0, c=0.5) > found[4]


def test_a_walk_seldom_crosses_the_stitched_boundary_or_the_mixture() -> None:
    rng, runs, looks = np.random.default_rng(20_261_124), 2_000, 1_000
    walks = rng.normal(size=(runs, looks)).cumsum(axis=1)
    times = range(1, looks + 1)
    lines = {
        "stitched": [stitched(v, alpha=0.1, v_min=10.0) for v in times],
        "mixture": [boundary(Normal(v_opt=100.0), v, alpha=0.1) for v in times],
    }

    for name, line in lines.items():
        crossed = float((walks >= np.array(line)).any(axis=1).mean())
        assert crossed <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / runs), name
        assert crossed > 0.01, name


@pytest.mark.parametrize("alpha", [0.2, 0.05, 1e-4])
@pytest.mark.parametrize("scale", [0.75, 0.85, 1.5])
def test_the_constant_of_the_empirical_process_is_the_least_that_the_theorem_allows(
    alpha: float, scale: float
) -> None:
    constant = (empirical_process(9.0, alpha=alpha, t_min=9.0, scale=scale) / scale) ** 2 * 9
    bounds = []
    for eta in np.geomspace(1 + 1e-6, 2 * scale**2, 4_000):
        gamma = math.sqrt(2 / eta) * (scale - math.sqrt(2 * (eta - 1) / constant))
        if gamma > 1:
            bounds.append(
                4 * math.exp(-(gamma**2) * constant) * (1 + 1 / ((gamma**2 - 1) * math.log(eta)))
            )

    assert min(bounds) == pytest.approx(alpha, rel=1e-4)
    assert min(bounds) >= alpha * (1 - 1e-9)


def test_an_empirical_distribution_seldom_leaves_its_band() -> None:
    rng, runs, looks = np.random.default_rng(20_261_125), 200, 300
    bands = np.array([empirical_process(t, alpha=0.2, t_min=20) for t in range(1, looks + 1)])
    left = 0
    for values in rng.random((runs, looks)):
        grid = np.linspace(0.01, 0.99, 99)
        parts = (values[:, None] <= grid).cumsum(axis=0) / np.arange(1, looks + 1)[:, None]
        left += bool((np.abs(parts - grid).max(axis=1) > bands).any())

    assert left / runs <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / runs)
    assert bands[18] == inf > bands[19] > bands[-1]


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: Normal(v_opt=0.0).log(1.0, 1.0), "v_opt=0.0 must be above 0"),
        (
            lambda: Normal(v_opt=1.0, alpha_opt=0.5).log(1.0, 1.0),
            "alpha_opt=0.5 is not between 0 and 0.5",
        ),
        (lambda: Normal(v_opt=1.0).log(1.0, -1.0), "v=-1.0 is not between 0 and inf"),
        (lambda: BetaBinomial(g=0.0, h=1.0, v_opt=1.0).log(0.0, 1.0), "g=0.0 must be above 0"),
        (lambda: BetaBinomial(g=1.0, h=-1.0, v_opt=1.0).log(0.0, 1.0), "h=-1.0 must be above 0"),
        (
            lambda: BetaBinomial(g=0.5, h=0.5, v_opt=1.0).log(2.1, 1.0),
            "s=2.1 is not between -v / h and v / g: -2 and 2",
        ),
        (lambda: BetaBinomial(g=0.5, h=0.5, v_opt=1.0).log(-2.1, 1.0), "s=-2.1 is not between"),
        (lambda: GammaExponential(c=0.0, v_opt=1.0).log(0.0, 1.0), "c=0.0 must be above 0"),
        (lambda: GammaPoisson(c=math.nan, v_opt=1.0).log(0.0, 1.0), "c=nan must be above 0"),
        (
            lambda: GammaPoisson(c=1.0, v_opt=1.0, one_sided=False).log(-1.1, 1.0),
            "s=-1.1 is below -v / c, -1",
        ),
        (
            lambda: boundary(Normal(v_opt=1.0), 1.0, alpha=5.0),
            "alpha=5.0 is not between 0 and 1; 5 % is 0.05",
        ),
        (lambda: stitched(1.0, alpha=0.05, v_min=0.0), "v_min=0.0 must be above 0"),
        (lambda: stitched(1.0, alpha=0.05, v_min=1.0, c=-1.0), "c=-1.0 is not between"),
        (lambda: stitched(1.0, alpha=0.05, v_min=1.0, s=1.0), "s=1.0 must be above 1"),
        (lambda: stitched(1.0, alpha=0.05, v_min=1.0, eta=math.nan), "eta=nan must be above 1"),
        (lambda: stitched(1.0, alpha=0.0, v_min=1.0), "alpha=0.0 is not between"),
        (lambda: empirical_process(9, alpha=0.05, t_min=0.5), "t_min=0.5 is not between 1 and inf"),
        (
            lambda: empirical_process(9, alpha=0.05, t_min=1, scale=0.7),
            "scale=0.7 must be above the square root of 1/2",
        ),
        (lambda: empirical_process(9, alpha=1.0, t_min=1), "alpha=1.0 is not between"),
    ],
)
def test_what_makes_no_sense_is_refused(ask: Callable[[], float], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        ask()
