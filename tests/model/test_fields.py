"""Wrong values, each with the whole message that a person sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.descriptions import AT, NAME, V1, V2, Case, a_canary, refuses, stepped

from progressive import (
    Deadline,
    Hold,
    Release,
    Traffic,
    Version,
    begin,
    hours,
    percent,
    seconds,
    times,
)
from progressive.model import Counts, Gauge, Histogram, Look, Moments, Window
from progressive.steps import Bake, Pause, SetWeight

DESCRIPTIONS: tuple[Case, ...] = (
    # -- units
    (
        "a bare number as a weight",
        lambda: a_canary(weights=[5, 100]),
        [
            "Canary.weights[0]: 5 has no unit; write percents(5, 100)",
            "Canary.weights[1]: 100 has no unit; write percents(5, 100)",
        ],
    ),
    (
        "one weight without a list",
        lambda: a_canary(weights=percent(5)),
        "Canary.weights: expected a list, got percent(5); write percents(5, 100)",
    ),
    (
        "one bare number without a list",
        lambda: a_canary(weights=5),
        "Canary.weights: expected a list, got 5; write percents(5, 100)",
    ),
    (
        "a bare number in a step",
        lambda: SetWeight(5),
        "SetWeight.weight: 5 is no Percent; write percent(5)",
    ),
    (
        "a bare number in traffic",
        lambda: Traffic(candidate=60),
        "Traffic.candidate: 60 is no Percent; write percent(60)",
    ),
    (
        "seconds as a number",
        lambda: a_canary(bake=300),
        "Canary.bake: 300 has no unit; write seconds(300), minutes(...) or a timedelta",
    ),
    (
        "a pause as a number",
        lambda: Pause(60),
        "Pause.duration: 60 has no unit; write seconds(60), minutes(...) or a timedelta",
    ),
    (
        "a bake backwards",
        lambda: Bake(seconds(-3)),
        "Bake.duration: datetime.timedelta(days=-1, seconds=86397) must be at least 1 ms",
    ),
    (
        "a bake of no time",
        lambda: a_canary(bake=timedelta()),
        "Canary.bake: datetime.timedelta(0) must be at least 1 ms",
    ),
    (
        "a warm-up backwards",
        lambda: a_canary(warmup=seconds(-1)),
        "Canary.warmup: datetime.timedelta(days=-1, seconds=86399) must be zero or more",
    ),
    (
        "a time for retirement as a number",
        lambda: a_canary(retire_after=60),
        "Canary.retire_after: 60 has no unit; write seconds(60), minutes(...) or a timedelta",
    ),
    (
        "a duration for a deadline",
        lambda: a_canary(deadline=hours(1)),
        (
            "Canary.deadline: datetime.timedelta(seconds=3600) is no Deadline; write "
            "Deadline(within=datetime.timedelta(seconds=3600))"
        ),
    ),
    (
        "a deadline as a number",
        lambda: Deadline(within=5),
        "Deadline.within: 5 has no unit; write seconds(5), minutes(...) or a timedelta",
    ),
    (
        "a hold for a number",
        lambda: Hold(at=AT, within=30, by="eve", why="lunch"),
        "Hold.within: 30 has no unit; write seconds(30), minutes(...) or a timedelta",
    ),
    ("more than all", lambda: percent(101), "percent(101): expected a number from 0 to 100"),
    ("percent of a string", lambda: percent("5"), "percent('5'): expected a number from 0 to 100"),
    (
        "too fine a percent",
        lambda: percent(0.00014),
        "percent(0.00014): finer than 0.0001 %; the nearest is percent(0.0001)",
    ),
    ("no times stable", lambda: times(0), "times(0): expected a finite number above 0"),
    # -- releases
    (
        "one backend for two versions",
        lambda: Release(
            service="shop",
            stable=Version("v1", backend="web"),
            candidate=Version("v2", backend="web"),
        ),
        (
            "release.candidate.backend: 'web' stands for two versions of 'shop'; "
            "the router could not tell them apart, so give each its own backend"
        ),
    ),
    (
        "a version by its name",
        lambda: Release(service="shop", stable="v1", candidate=V2),
        "Release.stable: 'v1' is no Version; write Version('v1')",
    ),
    (
        "a service with a title",
        lambda: Release(service="my shop", stable=V1, candidate=V2),
        f"Release.service: 'my shop' {NAME}",
    ),
    (
        "a way back from the first",
        lambda: Release(service="shop", stable=None, candidate=V2).reversed(),
        "release.reversed: 'shop' had no stable version to return to",
    ),
    (
        "a first deployment",
        lambda: begin(
            a_canary().plan, Release(service="shop", stable=None, candidate=V2), id="r", at=AT
        ),
        (
            "release.stable: 'shop' has no stable version; a first deployment has nothing "
            "to return to or to compare with; "
            "use first_deployment(router, release)"
        ),
    ),
    (
        "a baseline that is nobody",
        lambda: begin(
            stepped(SetWeight(percent(5), baseline=percent(5)), SetWeight(percent(100))).plan,
            Release(service="shop", stable=V1, candidate=V2),
            id="r",
            at=AT,
        ),
        "release.baseline: the plan gives a baseline traffic; name it in Release(baseline=...)",
    ),
    # -- what a provider answers
    (
        "more events than trials",
        lambda: Counts(events=5, trials=3),
        "counts: 5 events among 3 trials; events are part of the trials",
    ),
    (
        "half an event",
        lambda: Counts(events=0.5, trials=3),
        "Counts.events: 0.5 must be a whole number, 0 or more",
    ),
    (
        "edges that fall",
        lambda: Histogram(edges=(1, 0.5), cumulative=(1, 2, 3)),
        "histogram.edges: (1, 0.5) must be one or more rising numbers, without infinity",
    ),
    (
        "no count for all",
        lambda: Histogram(edges=(0.5, 1), cumulative=(1, 2)),
        (
            "histogram.cumulative: (1, 2) must have one number more than edges (the last "
            "counts all) and never fall"
        ),
    ),
    (
        "half a count",
        lambda: Histogram(edges=(0.5,), cumulative=(0.5, 2)),
        "histogram.cumulative: 0.5 must be a whole number, 0 or more",
    ),
    (
        "a count below zero",
        lambda: Histogram(edges=(0.5,), cumulative=(3, -1)),
        "histogram.cumulative: -1 must be a whole number, 0 or more",
    ),
    (
        "an edge at infinity",
        lambda: Histogram(edges=(0.5, float("inf")), cumulative=(1, 2, 3)),
        "histogram.edges: inf is not a finite number; answer NoData(...) where there is none",
    ),
    (
        "a sample that is a truth",
        lambda: Gauge(samples=(1.0, True)),
        "gauge.samples: True is not a finite number; answer NoData(...) where there is none",
    ),
    (
        "squares below zero",
        lambda: Moments(n=1, mean=0.0, m2=-1.0),
        "moments.m2: -1.0 is a sum of squares; it can't be negative",
    ),
    (
        "a mean that is no number",
        lambda: Moments(n=1, mean=float("nan"), m2=1.0),
        "moments.mean: nan is not a finite number; answer NoData(...) where there is none",
    ),
    (
        "a gauge of nothing",
        lambda: Gauge(samples=()),
        "gauge.samples: none; answer NoData(...) instead",
    ),
    (
        "a window backwards",
        lambda: Window(AT, AT - hours(1)),
        "window: the end 2026-03-01T11:00:00+00:00 is before the start 2026-03-01T12:00:00+00:00",
    ),
    (
        "too much to remember",
        lambda: Look(metric="x", window=Window(AT, AT), tracks=(), reading="x" * 5000),
        "look.reading: 5000 characters; 4096 are the most that a rollout carries",
    ),
)


@pytest.mark.parametrize(
    ("make", "said"),
    [case[1:] for case in DESCRIPTIONS],
    ids=[case[0] for case in DESCRIPTIONS],
)
def test_a_wrong_description_says_where_what_and_what_instead(
    make: Callable[[], object], said: str | list[str]
) -> None:
    refuses(make, said)
