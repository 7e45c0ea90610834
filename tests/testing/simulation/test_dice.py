"""Chance that is the same everywhere: right on average and in its spread, against the exact
distributions, and for ever the same draws.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive import StrategyError
from progressive.testing.simulation.dice import Dice, power

DRAWS = 20_000


def moments(values: list[int]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@pytest.mark.parametrize(
    ("trials", "chance"),
    [
        (10, 0.3),
        (40, 0.9),
        (1_000, 0.01),
        (1_000, 0.0289),
        (1_000, 0.031),
        (5_000, 0.4),
        (100_000, 0.001),
    ],
)
def test_a_binomial_draw_has_its_mean_and_variance(trials: int, chance: float) -> None:
    dice = Dice(1, "binomial")
    mean, variance = moments([dice.binomial(trials, chance) for _ in range(DRAWS)])
    wanted = trials * chance * (1 - chance)

    assert abs(mean - trials * chance) < 5 * math.sqrt(wanted / DRAWS)
    assert abs(variance / wanted - 1) < 0.06


@pytest.mark.parametrize("mean", [0.3, 5.0, 29.0, 31.0, 500.0])
def test_a_poisson_draw_has_its_mean_and_variance(mean: float) -> None:
    dice = Dice(1, "poisson")
    found, variance = moments([dice.poisson(mean) for _ in range(DRAWS)])

    assert abs(found - mean) < 5 * math.sqrt(mean / DRAWS)
    assert abs(variance / mean - 1) < 0.06


@pytest.mark.parametrize(("trials", "chance"), [(12, 0.25), (300, 0.02), (2_000, 0.03)])
def test_each_number_comes_as_often_as_it_should(trials: int, chance: float) -> None:
    """Exact below `MANY`; the approximation above it is within the chance of the draw."""
    dice = Dice(2, "each")
    found = [dice.binomial(trials, chance) for _ in range(DRAWS)]
    for n in range(trials + 1):
        log = math.lgamma(trials + 1) - math.lgamma(n + 1) - math.lgamma(trials - n + 1)
        exact = math.exp(log + n * math.log(chance) + (trials - n) * math.log1p(-chance))
        if exact * DRAWS > 20:
            assert abs(found.count(n) / DRAWS - exact) < 5 * math.sqrt(exact / DRAWS) + 0.002, n


@given(trials=st.integers(0, 10_000), chance=st.floats(0, 1), seed=st.integers(0, 5))
def test_a_draw_is_never_out_of_its_range(trials: int, chance: float, seed: int) -> None:
    assert 0 <= Dice(seed, "range").binomial(trials, chance) <= trials


@given(st.floats(0, 1e6), st.integers(0, 5))
def test_a_count_is_never_below_zero(mean: float, seed: int) -> None:
    assert Dice(seed, "range").poisson(mean) >= 0


def test_the_ends_are_certain() -> None:
    dice = Dice(0, "ends")

    assert (
        dice.binomial(50, 0.0),
        dice.binomial(50, 1.0),
        dice.binomial(0, 0.5),
        dice.poisson(0.0),
    ) == (0, 50, 0, 0)


@given(st.floats(0.0, 1.0), st.integers(0, 1_000))
def test_a_power_is_a_power(base: float, exponent: int) -> None:
    assert math.isclose(power(base, exponent), base**exponent, rel_tol=1e-12, abs_tol=1e-300)


def test_a_power_below_zero_is_refused_and_does_not_go_on_for_ever() -> None:
    with pytest.raises(StrategyError, match="power: the exponent -1 must be 0 or more"):
        power(0.5, -1)


def test_the_same_seed_and_name_draw_the_same_for_ever() -> None:
    """These numbers were drawn by the first version that had dice; no platform and no Python may
    draw others.
    """
    dice = Dice(7, "golden")

    assert [dice.binomial(500, 0.01) for _ in range(6)] == GOLDEN_BINOMIAL
    assert [dice.poisson(80.0) for _ in range(6)] == GOLDEN_POISSON
    assert [round(dice.normal(), 12) for _ in range(3)] == GOLDEN_NORMAL
    assert Dice(7, "another").uniform() != Dice(7, "golden").uniform()


GOLDEN_BINOMIAL = [5, 4, 7, 6, 7, 7]
GOLDEN_POISSON = [88, 74, 72, 91, 91, 93]
GOLDEN_NORMAL = [1.350700131109, 1.281494830159, 0.349448677517]
