"""Looks come soon after each change of traffic, where harm is likeliest, and thin out to the
interval; only where more looks cause no more false alarms.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule
from tests.support.world import ERRORS, World, canary

from progressive import (
    Analysis,
    Budget,
    Canary,
    Limit,
    MannWhitney,
    Metric,
    NoWorse,
    SampleRatio,
    Tolerance,
    dumps,
    loads,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.plan.plan import SOON, Series
from progressive.rollout.commands import Inspect
from progressive.rollout.events import Event, Inspected
from progressive.rollout.phases import Phase
from progressive.steps import Analyze, Bake, SetWeight

LATENCY = Metric("latency", kind="latency")
QUEUE = Metric("queue", kind="value")
BASKET = Metric("basket", kind="mean")
AT_FULL = Limit(ERRORS, at_most=percent(90))
HALF_A_MINUTE = seconds(30)
LAST = Bake(minutes(5))


def series(early: bool = True, interval: timedelta = HALF_A_MINUTE) -> Series:
    """The series of a plan with one comparison."""
    [found] = canary(checks=[NoWorse(ERRORS), AT_FULL], interval=interval, early=early).plan.series
    return found


def ages(found: Series, resolution: timedelta | None, looks: int = 14) -> list[float]:
    """The ages at which a driver that is never late looks."""
    age, seen = timedelta(), []
    for _ in range(looks):
        age += found.look_after(age, resolution)
        seen.append(age.total_seconds())
    return seen


# ----------------------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        (None, [5, 10, 15, 20, 25, 30, 37.5, 46.875, 58.594, 73.242, 90, 112.5, 120, 150]),
        (seconds(1), [1, 2, 3, 4, 5, 6.25, 7.812, 9.765, 12.206, 15.258, 19.072, 23.84, 29.797]),
        (seconds(15), [15, 30, 45, 60, 75, 90, 112.5, 140.625]),
        (seconds(40), [30, 60, 90]),
    ],
)
def test_the_looks_of_half_a_minute(resolution: timedelta | None, expected: list[float]) -> None:
    assert ages(series(), resolution)[: len(expected)] == pytest.approx(expected, abs=0.002)


@given(
    age=st.integers(0, 10_000_000).map(ms),
    interval=st.integers(1, 600_000).map(ms),
    resolution=st.none() | st.integers(1, 100_000).map(ms),
)
def test_no_look_is_later_than_without_nor_shorter_than_what_is_new(
    age: timedelta, interval: timedelta, resolution: timedelta | None
) -> None:
    found = series(interval=interval).look_after(age, resolution)

    assert min(resolution or SOON, interval) <= found <= interval
    assert series(early=False, interval=interval).look_after(age, resolution) == interval


@pytest.mark.parametrize("resolution", [None, *map(seconds, (1, 2, 5, 10, 15, 30))], ids=str)
def test_from_the_sixth_interval_on_they_are_no_more_than_before(
    resolution: timedelta | None,
) -> None:
    seen = [age for age in ages(series(), resolution, looks=60) if age >= 180]

    assert all(later - age == 30 for age, later in pairwise(seen))


# ----------------------------------------------------------------------------- where it is allowed

CALM = Tolerance(no_data=Budget(looks=5))


@pytest.mark.parametrize(
    ("checks", "early"),
    [
        ([NoWorse(ERRORS)], True),
        ([NoWorse(LATENCY)], True),
        ([NoWorse(ERRORS, dispersion=3.0)], True),
        ([Limit(ERRORS, at_most=percent(1))], True),
        ([Limit(LATENCY, quantile=0.99, at_most=ms(400))], True),
        ([SampleRatio(ERRORS)], True),
        ([NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1)), SampleRatio(ERRORS)], True),
        ([NoWorse(ERRORS, exact=True)], False),
        ([NoWorse(ERRORS, blocks=True)], False),
        ([NoWorse(BASKET)], False),
        ([NoWorse(QUEUE)], False),
        ([MannWhitney(QUEUE)], False),
        ([Limit(ERRORS, at_most=percent(1), plain=True)], False),
        ([Limit(ERRORS, at_most=times(2))], False),
        ([Limit(QUEUE, at_most=40)], False),
        ([NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1), plain=True)], False),
        ([NoWorse(ERRORS, tolerance=CALM)], False),
    ],
    ids=repr,
)
def test_only_where_more_looks_cause_no_more_false_alarms(checks: list[Any], early: bool) -> None:
    """And where no budget is counted in looks alone, which would be used up sooner."""
    plan = Canary(
        weights=percents(50, 100), checks=[*checks, Limit(QUEUE, at_most=1e9, id="full")]
    ).plan
    judged = [each for each in plan.series if each.metric == checks[0].metric]

    if checks[0].metric != QUEUE:
        assert [each.early for each in judged] == [early]
    else:
        assert not any(each.early for each in judged)


def test_not_where_a_step_counts_the_looks() -> None:
    """Its evidence would be that of seconds."""
    strategy = Canary(
        steps=[SetWeight(percent(50)), Analyze("smoke", count=3), SetWeight(percent(100)), LAST],
        analyses=[Analysis("smoke", checks=[Limit(ERRORS, at_most=percent(5))])],
        checks=[Limit(ERRORS, at_most=percent(5))],
    )

    assert {each.analysis.name: each.early for each in strategy.plan.series} == {
        "smoke": False,
        "checks": True,
    }


# ------------------------------------------------------------------------------------ in a rollout


@attrs.define(kw_only=True)
class Resolved(World):
    """With a system that says how often it has new numbers."""

    resolution: timedelta | None = None

    def _inspect(self, command: Inspect) -> Event:
        event = World._inspect(self, command)
        assert isinstance(event, Inspected)
        if self.resolution is None:
            return event
        return attrs.evolve(event, resolutions=((ERRORS.name, self.resolution),))


def looks(world: World, since: datetime) -> list[float]:
    """Where the windows end that begin at this change of traffic or later, in seconds from it."""
    return [
        (event.look.window.end - since).total_seconds()
        for event in world.answers
        if event.look.window.start >= since
    ]


def at_half(**more: Any) -> tuple[World, datetime]:
    world = Resolved(strategy=canary(checks=[NoWorse(ERRORS), AT_FULL]), **more)
    world.until_weight(50)
    since = world.rollout.routing.verified_since
    assert since is not None
    return world, since


@pytest.mark.parametrize(
    ("resolution", "first"), [(None, 5.0), (seconds(2), 2.0), (seconds(15), 15.0)]
)
def test_harm_that_begins_with_a_raise_is_found_with_the_first_look(
    resolution: timedelta | None, first: float
) -> None:
    world, since = at_half(resolution=resolution)
    world.bad = 0.5
    world.until_phase(Phase.ROLLED_BACK)

    assert looks(world, since) == [first]
    assert (world.rollout.clocks.now - since).total_seconds() == pytest.approx(first, abs=1)


def test_a_bake_has_the_early_looks_and_those_of_before() -> None:
    world, since = at_half()
    world.until_weight(100)

    assert looks(world, since)[:8] == [5, 10, 15, 20, 25, 30, 37.5, 46.875]


def test_a_driver_that_comes_seldom_works_as_before() -> None:
    world, since = at_half()
    world.now = since
    while world.phase is Phase.PROGRESSING and world.candidate == percent(50):
        world.now += seconds(30)
        world.tick()

    assert looks(world, since)[:4] == [30, 60, 90, 120]


@rule("R35")
def test_what_is_stored_without_the_word_goes_on_without_early_looks() -> None:
    stored = dumps(World().until_weight(5).rollout)
    assert '"early":true' in stored
    before = loads(stored.replace('"early":true,', "").replace(',"early":true', ""))

    assert not any(each.early for each in before.plan.series)
    assert '"early"' not in dumps(before)


@rule("R28")
def test_a_clock_that_steps_back_forgets_no_resolution() -> None:
    world, _ = at_half(resolution=seconds(2))
    world.now -= minutes(1)
    world.tick()

    assert [each.resolution for each in world.rollout.evidence.series] == [seconds(2)]


def test_the_warm_up_is_no_age() -> None:
    strategy = canary(checks=[NoWorse(ERRORS), AT_FULL], warmup=seconds(40))
    world = World(strategy=strategy).until_weight(50)
    since = world.rollout.routing.verified_since
    assert since is not None
    world.until(lambda world: len(looks(world, since)) >= 3)

    assert looks(world, since)[:3] == [45, 50, 55]
