"""Series that begin, end or are told twice under other labels, and zeros that nobody scraped.

Every form has brothers, which go the same way: a counter, the buckets of a histogram and a rate;
stable and candidate.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.scraped import BUCKETS, RATIO, REQUESTS, ZERO, World

from progressive.metrics.prometheus import ERRORS, LATENCY, REQUEST_RATE, Rate
from progressive.model.measurement import Counts, Gauge, Histogram, Metric, NoAnswer, NoData
from progressive.model.traffic import Track

BROTHERS = pytest.mark.parametrize(
    ("query", "metric"),
    [(RATIO, ERRORS), (BUCKETS, LATENCY), (Rate(REQUESTS), REQUEST_RATE)],
    ids=["counter", "buckets", "rate"],
)
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])


def tell(world: World, second: float, count: int, version: str = "v1", **labels: str) -> None:
    """One sample of a counter and of a histogram, and none of ``up``."""
    named = {"job": "shop", "instance": f"{version}:80", "version": version, **labels}
    at = ZERO + round(second * 1000)
    world.server.add(at, count, code="200", **named)
    for edge in ("0.1", "0.5", "+Inf"):
        world.server.add(at, count, name="seconds_bucket", le=edge, **named)


def up(world: World, second: float, version: str = "v1", job: str = "shop", value: int = 1) -> None:
    world.server.add(
        ZERO + round(second * 1000), value, name="up", job=job, instance=f"{version}:80"
    )


def of(world: World, version: str, query: Any, metric: Metric, begin: float, end: float) -> Any:
    look = world.look(begin, end, query, metric)
    return look.of(Track.STABLE if version == "v1" else Track.CANDIDATE)


def came(count: int, rate: float) -> tuple[Any, ...]:
    """The same as a count, as a histogram and as a rate."""
    return (
        Counts(events=0, trials=count),
        Histogram(edges=(0.1, 0.5), cumulative=(count, count, count)),
        Gauge(samples=(rate,)),
    )


# --------------------------------------------------------------------------- zeros nobody scraped


@rule("R13")
@BROTHERS
@VERSIONS
@pytest.mark.parametrize("before", [4, 12, 40], ids=["in sight", "just out of it", "long before"])
def test_a_zero_long_before_the_first_scrape_is_no_base(
    query: Any, metric: Metric, version: str, before: int
) -> None:
    """The job is new, and its first sample holds the whole past of a version."""
    world = World()
    for second in range(-6, 4):
        for other in {"v1", "v2"} - {version}:
            tell(world, second, 100 + 10 * second, other, job="old")
            up(world, second, other, job="old")
    tell(world, -before, 0, version, job="new")
    for second in range(4):
        tell(world, second + 0.5, 1800 + 10 * second, version, job="new")
        up(world, second + 0.5, version, job="new")

    assert of(world, version, query, metric, 0, 3.6) in came(30, 10.0)


def test_such_a_zero_makes_no_neighbour_one_whose_job_was_scraped_long_before() -> None:
    """Stable's start is too long ago for a zero, so its whole past would count."""
    world = World()
    tell(world, -4, 0, "v2")
    for second in range(3):
        for version, past in (("v1", 5600), ("v2", 600)):
            tell(world, second + 0.5, past + 10 * second, version)
            up(world, second + 0.5, version)

    assert of(world, "v1", RATIO, ERRORS, 0, 3) == Counts(events=0, trials=20)
    assert of(world, "v1", Rate(REQUESTS), REQUEST_RATE, 0, 3) == Gauge(samples=(10.0,))


def test_only_a_zero_and_a_first_sample_are_no_data() -> None:
    world = World()
    tell(world, -4, 0)
    tell(world, 0.5, 1800)
    up(world, 0.5)

    assert isinstance(of(world, "v1", RATIO, ERRORS, 0, 1), NoData)


@BROTHERS
@VERSIONS
def test_a_zero_within_about_a_scrape_of_the_next_sample_counts_all_that_came(
    query: Any, metric: Metric, version: str
) -> None:
    """A pod that really started."""
    world = World()
    tell(world, 0.2, 0, version)
    for second in (1, 2, 3):
        tell(world, second, 20 * second, version)
        up(world, second, version)
    found = of(world, version, query, metric, 0, 3)

    assert found in came(60, 60 / 2.8) or isinstance(found, Gauge)


@BROTHERS
@VERSIONS
@pytest.mark.parametrize("value", [0, 1])
def test_a_zero_that_was_scraped_is_a_base_however_many_scrapes_were_missed(
    query: Any, metric: Metric, version: str, value: int
) -> None:
    """``up`` was there in between, also as 0."""
    world = World()
    tell(world, -4, 0, version)
    up(world, -4, version)
    up(world, -2, version, value=value)
    for second in (1, 2):
        tell(world, second, 10 * second, version)
        up(world, second, version)
    found = of(world, version, query, metric, 0, 2)

    assert found in came(20, 10.0) or isinstance(found, Gauge)


# ------------------------------------------------------------------------------ under other labels


@rule("R13")
@BROTHERS
@VERSIONS
def test_a_series_under_other_labels_goes_on_from_the_one_that_ended(
    world: World, query: Any, metric: Metric, version: str
) -> None:
    for second in range(-6, 9):
        up(world, second, version)
        tell(world, second, 1000 + 10 * second, version, zone="a" if second < 4 else "b")
    found = of(world, version, query, metric, 0, 8)

    assert found in came(80, 10.0)


def test_one_that_begins_lower_is_a_new_counter(world: World) -> None:
    """The process started again, as any other series of its target shows."""
    for second in range(-6, 9):
        up(world, second)
        before = {"200": 1000 + 10 * second, "500": second + 6}
        after = {"200": 3 * (second - 3), "500": 20 * (second - 3)}
        for code, count in (before if second < 4 else after).items():
            world.server.add(
                ZERO + second * 1000,
                count,
                code=code,
                job="shop",
                instance="v1:80",
                version="v1",
                zone="a" if second < 4 else "b",
            )

    assert world.stable(0, 8) == Counts(events=3 + 100, trials=33 + 115)


def test_errors_that_begin_where_other_answers_end_are_new(world: World) -> None:
    """They are counted as something else, so they don't go on from those."""
    for second in range(-6, 9):
        world.scrape(second, _200=1000 + 10 * second, **({"_404": 7} if second < 4 else {}))
        if second >= 4:
            world.scrape(second, _500=9)

    assert world.stable(0, 8) == Counts(events=9, trials=89)


# --------------------------------------------------------------------------------------- told twice


@rule("R13")
@BROTHERS
@VERSIONS
@pytest.mark.parametrize("label", ["replica", "prometheus", "zone"])
def test_a_counter_that_two_servers_tell_is_no_answer_that_names_the_label(
    world: World, query: Any, metric: Metric, version: str, label: str
) -> None:
    for second in range(-6, 9):
        up(world, second, version)
        tell(world, second, 1000 + 10 * second, version, **{label: "a"})
        tell(world, second + 0.4, 1004 + 10 * second, version, **{label: "b"})
    look = world.look(0, 8, query, metric)

    for _, found in look.tracks:
        assert isinstance(found, NoAnswer)
        assert f"differ only in {label} ('a' and 'b')" in found.why


def test_series_of_one_page_that_move_together_are_two(world: World) -> None:
    """Probes that are asked equally often, and buckets that all are below."""
    for second in range(-6, 9):
        for path in ("/healthz", "/readyz"):
            tell(world, second, 10 * second + 60, path=path)

    assert of(world, "v1", RATIO, ERRORS, 0, 8) == Counts(events=0, trials=160)
    assert of(world, "v1", BUCKETS, LATENCY, 0, 8).sample == 160


def test_two_instances_that_get_the_same_are_two(world: World) -> None:
    for second in range(-6, 9):
        tell(world, second, 10 * second + 60, instance="a:80")
        tell(world, second + 0.4, 10 * second + 64, instance="b:80")

    assert of(world, "v1", RATIO, ERRORS, 0, 8) == Counts(events=0, trials=160)


@pytest.mark.parametrize("hours", [2, 20])
def test_a_series_that_was_away_for_hours_goes_on_from_where_it_was(
    world: World, hours: int
) -> None:
    """Its job was scraped all the time, at another target: so it would seem to be born."""
    for second in range(-hours * 3600, 9, 60):
        world.scrape(second, "b:80", _200=10_000)
    for second in range(-20, 9):
        world.scrape(second, "b:80", _200=10_000)
    for second in range(-hours * 3600, -hours * 3600 + 9):
        world.scrape(second, "a:80", _200=900)
    for second in range(3, 9):
        world.scrape(second, "a:80", _200=1000 + second)
    look = world.look(0, 8)

    assert look.of(Track.STABLE) == Counts(events=0, trials=108)
    assert look.query.count("[24h]") == 1


def test_a_series_that_was_born_is_looked_for_and_counts_as_a_whole(world: World) -> None:
    for second in range(-20, 9):
        world.scrape(second, "b:80", _200=10_000)
        if second > 3:
            world.scrape(second, "a:80", _200=50 + second)

    assert world.stable(0, 8) == Counts(events=0, trials=58)
