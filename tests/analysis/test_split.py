"""Requests that don't reach the candidate: none that its own numbers could show.

Brothers, tried here and in `tests/engine/test_missing.py`: ratios and latencies; none at all, a
third, a half; a quiet service, one that is called beside its router, sticky sessions; routes by
header, mirrors, weights above a half.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.checks import MISSING

from progressive import Traffic, percent
from progressive.analysis.split import Split, missed_after
from progressive.model import Counts, Gauge, Histogram, Look, Measurement, NoAnswer, NoData, Window
from progressive.model.traffic import Match, Track
from progressive.stats.sample_ratio import CLUMP, LEAST, shortfall

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(seconds=30))


def look(candidate: Measurement, stable: Measurement) -> Look:
    return Look(
        metric="errors",
        window=WINDOW,
        tracks=[(Track.CANDIDATE, candidate), (Track.STABLE, stable)],
    )


def counts(candidate: int, stable: int) -> Look:
    return look(Counts(events=0, trials=candidate), Counts(events=0, trials=stable))


def at(weight: float, **more: object) -> Traffic:
    return Traffic(candidate=percent(weight), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "weight", "missing"),
    [
        (counts(0, 9_000), 10, True),
        (counts(300, 9_000), 10, True),  # a third of what was asked
        (counts(6_670, 90_000), 10, True),  # one of three instances refuses connections
        (counts(790, 9_000), 10, False),  # stable is called beside the router, a bit
        (counts(1_000, 9_000), 10, False),
        (counts(5_000, 9_000), 10, False),  # routed by header too
        (counts(0, 30), 10, False),  # too few to say
        (counts(0, 0), 10, False),  # night
        (counts(0, 9_000), 0, False),  # nothing is split
        (counts(1_000, 1_000), 90, False),  # above a half, as many as stable's are enough
        (counts(100, 1_000), 90, True),
        (counts(9_000, 0), 100, False),
        (look(NoData("none"), Counts(events=1, trials=9_000)), 10, True),
        (look(NoData("none"), NoData("none")), 10, False),
        (look(NoAnswer("503"), Counts(events=1, trials=9_000)), 10, False),
        (look(Counts(events=0, trials=0), NoAnswer("503")), 10, False),
        (look(Gauge(samples=(1.0,)), Gauge(samples=(900.0,))), 10, False),
        (
            look(
                Histogram(edges=(0.1,), cumulative=(0, 0)),
                Histogram(edges=(0.1,), cumulative=(1, 9_000)),
            ),
            10,
            True,
        ),
    ],
)
def test_what_one_look_says(seen: Look, weight: float, missing: bool) -> None:
    split, judgement = Split().after(seen, at(weight))

    assert split.missing is missing
    assert (judgement is not None) is missing
    if judgement is not None:
        assert judgement.verdict is MISSING
        assert "requests reached the candidate" in judgement.why


def test_the_numbers_are_named() -> None:
    _, judgement = Split().after(counts(120, 9_000), at(10))

    assert judgement is not None
    assert judgement.why.startswith("120 of about 1,000 requests reached the candidate")
    assert dict(judgement.numbers) == {"requests": 120.0, "requests_asked": 1_000.0}


def test_copies_and_headers_are_no_reason_to_miss_less() -> None:
    traffic = at(10, mirror=percent(50), matches=[Match(name="x-canary", value="yes")])

    assert Split().after(counts(0, 9_000), traffic)[0].missing


def test_small_looks_add_up() -> None:
    split, judgement, n = Split(), None, 0
    while judgement is None:
        split, judgement = split.after(counts(0, 30), at(10))
        n += 1

    assert 10 < n < 60
    assert split == Split(missing=True)


def test_it_is_missing_until_it_is_decided_that_it_is_not() -> None:
    split, _ = Split().after(counts(0, 9_000), at(10))
    split, judgement = split.after(counts(2, 18), at(10))
    assert split.missing
    assert judgement is not None, "nothing is known yet of what came since"
    split, judgement = split.after(counts(100, 900), at(10))

    assert split == Split()
    assert judgement is None


def test_a_shortfall_is_a_chance() -> None:
    assert shortfall(0, 0, 0.1) == 1.0
    assert shortfall(100, 900, 0.1) > 0.5
    assert shortfall(0, 10 * CLUMP, 0.1) == pytest.approx((0.9 / (0.9 + 0.1 * LEAST)) ** 10)
    chances = [shortfall(n, 9_000, 0.1) for n in range(0, 1_200, 10)]
    assert chances == sorted(chances)


@pytest.mark.slow
@pytest.mark.parametrize("visitor", [1, 5, CLUMP])
@pytest.mark.parametrize(("weight", "rps"), [(1, 20), (5, 50), (10, 300), (50, 300)])
def test_a_good_split_is_hardly_ever_missing_for_long(
    visitor: int, weight: float, rps: int
) -> None:
    """Hours of looks at a right split, whose visitors bring several requests each: no run of four
    looks in a row, which is what it takes.
    """
    chance = random.Random(f"{visitor} {weight} {rps}")
    traffic, long = at(weight), 0
    split, run = Split(), 0
    for _ in range(4_000):
        visits = round(rps * 30 / visitor)
        ours = sum(chance.random() < weight / 100 for _ in range(visits))
        split, judgement = split.after(counts(ours * visitor, (visits - ours) * visitor), traffic)
        run = run + 1 if judgement is not None else 0
        long += run == 4

    assert long == 0


@pytest.mark.parametrize("weight", [0.01, 1, 10, 50, 90])
def test_how_many_requests_it_takes_to_miss_all(weight: float) -> None:
    needed, traffic = missed_after(weight / 100), at(weight)

    assert Split().after(counts(0, needed), traffic)[0].missing
    assert not Split().after(counts(0, needed - CLUMP), traffic)[0].missing
