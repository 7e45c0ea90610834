"""Percent, durations and multiples."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive import (
    Limit,
    Metric,
    NoWorse,
    StrategyError,
    Tick,
    geometric,
    hours,
    linear,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.model import Percent
from progressive.model.measurement import Counts, Gauge, Histogram, Moments
from progressive.model.units import MILLION
from progressive.steps import Bake


@rule("R12")
@given(ppm=st.integers(0, MILLION))
def test_percent_is_exact_to_a_ten_thousandth(ppm: int) -> None:
    weight = Percent(ppm)

    assert percent(ppm / 10_000) == weight == percent(weight.number)
    assert weight.fraction == ppm / MILLION
    assert eval(repr(weight)) == weight


@pytest.mark.parametrize("value", [-0.0001, 100.0001, math.nan, math.inf, True, "5", None, 1e-5])
def test_what_is_no_percent_is_refused(value: Any) -> None:
    with pytest.raises(StrategyError, match=r"percent\("):
        percent(value)
    with pytest.raises(StrategyError, match="parts per million"):
        Percent(value)


def test_percents_read_as_people_write_them() -> None:
    assert [str(weight) for weight in percents(0, 0.5, 5, 33.3333, 100)] == [
        "0 %",
        "0.5 %",
        "5 %",
        "33.3333 %",
        "100 %",
    ]
    assert percent(1) == percent(1.0)
    assert hash(percent(1)) == hash(percent(1.0))
    assert percent(2) < percent(10)


def test_durations_and_multiples() -> None:
    assert (ms(1500), seconds(1.5)) == (timedelta(seconds=1.5),) * 2
    assert (minutes(60), hours(1)) == (timedelta(hours=1),) * 2
    assert repr(times(1.5)) == "times(1.5)"
    assert repr(times(2, floor=percent(1))) == "times(2.0, floor=percent(1))"


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf, True, "2"])
def test_what_is_no_multiple_is_refused(factor: Any) -> None:
    with pytest.raises(StrategyError, match="expected a finite number above 0"):
        times(factor)


@rule("R31")
def test_any_zone_is_the_same_moment_and_finer_than_a_millisecond_is_cut() -> None:
    east = datetime(2026, 3, 1, 21, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=9)))

    assert Tick(at=east).at == datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    assert Bake(timedelta(microseconds=2_999)).duration == ms(2)


LEVEL, LATENCY = Metric("level", kind="value"), Metric("latency", kind="latency")
HUGE = 10**309
"""A whole number that no float holds."""


@pytest.mark.parametrize(
    "make",
    [
        percent,
        lambda big: percents(1, big),
        linear,
        lambda big: geometric(1, factor=big),
        times,
        lambda big: times(2, floor=big) and Limit(LEVEL, at_most=times(2, floor=big)),
        ms,
        seconds,
        minutes,
        hours,
        lambda big: Limit(LEVEL, at_most=big),
        lambda big: Limit(LEVEL, at_most=1, min_sample=big),
        lambda big: Limit(LATENCY, at_most=ms(1), quantile=big),
        lambda big: NoWorse(LEVEL, margin=big),
        lambda big: Counts(events=0, trials=big),
        lambda big: Histogram(edges=(1, big), cumulative=(1, 2, 3)),
        lambda big: Histogram(edges=(1, 2), cumulative=(1, 2, big)),
        lambda big: Moments(n=big, mean=1, m2=1),
        lambda big: Moments(n=1, mean=big, m2=1),
        lambda big: Moments(n=1, mean=1, m2=big),
        lambda big: Gauge(samples=(1, big)),
    ],
)
@pytest.mark.parametrize("big", [HUGE, -HUGE, 10**5000], ids=["309 digits", "below", "5000"])
def test_a_whole_number_that_no_float_holds_is_refused_in_our_words(
    make: Callable[[int], object], big: int
) -> None:
    with pytest.raises(StrategyError) as caught:
        make(big)
    assert len(str(caught.value)) < 600
