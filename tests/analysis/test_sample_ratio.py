"""Whether the traffic is split as it was asked for: what the check says, and what a rollout does
with it.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.checks import ERRORS, FAIL, NO_DATA, NOTHING, PASS, counts, level, look, times

from progressive import (
    Canary,
    Limit,
    Match,
    Metric,
    Phase,
    SampleRatio,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.analysis import Verdict
from progressive.model.actions import Memory
from progressive.model.traffic import Traffic
from progressive.testing import World, simulate
from progressive.testing.simulation import troubles

TEN = Traffic(candidate=percent(10))


def split(*looks: tuple[int, int], traffic: Traffic = TEN) -> tuple[Any, Memory]:
    memory: Memory = None
    for own, other in looks:
        judgement, memory = SampleRatio(ERRORS).judge_in(
            traffic, look(counts(0, own), counts(0, other)), memory, 0.0
        )
    return judgement, memory


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [(100, 900, PASS), (105, 895, PASS), (0, 1_000, FAIL), (20, 980, FAIL), (500, 500, FAIL)],
)
def test_requests_are_where_they_were_asked_for(own: int, other: int, verdict: Verdict) -> None:
    judgement, _ = split((own, other))

    assert judgement.verdict is verdict
    word = "split as asked" if verdict is PASS else "the traffic is not split as asked"
    assert judgement.why.startswith(
        f"{word}: {own / 10:g} % of 1,000 requests in this look, 10 % asked for; p = "
    )
    assert dict(judgement.numbers)["share_asked"] == 0.1


def test_a_small_mismatch_needs_many_looks() -> None:
    assert split(*[(112, 888)] * 3)[0].verdict is PASS
    assert split(*[(112, 888)] * 40)[0].verdict is FAIL


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(candidate=percent(10), matches=[Match(name="x-canary", value="yes")]),
        Traffic(candidate=percent(10), mirror=percent(5)),
    ],
)
def test_more_than_its_weight_is_right_where_more_is_sent(traffic: Traffic) -> None:
    assert split((500, 500), traffic=traffic)[0].verdict is PASS
    assert split((2, 998), traffic=traffic)[0].verdict is FAIL


def test_what_a_route_sent_while_it_was_there_is_not_held_against_the_split_that_follows() -> None:
    check, routed = (
        SampleRatio(ERRORS),
        Traffic(candidate=percent(10), matches=[Match(name="x-canary", value="yes")]),
    )
    memory: Memory = None
    for _ in range(20):
        _, memory = check.judge_in(routed, look(counts(0, 300), counts(0, 700)), memory, 0.0)
    judgement, _ = check.judge_in(TEN, look(counts(0, 100), counts(0, 900)), memory, 0.0)

    assert judgement.verdict is PASS


def test_where_no_weight_is_asked_for_there_is_no_split() -> None:
    judgement, memory = split(
        (5, 500), traffic=Traffic(matches=[Match(name="x-canary", value="yes")])
    )

    assert (judgement.verdict, memory) == (PASS, None)


def test_any_count_of_requests_will_do_and_none_is_no_data() -> None:
    latencies = look(times(0, 0, 0, 0, 0), times(100, 200, 300, 400, 1_000))
    assert (
        SampleRatio(Metric("latency", kind="latency"))
        .judge_in(TEN, latencies, None, 0.0)[0]
        .verdict
        is FAIL
    )
    for nothing, why, starved in (
        (look(NOTHING), "no count of requests on candidate: no requests", False),
        (look(NOTHING, counts(0, 9)), "no count of requests on candidate: no requests", True),
        (look(counts(0, 9), NOTHING), "no count of requests on stable: no requests", False),
        (look(counts(0, 0), counts(0, 0)), "no requests on either track", False),
        (look(level(1.0), level(2.0)), "no count of requests on candidate", True),
    ):
        judgement, _ = SampleRatio(ERRORS).judge_in(TEN, nothing, None, 0.0)
        assert (judgement.verdict, judgement.why, judgement.starved) == (NO_DATA, why, starved)
    assert (
        SampleRatio(ERRORS).judge(look(counts(0, 1), counts(0, 9)), None, 0.0)[0].why
        == "the traffic has changed since"
    )


GUARDED = Canary(
    weights=percents(10, 50, 100),
    bake=minutes(10),
    checks=[SampleRatio(ERRORS), Limit(ERRORS, at_most=percent(5))],
    interval=seconds(30),
)


def test_a_router_that_splits_otherwise_than_it_says_is_found_and_the_rollout_held() -> None:
    story = simulate(GUARDED, World(load=100, troubles=[troubles.Skewed(minutes(12), by=0.4)]))

    held = [note for note in story.notes if note.kind == "entered" and note.phase == "held"]
    assert story.phase is Phase.ROLLED_BACK, "nobody came within the hour"
    assert held
    assert "the traffic is not split as asked" in str(held[0])


@pytest.mark.parametrize("seed", range(4))
def test_a_router_that_splits_as_it_says_is_left_in_peace(seed: int) -> None:
    assert simulate(GUARDED, World(load=100), seed=seed).promoted


def test_a_stuck_data_plane_is_found_while_error_rates_look_fine() -> None:
    """Too much of the traffic on the candidate, which is well: nothing but the counts shows it."""
    story = simulate(GUARDED, World(load=100, troubles=[troubles.Skewed(by=3.0)]))

    assert not story.promoted
