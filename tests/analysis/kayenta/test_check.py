"""Kayenta's judge as a check of a rollout: points are waited for, judged together, and never judged
stale.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.checks import (
    ERRORS,
    FAIL,
    HIGH,
    INCONCLUSIVE,
    LOW,
    NO_DATA,
    NOTHING,
    PASS,
    WINDOW,
    level,
)

from progressive import (
    Analysis,
    Canary,
    Limit,
    Metric,
    Phase,
    Track,
    dumps,
    loads,
    minutes,
    percent,
    percents,
)
from progressive.analysis import Kayenta, KayentaJudge, KayentaMetric, Verdict
from progressive.model import Look, NoAnswer
from progressive.model.actions import Memory
from progressive.testing import Behaviour, World, simulate

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


def kayenta(
    check: Kayenta, cpu: tuple[list[float], list[float]], memory: tuple[list[float], list[float]]
) -> tuple[Any, Memory]:
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
    cpu: tuple[list[float], list[float]],
    memory: tuple[list[float], list[float]],
    verdict: Verdict,
    why: str,
) -> None:
    judgement, _ = kayenta(CHECK, cpu, memory)

    assert (judgement.verdict, judgement.why) == (verdict, why)
    assert dict(judgement.numbers)["points"] == 30


def test_points_are_waited_for_and_old_ones_dropped() -> None:
    early, _ = kayenta(CHECK, (LOW[:9], LOW[:9]), (LOW[:9], LOW[:9]))
    _, late = kayenta(CHECK, (LOW * 4, LOW * 4), (LOW * 4, LOW * 4))
    judgement, _ = CHECK.judge(
        Look(
            metric="cpu",
            window=WINDOW,
            tracks={Track.CANDIDATE: level(1.0), Track.BASELINE: level(1.0)},
        ),
        late,
        0.0,
    )
    kept = json.loads(json.dumps(late))[0]

    assert early.why == "9 of the 20 points that a judgement needs of each series"
    assert [[len(side) for side in pair] for pair in kept] == [[40, 40], [40, 40]]
    assert (judgement.verdict, judgement.why) == (NO_DATA, "waits for new points of memory")


def test_a_silent_candidate_is_no_data() -> None:
    both = {Track.CANDIDATE: NoAnswer("gone"), Track.BASELINE: level(1.0)}
    judgement, _ = CHECK.judge(Look(metric="cpu", window=WINDOW, tracks=both), None, 0.0)

    assert (judgement.verdict, judgement.starved) == (NO_DATA, True)
    assert judgement.why == "no data on candidate: no points of cpu"


def test_a_control_that_is_silent_too_is_waited_for() -> None:
    _, kept = kayenta(CHECK, (LOW, LOW), (LOW, LOW))
    both = {Track.CANDIDATE: NOTHING, Track.BASELINE: NOTHING}
    judgement, _ = CHECK.judge(Look(metric="cpu", window=WINDOW, tracks=both), kept, 0.0)

    assert (judgement.verdict, judgement.starved) == (NO_DATA, False)
    assert judgement.why == "waits for new points of cpu"


def test_a_metric_that_falls_silent_does_not_go_on_passing_by_its_old_points() -> None:
    _, kept = kayenta(CHECK, (LOW, LOW), (LOW, LOW))
    verdicts = []
    for name, own in (
        ("cpu", NOTHING),
        ("memory", level(1.0)),
        ("cpu", NOTHING),
        ("memory", level(1.0)),
    ):
        judgement, kept = CHECK.judge(
            Look(
                metric=name,
                window=WINDOW,
                tracks={Track.CANDIDATE: own, Track.BASELINE: level(1.0)},
            ),
            kept,
            0.0,
        )
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
