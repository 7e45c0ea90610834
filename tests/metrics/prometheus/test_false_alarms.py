"""A version exactly as good as stable, whose counters are kept oddly on either side: it is called
worse no more often than was promised, however odd they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeAlias

import pytest
from tests.support.scraped import RATIO, START, World

from progressive import NoWorse
from progressive.analysis import Verdict
from progressive.metrics.prometheus import ERRORS
from progressive.model.measurement import Counts
from progressive.model.traffic import Track
from progressive.stats.proportions import binomial_test

Counted: TypeAlias = list[tuple[int, int]]
"""The requests and errors of a version up to each scrape."""

Shown: TypeAlias = Iterator[tuple[float, int, int, dict[str, str]]]
"""What a server has of it: seconds, requests, errors, and further labels."""

Keeps: TypeAlias = Callable[[random.Random, Counted], Shown]

SCRAPES, LOOK, BEFORE = 150, 10, 20
ALPHA = 0.05


def as_they_are(chance: random.Random, counted: Counted) -> Shown:
    for second, (requests, errors) in enumerate(counted):
        yield second, requests, errors, {}


def two_replicas(chance: random.Random, counted: Counted) -> Shown:
    """Two servers scrape it, half a scrape apart, and both write."""
    for second, (requests, errors) in enumerate(counted):
        yield second, requests, errors, {"replica": "a"}
        yield second + 0.5, requests, errors, {"replica": "b"}


def a_second_writer(chance: random.Random, counted: Counted) -> Shown:
    """Now and then an older value arrives in place of the newest."""
    for second in range(len(counted)):
        late = max(0, second - (chance.random() < 0.03))
        yield second, *counted[late], {}


def several_processes(chance: random.Random, counted: Counted) -> Shown:
    """Two of them behind one target, each with its half of the requests; one answers."""
    more = chance.randrange(100, 1_000)
    for second, (requests, errors) in enumerate(counted):
        which = chance.random() < 0.5
        yield second, requests // 2 + which * more, errors // 2 + which * (more // 50), {}


def two_writers_of_one_series(chance: random.Random, counted: Counted) -> Shown:
    for second, (requests, errors) in enumerate(counted):
        yield second, requests, errors, {}
        if second:
            yield second + 0.1, *counted[second - 1], {}


def it_restarts(chance: random.Random, counted: Counted) -> Shown:
    """Every fiftieth scrape finds a new process, which counts from nothing."""
    requests, errors = 0, 0
    for second, (so_far, failed) in enumerate(counted):
        if chance.random() < 0.02:
            requests, errors = counted[max(0, second - 1)]
        yield second, so_far - requests, failed - errors, {}


def scrapes_fail(chance: random.Random, counted: Counted) -> Shown:
    for second, (requests, errors) in enumerate(counted):
        if chance.random() > 0.1:
            yield second, requests, errors, {}


def it_is_relabelled(chance: random.Random, counted: Counted) -> Shown:
    when = chance.randrange(BEFORE, len(counted))
    for second, (requests, errors) in enumerate(counted):
        yield second, requests, errors, {"node": "a" if second < when else "b"}


def kept_raw(chance: random.Random, counted: Counted) -> Shown:
    """Deltas."""
    before = (0, 0)
    for second, now in enumerate(counted):
        yield second, now[0] - before[0], now[1] - before[1], {}
        before = now


KEPT: list[Keeps] = [
    as_they_are,
    two_replicas,
    a_second_writer,
    several_processes,
    two_writers_of_one_series,
    it_restarts,
    scrapes_fail,
    it_is_relabelled,
    kept_raw,
]


def counted(chance: random.Random, rate: float) -> Counted:
    """Some twenty requests a second, one in fifty of which fails."""
    found, requests, errors = [], 500, 10
    for _ in range(SCRAPES):
        new = 15 + chance.randrange(11)
        requests, errors = requests + new, errors + sum(chance.random() < rate for _ in range(new))
        found.append((requests, errors))
    return found


def world_of(seed: int, stable: Keeps, candidate: Keeps, times: float = 1.0) -> World:
    """What a server has of two versions, of which the candidate fails so many times as often."""
    world, chance = World(), random.Random(seed)
    for version, keeps, rate in (("v1", stable, 0.02), ("v2", candidate, 0.02 * times)):
        of_it = counted(chance, rate)
        for second, requests, errors, labels in keeps(chance, of_it):
            at = round((START + timedelta(seconds=second - BEFORE)).timestamp() * 1000)
            named = {"job": "shop", "instance": version, "version": version, **labels}
            world.server.add(at, 1, name="up", job="shop", instance=version)
            world.server.add(at, requests - errors, code="200", **named)
            world.server.add(at, errors, code="500", **named)
    return world


def judged(world: World) -> bool:
    """Whether the candidate was called worse at any look."""
    check, memory = NoWorse(ERRORS), None
    for begin in range(0, SCRAPES - BEFORE - LOOK, LOOK):
        look = world.look(begin, begin + LOOK, RATIO)
        if not all(isinstance(look.of(track), Counts) for track in (Track.STABLE, Track.CANDIDATE)):
            continue
        judgement, memory = check.judge(look, memory, ALPHA)
        if judgement.verdict is Verdict.FAIL:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("keeps", KEPT, ids=lambda keeps: keeps.__name__)
@pytest.mark.parametrize("side", ["stable", "candidate", "both"])
def test_a_good_version_is_called_worse_no_more_often_than_promised(
    keeps: Keeps, side: str
) -> None:
    stable = as_they_are if side == "candidate" else keeps
    candidate = as_they_are if side == "stable" else keeps
    runs = 120
    alarms = sum(judged(world_of(seed, stable, candidate)) for seed in range(runs))

    assert binomial_test(alarms, runs, ALPHA, alternative="greater") > 0.01, alarms


@pytest.mark.parametrize(
    "keeps", [as_they_are, a_second_writer, it_restarts, scrapes_fail, it_is_relabelled]
)
def test_what_can_be_counted_is_judged_and_finds_a_bad_version(keeps: Keeps) -> None:
    """Odd is no reason to see nothing: three times the errors are found in most of the runs."""
    worse = sum(judged(world_of(seed, keeps, keeps, times=3.0)) for seed in range(20))

    assert worse >= 18
