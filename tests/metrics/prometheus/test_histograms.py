"""Buckets that lack a sample, change how their edges are written, or are none."""

from __future__ import annotations

import pytest
from tests.support.rules import rule
from tests.support.scraped import BUCKETS, World

from progressive.metrics.prometheus import LATENCY
from progressive.model.measurement import Histogram, NoAnswer
from progressive.model.traffic import Track


@rule("R13")
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("lacking", [0, 1, 2])
@pytest.mark.parametrize("moment", [-6, -3, 0, 1, 4])
@pytest.mark.parametrize("value", ["NaN", 7.5])
def test_a_moment_at_which_one_bucket_lacks_a_sample_is_left_out_for_all(
    world: World, version: str, lacking: int, moment: int, value: float | str
) -> None:
    """Whichever it is, and whenever: the next moment tells all that this one would have told."""
    for second in range(-6, 8):
        counts: list[float | str] = [60 + 10 * second, 70 + 10 * second, 80 + 10 * second]
        if second == moment:
            counts[lacking] = value
        world.observe(second, *counts, version=version)  # type: ignore[arg-type]
    track = Track.STABLE if version == "v1" else Track.CANDIDATE
    first, second_ = (world.look(*cut, BUCKETS, LATENCY).of(track) for cut in ((0, 1), (1, 7)))
    if moment == 1:
        assert isinstance(first, NoAnswer), "the newest one: not all of it may be stored yet"
        first = Histogram(edges=(0.1, 0.5), cumulative=(0, 0, 0))

    since = -1 if moment == 0 else 0
    assert first.cumulative[2] + second_.cumulative[2] == 10 * (7 - since)
    assert second_.edges == (0.1, 0.5)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("at", [-3, 0, 3, 6])
def test_an_edge_that_is_written_otherwise_under_way_is_the_same_bucket(
    world: World, version: str, at: int
) -> None:
    """Prometheus 2 becomes 3, or the text format OpenMetrics."""
    for second in range(-6, 7):
        world.observe(
            second,
            *(count * (second + 6) for count in (1, 2, 3, 3)),
            edges="0.5 1 10 +Inf" if second < at else "0.5 1.0 1e+01 +Inf",
            version=version,
        )
    track = Track.STABLE if version == "v1" else Track.CANDIDATE

    assert world.look(0, 6, BUCKETS, LATENCY).of(track) == Histogram(
        edges=(0.5, 1.0, 10.0), cumulative=(6, 12, 18, 18)
    )


def test_an_edge_in_two_spellings_at_once_is_named(world: World) -> None:
    for second in range(2):
        world.observe(second, second, second, second, edges="1 1.0 +Inf")

    assert "two buckets that end at 1" in world.stable(0, 1, BUCKETS, LATENCY).why


def test_a_bucket_that_only_has_stale_markers_is_none(world: World) -> None:
    for second in range(2):
        world.observe(second, second, second, second)
        world.observe(second, "NaN", edges="0.7")  # type: ignore[arg-type]

    assert world.stable(0, 1, BUCKETS, LATENCY).edges == (0.1, 0.5)
