"""Counts out of raw samples: restarts, births, gaps, and the kinds of silence."""

from __future__ import annotations

import pytest
from tests.support.rules import rule
from tests.support.scraped import REQUESTS, START, ZERO, World

from progressive.metrics.prometheus import Counter, Ratio
from progressive.model.measurement import Counts, NoAnswer, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import seconds

# ------------------------------------------------------------------------------------------- counts


@rule("R13")
def test_counts_are_differences_of_raw_samples(world: World) -> None:
    for second in range(-1, 12):
        world.scrape(second, _200=1000 + 10 * second, _404=7, _500=max(second - 8, 0))

    assert world.stable(0, 10) == Counts(events=2, trials=102)
    assert world.stable(2.5, 4.5) == Counts(events=0, trials=20)


def test_a_sample_at_the_edge_belongs_to_the_window_that_it_ends(world: World) -> None:
    """What it shows happened before it."""
    world.scrape(0, _200=5)
    world.scrape(1, _200=6)
    world.scrape(2, _200=8)

    assert [world.stable(begin, begin + 1).trials for begin in (0, 1)] == [1, 2]


@pytest.mark.parametrize("closed", [True, False])
def test_where_a_servers_range_begins_does_not_matter(world: World, closed: bool) -> None:
    """Up to Prometheus 2 both ends belong to it, since 3 (and at VictoriaMetrics) the end only."""
    world.server.closed = closed
    for second in range(-10, 11):
        world.scrape(second, _200=100 + second)

    assert world.stable(0, 10).trials == 10


def test_a_fall_is_a_restart_and_counts_from_zero(world: World) -> None:
    for second, count in enumerate((90, 95, 3, 4, 0, 2)):
        world.scrape(second, _200=count)

    assert world.stable(0, 5).trials == 5 + 3 + 1 + 0 + 2


def test_a_counter_that_is_born_counts_from_its_first_event(world: World) -> None:
    for second in range(6):
        world.scrape(second, _200=10 * second)
    world.scrape(6, _200=60, _500=2)

    assert world.stable(1, 6) == Counts(events=2, trials=52)


@rule("R13")
def test_the_first_request_of_an_idle_version_is_counted_because_its_target_was_scraped(
    world: World,
) -> None:
    for second in range(-5, 5):
        world.scrape(second)
    world.scrape(5, _500=1)

    assert world.stable(0, 5) == Counts(events=1, trials=1)


def test_an_instance_that_is_new_in_a_job_counts_from_zero(world: World) -> None:
    for second in range(-10, 6):
        world.scrape(second, _200=100)
    world.scrape(4, "b:80", _200=8, _500=1)
    world.scrape(5, "b:80", _200=9, _500=1)

    assert world.stable(0, 5) == Counts(events=1, trials=10)


def test_a_scrape_gap_is_no_birth(world: World) -> None:
    world.scrape(-60, _200=1000, _500=9)
    world.scrape(3, _200=1004, _500=9)
    world.scrape(4, _200=1006, _500=10)

    assert world.stable(0, 4) == Counts(events=1, trials=7)


def test_a_restart_within_a_scrape_gap_counts_from_zero(world: World) -> None:
    world.scrape(-60, _200=1000)
    world.scrape(3, _200=4)

    assert world.stable(0, 3).trials == 4


def test_a_server_that_was_just_started_puts_no_past_into_the_window() -> None:
    fresh = World()
    for second in range(1, 5):
        fresh.scrape(second, "a:80", _200=1_000_000 + second)
        fresh.scrape(second + 0.7, "b:80", _200=2_000_000 + second)
    first = fresh.stable(0, 1.5)

    assert "nobody knows" in first.why
    assert fresh.stable(0, 3).trials == 3, (
        "of a two and of b one, without what their first scrapes showed"
    )
    assert fresh.stable(1.5, 4.7).trials == 6


def test_an_instance_that_vanishes_counts_up_to_its_last_sample(world: World) -> None:
    for second in range(11):
        world.scrape(second, "a:80", _200=second)
        if second <= 4:
            world.scrape(second + 0.3, "b:80", _200=100 * second)

    assert world.stable(1, 10).trials == 9 + 400
    assert world.stable(5, 10).trials == 5


def test_an_event_counted_before_its_request_is_its_own_request(world: World) -> None:
    """Two counters are not incremented at the same moment, and a scrape may come between."""
    query = Ratio(events=Counter("failures_total", version="version"), total=REQUESTS)
    for second, (failures, requests) in enumerate([(0, 0), (5, 4)]):
        world.scrape(second, _200=requests)
        world.server.add(
            ZERO + second * 1000,
            failures,
            name="failures_total",
            job="shop",
            instance="a:80",
            version="v1",
        )

    assert world.stable(0, 1, query) == Counts(events=5, trials=5)
    assert len(world.server.queries) == 1


def test_events_without_a_total_are_a_mistake_in_the_query(world: World) -> None:
    query = Ratio(events=REQUESTS, total=Counter("request_total", version="version"))
    world.scrape(0, _200=1)
    world.scrape(1, _200=2)
    found = world.stable(0, 1, query)

    assert isinstance(found, NoAnswer)
    assert 'nothing of the total (request_total{version="{backend}"})' in found.why


@pytest.mark.parametrize(("value", "said"), [(1.5, "1.5"), (-1, "-1"), ("+Inf", "inf")])
def test_what_is_no_count_is_no_answer(world: World, value: float | str, said: str) -> None:
    world.scrape(0, _200=1)
    world.scrape(1, _200=value)
    found = world.stable(0, 1)

    assert found == NoAnswer(
        f"requests_total shows {said}, which is no count; a counter of events rises in whole "
        "numbers"
    )


def test_stale_markers_and_samples_stored_twice_are_left_out(world: World) -> None:
    """VictoriaMetrics shows where a series ended as NaN, and two agents that write the same scrape
    as two samples.
    """
    for second, value in [(0, 1), (1, 3), (1, 3), (2, "NaN"), (3, 4)]:
        world.scrape(second, _200=value)

    assert world.stable(0, 3).trials == 3


# ------------------------------------------------------------------------------------------ silence


@rule("R13", "R20")
def test_healthy_idle_absent_and_dead_are_four_things(world: World) -> None:
    for second in range(-5, 11):
        world.scrape(second, "a:80", "v1", _200=second + 5)
        world.scrape(second, "c:80", "v3", _200=7)
        if second < 0:
            world.scrape(second, "d:80", "v4", _200=50 + second)
    healthy, idle, absent, dead = (
        world.stable(
            0, 10, release=Release(service="shop", stable=Version(name), candidate=Version("x"))
        )
        for name in ("v1", "v3", "v2", "v4")
    )

    assert healthy == Counts(events=0, trials=10)
    assert idle == NoData("no requests")
    assert absent.why.startswith(
        'no sample of requests_total{version="v2"}: the target is not scraped, is down,'
    )
    assert dead.why.startswith(
        'the last sample of requests_total{version="v4"} is 11s older than the window\'s end: the '
        "target is down"
    )


@rule("R13", "R18")
def test_a_version_that_dies_is_judged_up_to_its_last_scrape_and_then_is_no_data(
    world: World,
) -> None:
    for second in range(-1, 21):
        world.scrape(second, "a:80", "v1", _200=10 * second + 10)
        if second <= 12:
            world.scrape(second + 0.2, "b:80", "v2", _200=100, _500=max(second - 9, 0))
    last_words = world.look(0, 20)
    silence = world.look(12.2, 20)

    assert last_words.covered == Window(START, START + seconds(12.2))
    assert last_words.of(Track.CANDIDATE) == Counts(events=3, trials=3)
    assert last_words.of(Track.STABLE) == Counts(events=0, trials=120), "both up to the same moment"
    assert isinstance(silence.of(Track.CANDIDATE), NoData)
    assert silence.covered.end == START + seconds(20)
    assert silence.of(Track.STABLE) == Counts(events=0, trials=80)


def test_two_scrapes_may_be_missed_and_the_third_makes_it_stale(world: World) -> None:
    for second in range(-1, 11):
        world.scrape(second, _200=second + 1)

    assert world.look(0, 12.999).covered.end == START + seconds(12.999)
    assert world.look(0, 13).covered.end == START + seconds(10)
    assert world.stable(10, 13).why.startswith("the last sample of")


def test_a_window_between_two_scrapes_has_no_data(world: World) -> None:
    for second in range(-1, 4):
        world.scrape(second, _200=second + 1)

    assert world.stable(2.1, 2.9) == NoData("no requests")


def test_a_track_without_a_version_is_not_asked_for(world: World) -> None:
    for second in range(-1, 4):
        world.scrape(second, _200=second + 1)
    look = world.look(0, 3, tracks=tuple(Track))

    assert look.of(Track.BASELINE) == NoData("the release has no version for this track")
    assert look.of(Track.STABLE) == Counts(events=0, trials=3)
    assert world.look(0, 3, tracks=(Track.BASELINE,)).query == ""
