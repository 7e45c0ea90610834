"""The split, the ranks and Kayenta's judge as checks: what they say, and what a rollout does with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_checks import ERRORS, FAIL, INCONCLUSIVE, NO_DATA, NOTHING, PASS, QUEUE, WINDOW, counts, look
from test_comparisons import level, times

from progressive import (
    Analysis,
    Canary,
    Gauge,
    Kayenta,
    KayentaJudge,
    KayentaMetric,
    Limit,
    Look,
    MannWhitney,
    Match,
    Metric,
    NoAnswer,
    Phase,
    SampleRatio,
    Track,
    Verdict,
    dumps,
    loads,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.analysis.verdict import Memory
from progressive.testing import Behaviour, World, simulate, troubles
from progressive.traffic import Traffic

TEN = Traffic(candidate=percent(10))


# ------------------------------------------------------------------------------------------------------------------- the split


def split(*looks: tuple[int, int], traffic: Traffic = TEN) -> tuple[Any, Memory]:
    memory: Memory = None
    for own, other in looks:
        judgement, memory = SampleRatio(ERRORS).judge_in(traffic, look(counts(0, own), counts(0, other)), memory, 0.0)
    return judgement, memory


@pytest.mark.parametrize(
    ("own", "other", "verdict"), [(100, 900, PASS), (105, 895, PASS), (0, 1_000, FAIL), (20, 980, FAIL), (500, 500, FAIL)]
)
def test_requests_are_where_they_were_asked_for(own: int, other: int, verdict: Verdict) -> None:
    judgement, _ = split((own, other))

    assert judgement.verdict is verdict
    word = "split as asked" if verdict is PASS else "the traffic is not split as asked"
    assert judgement.why.startswith(f"{word}: {own / 10:g} % of 1,000 requests in this look, 10 % asked for; p = ")
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
    check, routed = SampleRatio(ERRORS), Traffic(candidate=percent(10), matches=[Match(name="x-canary", value="yes")])
    memory: Memory = None
    for _ in range(20):
        _, memory = check.judge_in(routed, look(counts(0, 300), counts(0, 700)), memory, 0.0)
    judgement, _ = check.judge_in(TEN, look(counts(0, 100), counts(0, 900)), memory, 0.0)

    assert judgement.verdict is PASS


def test_where_no_weight_is_asked_for_there_is_no_split() -> None:
    judgement, memory = split((5, 500), traffic=Traffic(matches=[Match(name="x-canary", value="yes")]))

    assert (judgement.verdict, memory) == (PASS, None)


def test_any_count_of_requests_will_do_and_none_is_no_data() -> None:
    latencies = look(times(0, 0, 0, 0, 0), times(100, 200, 300, 400, 1_000))
    assert SampleRatio(Metric("latency", kind="latency")).judge_in(TEN, latencies, None, 0.0)[0].verdict is FAIL
    for nothing, why, starved in (
        (look(NOTHING), "no count of requests on candidate: no requests", False),
        (look(NOTHING, counts(0, 9)), "no count of requests on candidate: no requests", True),
        (look(counts(0, 9), NOTHING), "no count of requests on stable: no requests", False),
        (look(counts(0, 0), counts(0, 0)), "no requests on either track", False),
        (look(level(1.0), level(2.0)), "no count of requests on candidate", True),
    ):
        judgement, _ = SampleRatio(ERRORS).judge_in(TEN, nothing, None, 0.0)
        assert (judgement.verdict, judgement.why, judgement.starved) == (NO_DATA, why, starved)
    assert SampleRatio(ERRORS).judge(look(counts(0, 1), counts(0, 9)), None, 0.0)[0].why == "the traffic has changed since"


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


# ------------------------------------------------------------------------------------------------------------------- the ranks


def ranked(check: MannWhitney, own: list[float], other: list[float]) -> tuple[Any, Memory]:
    memory: Memory = None
    for a, b in zip(own, other, strict=True):
        judgement, memory = check.judge(look(level(a), level(b)), memory, 0.0)
    return judgement, memory


LOW = [float(k % 7) for k in range(30)]
HIGH = [value + 6 for value in LOW]


def test_samples_are_pooled_judged_and_forgotten() -> None:
    early, kept = ranked(MannWhitney(QUEUE), LOW[:29], LOW[:29])
    judgement, after = ranked(MannWhitney(QUEUE), LOW, LOW)

    assert (early.verdict, early.why) == (NO_DATA, "29 and 29 of the 30 samples that a verdict needs on each side")
    assert len(kept[0]) == 29  # type: ignore[index,arg-type]
    assert (judgement.verdict, after) == (PASS, None)
    assert "no worse: +0 (" in judgement.why


@pytest.mark.parametrize(("bad", "higher", "lower"), [("up", FAIL, PASS), ("down", PASS, FAIL), ("both", FAIL, FAIL)])
def test_the_bad_side_is_where_the_metric_says(bad: Any, higher: Verdict, lower: Verdict) -> None:
    check = MannWhitney(Metric("memory", kind="value", bad=bad, unit="MB"))
    worse, _ = ranked(check, HIGH, LOW)

    assert worse.verdict is higher
    assert ranked(check, LOW, HIGH)[0].verdict is lower
    assert "+6 MB (" in worse.why
    assert dict(worse.numbers)["above"] > 0.9


def test_the_margin_is_tolerated() -> None:
    check = MannWhitney(QUEUE, margin=1.5)
    base = [100 + value for value in LOW]

    assert ranked(check, [1.3 * value for value in base], base)[0].verdict is PASS
    worse, _ = ranked(check, [1.7 * value for value in base], base)
    assert worse.verdict is FAIL
    assert "from what a margin of 1.5 makes of stable's" in worse.why


@pytest.mark.parametrize("bad", ["up", "down", "both"])
@pytest.mark.parametrize("base", [-100.0, 100.0])
def test_equal_samples_never_fail_whatever_their_sign(bad: Any, base: float) -> None:
    samples = [base + value for value in LOW]

    assert ranked(MannWhitney(Metric("height", kind="value", bad=bad), margin=1.1), samples, samples)[0].verdict is PASS


def test_samples_that_are_all_equal_are_no_worse() -> None:
    judgement, _ = ranked(MannWhitney(QUEUE), [3.0] * 30, [3.0] * 30)

    assert judgement.why == "no worse: all samples are equal, above it in 50 % of the pairs; p = 1"


def test_silence_is_no_verdict_and_loses_nothing() -> None:
    check = MannWhitney(QUEUE)
    _, kept = ranked(check, LOW[:5], LOW[:5])
    for candidate, why in ((NOTHING, "no data on candidate: no requests"), (counts(0, 0), "no data on candidate: no samples")):
        judgement, after = check.judge(look(candidate, level(1.0)), kept, 0.0)
        assert (judgement.verdict, judgement.why, judgement.starved) == (NO_DATA, why, True)
        assert after == (kept[0], (*kept[1], 1.0))  # type: ignore[index,misc]


# ------------------------------------------------------------------------------------------------------------- Kayenta's judge

CPU = Metric("cpu", kind="value", unit="cores")
MEMORY = Metric("memory", kind="value", unit="MB")
CONFIG = KayentaJudge(
    metrics=[
        KayentaMetric("cpu", groups=["system"], direction="increase"),
        KayentaMetric("memory", groups=["system"], direction="increase"),
    ],
    pass_score=95,
    marginal_score=50,
)


def kayenta(check: Kayenta, cpu: tuple[list[float], list[float]], memory: tuple[list[float], list[float]]) -> tuple[Any, Memory]:
    kept: Memory = None
    for row in zip(*cpu, *memory, strict=True):
        for name, own, other in (("cpu", row[0], row[1]), ("memory", row[2], row[3])):
            both = {Track.CANDIDATE: level(own), Track.BASELINE: level(other)}
            judgement, kept = check.judge(Look(metric=name, window=WINDOW, tracks=both), kept, 0.0)
    return judgement, kept


CHECK = Kayenta(CONFIG, metrics=[CPU, MEMORY], points=20, lookback=40)


@pytest.mark.parametrize(
    ("cpu", "memory", "verdict", "why"),
    [
        ((LOW, LOW), (LOW, LOW), PASS, "score 100, Pass"),
        ((HIGH, LOW), (LOW, LOW), INCONCLUSIVE, "score 50, Marginal (cpu High)"),
        ((HIGH, LOW), (HIGH, LOW), FAIL, "score 0, Fail (cpu High, memory High)"),
    ],
)
def test_one_score_over_several_metrics_is_a_verdict(
    cpu: tuple[list[float], list[float]], memory: tuple[list[float], list[float]], verdict: Verdict, why: str
) -> None:
    judgement, _ = kayenta(CHECK, cpu, memory)

    assert (judgement.verdict, judgement.why) == (verdict, why)
    assert dict(judgement.numbers)["points"] == 30


def test_points_are_waited_for_and_old_ones_dropped() -> None:
    early, _ = kayenta(CHECK, (LOW[:9], LOW[:9]), (LOW[:9], LOW[:9]))
    _, late = kayenta(CHECK, (LOW * 4, LOW * 4), (LOW * 4, LOW * 4))
    judgement, _ = CHECK.judge(Look(metric="cpu", window=WINDOW, tracks={Track.CANDIDATE: level(1.0), Track.BASELINE: level(1.0)}), late, 0.0)
    kept = json.loads(json.dumps(late))[0]

    assert early.why == "9 of the 20 points that a judgement needs of each series"
    assert [[len(side) for side in pair] for pair in kept] == [[40, 40], [40, 40]]
    assert (judgement.verdict, judgement.why) == (NO_DATA, "waits for new points of memory")


def test_a_silent_candidate_is_no_data() -> None:
    both = {Track.CANDIDATE: NoAnswer("gone"), Track.BASELINE: level(1.0)}
    judgement, _ = CHECK.judge(Look(metric="cpu", window=WINDOW, tracks=both), None, 0.0)

    assert (judgement.verdict, judgement.starved) == (NO_DATA, True)
    assert judgement.why == "no data on candidate: no points of cpu"


def test_a_metric_that_falls_silent_does_not_go_on_passing_by_its_old_points() -> None:
    _, kept = kayenta(CHECK, (LOW, LOW), (LOW, LOW))
    verdicts = []
    for name, own in (("cpu", NOTHING), ("memory", level(1.0)), ("cpu", NOTHING), ("memory", level(1.0))):
        judgement, kept = CHECK.judge(Look(metric=name, window=WINDOW, tracks={Track.CANDIDATE: own, Track.BASELINE: level(1.0)}), kept, 0.0)
        verdicts.append((judgement.verdict, judgement.starved, judgement.why))

    assert set(verdicts) == {(NO_DATA, True, "no data on candidate: no points of cpu")}


def spinnaker(**changes: Any) -> Canary:
    return Canary(
        weights=percents(10, 100),
        bake=minutes(30),
        baseline=percent(10),
        analyses=[
            Analysis("kayenta", checks=[CHECK], interval=minutes(1)),
            Analysis("always", checks=[Limit(ERRORS, at_most=percent(5))], interval=minutes(1)),
        ],
        guards=["kayenta", "always"],
        **changes,
    )


def world(cpu: float) -> World:
    usual = Behaviour(levels={"cpu": 2.0, "memory": 100.0})
    return World(load=50, stable=usual, candidate=Behaviour(levels={"cpu": cpu, "memory": 100.0}))


def test_a_rollout_is_judged_by_kayenta() -> None:
    assert simulate(spinnaker(), world(2.0)).promoted
    story = simulate(spinnaker(), world(3.0))

    assert story.phase is Phase.ROLLED_BACK
    assert "kayenta/kayenta" in story.why


def test_a_check_of_several_metrics_has_a_series_for_each_and_is_stored() -> None:
    plan = spinnaker().plan
    story = simulate(spinnaker(), world(2.0))

    assert str(spinnaker().describe()).count("kayenta/kayenta") == len(plan.steps)
    assert [series.metric.name for series in plan.series] == ["cpu", "memory", "error-rate"]
    assert [metric.name for metric in plan.metrics] == ["cpu", "memory", "error-rate"]
    assert loads(dumps(story.rollout)) == story.rollout
    assert Gauge(samples=(1.0,)).sample == 1
