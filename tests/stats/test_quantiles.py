"""Quantiles against NumPy and Prometheus' definition, and how often their intervals cover the
truth.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.reference import agrees, cases_of, near

from progressive.stats.quantiles import (
    bucket_quantile,
    bucket_quantile_interval,
    quantile,
    quantile_interval,
)

parts = st.floats(0, 1)
samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
EDGES = (0.1, 0.25, 0.5, 1.0)


@pytest.mark.parametrize("case", cases_of("histogram-quantile"), ids=lambda case: case["id"])
def test_a_reference_value(case: dict[str, Any]) -> None:
    buckets = case["input"]["buckets_le_cumulative"]
    edges, cumulative = [edge for edge, _ in buckets[:-1]], [count for _, count in buckets]

    assert agrees({"value": bucket_quantile(edges, cumulative, case["input"]["q"])}, case)


@given(values=samples, p=parts)
def test_a_quantile_agrees_with_numpy(values: list[float], p: float) -> None:
    assert near(quantile(values, p), float(np.quantile(values, p)), 1e-9, 1e-9)


@given(values=samples, ps=st.tuples(parts, parts))
def test_quantiles_rise_from_the_least_to_the_greatest(
    values: list[float], ps: tuple[float, float]
) -> None:
    low, high = sorted(ps)

    assert (
        min(values) <= quantile(values, low) <= quantile(values, high) + 1e-9 <= max(values) + 2e-9
    )
    assert (quantile(values, 0), quantile(values, 1)) == (min(values), max(values))


def order_statistics(n: int, p: float, confidence: float) -> tuple[int, int]:
    """From the definition, with fractions: the innermost places that each side is beyond with at
    most half of what is left.
    """
    chance = Fraction(p)
    miss = (1 - Fraction(confidence)) / 2
    below = [Fraction(0)]
    for k in range(n + 1):
        below.append(below[-1] + math.comb(n, k) * chance**k * (1 - chance) ** (n - k))
    low = max(place for place in range(n + 1) if below[place] <= miss)
    high = min(place for place in range(1, n + 2) if 1 - below[place] <= miss)
    return low, high


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.75, 0.99, 1.0])
@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_the_interval_is_two_order_statistics_by_the_binomial(
    n: int, p: float, confidence: float
) -> None:
    values = [float(i) for i in range(1, n + 1)]
    low, high = order_statistics(n, p, confidence)

    assert quantile_interval(values, p, confidence=confidence) == (
        low if low else -inf,
        high if high <= n else inf,
    )


def test_an_upper_end_for_the_99th_percentile_takes_368_samples() -> None:
    """At 95 %: 0.99 to the power of n is at most 2.5 %."""
    assert quantile_interval(range(367), 0.99).high == inf
    assert quantile_interval(range(368), 0.99).high == 367


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_the_interval_covers_the_truth_as_often_as_it_says(p: float) -> None:
    rng = random.Random(11)
    truth = -math.log(1 - p)
    runs = 1_500
    covered = 0
    for _ in range(runs):
        low, high = quantile_interval([rng.expovariate(1) for _ in range(50)], p, confidence=0.9)
        covered += low <= truth <= high

    assert covered / runs >= 0.9 - 3 * math.sqrt(0.09 / runs)


@given(
    values=st.lists(st.floats(0, 2), min_size=0, max_size=80),
    p=parts,
    confidence=st.sampled_from([0.5, 0.95]),
)
def test_buckets_give_the_samples_interval_outward_to_their_edges(
    values: list[float], p: float, confidence: float
) -> None:
    cumulative = [len([value for value in values if value <= edge]) for edge in EDGES] + [
        len(values)
    ]
    low, high = bucket_quantile_interval(EDGES, cumulative, p, confidence=confidence, least=0.0)
    exact_low, exact_high = (
        quantile_interval(values, p, confidence=confidence) if values else (-inf, inf)
    )

    assert low == max([0.0, *(edge for edge in EDGES if edge < exact_low)])
    assert high == min([inf, *(edge for edge in EDGES if edge >= exact_high)])


def test_past_the_last_edge_is_infinity_and_below_the_first_what_can_be_least() -> None:
    assert bucket_quantile_interval((1.0,), (0, 1_000), 0.5) == (1.0, inf)
    assert bucket_quantile_interval((1.0,), (1_000, 1_000), 0.5) == (-inf, 1.0)
    assert bucket_quantile_interval((1.0,), (1_000, 1_000), 0.5, least=0.0) == (0.0, 1.0)
    assert bucket_quantile_interval((1.0,), (0, 0), 0.5, least=0.0) == (0.0, inf)


INTERPOLATED: tuple[tuple[str, tuple[float, ...], tuple[int, ...], float, float], ...] = (
    ("in the first bucket from zero", (0.1, 0.5), (10, 20, 20), 0.25, 0.05),
    ("in a later one from its lower edge", (0.1, 0.5), (10, 20, 20), 0.75, 0.3),
    ("past the last edge", (0.1, 0.5), (10, 20, 30), 0.99, 0.5),
    ("a first edge that is not above zero", (-1.0, 0.5), (10, 20, 20), 0.25, -1.0),
    ("the least of an empty first bucket", (0.1, 0.5), (0, 20, 20), 0.0, 0.0),
)


@pytest.mark.parametrize(
    ("edges", "cumulative", "p", "wanted"),
    [row[1:] for row in INTERPOLATED],
    ids=[row[0] for row in INTERPOLATED],
)
def test_what_prometheus_says(
    edges: tuple[float, ...], cumulative: tuple[int, ...], p: float, wanted: float
) -> None:
    assert bucket_quantile(edges, cumulative, p) == pytest.approx(wanted)


REFUSED: tuple[tuple[Callable[[], Any], str], ...] = (
    (lambda: quantile([], 0.5), "samples: none"),
    (
        lambda: quantile_interval([1, math.nan], 0.5),
        "samples: NaN has no place in the order; remove it first",
    ),
    (lambda: quantile([1], 99), "p=99 is not between 0 and 1; the 99th percentile is 0.99"),
    (
        lambda: quantile_interval([1], math.nan),
        "p=nan is not between 0 and 1; the 99th percentile is 0.99",
    ),
    (
        lambda: quantile_interval([1], 0.5, confidence=95),
        "confidence=95 is not between 0 and 1; 95 % is 0.95",
    ),
    (
        lambda: bucket_quantile((), (1,), 0.5),
        "edges=() must be one or more rising numbers, without infinity",
    ),
    (
        lambda: bucket_quantile((1, 1), (1, 2, 3), 0.5),
        "edges=(1, 1) must be one or more rising numbers, without infinity",
    ),
    (
        lambda: bucket_quantile((1, inf), (1, 2, 3), 0.5),
        "edges=(1, inf) must be one or more rising numbers, without infinity",
    ),
    (
        lambda: bucket_quantile((1,), (1,), 0.5),
        "cumulative=(1,) must have one number more than edges (the last counts all) and never fall",
    ),
    (
        lambda: bucket_quantile_interval((1,), (2, 1), 0.5),
        (
            "cumulative=(2, 1) must have one number more than edges (the last counts all) and "
            "never fall"
        ),
    ),
    (
        lambda: bucket_quantile_interval((1,), (-1, 1), 0.5),
        (
            "cumulative=(-1, 1) must have one number more than edges (the last counts all) and "
            "never fall"
        ),
    ),
    (
        lambda: bucket_quantile((1,), (0, 1), 2),
        "p=2 is not between 0 and 1; the 99th percentile is 0.99",
    ),
)


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_what_makes_no_sense_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()

    assert str(caught.value) == said
