"""Histograms and rates out of raw samples."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.scraped import BUCKETS, REQUESTS, World

from progressive.metrics.prometheus import LATENCY, REQUEST_RATE, Buckets, Rate
from progressive.model.measurement import Gauge, Histogram, NoAnswer, NoData
from progressive.model.traffic import Track
from progressive.model.units import ms

# --------------------------------------------------------------------------------------- histograms


def test_buckets_are_counted_each_and_added_up_over_instances(world: World) -> None:
    for second in range(-1, 11):
        world.observe(second, second + 1, 2 * second + 2, 3 * second + 3)
        world.observe(second, 0, 0, second + 1, instance="b:80")

    assert world.stable(0, 10, BUCKETS, LATENCY) == Histogram(
        edges=(0.1, 0.5), cumulative=(10, 20, 40)
    )


def test_a_unit_makes_seconds_of_it_exactly(world: World) -> None:
    for second in range(2):
        world.observe(
            second, *(count * second for count in (1, 2, 3, 4)), edges="0.5 300 700.0 +Inf"
        )
    query = Buckets("seconds_bucket", version="version", unit=ms(1))

    assert world.stable(0, 1, query, LATENCY) == Histogram(
        edges=(0.0005, 0.3, 0.7), cumulative=(1, 2, 3, 4)
    )


def test_a_restart_is_seen_by_any_bucket_that_falls(world: World) -> None:
    """Each for itself, 0.1 would have risen from 5 to 7: two of what were seven."""
    world.observe(0, 5, 60, 100)
    world.observe(1, 7, 8, 8)

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.1, 0.5), cumulative=(7, 8, 8))


def test_buckets_that_are_stored_twice_are_counted_once(world: World) -> None:
    for second in (0, 1, 1):
        world.observe(second, second, second, second)

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.1, 0.5), cumulative=(1, 1, 1))


def test_edges_written_in_two_ways_are_the_same_bucket(world: World) -> None:
    for second in range(2):
        world.observe(second, second, second, second, edges="0.1 1 +Inf")
        world.observe(second, second, second, second, edges="0.10 1.0 +Inf", instance="b:80")

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.1, 1.0), cumulative=(2, 2, 2))


def test_instances_with_different_buckets_are_added_up_at_the_edges_that_all_have(
    world: World,
) -> None:
    """Below an edge that both have, both counts are exact."""
    for second in range(2):
        world.observe(second, second, 2 * second, 3 * second)
        world.observe(second, second, 4 * second, 9 * second, edges="0.1 0.7 +Inf", instance="b:80")
        world.observe(
            second, second, second, second, edges="1 2 +Inf", version="v2", instance="c:80"
        )
    look = world.look(0, 1, BUCKETS, LATENCY)

    assert look.of(Track.STABLE) == Histogram(edges=(0.1,), cumulative=(2, 12))
    assert look.of(Track.CANDIDATE) == Histogram(edges=(1.0, 2.0), cumulative=(1, 1, 1))


def test_instances_without_a_bucket_in_common_are_no_answer(world: World) -> None:
    for second in range(2):
        world.observe(second, second, second, second)
        world.observe(second, second, second, second, edges="0.2 0.7 +Inf", instance="b:80")

    assert world.stable(0, 1, BUCKETS, LATENCY) == NoAnswer(
        "the instances of one version have no bucket of seconds_bucket in common, so nothing can "
        "be added up: 0.1, 0.5 and 0.2, 0.7"
    )


def test_buckets_that_are_replaced_under_way_leave_those_that_stayed(world: World) -> None:
    for second in range(5):
        world.observe(second, 5 + second, 7 + second, 9 + second)
    for second in range(5, 9):
        world.observe(second, second - 4, second - 4, 2 * (second - 4), edges="0.1 0.4 +Inf")

    assert world.stable(2, 8, BUCKETS, LATENCY) == Histogram(
        edges=(0.1,), cumulative=(2 + 4, 2 + 8)
    )


@pytest.mark.parametrize(
    ("edges", "counts", "said"),
    [
        ("0.1 0.5", [(0, 0), (1, 1)], 'no bucket with le="+Inf"'),
        (
            "+Inf",
            [(0,), (1,)],
            "have no bucket of seconds_bucket in common, so nothing can be added up: none",
        ),
        ("0.1 0.10 +Inf", [(0, 0, 0), (1, 1, 1)], "two buckets that end at 0.1"),
        ("0.1 fast +Inf", [(0, 0, 0), (1, 1, 1)], "le='fast', which is no upper edge"),
        ("0.1 0.5 +Inf", [(0, 0, 0), (3, 2, 1)], "fall where they must rise"),
        (
            "0.1 0.5 +Inf",
            [(0, 0, 0), (1, 1, "NaN")],
            "some buckets of seconds_bucket have samples that others lack",
        ),
    ],
)
def test_buckets_that_make_no_sense_are_no_answer(
    world: World, edges: str, counts: list[tuple[Any, ...]], said: str
) -> None:
    for second, each in enumerate(counts):
        world.observe(second, *each, edges=edges)
    found = world.stable(0, 1, BUCKETS, LATENCY)

    assert isinstance(found, NoAnswer)
    assert said in found.why


def test_a_histogram_is_silent_like_a_counter(world: World) -> None:
    for second in range(-5, 5):
        world.observe(second, 7, 7, 7)
        world.observe(second, 9 + second, 9 + second, 9 + second, version="v2", instance="b:80")
    world.observe(5, 7, 7, 7)

    assert world.stable(0, 5, BUCKETS, LATENCY) == NoData("no requests")
    assert world.look(0, 5, BUCKETS, LATENCY).of(Track.CANDIDATE).sample == 4
    assert "no sample of" in world.stable(20, 30, BUCKETS, LATENCY).why


# ------------------------------------------------------------------------------------------- values


def test_a_rate_is_taken_between_samples_and_is_zero_only_for_a_version_that_is_scraped(
    world: World,
) -> None:
    for second in range(-5, 11):
        world.scrape(second, "a:80", _200=4 * second + 20)
        world.scrape(second, "b:80", "v2", _200=3)

    assert world.look(0.5, 9.9, Rate(REQUESTS), REQUEST_RATE).tracks == (
        (Track.CANDIDATE, Gauge(samples=(0.0,))),
        (Track.STABLE, Gauge(samples=(4.0,))),
    )
    assert world.stable(2.9, 3.1, Rate(REQUESTS), REQUEST_RATE) == Gauge(samples=(4.0,))
    assert isinstance(world.stable(2.1, 2.9, Rate(REQUESTS), REQUEST_RATE), NoData)
    assert isinstance(world.stable(30, 40, Rate(REQUESTS), REQUEST_RATE), NoData)


def test_a_rate_leaves_a_scrape_gap_out(world: World) -> None:
    world.scrape(-60, _200=0)
    world.scrape(3, _200=60_000)
    world.scrape(5, _200=60_010)

    assert world.stable(0, 5, Rate(REQUESTS), REQUEST_RATE) == Gauge(samples=(5.0,))


def test_a_rate_begins_one_scrape_before_what_is_born(world: World) -> None:
    world.scrape(3, _200=10)
    world.scrape(4, _200=20)

    assert world.stable(0, 4, Rate(REQUESTS), REQUEST_RATE) == Gauge(samples=(10.0,))
