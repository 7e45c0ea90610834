"""The special functions against forty digits, against SciPy, and against what must hold between
them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from math import inf, nan
from typing import Any

import mpmath
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy import special, stats
from tests.support.reference import agrees, cases_of, near

from progressive.stats import special as ours

POINTS = 60


@pytest.fixture(autouse=True)
def forty_digits() -> Any:
    with mp.workdps(40):
        yield


def spread(rng: random.Random, low: float, high: float) -> float:
    """A number that is as likely of one order of magnitude as of another."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def relative(found: float, exact: Any) -> float:
    return float(abs(mpf(found) - exact) / abs(exact))


def of_a_log(found: float, exact: Any) -> float:
    """A logarithm near 0 is as good as its absolute error."""
    return float(abs(mpf(found) - exact) / max(1, abs(exact)))


# ---------------------------------------------------------------------------------- by forty digits


def exact_log_beta(a: Any, b: Any) -> Any:
    return mpmath.loggamma(mpf(a)) + mpmath.loggamma(mpf(b)) - mpmath.loggamma(mpf(a) + mpf(b))


def exact_tail(x: Any, a: Any, b: Any) -> Any:
    """I_x(a, b) by its hypergeometric series, for x at or below the mean."""
    x, a, b = mpf(x), mpf(a), mpf(b)
    term = total = mpf(1)
    n = 0
    while term > total * mpf(10) ** -35:
        term *= (a + b + n) * x / (a + 1 + n)
        total += term
        n += 1
    return total * mpmath.exp(a * mpmath.log(x) + b * mpmath.log(1 - x) - exact_log_beta(a, b)) / a


def exact_beta(x: Any, a: float, b: float) -> tuple[Any, Any]:
    """Both tails, the smaller one to all digits."""
    x = mpf(x)
    if mpf(a) * (1 - x) >= mpf(b) * x:
        lower = exact_tail(x, a, b)
        return lower, 1 - lower
    upper = exact_tail(1 - x, b, a)
    return 1 - upper, upper


def beta_density(x: Any, a: float, b: float) -> Any:
    x = mpf(x)
    return mpmath.exp(
        (mpf(a) - 1) * mpmath.log(x) + (mpf(b) - 1) * mpmath.log(1 - x) - exact_log_beta(a, b)
    )


@pytest.mark.parametrize(("least", "greatest"), [(1e-3, 10), (0.1, 1e4), (1, 1e12)])
def test_log_beta_to_fourteen_digits(least: float, greatest: float) -> None:
    rng = random.Random(1)
    pairs = [(spread(rng, least, greatest), spread(rng, least, greatest)) for _ in range(500)]

    assert max(of_a_log(ours.log_beta(a, b), exact_log_beta(a, b)) for a, b in pairs) < 1e-14


BETA_RANGES = (
    (0.5, 50.0, POINTS, 5e-14),
    (1e-3, 50.0, POINTS, 5e-14),
    (0.5, 1e4, 40, 1e-12),
    (100.0, 1e6, 2, 1e-11),
)


@pytest.mark.parametrize(("least", "greatest", "points", "bound"), BETA_RANGES)
def test_both_tails_of_the_beta_distribution_are_exact_where_they_are_small(
    least: float, greatest: float, points: int, bound: float
) -> None:
    rng = random.Random(2)
    errors = []
    for _ in range(points):
        a, b = spread(rng, least, greatest), spread(rng, least, greatest)
        middle = a / (a + b)
        x = middle + rng.uniform(-9, 9) * math.sqrt(middle * (1 - middle) / (a + b + 1))
        x = x if 0 < x < 1 else rng.random()
        lower, upper = exact_beta(x, a, b)
        if lower > 1e-290 and upper > 1e-290:
            errors += [
                relative(ours.beta_cdf(x, a, b), lower),
                relative(ours.beta_sf(x, a, b), upper),
            ]
            errors += [
                relative(ours.log_beta_cdf(x, a, b), mpmath.log(lower)) if lower < 0.5 else 0.0
            ]

    assert len(errors) > points
    assert max(errors) < bound


@pytest.mark.parametrize(
    ("a", "b", "x"), [(5000.0, 5000.0, 0.1), (3.0, 1e6, 0.5), (1e4, 2.0, 1e-3), (250.0, 4.0, 1e-5)]
)
def test_logarithms_of_tails_that_underflow(a: float, b: float, x: float) -> None:
    exact = mpmath.log(
        exact_tail(x, a, b) if a * (1 - x) >= b * x else exact_tail(1 - mpf(x), b, a)
    )
    found = ours.log_beta_cdf(x, a, b) if a * (1 - x) >= b * x else ours.log_beta_sf(x, a, b)

    assert math.exp(found) == 0
    assert relative(found, exact) < 1e-14


CHANCES = (0.5, 0.025, 1e-3, 1e-6, 1e-12, 0.3, 0.9, 0.999)


@pytest.mark.parametrize(("least", "greatest", "points"), [(0.5, 50.0, POINTS), (0.5, 2e3, 20)])
def test_quantiles_of_the_beta_distribution_from_either_side(
    least: float, greatest: float, points: int
) -> None:
    """The error of the point, from the error of the tail there and the density."""
    rng = random.Random(3)
    errors = []
    for _ in range(points):
        a, b, p = spread(rng, least, greatest), spread(rng, least, greatest), rng.choice(CHANCES)
        for find, side in ((ours.beta_quantile, 0), (ours.beta_upper_quantile, 1)):
            x = find(p, a, b)
            if 0 < x < 1:
                errors.append(float(abs(exact_beta(x, a, b)[side] - p) / beta_density(x, a, b) / x))

    assert len(errors) > points
    assert max(errors) < 1e-13


@pytest.mark.parametrize(("least", "greatest"), [(0.1, 50.0), (1.0, 1e4)])
def test_both_tails_of_the_gamma_distribution_and_quantiles_from_either_side(
    least: float, greatest: float
) -> None:
    rng = random.Random(4)
    tails, points = [], []
    for _ in range(POINTS):
        a = spread(rng, least, greatest)
        x = max(1e-9, a + rng.uniform(-9, 9) * math.sqrt(a))
        lower, upper = (
            mpmath.gammainc(a, 0, x, regularized=True),
            mpmath.gammainc(a, x, regularized=True),
        )
        tails += [relative(ours.gamma_p(a, x), lower), relative(ours.gamma_q(a, x), upper)]
        p = rng.choice(CHANCES)
        for find, ends in (
            (ours.gamma_quantile, (0, None)),
            (ours.gamma_upper_quantile, (None, inf)),
        ):
            x = find(p, a)
            found = mpmath.gammainc(
                a, *(x if end is None else end for end in ends), regularized=True
            )
            density = mpmath.exp((mpf(a) - 1) * mpmath.log(x) - x - mpmath.loggamma(a))
            points.append(float(abs(found - p) / density / x))

    assert max(tails) < 1e-12
    assert max(points) < 1e-12


def test_the_normal_distribution_out_to_where_it_underflows() -> None:
    rng = random.Random(5)
    errors, logs, points = [], [], []
    for _ in range(1_000):
        z = rng.uniform(-37, 37)
        errors += [
            relative(ours.normal_cdf(z), mpmath.ncdf(z)),
            relative(ours.normal_sf(z), mpmath.ncdf(-z)),
        ]
        z = rng.uniform(-200, 9)
        exact = mpmath.log(mpmath.ncdf(z)) if z < 0 else mpmath.log1p(-mpmath.ncdf(-z))
        logs.append(relative(ours.log_normal_cdf(z), exact))
        p = rng.choice([spread(rng, 1e-300, 0.5), rng.random()])
        z = ours.normal_quantile(p)
        points.append(float(abs(mpmath.ncdf(z) - p) / mpmath.npdf(z) / abs(z)))

    assert max(errors) < 3e-13
    assert max(logs) < 2e-14
    assert max(points) < 1e-15


def test_the_two_ways_to_the_far_normal_tail_meet() -> None:
    assert near(
        ours.log_normal_cdf(-30.0), ours.log_normal_cdf(math.nextafter(-30.0, -inf)), relative=1e-15
    )


def test_students_distribution_and_its_quantiles() -> None:
    rng = random.Random(6)
    errors, points = [], []

    def exact(t: float, n: float) -> Any:
        squared = mpf(t) ** 2
        tail = exact_beta(n / (n + squared), n / 2, 0.5)[0] / 2
        return tail if t < 0 else 1 - tail

    for _ in range(POINTS):
        n = rng.choice([spread(rng, 0.5, 300), rng.randint(1, 40)])
        t = rng.choice([rng.gauss(0, 3), -spread(rng, 1e-3, 1e3)])
        if exact(t, n) > 1e-290:
            errors.append(relative(ours.student_cdf(t, n), exact(t, n)))
        p = rng.choice([rng.random(), spread(rng, 1e-15, 0.5)])
        t = ours.student_quantile(p, n)
        if abs(t) < 1e100:
            density = (
                mpmath.exp(-exact_log_beta(n / 2, 0.5))
                / mpmath.sqrt(n)
                * (1 + mpf(t) ** 2 / n) ** (-(mpf(n) + 1) / 2)
            )
            points.append(float(abs(exact(t, n) - p) / density / abs(t)))

    assert len(errors) > POINTS / 2 and len(points) > POINTS / 2
    assert max(errors) < 1e-12
    assert max(points) < 1e-12


def test_logarithms_of_the_chances_of_counts_up_to_a_billion() -> None:
    rng = random.Random(7)
    errors = []

    def choose(n: int, k: int) -> Any:
        return mpmath.loggamma(n + 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(n - k + 1)

    for _ in range(500):
        n = int(spread(rng, 1, 1e9))
        k, p = rng.randint(0, n), rng.choice([rng.random(), spread(rng, 1e-9, 1)])
        errors.append(of_a_log(ours.log_choose(n, k), choose(n, k)))
        exact = choose(n, k) + k * mpmath.log(p) + (n - k) * mpmath.log1p(-mpf(p))
        errors.append(of_a_log(ours.log_binomial(k, n, p), exact))
        mean = spread(rng, 1e-6, 1e9)
        k = rng.choice([int(mean), int(spread(rng, 1, 1e9))])
        errors.append(
            of_a_log(
                ours.log_poisson(k, mean), k * mpmath.log(mean) - mpf(mean) - mpmath.loggamma(k + 1)
            )
        )
        total = int(spread(rng, 2, 1e8))
        marked, drawn = rng.randint(0, total), rng.randint(0, total)
        k = rng.randint(max(0, marked + drawn - total), min(marked, drawn))
        exact = choose(marked, k) + choose(total - marked, drawn - k) - choose(total, drawn)
        errors.append(of_a_log(ours.log_hypergeometric(k, total, marked, drawn), exact))

    assert max(errors) < 1e-13


# ---------------------------------------------------------------------------------- by other people


REPLAYS: dict[str, tuple[Callable[..., float], str]] = {
    "special.betaln": (ours.log_beta, "a b"),
    "special.betainc (regularised)": (ours.beta_cdf, "x a b"),
    "stats.binom.logpmf": (ours.log_binomial, "k n p"),
    "stats.binom.cdf": (ours.binomial_cdf, "k n p"),
    "stats.binom.sf": (ours.binomial_sf, "k n p"),
    "stats.hypergeom.pmf(k, N, E, n_c)": (
        lambda *given: math.exp(ours.log_hypergeometric(*given)),
        "k N E n_c",
    ),
    "special.ndtr": (ours.normal_cdf, "z"),
    "special.log_ndtr": (ours.log_normal_cdf, "z"),
    "special.ndtri": (ours.normal_quantile, "p"),
    "stats.poisson.sf(k-1)": (lambda k, mu: ours.poisson_sf(k - 1, mu), "k mu"),
    "stats.poisson.cdf": (ours.poisson_cdf, "k mu"),
    "stats.t.ppf": (ours.student_quantile, "p df"),
    "stats.t.cdf": (ours.student_cdf, "t df"),
}
"""Ours for each of theirs, and the names of what it is given in its order."""

GROUPS = ("betainc", "betaln", "binom", "hypergeom", "normal", "poisson", "student-t")


@pytest.mark.parametrize("case", cases_of(*GROUPS), ids=lambda case: case["id"])
def test_a_reference_value(case: dict[str, Any]) -> None:
    function, names = REPLAYS[case["function"]]

    assert agrees({"value": function(*(case["input"][name] for name in names.split()))}, case)


sizes = st.floats(0.05, 5_000)
parts = st.floats(0, 1)
wholes = st.integers(0, 5_000)


FAR = 1e-100
"""Out there SciPy's own figures lose digits (its binomial tail of 3.6e-277 is wrong in the tenth);
mpmath above goes further.
"""


@given(a=sizes, b=sizes, x=st.floats(0, 1, allow_subnormal=False))
def test_the_beta_distribution_agrees_with_scipy(a: float, b: float, x: float) -> None:
    assert near(ours.beta_cdf(x, a, b), float(special.betainc(a, b, x)), 1e-10, FAR)
    assert near(ours.beta_sf(x, a, b), float(special.betaincc(a, b, x)), 1e-10, FAR)


@given(a=sizes, x=st.floats(0, 10_000))
def test_the_gamma_distribution_agrees_with_scipy(a: float, x: float) -> None:
    assert near(ours.gamma_p(a, x), float(special.gammainc(a, x)), 1e-10, FAR)
    assert near(ours.gamma_q(a, x), float(special.gammaincc(a, x)), 1e-10, FAR)


@given(n=wholes, k=wholes, p=parts)
def test_tails_of_counts_agree_with_scipy(n: int, k: int, p: float) -> None:
    assert near(ours.binomial_cdf(k, n, p), float(stats.binom.cdf(k, n, p)), 1e-10, FAR)
    assert near(ours.binomial_sf(k, n, p), float(stats.binom.sf(k, n, p)), 1e-10, FAR)
    assert near(ours.poisson_cdf(k, n), float(stats.poisson.cdf(k, n)) if n else 1.0, 1e-10, FAR)
    assert near(ours.poisson_sf(k, n), float(stats.poisson.sf(k, n)) if n else 0.0, 1e-10, FAR)


# --------------------------------------------------------------------------------------------- laws


@given(a=sizes, b=sizes, x=parts)
def test_two_tails_are_one(a: float, b: float, x: float) -> None:
    assert near(ours.beta_cdf(x, a, b) + ours.beta_sf(x, a, b), 1.0, 1e-14)
    assert near(ours.gamma_p(a, 100 * x) + ours.gamma_q(a, 100 * x), 1.0, 1e-14)
    assert near(ours.normal_cdf(9 * x) + ours.normal_sf(9 * x), 1.0, 1e-15)
    assert near(ours.student_cdf(x, a) + ours.student_cdf(-x, a), 1.0, 1e-15)


@given(a=sizes, b=sizes, x=st.floats(0.5, 1))
def test_the_beta_distribution_has_a_mirror_image(a: float, b: float, x: float) -> None:
    """``1 - x`` is exact for these."""
    assert near(ours.beta_cdf(x, a, b), ours.beta_sf(1 - x, b, a), 1e-14)
    assert ours.log_beta(a, b) == ours.log_beta(b, a)


@given(a=sizes, b=sizes, xs=st.tuples(parts, parts))
def test_distribution_functions_rise(a: float, b: float, xs: tuple[float, float]) -> None:
    low, high = sorted(xs)

    assert ours.beta_cdf(low, a, b) <= ours.beta_cdf(high, a, b) * (1 + 1e-12)
    assert ours.gamma_p(a, low * 100) <= ours.gamma_p(a, high * 100) * (1 + 1e-12)
    assert ours.normal_quantile(low) <= ours.normal_quantile(high)


@given(a=st.floats(0.5, 2_000), b=st.floats(0.5, 2_000), p=st.floats(1e-12, 1 - 1e-12))
def test_a_quantile_undoes_its_distribution(a: float, b: float, p: float) -> None:
    x = ours.beta_quantile(p, a, b)
    assume(1e-290 < x < 1 - 1e-3)

    assert near(ours.beta_cdf(x, a, b), p, 1e-10)
    assert near(ours.beta_sf(ours.beta_upper_quantile(p, a, b), a, b), p, 1e-10, 1e-6)
    assert near(ours.gamma_p(a, ours.gamma_quantile(p, a)), p, 1e-10)
    assert near(ours.gamma_q(a, ours.gamma_upper_quantile(p, a)), p, 1e-10)
    assert near(ours.normal_cdf(ours.normal_quantile(p)), p, 1e-13)
    assert near(ours.student_cdf(ours.student_quantile(p, a), a), p, 1e-10)


@given(n=st.integers(0, 60), p=parts)
def test_chances_of_all_counts_add_up_to_one(n: int, p: float) -> None:
    assert near(math.fsum(math.exp(ours.log_binomial(k, n, p)) for k in range(n + 1)), 1.0, 1e-13)
    assert near(
        math.fsum(math.exp(ours.log_hypergeometric(k, 80, n, 37)) for k in range(n + 1)), 1.0, 1e-12
    )


@given(n=st.integers(0, 300), k=st.integers(0, 300), p=parts)
def test_a_tail_is_the_sum_of_its_chances(n: int, k: int, p: float) -> None:
    below = math.fsum(math.exp(ours.log_binomial(i, n, p)) for i in range(min(k, n) + 1))
    poisson = math.fsum(math.exp(ours.log_poisson(i, 20 * p)) for i in range(k + 1))

    assert near(ours.binomial_cdf(k, n, p), below, 1e-10, 1e-290)
    assert near(ours.poisson_cdf(k, 20 * p), poisson, 1e-10)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 30])
def test_log_choose_counts(n: int) -> None:
    assert [round(math.exp(ours.log_choose(n, k)), 3) for k in range(n + 1)] == [
        math.comb(n, k) for k in range(n + 1)
    ]


# -------------------------------------------------------------------------------------------- edges

EDGES: tuple[tuple[str, float, float], ...] = (
    ("no beta below 0", ours.beta_cdf(0, 2, 3), 0.0),
    ("all of it above 0", ours.beta_sf(0, 2, 3), 1.0),
    ("all of it below 1", ours.beta_cdf(1, 2, 3), 1.0),
    ("none above 1", ours.beta_sf(1, 2, 3), 0.0),
    ("its logarithm at 0", ours.log_beta_cdf(0, 2, 3), -inf),
    ("its logarithm at 1", ours.log_beta_sf(1, 2, 3), -inf),
    ("a tail that is one to the last digit", ours.beta_sf(1e-17 / 3, 1e-17, 3.0), 0.0),
    ("the first quantile", ours.beta_quantile(0, 2, 3), 0.0),
    ("the last quantile", ours.beta_quantile(1, 2, 3), 1.0),
    ("the last from above", ours.beta_upper_quantile(0, 2, 3), 1.0),
    ("the first from above", ours.beta_upper_quantile(1, 2, 3), 0.0),
    ("a quantile too small for a number", ours.beta_quantile(0.4, 1e-3, 1.0), 0.0),
    ("one that is 1 for every number", ours.beta_quantile(0.6, 1.0, 1e-3), 1.0),
    ("no gamma below 0", ours.gamma_p(2, 0), 0.0),
    ("all of it above 0", ours.gamma_q(2, 0), 1.0),
    ("all of it below infinity", ours.gamma_p(2, inf), 1.0),
    ("none above infinity", ours.gamma_q(2, inf), 0.0),
    ("its logarithm at 0", ours.log_gamma_p(2, 0), -inf),
    ("its logarithm at infinity", ours.log_gamma_q(2, inf), -inf),
    ("the first time", ours.gamma_quantile(0, 2), 0.0),
    ("the last time", ours.gamma_quantile(1, 2), inf),
    ("the last from above", ours.gamma_upper_quantile(0, 2), inf),
    ("the first from above", ours.gamma_upper_quantile(1, 2), 0.0),
    ("a time too small for a number", ours.gamma_quantile(0.3, 1e-3), 0.0),
    ("the normal middle", ours.normal_quantile(0.5), 0.0),
    ("the normal left end", ours.normal_quantile(0), -inf),
    ("the normal right end", ours.normal_quantile(1), inf),
    ("its logarithm there", ours.log_normal_cdf(-inf), -inf),
    ("and at the other end", ours.log_normal_cdf(inf), 0.0),
    ("all below infinity", ours.normal_cdf(inf), 1.0),
    ("Student's middle", ours.student_cdf(0, 3), 0.5),
    ("Student's left end", ours.student_cdf(-inf, 3), 0.0),
    ("so near to the middle that its square is 0", ours.student_cdf(1e-200, 3), 0.5),
    ("the quantile of the middle", ours.student_quantile(0.5, 3), 0.0),
    ("of the left end", ours.student_quantile(0, 3), -inf),
    ("of the right end", ours.student_quantile(1, 3), inf),
    ("so far out that it is no number", ours.student_quantile(1e-300, 0.5), -inf),
    ("one way to take none", ours.log_choose(5, 0), 0.0),
    ("one way to take all", ours.log_choose(5, 5), 0.0),
    ("no way to take more", ours.log_choose(5, 6), -inf),
    ("no way to take less than none", ours.log_choose(5, -1), -inf),
    ("no trial, no event", ours.log_binomial(0, 0, 0.3), 0.0),
    ("nothing can happen", ours.log_binomial(0, 9, 0.0), 0.0),
    ("and does not", ours.log_binomial(1, 9, 0.0), -inf),
    ("everything must happen", ours.log_binomial(9, 9, 1.0), 0.0),
    ("and does", ours.log_binomial(8, 9, 1.0), -inf),
    ("more events than trials", ours.log_binomial(10, 9, 0.5), -inf),
    ("less than none", ours.log_binomial(-1, 9, 0.5), -inf),
    ("nobody was drawn", ours.log_hypergeometric(0, 9, 4, 0), 0.0),
    ("and none of them", ours.log_hypergeometric(1, 9, 4, 0), -inf),
    ("all were drawn", ours.log_hypergeometric(4, 9, 4, 9), 0.0),
    ("nobody is there", ours.log_hypergeometric(0, 0, 0, 0), 0.0),
    ("no event is expected", ours.log_poisson(0, 0), 0.0),
    ("and one comes", ours.log_poisson(1, 0), -inf),
    ("less than none come", ours.log_poisson(-1, 3), -inf),
    ("none comes", ours.log_poisson(0, 3), -3.0),
    ("below none", ours.binomial_cdf(-1, 5, 0.5), 0.0),
    ("above less than none", ours.binomial_sf(-1, 5, 0.5), 1.0),
    ("up to all", ours.binomial_cdf(5, 5, 0.5), 1.0),
    ("above all", ours.binomial_sf(5, 5, 0.5), 0.0),
    ("Poisson below none", ours.poisson_cdf(-1, 5), 0.0),
    ("Poisson above less than none", ours.poisson_sf(-1, 5), 1.0),
)


@pytest.mark.parametrize(
    ("found", "wanted"), [edge[1:] for edge in EDGES], ids=[edge[0] for edge in EDGES]
)
def test_an_edge(found: float, wanted: float) -> None:
    assert found == wanted


REFUSED: tuple[tuple[Callable[[], float], str], ...] = (
    (lambda: ours.log_beta(0, 1), "a=0 must be above 0 and finite"),
    (lambda: ours.log_beta(1, inf), "b=inf must be above 0 and finite"),
    (lambda: ours.beta_cdf(-0.1, 1, 1), "x=-0.1 is not between 0 and 1"),
    (lambda: ours.beta_sf(nan, 1, 1), "x=nan is not between 0 and 1"),
    (lambda: ours.beta_quantile(1.5, 1, 1), "p=1.5 is not between 0 and 1"),
    (lambda: ours.beta_upper_quantile(0.5, nan, 1), "a=nan must be above 0 and finite"),
    (lambda: ours.gamma_p(1, -1), "x=-1 is not between 0 and inf"),
    (lambda: ours.gamma_q(0, 1), "a=0 must be above 0 and finite"),
    (lambda: ours.gamma_quantile(nan, 1), "p=nan is not between 0 and 1"),
    (lambda: ours.gamma_upper_quantile(-1, 1), "q=-1 is not between 0 and 1"),
    (lambda: ours.normal_cdf(nan), "z=nan is not a number"),
    (lambda: ours.log_normal_cdf(nan), "z=nan is not a number"),
    (lambda: ours.normal_quantile(-0.5), "p=-0.5 is not between 0 and 1"),
    (lambda: ours.student_cdf(nan, 1), "t=nan is not a number"),
    (lambda: ours.student_cdf(0, 0), "degrees=0 must be above 0 and finite"),
    (lambda: ours.student_quantile(2, 1), "p=2 is not between 0 and 1"),
    (lambda: ours.log_choose(-1, 0), "n=-1 must be 0 or more"),
    (lambda: ours.log_binomial(0, -1, 0.5), "n=-1 must be 0 or more"),
    (lambda: ours.log_binomial(0, 1, 1.5), "p=1.5 is not between 0 and 1"),
    (lambda: ours.log_hypergeometric(0, -1, 0, 0), "total=-1 must be 0 or more"),
    (lambda: ours.log_hypergeometric(0, 5, 6, 0), "marked=6 is not between 0 and 5"),
    (lambda: ours.log_hypergeometric(0, 5, 5, -1), "drawn=-1 is not between 0 and 5"),
    (lambda: ours.log_poisson(0, -1), "mean=-1 is not between 0 and 1.7e+308"),
    (lambda: ours.binomial_cdf(0, -1, 0.5), "n=-1 must be 0 or more"),
    (lambda: ours.binomial_sf(0, 1, nan), "p=nan is not between 0 and 1"),
)


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_is_out_of_range_is_refused(call: Callable[[], float], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()

    assert str(caught.value) == said


def test_a_million_is_hundreds_of_steps_and_not_a_million() -> None:
    """Near the mean of large parameters, where the fractions take longest, and where their digits
    are hardest to keep.
    """
    assert near(ours.beta_cdf(0.5, 1e8, 1e8), 0.5, 1e-12)
    assert near(ours.binomial_cdf(500_000_000, 1_000_000_001, 0.5), 0.5, 1e-10)
    assert near(ours.gamma_p(1e9, 1e9), 0.5 + 1 / (3 * math.sqrt(2 * math.pi * 1e9)), 1e-9)
