"""Measurements: how they merge, and what can be read from them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.world import START

from progressive import Metric, StrategyError, Track, minutes
from progressive.model import (
    Counts,
    Gauge,
    Kind,
    Look,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.measurement import Histogram, merge

COUNTS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(
    lambda two: Counts(events=min(two), trials=max(two))
)


HISTOGRAMS = st.lists(st.integers(0, 10**6), min_size=3, max_size=3).map(
    lambda counts: Histogram(edges=(0.1, 1), cumulative=sorted(counts))
)


VALUES = st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=12)


SILENT = st.sampled_from([NoData("none"), NoAnswer("503")])


def moments(values: list[int]) -> Moments:
    mean = math.fsum(values) / len(values)
    return Moments(n=len(values), mean=mean, m2=math.fsum((value - mean) ** 2 for value in values))


def test_numbers_of_another_library_are_numbers() -> None:
    """Such as NumPy's, which are floats of a class of their own."""

    class Float64(float):
        pass

    assert Gauge(samples=(Float64(1.5), 2)).samples == (1.5, 2)


@pytest.mark.parametrize("kind", [COUNTS, HISTOGRAMS], ids=["counts", "histograms"])
def test_merging_is_associative_and_commutative_and_counts_everything(
    kind: st.SearchStrategy[Any],
) -> None:
    @given(kind | SILENT, kind | SILENT, kind)
    def law(a: Measurement, b: Measurement, c: Measurement) -> None:
        assert merge(merge(a, b), c) == merge(a, merge(b, c))
        assert merge(a, c) == merge(c, a)
        assert merge(a, merge(b, c)).sample == a.sample + b.sample + c.sample

    law()


@given(VALUES, VALUES, VALUES)
def test_moments_merge_into_the_moments_of_all(a: list[int], b: list[int], c: list[int]) -> None:
    left = merge(merge(moments(a), moments(b)), moments(c))
    right = merge(moments(a), merge(moments(b), moments(c)))
    assert isinstance(left, Moments)
    assert isinstance(right, Moments)
    for found in (left, right):
        truth = moments([*a, *b, *c])
        assert found.n == truth.n
        assert found.mean == pytest.approx(truth.mean, abs=1e-9)
        assert found.m2 == pytest.approx(truth.m2, rel=1e-9, abs=1e-6)


def test_moments_at_a_large_mean_don_t_cancel() -> None:
    far = [Moments(n=2, mean=1e9 + 0.5, m2=0.5), Moments(n=2, mean=1e9 + 2.5, m2=0.5)]
    merged = merge(*far)

    assert isinstance(merged, Moments)
    assert merged.m2 == pytest.approx(5.0)


def test_gauges_keep_the_newer_and_silence_adds_nothing() -> None:
    old, new = Gauge(samples=(1,)), Gauge(samples=(2, 3))

    assert merge(old, new) == new
    assert merge(old, NoAnswer("503")) == old
    assert merge(NoData("none"), new) == new
    assert merge(NoData("a"), NoData("b")) == NoData("a")


def test_what_does_not_fit_together_is_refused() -> None:
    one, other = Histogram(edges=(1,), cumulative=(0, 1)), Histogram(edges=(2,), cumulative=(0, 1))
    for a, b in (
        (one, other),
        (one, Counts(events=0, trials=1)),
        (Gauge(samples=(1,)), Moments(n=1, mean=1, m2=0)),
    ):
        with pytest.raises(StrategyError, match="measurements do not fit together"):
            merge(a, b)


BUCKETS = Histogram(edges=(0.1, 0.5, 1.0), cumulative=(90, 98, 99, 100))


@pytest.mark.parametrize(
    ("bound", "above", "edge"),
    [(0.05, 10, 0.1), (0.1, 10, 0.1), (0.2, 2, 0.5), (1.0, 1, 1.0), (1.1, 0, math.inf)],
)
def test_values_above_a_bound_are_counted_at_the_edge_past_it(
    bound: float, above: int, edge: float
) -> None:
    assert BUCKETS.above(bound) == (above, edge)


@pytest.mark.parametrize(
    ("q", "upper"), [(0.5, 0.1), (0.9, 0.1), (0.91, 0.5), (0.99, 1.0), (0.999, math.inf)]
)
def test_a_quantile_is_the_upper_edge_of_its_bucket(q: float, upper: float) -> None:
    assert BUCKETS.quantile(q) == upper
    assert math.isnan(Histogram(edges=(1,), cumulative=(0, 0)).quantile(q))


def test_a_look_says_what_it_was_asked() -> None:
    window = Window(START, START + minutes(1))
    look = Look(metric="error-rate", window=window, tracks={Track.STABLE: NoData("none")})

    assert look.of(Track.STABLE) == NoData("none")
    assert look.of(Track.CANDIDATE) == NoData("not asked")
    assert look.covered == window
    assert window.length == minutes(1)
    assert str(Metric("error-rate", kind=Kind.RATIO)) == "error-rate"
