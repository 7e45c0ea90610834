"""Histograms that tell what is in each bucket: native ones, and those of VictoriaMetrics."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_prometheus import FakePrometheus
from tests.support.native_histograms import custom, exponential
from tests.support.rules import rule
from tests.support.scraped import BUCKETS, RATIO, REQUESTS, ZERO, World

from progressive import NoWorse
from progressive.adapters.http import Malformed, Response
from progressive.analysis import Verdict
from progressive.analysis.comparisons.base import Question
from progressive.analysis.comparisons.latencies import Latencies
from progressive.metrics.prometheus import ERRORS, LATENCY, Buckets, Counter, Ratio
from progressive.metrics.prometheus.answers import answer_of
from progressive.metrics.prometheus.native import spread_series_of
from progressive.model import units
from progressive.model.measurement import Histogram, NoAnswer, NoData
from progressive.model.traffic import Track
from progressive.stats.proportions import binomial_test

CLASSIC = (0.005, 0.1, 0.5, 10_000_000)
NATIVE = Buckets("seconds", version="version")


def tell(world: World, second: float, shown: Any, instance: str = "a:80", **labels: str) -> None:
    """One scrape of a target with a native histogram."""
    moment = ZERO + round(second * 1000)
    world.server.add(moment, 1, name="up", job="shop", instance=instance)
    named = {"name": "seconds", "job": "shop", "instance": instance, "version": "v1", **labels}
    world.server.add(moment, shown, **named)


def values(n: int, start: float = 0.003, factor: float = 1.3) -> list[float]:
    return [start * factor ** (k % 20) for k in range(n)]


def below(edges: tuple[float, ...], found: list[float]) -> tuple[int, ...]:
    return (*(sum(value <= edge for value in found) for edge in edges), len(found))


# ---------------------------------------------------------------------------------- custom buckets


@pytest.mark.parametrize("query", [BUCKETS, NATIVE], ids=["the name of buckets", "its own name"])
def test_custom_buckets_are_ordinary_buckets(world: World, query: Buckets) -> None:
    for second in range(3):
        tell(world, second, custom(values(20 * second), CLASSIC))
    found = world.stable(0, 1, query, LATENCY)

    assert found == Histogram(edges=CLASSIC[:3], cumulative=below(CLASSIC[:3], values(20)))


def test_edges_are_numbers_however_they_are_written(world: World) -> None:
    for second in range(3):
        tell(world, second, custom([9_999_999.0, 0.3] * second, CLASSIC))

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(
        edges=(0.1, 0.5, 1e7), cumulative=(0, 1, 2, 2)
    )


def test_what_is_above_the_last_edge_is_there(world: World) -> None:
    for second in range(3):
        tell(world, second, custom([0.7, 0.7] * second, (0.1, 0.5)))

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.5,), cumulative=(0, 2))


def test_a_version_is_read_at_the_edges_that_the_other_one_shows(world: World) -> None:
    """It has had no request in these buckets yet, so nothing is below or above what is there."""
    for second in range(3):
        tell(world, second, custom(values(20 * second), CLASSIC))
        tell(world, second, custom([0.05] * second, CLASSIC), "b:80", version="v2")
    look = world.look(0, 1, BUCKETS, LATENCY)

    assert look.of(Track.CANDIDATE) == Histogram(edges=(0.005, 0.1, 0.5), cumulative=(0, 1, 1, 1))


def test_versions_with_other_custom_buckets_are_compared_at_the_edges_that_both_have(
    world: World,
) -> None:
    other = (0.01, 0.1, 0.3, 0.5)
    for second in range(30):
        tell(world, second, custom(values(20 * second), CLASSIC))
        tell(world, second, custom(values(20 * second, 0.01), other), "b:80", version="v2")
    memory, judgement = None, None
    for begin in range(25):
        look = world.look(begin, begin + 1, BUCKETS, LATENCY)
        judgement, memory = NoWorse(LATENCY).judge(look, memory, 0.01)
    candidate, stable = look.of(Track.CANDIDATE), look.of(Track.STABLE)

    assert isinstance(candidate, Histogram)
    assert isinstance(stable, Histogram)
    assert candidate.shared_edges(stable) == (0.1, 0.5)
    assert judgement is not None
    assert judgement.verdict is Verdict.FAIL


# ------------------------------------------------------------------------------------- exponential


@pytest.mark.parametrize("schema", range(-1, 4))
def test_exponential_buckets_are_counted_at_their_edges(world: World, schema: int) -> None:
    for second in range(3):
        tell(world, second, exponential(values(20 * second), schema))
    found = world.stable(0, 1, NATIVE, LATENCY)

    assert found.cumulative == below(found.edges, values(20))
    step = 2 ** (2.0**-schema)
    assert found.edges[0] < 0.003 <= found.edges[0] * step
    assert found.edges[-1] / step < max(values(20)) <= found.edges[-1]


@pytest.mark.parametrize("schema", [4, 8])
def test_the_finest_scales_are_read_at_eight_edges_for_each_doubling(
    world: World, schema: int
) -> None:
    spread = [0.001 * 1.004**k for k in range(2_000)]
    for second in range(3):
        tell(world, second, exponential(spread * second, schema))
    found = world.stable(0, 1, NATIVE, LATENCY)

    assert found.cumulative == below(found.edges, spread)
    assert all(b / a == pytest.approx(2 ** (1 / 8)) for a, b in pairwise(found.edges))


def test_a_few_fine_buckets_are_read_at_the_edges_around_them(world: World) -> None:
    """None of their own may be one of those that are kept."""
    for second in range(3):
        tell(world, second, exponential([0.1] * second, 8))
    found = world.stable(0, 1, NATIVE, LATENCY)

    assert found.cumulative == (0, 1, 1)
    assert found.edges == pytest.approx((2 ** (-27 / 8), 2 ** (-26 / 8)))


def test_the_number_of_edges_is_bounded(world: World) -> None:
    wide = [1e-6 * 1.08**k for k in range(400)]
    for second in range(3):
        tell(world, second, exponential(wide * second, 3))
    found = world.stable(0, 1, NATIVE, LATENCY)

    assert 80 <= len(found.edges) <= 160
    assert found.cumulative == below(found.edges, wide)


def test_custom_buckets_are_never_thinned_out(world: World) -> None:
    edges = tuple(0.5 + 0.01 * k for k in range(1, 200))
    for second in range(3):
        tell(world, second, custom([edge - 0.001 for edge in edges] * second, edges))

    assert len(world.stable(0, 1, NATIVE, LATENCY).edges) == 199


@pytest.mark.parametrize(("mine", "theirs"), [(3, 0), (0, 3), (2, -1)])
def test_two_scales_are_brought_to_the_coarser_one(world: World, mine: int, theirs: int) -> None:
    """Two pods of one version, or one whose scale follows its data."""
    for second in range(3):
        tell(world, second, exponential(values(20 * second), mine), "a:80")
        tell(world, second, exponential(values(20 * second), theirs), "b:80")
    found = world.stable(0, 1, NATIVE, LATENCY)

    assert found.cumulative == below(found.edges, values(20) * 2)
    coarse = 2.0 ** -min(mine, theirs)
    assert all(
        math.log2(edge) / coarse == pytest.approx(round(math.log2(edge) / coarse))
        for edge in found.edges[1:-1]
    )


def test_a_scale_that_becomes_coarser_under_way_is_no_restart(world: World) -> None:
    for second in range(4):
        tell(world, second, exponential(values(20 * second), 3 if second < 2 else 1))
    found = world.stable(0, 3, NATIVE, LATENCY)

    assert found.cumulative == below(found.edges, values(60))


def test_a_zero_bucket_of_any_width_is_read(world: World) -> None:
    """Where it is wide, nobody knows what is below an edge inside of it."""
    tiny = [0.0, 0.001, 0.003, 0.2]
    for second in range(3):
        tell(world, second, exponential(tiny * second, 1, zero=2.0**-8))
        tell(world, second, exponential(values(20 * second), 1), "b:80", version="v2")
    look = world.look(0, 1, NATIVE, LATENCY)
    found, other = look.of(Track.STABLE), look.of(Track.CANDIDATE)

    assert isinstance(found, Histogram)
    assert isinstance(other, Histogram)
    assert found.cumulative == below(found.edges, tiny)
    assert min(found.edges) >= 2.0**-8 > min(other.edges)


def test_a_histogram_of_nothing_but_zeros_has_no_edge_to_be_judged_at(world: World) -> None:
    for second in range(3):
        tell(world, second, exponential([0.0] * second, 1))

    assert "no bucket of seconds in common" in world.stable(0, 1, NATIVE, LATENCY).why


def test_a_unit_is_that_of_the_edges(world: World) -> None:
    for second in range(3):
        tell(world, second, custom([80.0] * second, (50, 100)))
    found = world.stable(0, 1, Buckets("seconds", version="version", unit=units.ms(1)), LATENCY)

    assert found == Histogram(edges=(0.05, 0.1), cumulative=(0, 1, 1))


@pytest.mark.parametrize(
    "bucket", [[1, "-0.5", "-0.25", "3"], [3, "-Inf", "-1", "3"], [0, "-1", "2", "3"]]
)
def test_negative_values_are_refused_by_name(world: World, bucket: list[Any]) -> None:
    for second in range(3):
        tell(world, second, {"count": "3", "sum": "-1", "buckets": [bucket]})
    found = world.stable(0, 1, NATIVE, LATENCY)

    assert isinstance(found, NoAnswer)
    assert found.why == (
        f"seconds is a native histogram with values from {float(bucket[1]):g} to "
        f"{float(bucket[2]):g}; durations are never below 0"
    )


# ------------------------------------------------------------------------------- counts and resets


def test_a_bucket_that_falls_is_a_restart_of_all_though_the_count_rose(world: World) -> None:
    """10, 12, 14: the process began again between the last two, which as many may have come in as
    came in the second before.
    """
    after = [0.05] * 2 + [0.3] * 12
    for second, found in enumerate([[0.05] * 2, [0.05] * 10, [0.05] * 12, after]):
        tell(world, second, custom(found, CLASSIC))

    assert world.stable(1, 3, NATIVE, LATENCY) == Histogram(
        edges=(0.005, 0.1, 0.5), cumulative=(0, 2 + 2, 2 + 14, 2 + 14)
    )


def test_a_restart_that_only_an_upper_bucket_shows_is_one(world: World) -> None:
    """At every edge there is more than before; in the upper bucket there is less."""
    for second, found in enumerate([[0.05] * 2 + [0.3] * 10, [0.05] * 9 + [0.3] * 4]):
        tell(world, second, custom(found, CLASSIC))

    assert world.stable(0, 1, NATIVE, LATENCY).sample == 13


def test_a_target_that_is_born_counts_from_nothing(world: World) -> None:
    for second in range(-5, 4):
        tell(world, second, custom([0.05] * (second + 6), CLASSIC))
        if second > 0:
            tell(world, second, custom([0.3] * second, CLASSIC), "b:80", version="v2")
    look = world.look(0, 3, BUCKETS, LATENCY)

    assert look.of(Track.CANDIDATE).sample == 3
    assert look.of(Track.STABLE).sample == 3


def test_a_target_that_was_away_goes_on_from_what_it_showed(world: World) -> None:
    for second in (-60, -59, 1, 2):
        tell(world, second, exponential([0.05] * (second + 61) + [0.3], 2))
    found = world.stable(0, 2, NATIVE, LATENCY)

    assert found.sample == 61
    assert found.cumulative == below(found.edges, [0.05] * 61)


def test_a_histogram_that_shows_nothing_is_idle(world: World) -> None:
    for second in range(3):
        tell(world, second, {"count": "0", "sum": "0"})
        tell(world, second, custom([0.3] * second, CLASSIC), "b:80", version="v2")

    assert world.stable(0, 1, NATIVE, LATENCY) == NoData("no requests")


def test_values_that_are_no_number_are_above_all_edges(world: World) -> None:
    """They are counted, and are in no bucket; a classic histogram has them above all, too."""
    for second in range(3):
        shown = custom([0.05] * second, CLASSIC)
        tell(world, second, {**shown, "count": str(2 * second)})

    assert world.stable(0, 1, NATIVE, LATENCY) == Histogram(
        edges=(0.005, 0.1), cumulative=(0, 1, 2)
    )


def test_fractions_are_no_counts(world: World) -> None:
    for second in range(3):
        tell(world, second, {"count": "1.5", "buckets": [[0, "0.1", "0.2", "1.5"]]})

    assert "shows 1.5, which is no count" in world.stable(0, 1, NATIVE, LATENCY).why


@rule("R13")
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0.001, 30), max_size=6),
            st.lists(st.floats(0.001, 30), max_size=6),
            st.booleans(),
        ),
        min_size=2,
        max_size=8,
    ),
    st.tuples(st.sampled_from([-1, 0, 2, 3, 5, None]), st.sampled_from([0, 1, 3, 8, None])),
)
def test_every_window_counts_what_came_at_every_edge_that_it_has(
    history: list[tuple[list[float], list[float], bool]], kinds: tuple[int | None, int | None]
) -> None:
    """Two pods of any scale, or of custom buckets; in between, both begin again."""
    world = World()
    world.server = FakePrometheus()
    sofar: list[list[float]] = [[], []]
    came: list[list[float]] = []
    begun = False
    for second, (one, other, again) in enumerate(history):
        new = [[*one, 0.1], [*other, 0.2]]
        if again and second and not begun:
            # Two restarts of a few samples would be several processes that write in turn.
            sofar, new, begun = [[], []], [[0.5], [0.5]], True
        sofar = [old + more for old, more in zip(sofar, new, strict=True)]
        came.append([value for each in new for value in each])
        for i, schema in enumerate(kinds):
            shown = (
                custom(sofar[i], (0.01, 0.1, 0.25, 1, 5))
                if schema is None
                else exponential(sofar[i], schema)
            )
            tell(world, second, shown, f"{i}:80")
    for second in range(1, len(history)):
        found = world.stable(second - 1, second, NATIVE, LATENCY)

        assert found.sample == len(came[second])
        assert found.cumulative == below(found.edges, came[second])


def counted(shown: dict[str, dict[str, Any]]) -> list[Histogram]:
    """What is read of the native histograms of two versions, each from nothing."""
    result = [
        {"metric": {"__name__": "seconds", "version": version}, "histograms": [[1, each]]}
        for version, each in shown.items()
    ]
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    found: dict[str, dict[float, int]] = {}
    for each in spread_series_of(answer_of(Response(body=json.dumps(body).encode()))):
        found.setdefault(each.labels["version"], {})[float(each.labels["le"])] = each.samples[0][1]
    return [
        Histogram(edges=tuple(edges)[:-1], cumulative=tuple(edges.values()))
        for edges in found.values()
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("mine", "theirs"), [(3, 3), (3, 0), (0, 3), (1, -1)])
@pytest.mark.parametrize("n", [10, 100])
def test_versions_that_are_alike_alarm_at_most_as_promised(mine: int, theirs: int, n: int) -> None:
    """Though which edges they have follows from what came: with few requests a look, from its
    last ones too.
    """
    runs, alpha, alarms = 400, 0.05, 0
    test = Latencies(Question(than="stable", up=True, down=False))
    for seed in range(runs):
        dice, state = random.Random(seed), None
        for _ in range(25):
            took = [[dice.lognormvariate(-2.5, 1.0) for _ in range(n)] for _ in range(2)]
            candidate, control = counted(
                {"v2": exponential(took[0], mine), "v1": exponential(took[1], theirs)}
            )
            if test.fits(candidate, control) is None:
                state = test.learn(state, candidate, control, alpha)
            if state and test.evidence(state, alpha) >= math.log(1 / alpha):
                alarms += 1
                break

    assert binomial_test(alarms, runs, alpha, alternative="greater") > 0.01
    assert alarms <= runs * alpha


# -------------------------------------------------------------------------------- classic or native


def test_where_both_are_there_one_is_read_and_never_their_sum(world: World) -> None:
    for second in range(3):
        found = values(20 * second)
        world.observe(second, *below((0.1, 0.5), found), instance="a:80")
        tell(world, second, custom(found, (0.1, 0.5)))
    for query in (BUCKETS, NATIVE):
        assert world.stable(0, 1, query, LATENCY, tracks=(Track.STABLE,)) == Histogram(
            edges=(0.1, 0.5), cumulative=below((0.1, 0.5), values(20))
        )


def test_where_every_version_has_a_native_one_these_are_compared(world: World) -> None:
    """The old version has both, and the new one was built without classic buckets."""
    for second in range(3):
        found = values(20 * second)
        world.observe(second, *below((0.1, 0.5), found), instance="a:80")
        tell(world, second, exponential(found, 2))
        tell(world, second, exponential(found, 2), "b:80", version="v2")
    look = world.look(0, 1, BUCKETS, LATENCY)

    assert look.of(Track.STABLE) == look.of(Track.CANDIDATE)
    assert len(look.of(Track.STABLE).edges) > 2


def test_a_native_candidate_is_read_at_the_edges_of_a_classic_stable(world: World) -> None:
    for second in range(3):
        found = values(20 * second)
        world.observe(second, *below((0.1, 0.5), found), instance="a:80")
        tell(world, second, custom([0.05] * second, CLASSIC), "b:80", version="v2")
    look = world.look(0, 1, BUCKETS, LATENCY)

    assert look.of(Track.STABLE).edges == (0.1, 0.5)
    assert look.of(Track.CANDIDATE) == Histogram(edges=(0.005, 0.1, 0.5), cumulative=(0, 1, 1, 1))


def test_a_summary_of_the_same_name_is_no_histogram(world: World) -> None:
    for second in range(3):
        world.server.add(
            ZERO + second * 1000, second, name="seconds", job="shop", version="v1", quantile="0.9"
        )

    assert isinstance(world.stable(0, 1, BUCKETS, LATENCY), NoData)
    assert "no upper edge of a bucket" in world.stable(0, 1, NATIVE, LATENCY).why


def test_a_series_that_was_a_number_before_is_read_as_what_it_is(world: World) -> None:
    for second in range(-3, 3):
        tell(world, second, 7 if second < 0 else custom([0.3] * (second + 1), CLASSIC))

    assert world.stable(0, 2, NATIVE, LATENCY).sample == 2


def test_a_ratio_of_a_native_histogram_is_named(world: World) -> None:
    for second in range(3):
        tell(world, second, custom([0.3] * second, CLASSIC))
    ratio = Ratio(events=REQUESTS, total=Counter("seconds_count", version="version"))
    found = world.stable(0, 1, ratio, ERRORS)

    assert isinstance(found, NoAnswer)
    assert "seconds is a native histogram, whose count is no series" in found.why
    assert isinstance(world.stable(0, 1, RATIO, ERRORS), NoData)


def test_an_edge_of_a_classic_stable_that_is_none_is_named(world: World) -> None:
    for second in range(3):
        world.observe(second, second, second, second, edges="0.1 wide +Inf")
        tell(world, second, custom([0.3] * second, CLASSIC), "b:80", version="v2")
    look = world.look(0, 1, BUCKETS, LATENCY)

    assert "le='wide'" in getattr(look.of(Track.STABLE), "why", "")
    assert look.of(Track.CANDIDATE).sample == 1


# --------------------------------------------------------------------------------- VictoriaMetrics


def ranges(world: World, second: float, instance: str = "a:80", **counts: float) -> None:
    """One scrape of an exponential histogram at VictoriaMetrics."""
    for text, count in counts.items():
        world.server.add(
            ZERO + round(second * 1000),
            count,
            name="seconds_bucket",
            job="shop",
            instance=instance,
            version="v1",
            vmrange=text,
        )


LOW, MIDDLE, HIGH = "0...1.000e-09", "5.000e-01...1.000e+00", "1.000e+00...1.136e+00"


def test_ranges_of_victoriametrics_are_buckets(world: World) -> None:
    for second in range(3):
        ranges(world, second, **{LOW: second, MIDDLE: 2 * second, HIGH: 3 * second})

    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(
        edges=(0.0, 1e-9, 0.5, 1.0, 1.136), cumulative=(0, 1, 1, 3, 6, 6)
    )


def test_a_range_that_comes_under_way_was_empty_before(world: World) -> None:
    for second in range(4):
        ranges(world, second, **{MIDDLE: second}, **({HIGH: 2} if second > 1 else {}))

    assert world.stable(0, 3, BUCKETS, LATENCY) == Histogram(
        edges=(0.5, 1.0, 1.136), cumulative=(0, 3, 5, 5)
    )


def test_a_range_that_is_gone_after_a_restart_is_empty(world: World) -> None:
    ranges(world, 0, **{MIDDLE: 50, HIGH: 9})
    for second in range(1, 4):
        ranges(world, second, **{MIDDLE: second})

    assert world.stable(0, 3, BUCKETS, LATENCY) == Histogram(
        edges=(0.5, 1.0, 1.136), cumulative=(0, 3, 3, 3)
    )


def test_a_moment_at_which_a_range_lacks_a_sample_is_left_out(world: World) -> None:
    for second in range(4):
        ranges(world, second, **{MIDDLE: 10 + second}, **({HIGH: second} if second != 2 else {}))

    assert world.stable(0, 3, BUCKETS, LATENCY).sample == 6
    found = world.stable(0, 2, BUCKETS, LATENCY)
    assert isinstance(found, NoAnswer)
    assert "have samples that others lack" in found.why


@pytest.mark.parametrize("text", ["wide", "1...2...3", "NaN...+Inf", "2.000e+00...1.000e+00"])
def test_a_range_that_is_none_is_named(world: World, text: str) -> None:
    """``NaN...+Inf`` is what VictoriaMetrics 1.151 makes of custom buckets."""
    for second in range(3):
        ranges(world, second, **{text: second, MIDDLE: second})

    assert f"vmrange={text!r}" in world.stable(0, 1, BUCKETS, LATENCY).why


def test_a_range_around_zero_has_no_edge_and_a_negative_one_is_refused(world: World) -> None:
    """As VictoriaMetrics 1.151 keeps what is written to it."""
    zero = "-2.939e-39...2.939e-39"
    for second in range(3):
        ranges(world, second, **{zero: second, MIDDLE: second})
        ranges(world, second, **{"-1.000e+00...-5.000e-01": second}, instance="b:80")

    assert "values from -1 to -0.5" in world.stable(0, 1, BUCKETS, LATENCY).why
    world.server.series = {
        labels: samples
        for labels, samples in world.server.series.items()
        if ("instance", "a:80") in labels
    }
    assert world.stable(0, 1, BUCKETS, LATENCY) == Histogram(edges=(0.5, 1.0), cumulative=(1, 2, 2))


def test_the_number_of_ranges_is_bounded(world: World) -> None:
    """A fine scale that was written to VictoriaMetrics, whose edges have four digits there."""
    ends = [2.0**-9 * 2 ** (k / 64) for k in range(600)]
    texts = [f"{low:.3e}...{high:.3e}" for low, high in pairwise(ends)]
    for second in range(3):
        ranges(world, second, **dict.fromkeys(texts, second))
    found = world.stable(0, 1, BUCKETS, LATENCY)

    assert found.sample == 599
    assert 70 <= len(found.edges) <= 80
    assert found.cumulative[:3] == (0, 8, 16)


def test_ranges_that_only_have_stale_markers_are_none(world: World) -> None:
    for second in range(3):
        ranges(world, second, **{MIDDLE: "NaN"})  # type: ignore[arg-type]

    assert isinstance(world.stable(0, 1, BUCKETS, LATENCY), NoData)


# ------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "shown",
    [
        {"histograms": {}},
        {"histograms": [[1]]},
        {"histograms": [["1", {"count": "1"}]]},
        {"histograms": [[1, {"count": 1}]]},
        {"histograms": [[1, 1]]},
        {"histogram": [1, {"count": "1", "buckets": [[0, "1", "2"]]}]},
        {"histogram": [1, {"count": "1", "buckets": [[0, "1", "2", "many"]]}]},
        {"histogram": [1, {"count": "1", "buckets": {}}]},
        {"histogram": [1, {"count": "1"}], "metric": {"__name__": "seconds", "version": 1}},
    ],
)
@rule("R19")
def test_a_histogram_of_another_shape_is_malformed(shown: dict[str, Any]) -> None:
    result = [{"metric": {"__name__": "seconds"}, **shown}]
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    answer = answer_of(Response(body=json.dumps(body).encode()))

    with pytest.raises(Malformed):
        spread_series_of(answer)
