"""What odd forms of raw samples mean: a restart, an older value, several writers, deltas, or
nothing that can be counted.

Every form has brothers, which go the same way: a counter, the buckets of a histogram and a rate;
stable and candidate; both colours of the provider, which share one flow.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.rules import rule
from tests.support.scraped import BUCKETS, RATIO, REQUESTS, World

from progressive.metrics.prometheus import ERRORS, LATENCY, REQUEST_RATE, Rate
from progressive.metrics.prometheus.counting import SIGHT, Line, Misread, Unusable, counts_of
from progressive.model.measurement import Counts, Gauge, Histogram, Metric, NoAnswer
from progressive.model.traffic import Track

BROTHERS = pytest.mark.parametrize(
    ("query", "metric"),
    [(RATIO, ERRORS), (BUCKETS, LATENCY), (Rate(REQUESTS), REQUEST_RATE)],
    ids=["counter", "buckets", "rate"],
)
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])


def line(*counts: int, base: int | None = None, every: int = 15_000) -> Line:
    """A counter that is scraped every 15 s."""
    return Line(
        samples=tuple((i * every, (count,)) for i, count in enumerate(counts, start=1)),
        base=None if base is None else (base,),
        name="requests_total",
    )


def rise(made: Line) -> int:
    rose = made.rise(0, 10**9)
    assert rose is not None
    return rose[0]


def shown(
    world: World, version: str, counts: list[float], times: list[float] | None = None
) -> None:
    """The same samples as a counter and as a histogram, whose buckets have a half, all and all of
    them; and another version beside it to which nothing happens.
    """
    for at, count in enumerate(counts):
        second, instance = times[at] if times else at, f"{version}:80"
        world.scrape(second, instance, version, _200=count)
        world.observe(second, int(count) // 2, count, count, version=version, instance=instance)
    good = "v2" if version == "v1" else "v1"
    for second in range(-6, len(counts)):
        world.scrape(second + 0.3, f"{good}:80", good, _200=10 * (second + 6))
        world.observe(second + 0.3, *[10 * (second + 6)] * 3, version=good, instance=f"{good}:80")


def of(world: World, version: str, query: Any, metric: Metric, end: float) -> tuple[Any, Any]:
    """What was measured of a version, and of the other one."""
    look = world.look(0, end, query, metric)
    both = look.of(Track.STABLE), look.of(Track.CANDIDATE)
    return both if version == "v1" else (both[1], both[0])


# -------------------------------------------------------------------------------------- small falls


@pytest.mark.parametrize(
    ("counts", "base", "expected"),
    [
        ((200, 199, 204), 195, 9),
        ((1000, 1010, 1020, 1005, 1040), 990, 50),
        ((1000, 1010, 1020, 1020, 1019, 1020), 1000, 20),
        ((9, 8, 9, 9), 9, 0),
        ((1000, 999, 1005, 1010, 1009, 1015), 1000, 15),
    ],
)
def test_a_fall_by_less_than_an_eighth_is_an_older_value_and_the_maximum_holds(
    counts: tuple[int, ...], base: int, expected: int
) -> None:
    assert rise(line(*counts, base=base)) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((700, 1400, 1225, 1900), 700 + 1225 + 675),
        ((1000, 1010, 400, 410), 10 + 400 + 10),
        ((1000, 1010, 0, 3), 13),
        ((8, 8, 7, 8), 8),
    ],
)
def test_a_fall_by_an_eighth_or_more_is_a_restart(counts: tuple[int, ...], expected: int) -> None:
    made = Line(
        samples=tuple((i * 15_000, (count,)) for i, count in enumerate(counts)), base=(counts[0],)
    )

    assert rise(made) == expected


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 1000, 876, 1752), "fell from 1000 to 876, by less than an eighth: nobody can say"),
        ((1000, 1010, 990, 991, 992, 993), "from 1010 to 993, by less than an eighth, and stayed"),
        ((1000, 990), "fell from 1000 to 990, by less than an eighth: nobody can say"),
        ((1000, 1010, 875, 885), "from 1010 to 875, but so many did not come since the sample"),
    ],
)
def test_a_fall_that_can_be_read_in_two_ways_is_no_answer(
    counts: tuple[int, ...], said: str
) -> None:
    """A young counter starts again and is back at once; one that stays below; one of which nothing
    else is known; one that would have to be much faster than ever. Either reading would change a
    verdict.
    """
    with pytest.raises(Unusable, match=said):
        rise(line(*counts, base=counts[0]))


@rule("R13")
@BROTHERS
@VERSIONS
def test_one_older_sample_puts_no_past_into_a_window(
    world: World, version: str, query: Any, metric: Metric
) -> None:
    """Of a second server, of an exporter that lags, or written over a newer one."""
    shown(world, version, [1000, 1010, 1020, 1019, 1040, 1050, 1060, 1070, 1080, 1090, 1100])
    found, _ = of(world, version, query, metric, 10)

    assert found in (
        Counts(events=0, trials=100),
        Histogram(edges=(0.1, 0.5), cumulative=(50, 100, 100)),
        Gauge(samples=(10.0,)),
    )


@rule("R18")
@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=12, max_size=20),
    st.integers(3, 9),
    st.integers(1, 40),
    st.lists(st.integers(1, 11), max_size=5, unique=True),
)
def test_windows_around_an_older_sample_share_out_the_events(
    steps: list[int], at: int, less: int, edges: list[int]
) -> None:
    """However the time is cut: each window knows the maximum that was there before it."""
    counts = [1000 + sum(steps[: i + 1]) for i in range(len(steps))]
    samples = [(i, (count - (less if i == at else 0),)) for i, count in enumerate(counts)]
    samples[at + 1 :] = [(i, (max(count, counts[at - 1]),)) for i, count in enumerate(counts)][
        at + 1 :
    ]
    made = Line(samples=tuple(samples), base=None)
    cuts = [0, *sorted(edges), len(steps)]
    rises = [made.rise(begin, end) for begin, end in pairwise(cuts)]

    assert sum(each[0] for each in rises if each is not None) == counts[-1] - counts[0]


# --------------------------------------------------------------------------------- several writers


@pytest.mark.parametrize(
    "counts",
    [
        (19, 11, 11, 19),
        (1900, 1100, 1110, 1910, 1120, 1920),
        (75, 67, 72, 70, 74, 61, 69),
        (3, 2, 4, 1, 3, 2, 5),
    ],
)
def test_what_falls_again_and_again_is_no_single_counter(counts: tuple[int, ...]) -> None:
    with pytest.raises(Misread, match=r"several processes .*delta temporality"):
        rise(line(*counts))


def test_visits_of_a_process_that_seldom_answers_are_no_restarts() -> None:
    """Two falls of twenty samples; the ways back from them are no sign of how fast it counts."""
    counts = [1900 + 10 * i for i in range(20)]
    for seldom in (6, 13):
        counts[seldom] -= 800

    with pytest.raises(Misread, match="several processes"):
        rise(line(*counts))


def test_a_restart_with_a_burst_is_one_though_it_gets_back_to_its_height() -> None:
    """In ten minutes a young counter does: 60, then 25 at once, and five by five from there."""
    assert rise(line(55, 60, 25, 30, 35, 40, 45, 50, 55, 60, 65, base=50)) == 10 + 65


@rule("R13", "R17")
@BROTHERS
@VERSIONS
def test_what_was_written_in_turn_before_is_so_in_a_window_that_shows_nothing_of_it(
    world: World, version: str, query: Any, metric: Metric
) -> None:
    """Eleven samples of two processes that look like one restart, and thirty before that don't."""
    higher = [*[900 * (i % 2) for i in range(29)], *[0] * 4, *[900] * 3, *[0] * 4]
    shown(world, version, [1000 + i + more for i, more in enumerate(higher)])
    look = world.look(35, 39, query, metric)

    for _, found in look.tracks:
        assert isinstance(found, NoAnswer)
        assert "several processes" in found.why


def test_of_two_processes_that_answer_by_chance_no_look_is_taken_for_one() -> None:
    """At as many samples as are looked at; by chance it is one in thousands."""
    taken = 0
    for seed in range(1000):
        chance = random.Random(seed)
        made = line(*[5 * i + chance.choice((1000, 9000)) for i in range(SIGHT)])
        try:
            rise(made)
        except Misread:
            continue
        taken += 1

    assert taken <= 2


@pytest.mark.parametrize(
    "counts",
    [(90, 95, 3, 4, 0, 2), (1020, 3, 9), (500, 510, 20, 30, 40, 50, 5), (2, 0, 2), (1000, 0, 1000)],
)
def test_one_restart_and_another_are_counted_whatever_they_are_of_a_short_window(
    counts: tuple[int, ...],
) -> None:
    assert rise(line(*counts, base=counts[0])) >= counts[-1]


@rule("R13", "R17")
@BROTHERS
@VERSIONS
@pytest.mark.parametrize(
    "counts",
    [
        [1900, 1100, 1110, 1910, 1120, 1920, 1130, 1940],
        [75, 67, 72, 70, 74, 61, 69, 71],
    ],
    ids=["two processes", "deltas"],
)
def test_several_writers_and_deltas_are_no_answer_for_any_version(
    world: World, version: str, query: Any, metric: Metric, counts: list[float]
) -> None:
    """A version that fails 30 of 100 in each export looks perfect: its errors never rise."""
    shown(world, version, counts)
    found, other = of(world, version, query, metric, 7)

    assert found == other
    assert isinstance(found, NoAnswer)
    assert "delta temporality" in found.why and "several processes" in found.why


def test_errors_that_never_fall_are_no_answer_where_their_total_does(world: World) -> None:
    for second, total in enumerate([75, 67, 72, 70, 74, 61, 69, 71]):
        world.scrape(second, _200=total, _500=30)

    assert "delta temporality" in world.stable(0, 7).why


@BROTHERS
@VERSIONS
def test_two_servers_that_write_one_series_are_named(
    world: World, version: str, query: Any, metric: Metric
) -> None:
    """Two milliseconds apart, the second one a request behind, once."""
    times = [0.0, 1.0, 2.0, 2.002, 3.0, 3.002, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    shown(
        world,
        version,
        [1000, 1010, 1020, 1019, 1030, 1030, 1040, 1050, 1060, 1070, 1080, 1090],
        times,
    )
    found, other = of(world, version, query, metric, 9)

    assert found == other
    assert "two servers write this series" in found.why


def test_a_zero_that_is_stored_where_a_process_began_is_no_second_server(world: World) -> None:
    for second, count in [(0, 90), (1, 95), (1.8, 0), (2, 3), (3, 5)]:
        world.scrape(second, _200=count)

    assert world.stable(0, 3).trials == 5 + 3 + 2


# ------------------------------------------------------------------------ one time, no count


@BROTHERS
@VERSIONS
@pytest.mark.parametrize("order", [1, -1])
def test_the_larger_sample_of_one_time_holds_in_either_order(
    world: World, version: str, query: Any, metric: Metric, order: int
) -> None:
    counts, times = [100, 110, 120, 130, 140, 150], [0.0, 1, 2, 3, 4, 5]
    doubled = [each for at, count in enumerate(counts) for each in (count, count - at)[::order]]
    shown(world, version, doubled, [time for time in times for _ in range(2)])
    found, _ = of(world, version, query, metric, 5)

    assert found in (
        Counts(events=0, trials=50),
        Histogram(edges=(0.1, 0.5), cumulative=(25, 50, 50)),
        Gauge(samples=(10.0,)),
    )


def test_one_sample_that_is_no_count_is_left_out_if_later_ones_are() -> None:
    counts = [(at, float(at)) for at in range(20)]

    assert len(counts_of("x", [*counts[:7], (7, 327770.5), *counts[8:]])) == 19
    assert len(counts_of("x", [*counts[:7], (7, -1.0), *counts[8:]])) == 19
    assert len(counts_of("x", [*counts[:7], (7, float("nan")), *counts[8:]])) == 19


@pytest.mark.parametrize(
    "samples",
    [
        [*[(at, float(at)) for at in range(20)], (20, 20.5)],
        [(at, at / 2) for at in range(20)],
        [(0, 1.5)],
    ],
    ids=["the newest", "every other one", "the only one"],
)
def test_what_is_no_counter_of_events_is_still_no_answer(samples: list[tuple[int, float]]) -> None:
    with pytest.raises(Unusable, match="which is no count"):
        counts_of("x", samples)
